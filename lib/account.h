/* SPDX-License-Identifier: MIT */
/*
 * Whether a pool earns its keep: what it has saved, by costs measured on this machine and in this
 * program, and the verdict that follows. Any thread; account_fill with no lock held.
 */
#pragma once

#include "pool_internal.h"

#pragma GCC visibility push(hidden)

/* At the pool's making. */
void account_start(struct pool *pool);

/* Notes that something took from start_ns to now, less what reading the clock takes. */
void cost_note(struct cost *cost, uint64_t start_ns);
uint64_t cost_mean(const struct cost *cost); /* 0: none was noted */

/* Whether this thread should time what it does now: once in 64 times. */
bool account_sample(void);

/* An item of so many bytes has been put. */
void account_size(struct pool *pool, size_t bytes);

/* So many bytes have been idle since the last time this was called; under the depot's lock. */
void account_idle_locked(struct depot *depot, uint64_t idle_bytes);

/* Fills the costs, what is saved, and the verdict into stats that hold the counts. */
void account_fill(struct pool *pool, struct pwise_stats *stats);

#pragma GCC visibility pop
