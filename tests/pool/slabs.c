/* SPDX-License-Identifier: MIT */
/*
 * Property: a pool without callbacks takes its items from slabs: aligned, apart from each other, zero
 * when fresh, side by side in address order; a slab without blocks in use goes back to the system.
 */
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "check.h"
#include "poolwise/pool.h"

enum { SLAB_BYTES = 64 << 10, REGION_BYTES = 2 << 20 };

static struct pwise_stats stats_of(const pwise_pool *pool)
{
    struct pwise_stats stats = {.size = sizeof(stats)};
    CHECK_INT(pwise_pool_stats(pool, &stats), ==, 0);
    return stats;
}

static int by_address(const void *left, const void *right)
{
    const char *a = *(char *const *)left, *b = *(char *const *)right;
    return (a > b) - (a < b);
}

static void check_zero(const unsigned char *item, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        CHECK_INT(item[i], ==, 0);
}

/* For one size and alignment: three rounds of getting many, with a trim between. */
static void blocks(size_t size, size_t align, size_t count)
{
    struct pwise_options options = {.item_size = size, .item_align = align};
    pwise_pool *pool = pwise_pool_create(&options);
    CHECK_PTR(pool, !=, NULL);
    if (align == 0)
        align = 16;
    size_t stride = (size + align - 1) / align * align;
    bool slabs = stride <= SLAB_BYTES / 8 && align <= SLAB_BYTES / 8;
    unsigned char **items = calloc(count, sizeof(*items));
    for (int round = 0; round < 3; round++) {
        size_t ascending = 0;
        for (size_t i = 0; i < count; i++) {
            items[i] = pwise_get(pool);
            CHECK_PTR(items[i], !=, NULL);
            CHECK_INT((uintptr_t)items[i] % align, ==, 0);
            check_zero(items[i], size); /* all are fresh: the last round's are destroyed */
            ascending += i > 0 && items[i] == items[i - 1] + stride;
        }
        uint64_t bytes = stats_of(pool).slab_bytes;
        CHECK_INT(bytes != 0, ==, slabs);
        if (slabs) {
            CHECK_INT(ascending, >=, count - 1 - bytes / SLAB_BYTES);
            /* At most a header and a stride of a slab are lost, and one slab is not full. */
            CHECK_INT(bytes, <=,
                      (stride * count) / (SLAB_BYTES - 600 - 2 * stride - align) * SLAB_BYTES +
                          2 * SLAB_BYTES);
        }
        for (size_t i = 0; i < count; i++)
            memset(items[i], (int)i | 1, size);
        for (size_t i = 0; i < count; i++)
            for (size_t k = 0; k<size; k += size> 64 ? 61 : 1)
                CHECK_INT(items[i][k], ==, ((int)i | 1) & 255);
        unsigned char **sorted = malloc(count * sizeof(*sorted));
        memcpy(sorted, items, count * sizeof(*sorted));
        qsort(sorted, count, sizeof(*sorted), by_address);
        for (size_t i = 1; i < count; i++)
            CHECK_INT(sorted[i] - sorted[i - 1], >=, (ptrdiff_t)size);
        free(sorted);
        /* Back in an order that opens and fills slabs here and there. */
        for (size_t i = 0; i < count; i++)
            pwise_put(pool, items[i * 7919 % count]);
        pwise_trim();
        CHECK_INT(stats_of(pool).idle_items, ==, 0);
        CHECK_INT(stats_of(pool).slab_bytes, ==, 0);
    }
    free(items);
    pwise_pool_destroy(pool);
}

/* Blocks that come back are used again, lowest first, before new memory is. */
static void used_again(void)
{
    enum { COUNT = 20000 };
    static void *items[COUNT];
    struct pwise_options options = {.item_size = 48, .max_idle_bytes = 1}; /* nothing stays idle */
    pwise_pool *pool = pwise_pool_create(&options);
    for (int i = 0; i < COUNT; i++)
        items[i] = pwise_get(pool);
    uint64_t bytes = stats_of(pool).slab_bytes;
    for (int round = 0; round < 20; round++) {
        for (int i = round % 3; i < COUNT; i += 3) {
            memset(items[i], 255, 48);
            pwise_put(pool, items[i]);
        }
        for (int i = round % 3; i < COUNT; i += 3) {
            items[i] = pwise_get(pool);
            check_zero(items[i], 48);
        }
        CHECK_INT(stats_of(pool).slab_bytes, ==, bytes);
    }
    for (int i = 0; i < COUNT; i++)
        pwise_put(pool, items[i]);
    pwise_reclaim();
    CHECK_INT(stats_of(pool).slab_bytes, <=, SLAB_BYTES);
    pwise_pool_destroy(pool);
}

/* With a destroy of the user's, an item is a block of its own, which that must free. */
static void free_item(void *item, void *context)
{
    free(item);
}

static void own_destroy(void)
{
    struct pwise_options options = {.item_size = 48, .destroy = free_item};
    pwise_pool *pool = pwise_pool_create(&options);
    void *items[100];
    for (int i = 0; i < 100; i++)
        items[i] = pwise_get(pool);
    CHECK_INT(stats_of(pool).slab_bytes, ==, 0);
    for (int i = 0; i < 99; i++)
        pwise_put(pool, items[i]);
    pwise_pool_destroy(pool);
    pwise_put(pool, items[99]);
}

/* Threads that hold on to much, give back in another order, while cycles and trims run. */
static pwise_pool *shared;

static void *churn(void *argument)
{
    enum { HELD = 3000 };
    uint32_t seed = (uint32_t)(uintptr_t)argument;
    uint32_t **held = calloc(HELD, sizeof(*held));
    for (int step = 0; step < 200000; step++) {
        seed = seed * 1664525u + 1013904223u;
        uint32_t **at = &held[(seed >> 8) % HELD];
        if (*at) {
            for (int i = 0; i < 12; i++)
                CHECK_INT((*at)[i], ==, (uintptr_t)argument);
            pwise_put(shared, *at);
            *at = NULL;
        } else {
            *at = pwise_get(shared);
            for (int i = 0; i < 12; i++)
                (*at)[i] = (uint32_t)(uintptr_t)argument;
        }
        if (seed >> 20 == 0)
            pwise_reclaim();
    }
    for (int i = 0; i < HELD; i++)
        if (held[i])
            pwise_put(shared, held[i]);
    free(held);
    return NULL;
}

static void threads(void)
{
    struct pwise_options options = {.item_size = 48, .max_idle_bytes = 48 * 1000};
    shared = pwise_pool_create(&options);
    pthread_t ids[4];
    for (uintptr_t i = 0; i < 4; i++)
        CHECK_INT(pthread_create(&ids[i], NULL, churn, (void *)(i + 1)), ==, 0);
    for (int i = 0; i < 4; i++)
        pthread_join(ids[i], NULL);
    pwise_trim();
    CHECK_INT(stats_of(shared).slab_bytes, ==, 0);
    pwise_pool_destroy(shared);
}

int main(void)
{
    CHECK_INT(pwise_set_reclaim(PWISE_MANUAL, 0), ==, 0);
    static const size_t sizes[] = {1, 8, 16, 17, 48, 64, 100, 1000, 4096, 8191, 8192, 8193};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        blocks(sizes[i], 0, sizes[i] > 1000 ? 500 : 10007);
        blocks(sizes[i], 64, 1009);
        blocks(sizes[i], 4096, 101);
    }
    blocks(48, 16384, 11);
    used_again();
    own_destroy();
    threads();
    return 0;
}
