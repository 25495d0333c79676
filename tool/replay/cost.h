/* SPDX-License-Identifier: MIT */
/*
 * What a malloc+free pair and a pool's get+put pair cost on this machine, by size: the estimate that
 * stands in for a measurement of the site's own events.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define COST_CLASSES 24

struct cost_table {
    size_t size[COST_CLASSES];              /* ascending */
    double malloc_pair_ns[COST_CLASSES];    /* libc malloc, first byte touched, free; median of rounds */
    double pool_pair_ns[COST_CLASSES];      /* bounded per-thread array of items behind a call, likewise */
    size_t count;
};

/* Measures, in about `budget_ms` of CPU time, in a forked child so that this process' own heap does
 * not count. Large sizes cost what their page faults cost. 0 or -errno (fork, or the child died). */
int cost_measure(unsigned budget_ms, struct cost_table *ret_table);

/* Interpolated for `size` bytes. */
double cost_malloc_pair_ns(const struct cost_table *table, size_t size);
double cost_pool_pair_ns(const struct cost_table *table, size_t size);
