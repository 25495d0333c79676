/* SPDX-License-Identifier: MIT */
/*
 * Numbered injection points in the racy windows. Empty in production; the build for the stress
 * driver defines PWISE_INJECT and calls inject_hook (C points) or spins inject_spins[n] times
 * (points inside sections, where nothing may be called).
 *
 *   C points                                     section points
 *   1  taken, not yet looked at                  0  id read
 *   2  before an install                         1  magazine read
 *   3  after an install, before closed is read   2  item read or laid in, before the commit
 *   4  spare taken                               3  (take) before the exchange
 *   5  depot lock held
 *   6  reclaimer: exchanged, not fenced
 *   7  reclaimer: fenced, not yet sorted
 *   8  thief: exchanged, not fenced
 *
 * inject_memory is asked before each allocation of the library and told of each release; it says
 * whether the allocation may go on.
 */
#pragma once

#define INJECT_C_POINTS       9
#define INJECT_SECTION_POINTS 4

#ifdef PWISE_INJECT
#include <stdbool.h>
#include <stdint.h>
extern bool (*volatile inject_memory)(bool take);
#define INJECT_MEMORY(take) (!inject_memory || inject_memory(take))
extern void (*volatile inject_hook)(int point);
extern volatile uint32_t inject_spins[INJECT_SECTION_POINTS];
#define INJECT(point)                                                                              \
    do {                                                                                           \
        void (*hook_)(int) = inject_hook;                                                          \
        if (hook_)                                                                                 \
            hook_(point);                                                                          \
    } while (0)
#else
#define INJECT(point)       ((void)0)
#define INJECT_MEMORY(take) true
#endif
