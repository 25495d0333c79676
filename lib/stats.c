/* SPDX-License-Identifier: MIT */
/*
 * What pools have done. Gets and puts are counted in the magazines' words; they are added up here
 * under the depot's lock, which keeps the magazines in memory while they are read.
 */
#include <errno.h>
#include <string.h>

#include "account.h"
#include "debug.h"
#include "depot.h"
#include "magazine.h"
#include "reclaim.h"
#include "rseq.h"
#include "slab.h"

struct tally {
    uint64_t gets, puts, items, misses;
};

static uint64_t read_count(_Atomic uint64_t *count)
{
    return atomic_load_explicit(count, memory_order_relaxed);
}

static void tally_magazine(struct tally *tally, const struct magazine *magazine)
{
    uint64_t word = magazine_word(magazine);
    uint64_t count = word & 0xffff, gets = word >> 16;
    tally->gets += gets;
    tally->puts += count + gets - magazine->base;
    tally->items += count;
}

static struct tally tally_pool(struct pool *pool)
{
    struct depot *depot = &pool->depot;
    pthread_mutex_lock(&depot->lock);
    struct tally tally = {
        .gets = depot->gets_folded,
        .puts = depot->puts_folded,
        .items = depot->stock_items + depot->victim_items,
        .misses = read_count(&pool->misses),
    };
    for (uint32_t i = 0; i < slot_count; i++) {
        struct slot *slot = &pool->slots[i];
        tally_magazine(&tally, atomic_load_explicit(&slot->loaded, memory_order_acquire));
        tally.misses += read_count(&slot->misses);
        uintptr_t spare = atomic_load_explicit(&slot->spare, memory_order_acquire);
        if (spare)
            tally_magazine(&tally, spare_magazine(spare));
    }
    /* A magazine that some thread has private just now is missing from the sums. */
    if (tally.gets < depot->gets_shown)
        tally.gets = depot->gets_shown;
    if (tally.puts < depot->puts_shown)
        tally.puts = depot->puts_shown;
    depot->gets_shown = tally.gets;
    depot->puts_shown = tally.puts;
    pthread_mutex_unlock(&depot->lock);
    return tally;
}

static uint64_t idle_bytes(const struct pool *pool, const struct tally *tally)
{
    if (pool->retained_bytes)
        return atomic_load_explicit(pool->retained_bytes, memory_order_relaxed);
    if (pool->options.size_of)
        return atomic_load_explicit(&pool->sized_bytes, memory_order_relaxed);
    return tally->items * pool->options.item_size;
}

void stats_counts(struct pool *pool, uint64_t *ret_gets, uint64_t *ret_hits, uint64_t *ret_idle_bytes)
{
    struct tally tally = tally_pool(pool);
    *ret_gets = tally.gets + tally.misses;
    *ret_hits = tally.gets;
    *ret_idle_bytes = idle_bytes(pool, &tally);
}

static double note_idle(struct pool *pool, uint64_t bytes)
{
    pthread_mutex_lock(&pool->depot.lock);
    account_idle_locked(&pool->depot, bytes);
    double byte_seconds = pool->depot.idle_byte_seconds;
    pthread_mutex_unlock(&pool->depot.lock);
    return byte_seconds;
}

void stats_note_idle(struct pool *pool)
{
    struct tally tally = tally_pool(pool);
    note_idle(pool, idle_bytes(pool, &tally));
}

/* Written once under the registry's lock; the context first. */
static void (*destroy_visit)(const pwise_pool *pool, const struct pwise_stats *stats,
                             void *context);
static void *destroy_context;

int pwise_on_destroy(void (*visit)(const pwise_pool *pool, const struct pwise_stats *stats,
                                   void *context),
                     void *context)
{
    registry_lock();
    __atomic_store_n(&destroy_context, context, __ATOMIC_RELAXED);
    /* release: the context, for who finds the function */
    __atomic_store_n(&destroy_visit, visit, __ATOMIC_RELEASE);
    registry_unlock();
    return 0;
}

static void fill(struct pool *pool, struct pwise_stats *stats)
{
    struct tally tally = tally_pool(pool);
    if (pool->debug) {
        size_t delayed = debug_delayed(pool);
        tally.puts += delayed;
        tally.items += delayed;
    }
    *stats = (struct pwise_stats){
        .size = sizeof(*stats),
        .name = pool->name,
        .hits = tally.gets,
        .gets = tally.gets + tally.misses,
        .puts = tally.puts + read_count(&pool->direct_puts),
        .creates = read_count(&pool->creates),
        .destroys_oversize = read_count(&pool->destroys[DESTROY_OVERSIZE]),
        .destroys_bound = read_count(&pool->destroys[DESTROY_BOUND]),
        .destroys_reclaim = read_count(&pool->destroys[DESTROY_RECLAIM]),
        .destroys_pressure = read_count(&pool->destroys[DESTROY_PRESSURE]),
        .steals = read_count(&pool->steals),
        .idle_items = tally.items,
        .destroys_unused = read_count(&pool->destroys[DESTROY_UNUSED]),
        .idle_bytes = idle_bytes(pool, &tally),
        .since_ns = pool->since_ns,
        .slab_bytes = slabs_bytes(pool),
    };
    stats->idle_byte_seconds = note_idle(pool, stats->idle_bytes);
    account_fill(pool, stats);
}

void stats_tell_destroyed(struct pool *pool)
{
    void (*visit)(const pwise_pool *, const struct pwise_stats *, void *) =
        __atomic_load_n(&destroy_visit, __ATOMIC_ACQUIRE);
    if (!visit || pool->unwatched)
        return;
    struct pwise_stats stats;
    fill(pool, &stats);
    visit(pool->handle, &stats, __atomic_load_n(&destroy_context, __ATOMIC_RELAXED));
}

int pwise_pool_stats(const pwise_pool *handle, struct pwise_stats *ret_stats)
{
    if (!handle || !ret_stats)
        return -EINVAL;
    struct pool *pool = pool_of_const(handle);
    struct pwise_stats stats = {.size = sizeof(stats),
                                .name = handle->options.name,
                                .verdict = "TAIL",
                                .reason = "not used"};
    if (pool && atomic_load_explicit(&pool->closed, memory_order_relaxed))
        return -EINVAL;
    if (pool)
        fill(pool, &stats);
    size_t size = ret_stats->size;
    if (size == 0 || size > sizeof(stats))
        size = sizeof(stats);
    stats.size = size;
    memcpy(ret_stats, &stats, size);
    return 0;
}

int pwise_each_pool(int (*visit)(const pwise_pool *pool, const struct pwise_stats *stats,
                                 void *context),
                    void *context)
{
    if (!visit)
        return -EINVAL;
    struct pool *pool = registry_first_pinned();
    while (pool) {
        struct pwise_stats stats;
        fill(pool, &stats);
        int result = visit(pool->handle, &stats, context);
        if (result) {
            pool_unreference(pool);
            return result;
        }
        pool = registry_next_pinned(pool);
    }
    return 0;
}
