/* SPDX-License-Identifier: MIT */
/*
 * The registry of pools and the cycles over them.
 */
#include "reclaim.h"

#include "debug.h"
#include "depot.h"
#include "magazine.h"
#include "memory.h"
#include "rseq.h"
#include "slab.h"

static pthread_mutex_t cycle_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t registry_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct pool *registry; /* under registry_mutex */

void registry_lock(void)
{
    pthread_mutex_lock(&registry_mutex);
}

void registry_unlock(void)
{
    pthread_mutex_unlock(&registry_mutex);
}

void registry_add_locked(struct pool *pool)
{
    pool->previous = NULL;
    pool->next = registry;
    if (registry)
        registry->previous = pool;
    registry = pool;
}

void registry_remove_locked(struct pool *pool)
{
    if (pool->previous)
        pool->previous->next = pool->next;
    else
        registry = pool->next;
    if (pool->next)
        pool->next->previous = pool->previous;
}

/* An open pool from `pool` on, pinned. */
static struct pool *pin_open_locked(struct pool *pool)
{
    while (pool && atomic_load_explicit(&pool->closed, memory_order_relaxed))
        pool = pool->next;
    if (pool)
        pool_reference(pool);
    return pool;
}

struct pool *registry_first_pinned(void)
{
    registry_lock();
    struct pool *pool = pin_open_locked(registry);
    registry_unlock();
    return pool;
}

struct pool *registry_next_pinned(struct pool *pool)
{
    registry_lock();
    struct pool *next = pin_open_locked(pool->next);
    registry_unlock();
    pool_unreference(pool);
    return next;
}

/* Swaps out what the pool's slots hold. Until the fence only the `next` fields of loaded magazines
 * may be touched: no section looks at those. */
static void gather(struct pool *pool, struct harvest *harvest, struct magazine *left_behind)
{
    for (uint32_t i = 0; i < slot_count; i++) {
        struct slot *slot = &pool->slots[i];
        /* seq_cst: see hand_install */
        if (atomic_load_explicit(&slot->loaded, memory_order_seq_cst) != left_behind) {
            struct magazine *magazine =
                atomic_exchange_explicit(&slot->loaded, left_behind, memory_order_seq_cst);
            if (magazine == MAGAZINE_CLOSED) {
                harvest->mark_lost = true;
            } else if (magazine != MAGAZINE_EMPTY) {
                magazine->next = harvest->loaded;
                harvest->loaded = magazine;
            }
        }
        if (atomic_load_explicit(&slot->spare, memory_order_seq_cst) != 0) {
            uintptr_t spare = atomic_exchange_explicit(&slot->spare, 0, memory_order_seq_cst);
            struct magazine *magazine = spare_magazine(spare);
            struct magazine **chain = spare & SPARE_AGED ? &harvest->aged : &harvest->spares;
            if (magazine) {
                magazine->next = *chain;
                *chain = magazine;
            }
        }
    }
}

/* Destroys what a chain holds, then the chain. */
static void destroy_chain(struct pool *pool, struct magazine *chain, enum destroy_cause cause)
{
    for (struct magazine *magazine = chain; magazine; magazine = magazine->next) {
        bool patient = true;
        while (magazine_count(magazine) != 0) {
            item_destroy(pool, magazine_discard(magazine), cause);
            if (unlikely(slabs_wanted(pool)) && patient)
                patient = slabs_give_way(pool);
        }
    }
    depot_free_chain(pool, chain, true);
}

/* Chains of several pools, each with a pin of its pool, linked by next_chain. */
struct doomed {
    struct magazine *first;
};

static void doom(struct doomed *doomed, struct magazine *chain)
{
    if (!chain)
        return;
    pool_reference(chain->pool);
    chain->next_chain = doomed->first;
    doomed->first = chain;
}

static void doom_harvest(struct doomed *doomed, const struct harvest *harvest)
{
    doom(doomed, harvest->aged);
    doom(doomed, harvest->victim);
    doom(doomed, harvest->stock);
}

static void destroy_doomed(struct doomed *doomed, enum destroy_cause cause)
{
    while (doomed->first) {
        struct magazine *chain = doomed->first;
        struct pool *pool = chain->pool;
        doomed->first = chain->next_chain;
        slabs_hold(pool);
        destroy_chain(pool, chain, cause);
        slabs_trim(pool);
        pool_unreference(pool);
    }
}

void reclaim_drain_closed(struct pool *pool)
{
    struct doomed doomed = {NULL};
    struct harvest harvest = {.loaded = NULL};
    gather(pool, &harvest, MAGAZINE_CLOSED);
    if (harvest.loaded)
        rseq_fence(-1);
    depot_cycle(pool, &harvest, true);
    doom_harvest(&doomed, &harvest);
    depot_free_chain(pool, harvest.empties, false);
    destroy_doomed(&doomed, DESTROY_RECLAIM);
    void *item;
    while (pool->debug && (item = debug_undelay(pool)))
        item_destroy(pool, item, DESTROY_RECLAIM);
}

/* What debug mode has held back goes to the caches, so that a cycle sees all that is idle. */
static void put_delayed(void)
{
    for (struct pool *pool = registry_first_pinned(); pool; pool = registry_next_pinned(pool)) {
        void *item;
        while (pool->debug && (item = debug_undelay(pool)))
            cache_put_slow(pool, item);
    }
}

/*
 * 1. swap out what all slots of all pools hold  2. one fence  3. turn each depot  4. destroy, with
 * no lock held, so that `destroy` may call anything.
 */
void reclaim_cycle(bool everything, enum destroy_cause cause)
{
    struct doomed doomed = {NULL};
    struct pool *pinned = NULL; /* linked by cycle_next */
    bool fence = false;
    rseq_init();
    put_delayed();
    pthread_mutex_lock(&cycle_mutex);
    for (struct pool *pool = registry_first_pinned(); pool; pool = registry_next_pinned(pool)) {
        stats_note_idle(pool);
        pool->harvest = (struct harvest){.loaded = NULL};
        gather(pool, &pool->harvest, MAGAZINE_EMPTY);
        fence = fence || pool->harvest.loaded;
        pool_reference(pool);
        pool->cycle_next = pinned;
        pinned = pool;
    }
    INJECT(6);
    if (fence)
        rseq_fence(-1);
    INJECT(7);
    struct magazine *empties = NULL;
    struct pool *closed = NULL; /* closed meanwhile: a cell's mark was swapped out */
    for (struct pool *pool = pinned, *next; pool; pool = next) {
        next = pool->cycle_next;
        struct harvest harvest = pool->harvest;
        depot_cycle(pool, &harvest, everything);
        doom_harvest(&doomed, &harvest);
        if (harvest.mark_lost) {
            pool_reference(pool);
            pool->cycle_next = closed;
            closed = pool;
        }
        if (harvest.empties) {
            harvest.empties->next_chain = empties;
            empties = harvest.empties;
        }
        pool_unreference(pool);
    }
    /* A closed pool is in no later cycle: its cycle_next is this thread's. */
    pthread_mutex_unlock(&cycle_mutex);
    while (closed) {
        struct pool *next = closed->cycle_next;
        reclaim_drain_closed(closed);
        pool_unreference(closed);
        closed = next;
    }
    while (empties) {
        struct magazine *next = empties->next_chain;
        depot_free_chain(NULL, empties, false);
        empties = next;
    }
    destroy_doomed(&doomed, cause);
}

void pwise_reclaim(void)
{
    reclaim_cycle(false, DESTROY_RECLAIM);
}

void pwise_trim(void)
{
    reclaim_cycle(true, DESTROY_RECLAIM);
}

static bool pool_is_idle(struct pool *pool)
{
    if (depot_has_filled(&pool->depot) || (pool->debug && debug_delayed(pool) != 0))
        return true;
    for (uint32_t i = 0; i < slot_count; i++)
        if (atomic_load_explicit(&pool->slots[i].loaded, memory_order_seq_cst) != MAGAZINE_EMPTY ||
            atomic_load_explicit(&pool->slots[i].spare, memory_order_seq_cst) != 0)
            return true;
    return false;
}

bool reclaim_anything_idle(void)
{
    bool idle = false;
    registry_lock();
    for (struct pool *pool = registry; pool && !idle; pool = pool->next)
        idle = !atomic_load_explicit(&pool->closed, memory_order_relaxed) && pool_is_idle(pool);
    registry_unlock();
    return idle;
}

void reclaim_fork_lock(void)
{
    pthread_mutex_lock(&cycle_mutex);
    registry_lock();
    for (struct pool *pool = registry; pool; pool = pool->next) {
        pthread_mutex_lock(&pool->depot.lock);
        pthread_mutex_lock(&pool->slabs.lock);
    }
    debug_fork_lock();
}

void reclaim_fork_unlock(bool child)
{
    debug_fork_unlock();
    for (struct pool *pool = registry; pool; pool = pool->next) {
        if (child)
            slabs_forked(pool);
        pthread_mutex_unlock(&pool->slabs.lock);
        pthread_mutex_unlock(&pool->depot.lock);
    }
    registry_unlock();
    pthread_mutex_unlock(&cycle_mutex);
}
