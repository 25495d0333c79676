/* SPDX-License-Identifier: MIT */
/*
 * Blocks of any size: a table of pools, one for each class, made when the first block of a class is
 * asked for.
 */
#undef PWISE_NO_INLINE /* one call from the program is enough */
#include <errno.h>
#include <stdio.h>

#include "classes.h"
#include "memory.h"
#include "pool_internal.h"
#include "poolwise/buffer.h"

#define MAX_BLOCK_BYTES_DEFAULT ((size_t)1 << 20)
#define MAX_BLOCK_BYTES_LIMIT   ((size_t)1 << 30)
#define MAX_IDLE_BYTES_DEFAULT  ((size_t)8 << 20)
#define IDLE_BLOCKS_LEAST       8u
#define PER_CPU_ITEMS_LIMIT     65534u
#define NAME_BYTES              32
#define CLASS_NAME_BYTES        48

struct pwise_blocks {
    /* Constant. */
    size_t largest_bytes; /* the largest class */
    unsigned class_count;
    size_t max_idle_bytes; /* of the options */
    unsigned per_cpu_items;
    unsigned flags;
    char name[NAME_BYTES];

    /* Blocks over largest_bytes; any thread, relaxed, upwards. */
    _Atomic uint64_t large_gets, large_puts;
    /* Set once by destroy. */
    _Atomic bool closed;
    /* The owner, and each pool that is not freed: who brings it to 0 frees all this. */
    _Atomic unsigned references;
    /* NULL until the class is first used; then set once, by compare-and-swap with release, for the
     * acquire of every other thread. */
    _Atomic(pwise_pool *) pools[];
};

static void unreference(void *context)
{
    pwise_blocks *blocks = context;
    /* acq_rel: what others did to it comes before it is freed. */
    if (atomic_fetch_sub_explicit(&blocks->references, 1, memory_order_acq_rel) == 1)
        memory_give(blocks);
}

/* The last class that is not over the limit. */
static unsigned last_class(size_t max_block_bytes)
{
    unsigned class = class_of(max_block_bytes);
    return class_bytes(class) > max_block_bytes ? class - 1 : class;
}

pwise_blocks *pwise_blocks_create(const struct pwise_blocks_options *options)
{
    static const struct pwise_blocks_options defaults;
    if (!options)
        options = &defaults;
    size_t most = options->max_block_bytes ? options->max_block_bytes : MAX_BLOCK_BYTES_DEFAULT;
    if (most < CLASS_LEAST_BYTES || most > MAX_BLOCK_BYTES_LIMIT ||
        options->per_cpu_items > PER_CPU_ITEMS_LIMIT || (options->flags & ~PWISE_NO_STEAL)) {
        errno = EINVAL;
        return NULL;
    }
    unsigned class_count = last_class(most) + 1;
    pwise_blocks *blocks = memory_take(sizeof(*blocks) + class_count * sizeof(blocks->pools[0]),
                                       _Alignof(struct pwise_blocks));
    if (!blocks)
        return NULL;
    blocks->class_count = class_count;
    blocks->largest_bytes = class_bytes(class_count - 1);
    blocks->max_idle_bytes = options->max_idle_bytes;
    blocks->per_cpu_items = options->per_cpu_items;
    blocks->flags = options->flags;
    snprintf(blocks->name, sizeof(blocks->name), "%s", options->name ? options->name : "blocks");
    atomic_init(&blocks->references, 1);
    return blocks;
}

void pwise_blocks_destroy(pwise_blocks *blocks)
{
    if (!blocks)
        return;
    if (atomic_exchange_explicit(&blocks->closed, true, memory_order_relaxed))
        misuse("poolwise: pwise_blocks_destroy: the blocks are destroyed already\n");
    for (unsigned class = 0; class < blocks->class_count; class ++)
        pwise_pool_destroy(atomic_load_explicit(&blocks->pools[class], memory_order_acquire));
    unreference(blocks);
}

/* NULL + errno. */
static __attribute__((noinline)) pwise_pool *pool_make_slow(pwise_blocks *blocks, unsigned class)
{
    char name[CLASS_NAME_BYTES];
    size_t bytes = class_bytes(class);
    size_t max_idle = blocks->max_idle_bytes;
    if (atomic_load_explicit(&blocks->closed, memory_order_relaxed)) {
        errno = EINVAL;
        return NULL;
    }
    if (max_idle == 0) {
        max_idle = MAX_IDLE_BYTES_DEFAULT;
        if (bytes > max_idle / IDLE_BLOCKS_LEAST)
            max_idle = bytes * IDLE_BLOCKS_LEAST;
    }
    snprintf(name, sizeof(name), "%s/%zu", blocks->name, bytes);
    struct pwise_options options = {
        .name = name,
        .item_size = bytes,
        .max_idle_bytes = max_idle,
        .per_cpu_items = blocks->per_cpu_items,
        .flags = blocks->flags,
    };
    atomic_fetch_add_explicit(&blocks->references, 1, memory_order_relaxed);
    pwise_pool *made = pool_create_inside(&options, NULL, unreference, blocks);
    if (!made) {
        unreference(blocks);
        return NULL;
    }
    pwise_pool *pool = NULL;
    if (atomic_compare_exchange_strong_explicit(&blocks->pools[class], &pool, made,
                                                memory_order_acq_rel, memory_order_acquire))
        return made;
    pwise_pool_destroy(made);
    return pool;
}

/* Straight from malloc; the size is its own capacity. */
static __attribute__((noinline)) void *get_large(pwise_blocks *blocks, size_t size)
{
    if (atomic_load_explicit(&blocks->closed, memory_order_relaxed)) {
        errno = EINVAL;
        return NULL;
    }
    void *block = malloc(size);
    if (block)
        atomic_fetch_add_explicit(&blocks->large_gets, 1, memory_order_relaxed);
    return block;
}

void *pwise_blocks_get(pwise_blocks *blocks, size_t size, size_t *ret_capacity)
{
    if (unlikely(!blocks))
        misuse("poolwise: pwise_blocks_get: the blocks are NULL\n");
    size_t capacity = size;
    void *block;
    if (likely(size <= blocks->largest_bytes)) {
        unsigned class = class_of(size | (size == 0));
        pwise_pool *pool = atomic_load_explicit(&blocks->pools[class], memory_order_acquire);
        capacity = class_bytes(class);
        if (unlikely(!pool) && !(pool = pool_make_slow(blocks, class)))
            return NULL;
        block = pwise_get(pool);
    } else {
        block = get_large(blocks, size);
    }
    if (likely(block && ret_capacity))
        *ret_capacity = capacity;
    return block;
}

void pwise_blocks_put(pwise_blocks *blocks, void *block, size_t capacity)
{
    if (unlikely(!blocks))
        misuse("poolwise: pwise_blocks_put: the blocks are NULL\n");
    if (unlikely(!block))
        return;
    if (unlikely(capacity > blocks->largest_bytes)) {
        atomic_fetch_add_explicit(&blocks->large_puts, 1, memory_order_relaxed);
        free(block);
        return;
    }
    unsigned class = class_of(capacity | (capacity == 0));
    pwise_pool *pool = atomic_load_explicit(&blocks->pools[class], memory_order_acquire);
    if (unlikely(!pool))
        misuse("poolwise: pwise_blocks_put: no block of this capacity was ever handed out\n");
    pwise_put(pool, block);
}

static void add(struct pwise_stats *sum, const struct pwise_stats *stats)
{
    sum->gets += stats->gets;
    sum->puts += stats->puts;
    sum->hits += stats->hits;
    sum->destroys_oversize += stats->destroys_oversize;
    sum->destroys_bound += stats->destroys_bound;
    sum->destroys_reclaim += stats->destroys_reclaim;
    sum->destroys_pressure += stats->destroys_pressure;
    sum->destroys_unused += stats->destroys_unused;
    sum->steals += stats->steals;
    sum->idle_items += stats->idle_items;
    sum->idle_bytes += stats->idle_bytes;
    sum->saved_ns += stats->saved_ns;
    /* Sums of products until the end. */
    sum->create_ns_mean += stats->create_ns_mean * stats->creates;
    sum->destroy_ns_mean += stats->destroy_ns_mean * stats->creates;
    sum->creates += stats->creates;
    sum->pair_ns = stats->pair_ns;
    if (sum->since_ns == 0 || stats->since_ns < sum->since_ns)
        sum->since_ns = stats->since_ns;
}

int pwise_blocks_stats(const pwise_blocks *blocks, struct pwise_stats *ret_stats)
{
    if (!blocks || !ret_stats || atomic_load_explicit(&blocks->closed, memory_order_relaxed))
        return -EINVAL;
    struct pwise_stats sum = {.name = blocks->name};
    for (unsigned class = 0; class < blocks->class_count; class ++) {
        pwise_pool *pool = atomic_load_explicit(&blocks->pools[class], memory_order_acquire);
        struct pwise_stats stats = {.size = sizeof(stats)};
        if (pool && pwise_pool_stats(pool, &stats) == 0)
            add(&sum, &stats);
    }
    if (sum.creates) {
        sum.create_ns_mean /= sum.creates;
        sum.destroy_ns_mean /= sum.creates;
    }
    uint64_t large_gets = atomic_load_explicit(&blocks->large_gets, memory_order_relaxed);
    uint64_t large_puts = atomic_load_explicit(&blocks->large_puts, memory_order_relaxed);
    sum.gets += large_gets;
    sum.creates += large_gets;
    sum.puts += large_puts;
    sum.destroys_oversize += large_puts;
    size_t size = ret_stats->size;
    if (size == 0 || size > sizeof(sum))
        size = sizeof(sum);
    sum.size = size;
    memcpy(ret_stats, &sum, size);
    return 0;
}
