/* SPDX-License-Identifier: MIT */
/* The modules of the plan among those that are loaded. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "plan.h"

/* Where the modules of a plan are. */
struct loaded {
    bool here[PLAN_MODULES];
    uint64_t bias[PLAN_MODULES];
    uint64_t changes; /* the dynamic linker's count of loads and unloads */
};

#pragma GCC visibility push(hidden)

/* Compares the loaded modules with the plan's, and says in the plan what was found. Takes the dynamic linker's lock. */
void modules_look(struct plan *plan, struct loaded *ret_loaded);

/* The dynamic linker's count of loads and unloads. Takes its lock. */
uint64_t modules_changes(void);

/* For the unwinder: as unwind_find_module. Neither locks nor allocates. */
int modules_find(uint64_t pc, const void **ret_eh_frame_hdr, uint64_t *ret_start,
                 uint64_t *ret_end);

#pragma GCC visibility pop
