/* SPDX-License-Identifier: MIT */
/*
 * A pool's shared stock of magazines. Every function takes the depot's lock itself and runs no
 * callback; any thread. A magazine handed in must be private to the caller and belongs to the depot
 * afterwards; one handed out is private to the caller.
 */
#pragma once

#include "pool_internal.h"

#pragma GCC visibility push(hidden)

/* Whether a take could find anything, without the lock. */
static inline bool depot_has_filled(const struct depot *depot)
{
    return atomic_load_explicit(&depot->filled_hint, memory_order_seq_cst) != 0;
}

/* A magazine with items and whether it is aged, or NULL. The stock comes first, then the victims.
 */
struct magazine *depot_take_filled(struct pool *pool, bool *ret_aged);

/* A magazine without items, NULL when the bound allows no more or memory is short. */
struct magazine *depot_take_empty(struct pool *pool);

/* Takes back any magazine: to the stock, the victims (if aged) or the empties. NULL does nothing. A
 * closed pool's depot takes none with items: false, and the magazine stays the caller's. */
bool depot_give(struct pool *pool, struct magazine *magazine, bool aged);

/* One cycle: the victims are doomed, the stock and what was in the slots become victims; with
 * `everything` all of it is doomed. The harvest's in-chains without items go to the empties. */
void depot_cycle(struct pool *pool, struct harvest *harvest, bool everything);

/* Frees a chain of private magazines without items; `in_service` of them still count as such. */
void depot_free_chain(struct pool *pool, struct magazine *chain, bool in_service);

/* No more items enter the depot. */
void depot_close(struct pool *pool);

#pragma GCC visibility pop
