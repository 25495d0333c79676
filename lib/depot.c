/* SPDX-License-Identifier: MIT */
#include "depot.h"

#include "inject.h"
#include "magazine.h"
#include "memory.h"
#include "reclaim.h"

/* Two magazines' words must not share a pair of lines that the prefetcher fetches together. */
#define MAGAZINE_ALIGN_BYTES 128

const struct magazine magazine_empty;
const struct magazine magazine_closed;

void lock_init(pthread_mutex_t *lock)
{
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ADAPTIVE_NP);
    pthread_mutex_init(lock, &attributes);
    pthread_mutexattr_destroy(&attributes);
}

static bool depot_is_valid(const struct pool *pool)
{
    const struct depot *depot = &pool->depot;
    return depot->in_service >= depot->stock_count + depot->victim_count &&
           depot->stock_items >= depot->stock_count && depot->victim_items >= depot->victim_count &&
           depot->stock_items <= depot->stock_count * pool->magazine_capacity &&
           depot->victim_items <= depot->victim_count * pool->magazine_capacity;
}

static struct depot *depot_lock(struct pool *pool)
{
    pthread_mutex_lock(&pool->depot.lock);
    INJECT(5);
    return &pool->depot;
}

static void depot_unlock(struct pool *pool)
{
    struct depot *depot = &pool->depot;
    assert(depot_is_valid(pool));
    /* seq_cst: pairs with the reclaimer's look after it has said that it sleeps (reclaimer_note_idle
     * is called after this). */
    size_t filled = depot->stock_count + depot->victim_count;
    if (filled != atomic_load_explicit(&depot->filled_hint, memory_order_relaxed))
        atomic_store_explicit(&depot->filled_hint, filled, memory_order_seq_cst);
    int64_t bytes = (int64_t)(depot->stock_items * pool->item_bytes);
    int64_t grown = bytes - depot->noted_bytes;
    depot->noted_bytes = bytes;
    pthread_mutex_unlock(&depot->lock);
    if (grown)
        reclaimer_note_stock(grown);
}

/* Moves what the magazine has counted into the pool's counts. */
static void fold(struct depot *depot, struct magazine *magazine)
{
    uint64_t word = magazine_word(magazine);
    uint32_t count = (uint32_t)(word & 0xffff);
    uint64_t gets = word >> 16;
    depot->gets_folded += gets;
    depot->puts_folded += count + gets - magazine->base;
    magazine->base = count;
    magazine_set_word(magazine, count);
}

struct magazine *depot_take_filled(struct pool *pool, bool *ret_aged)
{
    struct depot *depot = depot_lock(pool);
    struct magazine *magazine = depot->stock;
    bool aged = false;
    if (magazine) {
        depot->stock = magazine->next;
        depot->stock_count--;
        depot->stock_items -= magazine_count(magazine);
    } else if ((magazine = depot->victim)) {
        aged = true;
        depot->victim = magazine->next;
        depot->victim_count--;
        depot->victim_items -= magazine_count(magazine);
    }
    depot_unlock(pool);
    if (magazine)
        *ret_aged = aged;
    return magazine;
}

static struct magazine *make(struct pool *pool)
{
    size_t bytes = sizeof(struct magazine) + pool->magazine_capacity * sizeof(void *);
    struct magazine *magazine = memory_take(bytes, MAGAZINE_ALIGN_BYTES);
    if (magazine) {
        magazine->capacity = pool->magazine_capacity;
        magazine->pool = pool;
    }
    return magazine;
}

struct magazine *depot_take_empty(struct pool *pool)
{
    struct depot *depot = depot_lock(pool);
    bool allowed = depot->in_service < pool->magazines_max && !depot->closed_to_stock;
    struct magazine *magazine = NULL;
    if (allowed) {
        depot->in_service++;
        magazine = depot->empties;
        if (magazine) {
            depot->empties = magazine->next;
            depot->empties_count--;
        }
    }
    depot_unlock(pool);
    if (magazine || !allowed)
        return magazine;
    magazine = make(pool);
    if (!magazine) {
        depot_lock(pool);
        depot->in_service--;
        depot_unlock(pool);
    }
    return magazine;
}

static void give_locked(struct pool *pool, struct magazine *magazine, bool aged)
{
    struct depot *depot = &pool->depot;
    assert(magazine_is_valid(magazine));
    fold(depot, magazine);
    uint32_t count = magazine_count(magazine);
    if (count == 0) {
        magazine->next = depot->empties;
        depot->empties = magazine;
        depot->empties_count++;
        depot->in_service--;
    } else if (aged) {
        magazine->next = depot->victim;
        depot->victim = magazine;
        depot->victim_count++;
        depot->victim_items += count;
    } else {
        magazine->next = depot->stock;
        depot->stock = magazine;
        depot->stock_count++;
        depot->stock_items += count;
    }
}

bool depot_give(struct pool *pool, struct magazine *magazine, bool aged)
{
    if (!magazine)
        return true;
    struct depot *depot = depot_lock(pool);
    bool taken = !depot->closed_to_stock || magazine_count(magazine) == 0;
    if (taken)
        give_locked(pool, magazine, aged);
    else
        fold(depot, magazine);
    depot_unlock(pool);
    return taken;
}

/* Sorts a chain that was in the slots: magazines with items onto *ret_filled or into the depot as
 * victims, the others to the empties. */
static void sort_locked(struct pool *pool, struct magazine *chain, struct magazine **ret_filled)
{
    while (chain) {
        struct magazine *next = chain->next;
        if (ret_filled && magazine_count(chain) != 0) {
            fold(&pool->depot, chain);
            chain->next = *ret_filled;
            *ret_filled = chain;
        } else {
            give_locked(pool, chain, true);
        }
        chain = next;
    }
}

void depot_cycle(struct pool *pool, struct harvest *harvest, bool everything)
{
    struct depot *depot = depot_lock(pool);
    harvest->victim = depot->victim;
    harvest->empties = depot->empties;
    depot->empties = NULL;
    depot->empties_count = 0;
    if (everything) {
        harvest->stock = depot->stock;
        depot->victim = NULL;
        depot->victim_count = 0;
        depot->victim_items = 0;
    } else {
        harvest->stock = NULL;
        depot->victim = depot->stock;
        depot->victim_count = depot->stock_count;
        depot->victim_items = depot->stock_items;
    }
    depot->stock = NULL;
    depot->stock_count = 0;
    depot->stock_items = 0;
    struct magazine *aged = NULL;
    sort_locked(pool, harvest->aged, &aged);
    sort_locked(pool, harvest->loaded, everything ? &aged : NULL);
    sort_locked(pool, harvest->spares, everything ? &aged : NULL);
    harvest->aged = aged;
    harvest->loaded = NULL;
    harvest->spares = NULL;
    depot_unlock(pool);
}

void depot_free_chain(struct pool *pool, struct magazine *chain, bool in_service)
{
    size_t count = 0;
    while (chain) {
        struct magazine *next = chain->next;
        memory_give(chain);
        chain = next;
        count++;
    }
    if (in_service && count) {
        struct depot *depot = depot_lock(pool);
        depot->in_service -= count;
        depot_unlock(pool);
    }
}

void depot_close(struct pool *pool)
{
    struct depot *depot = depot_lock(pool);
    depot->closed_to_stock = true;
    depot_unlock(pool);
}
