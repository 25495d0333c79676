/* SPDX-License-Identifier: MIT */
/*
 * The registry of pools, cycles over them, and what starts cycles. Lock order: thread, cycle,
 * registry, depot, slabs. All functions: any thread, no lock held.
 */
#pragma once

#include "pool_internal.h"

#pragma GCC visibility push(hidden)

/* reclaim.c */
struct pool *registry_first_pinned(void);             /* NULL: none */
struct pool *registry_next_pinned(struct pool *pool); /* unpins `pool` */
void pool_free(struct pool *pool); /* pool.c; only when nobody uses it any more */
void registry_lock(void);
void registry_unlock(void);
void registry_add_locked(struct pool *pool);
void registry_remove_locked(struct pool *pool);
void reclaim_drain_closed(struct pool *pool); /* destroys all that is idle in it */
void reclaim_cycle(bool everything, enum destroy_cause cause);
bool reclaim_anything_idle(void);
void reclaim_fork_lock(void);
void reclaim_fork_unlock(bool child);

/* reclaim_thread.c */
/* Called by slow paths after they have placed a magazine in a slot or the depot: wakes or starts the
 * reclaimer. Touches no pool. */
void reclaimer_note_idle(void);
/* `bytes` more (or fewer) lie in the depots; starts a cycle when they have grown enough. */
void reclaimer_note_stock(int64_t bytes);

#pragma GCC visibility pop
