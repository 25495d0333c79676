/* SPDX-License-Identifier: MIT */
/*
 * Where the items of a pool without callbacks come from: slabs of equal blocks, side by side, with
 * no header each. Any thread; takes the slabs' own lock, which comes after the depot's.
 */
#pragma once

#include "pool_internal.h"

#pragma GCC visibility push(hidden)

/* Where slabs get their memory instead of from the system, for who links the library into itself. Set
 * before the first pool is made, then constant. Called with the slabs' lock held. */
struct slab_source {
    void *(*take)(void *context); /* SLAB_SOURCE_BYTES, zeroed, aligned to that; NULL: no memory */
    void (*give)(void *memory);
};
#define SLAB_SOURCE_BYTES ((size_t)2 << 20)
extern const struct slab_source *slab_source; /* NULL: the system. `context` is that of the pool's options */

/* Decides by the pool's options whether it has slabs: not with `create`, nor with `destroy`, which
 * could not know how to give a block back; not for items so large that packing them gains nothing;
 * and not under a memory checker, which sees more in blocks of malloc. */
void slabs_init(struct pool *pool);

static inline bool slabs_used(const struct pool *pool)
{
    return pool->slabs.stride != 0;
}

/* A zeroed block, of the lowest address that is free in the slab in use; NULL + ENOMEM. */
void *slabs_take(struct pool *pool);
void slabs_give(struct pool *pool, void *block);

/* Between the items of many that are destroyed in a row: lets gets have the lock that wait for it.
 * False: some still do, it has been long enough. */
bool slabs_give_way(struct pool *pool);

static inline bool slabs_wanted(const struct pool *pool)
{
    return atomic_load_explicit(&pool->slabs.wanted, memory_order_relaxed) != 0;
}

/* Around the destruction of many items: slabs without used blocks stay, and go back to the system
 * together. Each call that gives memory back interrupts the CPUs that run the program, for longer than
 * making an item takes. */
void slabs_hold(struct pool *pool);
void slabs_trim(struct pool *pool);

/* In a forked child, which has the lock: finishes what another thread of the parent was at. */
void slabs_forked(struct pool *pool);

/* Bytes of the slabs that have been touched. */
size_t slabs_bytes(struct pool *pool);

/* All of it, with the pool: nobody uses a block any more. */
void slabs_done(struct pool *pool);

#pragma GCC visibility pop
