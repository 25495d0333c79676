/* SPDX-License-Identifier: MIT */
/*
 * What a malloc+free pair and a pool's get+put pair cost on this machine, by size: the estimate
 * that stands in for a measurement of the site's own events.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define COST_CLASSES 24

struct cost_table {
    size_t size[COST_CLASSES]; /* ascending */
    double
        malloc_pair_ns[COST_CLASSES]; /* libc malloc, first byte touched, free; median of rounds */
    double malloc_many_ns[COST_CLASSES]; /* the same for blocks that are made one after another and
                                            freed as late: the allocator's longer paths and colder
                                            caches; no page faults */
    double pool_pair_ns[COST_CLASSES];   /* libpoolwise's get, first byte touched, put; likewise */
    size_t count;
    double page_ns; /* the first touch of a page of new memory: fault, zeroing and all */
};

/* Measures, in about `budget_ms` of CPU time, in a forked child so that this process' own heap does
 * not count. 0 or -errno (fork, or the child died). */
int cost_measure(unsigned budget_ms, struct cost_table *ret_table);

/* Interpolated for `size` bytes. */
double cost_malloc_pair_ns(const struct cost_table *table, size_t size);
/* The same where `live` blocks are alive at once: from the pair's price for a few to malloc_many_ns
 * for thousands. What a site with many live blocks costs at most is only seen this way. */
double cost_malloc_live_ns(const struct cost_table *table, size_t size, uint64_t live);
double cost_pool_pair_ns(const struct cost_table *table, size_t size);
/* Of one step of a block that grows from `first` to `final` bytes by doubling: a new block, the old one
 * freed; copying apart. */
double cost_grow_step_ns(const struct cost_table *table, size_t first, size_t final);
