/* SPDX-License-Identifier: MIT */
/*
 * Where pooled blocks come from and go back to.
 *
 * home   one pool of libpoolwise and the chunks that its blocks lie in; all blocks of one capacity
 * group  homes by size class, for the sites that share it
 *
 * Homes are made when first needed and never destroyed: blocks may be freed at any time, by any thread, up to the
 * last instruction of the process.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "classes.h"
#include "poolwise/pool.h"

#define HOME_BYTES_MOST ((size_t)1 << 20)
#define HOME_CLASSES    60u /* class_of(HOME_BYTES_MOST) + 1 */
#define HOME_ALIGN_MOST ((size_t)4096)
#define HOMES_IDLE_MOST ((uint64_t)64 << 20) /* as one pool of the library keeps by default */

struct home {
    pwise_pool pool;
    size_t bytes;            /* capacity of each block; constant */
    struct runs *runs;       /* of blocks too large for the pool's slabs; else NULL */
    struct group *group;     /* whose homes serve its blocks when they grow; NULL: none */
    struct home *next_known; /* constant once published */
};

struct group {
    size_t most_bytes;                          /* of a block; constant */
    _Atomic(struct home *) homes[HOME_CLASSES]; /* each NULL until it is made, then constant */
};

#pragma GCC visibility push(hidden)

/* Once, before anything else. `max_idle_bytes` of each home; 0: the library's default. */
void homes_init(size_t max_idle_bytes);

/* The home of *cell, for blocks of `bytes`, a multiple of `align`, at most HOME_BYTES_MOST; made if need be.
 * NULL: no memory. Any thread. */
struct home *home_get_slow(_Atomic(struct home *) *cell, size_t bytes, size_t align,
                           struct group *group);

/* The group's home of this class, made if need be; NULL: no memory. Any thread. */
struct home *group_home_slow(struct group *group, unsigned class);

/* The home for blocks of at least `size` bytes at multiples of `align`, a power of two up to HOME_ALIGN_MOST;
 * NULL: too large, or no memory. One for all groups. */
struct home *homes_aligned(size_t size, size_t align);

/* Gives everything idle back to the system when it comes to more than HOMES_IDLE_MOST, over all homes. To be called
 * now and then, without a lock of ours held. Any thread. */
void homes_relieve(void);

/* Sums over all homes. */
void homes_counts(uint64_t *ret_gets, uint64_t *ret_hits, uint64_t *ret_idle_bytes);

#pragma GCC visibility pop

/* 1 <= size <= HOME_BYTES_MOST. */
static inline struct home *group_home(struct group *group, size_t size)
{
    unsigned class = class_of(size);
    struct home *home = atomic_load_explicit(&group->homes[class], memory_order_acquire);
    return __builtin_expect(home != NULL, 1) ? home : group_home_slow(group, class);
}
