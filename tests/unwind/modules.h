/* SPDX-License-Identifier: MIT */
/* The modules of the running test, read once: what the recorder's own list is to the unwinder. */
#pragma once

#include <stdint.h>

/* Before unwind_init(); any later call reads the list anew. */
void modules_read(void);

/* An unwind_find_module. */
int modules_find(uint64_t pc, const void **ret_eh_frame_hdr, uint64_t *ret_start,
                 uint64_t *ret_end);
