/* SPDX-License-Identifier: MIT */
/* Property: the numbered promises of <poolwise/pool.h> that one thread can observe. */
#include <errno.h>
#include <limits.h>
#include <stdalign.h>
#include <string.h>

#include "check.h"
#include "poolwise/pool.h"

static pwise_pool *pool_of(struct pwise_options options)
{
    pwise_pool *pool = pwise_pool_create(&options);
    CHECK_PTR(pool, !=, NULL);
    return pool;
}

static struct pwise_stats stats_of(const pwise_pool *pool)
{
    struct pwise_stats stats = {.size = sizeof(stats)};
    CHECK_INT(pwise_pool_stats(pool, &stats), ==, 0);
    CHECK_INT(stats.size, ==, sizeof(stats));
    return stats;
}

struct context {
    pwise_pool *pool;
    int created, destroyed, reset, fail;
};

static void *counted_create(void *argument)
{
    struct context *context = argument;
    if (context->fail) {
        errno = EDOM;
        return NULL;
    }
    context->created++;
    return calloc(1, 64);
}

static void counted_destroy(void *item, void *argument)
{
    struct context *context = argument;
    context->destroyed++;
    free(item);
}

static void counted_reset(void *item, void *argument)
{
    struct context *context = argument;
    context->reset++;
    memset(item, 0, 64);
}

/* P1: fresh items are zeroed and aligned blocks; reuse gives back what was put. */
static void p1_blocks(void)
{
    for (size_t align = alignof(max_align_t); align <= 4096; align *= 4) {
        pwise_pool *pool = pool_of((struct pwise_options){.item_size = 200, .item_align = align});
        char *item = pwise_get(pool);
        CHECK_PTR(item, !=, NULL);
        CHECK_INT((uintptr_t)item % align, ==, 0);
        for (size_t i = 0; i < 200; i++)
            CHECK_INT(item[i], ==, 0);
        memset(item, 7, 200);
        pwise_put(pool, item);
        char *again = pwise_get(pool);
        if (again == item)
            CHECK_INT(again[199], ==, 7); /* P2 */
        pwise_put(pool, again);
        pwise_pool_destroy(pool);
    }
}

/* P1: without create and item_size, a get finds what was put or ENOENT. */
static void p1_hand_back(void)
{
    static int one;
    pwise_pool *pool = pwise_pool_create(NULL);
    errno = 0;
    CHECK_PTR(pwise_get(pool), ==, NULL);
    CHECK_INT(errno, ==, ENOENT);
    pwise_put(pool, &one);
    void *got = pwise_get(pool);
    if (got)
        CHECK_PTR(got, ==, &one);
    CHECK_PTR(pwise_get(pool), ==, got ? NULL : &one);
    pwise_put(pool, &one);
    pwise_pool_destroy(pool); /* no destroy given: the item is just let go */
}

/* P1: a create that fails gives NULL with its errno, and the next one may succeed. */
static void p1_create_fails(void)
{
    struct context context = {.fail = 1};
    pwise_pool *pool = pool_of((struct pwise_options){
        .create = counted_create, .destroy = counted_destroy, .context = &context});
    errno = 0;
    CHECK_PTR(pwise_get(pool), ==, NULL);
    CHECK_INT(errno, ==, EDOM);
    context.fail = 0;
    void *item = pwise_get(pool);
    CHECK_PTR(item, !=, NULL);
    pwise_put(pool, item);
    pwise_pool_destroy(pool);
    CHECK_INT(context.created, ==, 1);
    CHECK_INT(context.destroyed, ==, 1);
}

/* P2: reset runs on every reused item and on no fresh one. */
static void p2_reset(void)
{
    struct context context = {0};
    pwise_pool *pool = pool_of((struct pwise_options){.create = counted_create,
                                                      .destroy = counted_destroy,
                                                      .reset = counted_reset,
                                                      .context = &context});
    for (int i = 0; i < 1000; i++) {
        char *item = pwise_get(pool);
        for (int byte = 0; byte < 64; byte++)
            CHECK_INT(item[byte], ==, 0);
        memset(item, 1 + i % 100, 64);
        pwise_put(pool, item);
    }
    CHECK_INT(context.created + context.reset, ==, 1000);
    pwise_pool_destroy(pool);
    CHECK_INT(context.created, ==, context.destroyed);
}

/* P4: what is not used lives through one cycle and is gone after the second. */
static void p4_ages(void)
{
    enum { ITEMS = 1000 };
    struct context context = {0};
    void *items[ITEMS];
    pwise_pool *pool = pool_of((struct pwise_options){
        .create = counted_create, .destroy = counted_destroy, .context = &context});
    for (int i = 0; i < ITEMS; i++)
        items[i] = pwise_get(pool);
    for (int i = 0; i < ITEMS; i++)
        pwise_put(pool, items[i]);
    CHECK_INT(stats_of(pool).idle_items, ==, ITEMS);
    pwise_reclaim();
    CHECK_INT(context.destroyed, ==, 0);
    CHECK_INT(stats_of(pool).idle_items, ==, ITEMS);
    pwise_reclaim();
    CHECK_INT(context.destroyed, ==, ITEMS);
    CHECK_INT(stats_of(pool).idle_items, ==, 0);
    pwise_pool_destroy(pool);
    CHECK_INT(context.created, ==, ITEMS);
}

/* P4: what is used survives every cycle, and takes nothing along that is not. */
static void p4_used_survives(void)
{
    enum { ITEMS = 500, USED = 10 };
    struct context context = {0};
    void *items[ITEMS];
    pwise_pool *pool = pool_of((struct pwise_options){
        .create = counted_create, .destroy = counted_destroy, .context = &context});
    for (int i = 0; i < ITEMS; i++)
        items[i] = pwise_get(pool);
    for (int i = 0; i < ITEMS; i++)
        pwise_put(pool, items[i]);
    for (int cycle = 1; cycle <= 5; cycle++) {
        pwise_reclaim();
        CHECK_INT(context.destroyed, ==, cycle < 2 ? 0 : ITEMS - USED);
        for (int i = 0; i < USED; i++)
            items[i] = pwise_get(pool);
        for (int i = 0; i < USED; i++)
            pwise_put(pool, items[i]);
    }
    CHECK_INT(context.created, ==, ITEMS);
    pwise_trim();
    CHECK_INT(context.destroyed, ==, ITEMS);
    pwise_pool_destroy(pool);
}

static void *nested_create(void *argument)
{
    struct context *context = argument;
    if (context->created++ < 100) {
        void *inner = pwise_get(context->pool);
        pwise_put(context->pool, inner);
        pwise_reclaim();
    }
    return malloc(64);
}

static void nested_destroy(void *item, void *argument)
{
    struct context *context = argument;
    context->destroyed++;
    free(item);
    if (context->destroyed < 50) {
        pwise_put(context->pool, pwise_get(context->pool));
        pwise_trim();
        struct pwise_stats stats = {.size = sizeof(stats)};
        pwise_pool_stats(context->pool, &stats);
    }
}

/* P7: create and destroy may call the same pool, reclaim and trim. */
static void p7_callbacks_reenter(void)
{
    struct context context = {0};
    pwise_pool *pool = pool_of((struct pwise_options){
        .create = nested_create, .destroy = nested_destroy, .context = &context});
    context.pool = pool;
    void *items[200];
    for (int i = 0; i < 200; i++)
        items[i] = pwise_get(pool);
    for (int i = 0; i < 200; i++)
        pwise_put(pool, items[i]);
    pwise_trim();
    pwise_trim();
    CHECK_INT(stats_of(pool).idle_items, ==, 0);
    CHECK_INT(context.created, ==, context.destroyed);
    pwise_pool_destroy(pool);
}

/* P8: a put of NULL does nothing, errno included. */
static void p8_null_item(void)
{
    pwise_pool *pool = pool_of((struct pwise_options){.item_size = 8});
    errno = 5;
    pwise_put(pool, NULL);
    void *nothing[6] = {NULL};
    pwise_put_bulk(pool, nothing, 6);
    CHECK_INT(errno, ==, 5);
    CHECK_INT(stats_of(pool).puts, ==, 0);
    pwise_pool_destroy(pool);
    pwise_pool_destroy(NULL);
}

/* P9, P10: items that are out when the pool goes are destroyed by their put, once. */
static void p10_closed(void)
{
    struct context context = {0};
    pwise_pool *pool = pool_of((struct pwise_options){
        .create = counted_create, .destroy = counted_destroy, .context = &context});
    void *items[100];
    for (int i = 0; i < 100; i++)
        items[i] = pwise_get(pool);
    for (int i = 50; i < 100; i++)
        pwise_put(pool, items[i]);
    pwise_pool_destroy(pool);
    CHECK_INT(context.destroyed, ==, 50);
    errno = 0;
    CHECK_PTR(pwise_get(pool), ==, NULL);
    CHECK_INT(errno, ==, EINVAL);
    struct pwise_stats stats = {.size = sizeof(stats)};
    CHECK_INT(pwise_pool_stats(pool, &stats), ==, -EINVAL);
    pwise_reclaim();
    for (int i = 0; i < 50; i++) {
        CHECK_INT(context.destroyed, ==, 50 + i);
        pwise_put(pool, items[i]);
    }
    CHECK_INT(context.destroyed, ==, 100);
    CHECK_INT(context.created, ==, 100);
}

struct point {
    int x, y;
};
static void point_reset(void *item, void *context)
{
    ((struct point *)item)->x = -1;
}
PWISE_DEFINE_POOL(point_pool, struct point);
PWISE_DEFINE_POOL(reset_pool, struct point, .reset = point_reset);
static pwise_pool static_pool = PWISE_POOL_INIT(.name = "static", .item_size = 40);
static pwise_pool zeroed_pool;

/* P11: static and zeroed pools, and the typed macro. */
static void p11_static(void)
{
    struct point *point = point_pool_get();
    CHECK_INT(point->x, ==, 0);
    point->x = 3;
    point_pool_put(point);
    point = reset_pool_get();
    reset_pool_put(point);
    point = reset_pool_get();
    CHECK_INT(point->x == -1 || point->x == 0, ==, 1);
    reset_pool_put(point);
    pwise_put(&static_pool, pwise_get(&static_pool));
    CHECK_INT(strcmp(stats_of(&static_pool).name, "static"), ==, 0);
    CHECK_INT(strcmp(stats_of(&point_pool).name, "point_pool"), ==, 0);
    CHECK_PTR(pwise_get(&zeroed_pool), ==, NULL);
    CHECK_INT(errno, ==, ENOENT);
    static pwise_pool sized;
    sized.options.item_size = 24;
    void *out = pwise_get(&sized);
    CHECK_PTR(out, !=, NULL);
    pwise_pool_destroy(&sized);
    pwise_put(&sized, out); /* P10: frees the state of the closed static pool */
    CHECK_PTR(pwise_get(&sized), ==, NULL);
    CHECK_INT(errno, ==, EINVAL);
    pwise_pool_destroy(&point_pool);
    pwise_pool_destroy(&reset_pool);
    pwise_pool_destroy(&static_pool);
    pwise_pool_destroy(&zeroed_pool);
}

static size_t first_word(const void *item, void *context)
{
    return *(const size_t *)item;
}

/* P12: max_item_bytes with and without size_of, per_cpu_items, max_idle_bytes. */
static void p12_bounds(void)
{
    struct context context = {0};
    pwise_pool *pool = pool_of((struct pwise_options){.create = counted_create,
                                                      .destroy = counted_destroy,
                                                      .size_of = first_word,
                                                      .max_item_bytes = 1000,
                                                      .context = &context});
    for (size_t bytes = 990; bytes < 1010; bytes++) {
        size_t *item = pwise_get(pool);
        *item = bytes;
        pwise_put(pool, item);
    }
    CHECK_INT(stats_of(pool).destroys_oversize, ==, 9);
    CHECK_INT(context.destroyed, ==, 9);
    pwise_pool_destroy(pool);
    CHECK_INT(context.created, ==, context.destroyed);

    /* Items of very different sizes: the sum is what counts. */
    context = (struct context){0};
    pool = pool_of((struct pwise_options){.create = counted_create,
                                          .destroy = counted_destroy,
                                          .size_of = first_word,
                                          .max_idle_bytes = 10000,
                                          .context = &context});
    size_t *sized[64], kept = 0;
    for (size_t i = 0; i < 64; i++)
        *(sized[i] = pwise_get(pool)) = i * 40;
    for (size_t i = 0; i < 64; i++) {
        pwise_put(pool, sized[i]);
        kept += kept + i * 40 <= 10000 ? i * 40 : 0;
        CHECK_INT(stats_of(pool).idle_bytes, ==, kept);
    }
    CHECK_INT(stats_of(pool).destroys_bound, ==, context.destroyed);
    CHECK_INT(context.destroyed, >, 30);
    pwise_reclaim();
    CHECK_INT(stats_of(pool).idle_bytes, ==, kept);
    pwise_trim();
    CHECK_INT(stats_of(pool).idle_bytes, ==, 0);
    pwise_pool_destroy(pool);
    CHECK_INT(context.created, ==, context.destroyed);

    for (unsigned max_items = 1; max_items <= 300; max_items += 13)
        for (unsigned per_cpu = 0; per_cpu <= 40; per_cpu += 5) {
            pool = pool_of((struct pwise_options){
                .item_size = 32, .max_idle_bytes = 32 * max_items + 31, .per_cpu_items = per_cpu});
            void *items[400];
            for (int i = 0; i < 400; i++)
                items[i] = pwise_get(pool);
            for (int i = 0; i < 400; i++) {
                pwise_put(pool, items[i]);
                CHECK_INT(stats_of(pool).idle_items, <=, max_items);
                CHECK_INT(stats_of(pool).idle_items, >, 0);
            }
            struct pwise_stats stats = stats_of(pool);
            CHECK_INT(stats.destroys_bound + stats.idle_items, ==, 400);
            CHECK_INT(stats.puts, ==, 400);
            CHECK_INT(stats.gets, ==, 400);
            pwise_pool_destroy(pool);
        }
    pool = pool_of((struct pwise_options){.item_size = 64, .max_idle_bytes = 63});
    pwise_put(pool, pwise_get(pool));
    CHECK_INT(stats_of(pool).idle_items, ==, 0);
    pwise_pool_destroy(pool);
}

/* What create refuses, and the index limits of a magazine. */
static void options_are_checked(void)
{
    struct pwise_options bad[] = {
        {.item_size = 8, .item_align = 24},
        {.item_size = (size_t)PTRDIFF_MAX + 1},
        {.item_size = SIZE_MAX, .create = counted_create},
        {.item_size = 8, .item_align = (size_t)PTRDIFF_MAX + 1},
        {.item_size = 8, .per_cpu_items = 65535},
        {.item_size = 8, .flags = 1u << 31},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        errno = 0;
        CHECK_PTR(pwise_pool_create(&bad[i]), ==, NULL);
        CHECK_INT(errno, ==, EINVAL);
        pwise_pool wrong = {.options = bad[i]};
        CHECK_PTR(pwise_get(&wrong), ==, NULL);
        CHECK_INT(errno, ==, EINVAL);
    }
    CHECK_INT(pwise_set_reclaim((enum pwise_reclaim_mode)9, 0), ==, -EINVAL);
    pwise_pool *vast = pool_of((struct pwise_options){.item_size = PTRDIFF_MAX});
    errno = 0;
    CHECK_PTR(pwise_get(vast), ==, NULL);
    CHECK_INT(errno, ==, ENOMEM);
    pwise_pool_destroy(vast);
    CHECK_INT(pwise_pool_stats(NULL, NULL), ==, -EINVAL);

    static char bytes[200000];
    pwise_pool *pool = pool_of((struct pwise_options){.per_cpu_items = 65534});
    for (size_t i = 0; i < sizeof(bytes); i++)
        pwise_put(pool, &bytes[i]);
    CHECK_INT(stats_of(pool).idle_items, ==, sizeof(bytes));
    size_t got = 0;
    for (char *byte; (byte = pwise_get(pool)); got++) {
        CHECK_INT(*byte, ==, 0);
        *byte = 1;
    }
    CHECK_INT(got, >, sizeof(bytes) - 65534 * 2);
    pwise_pool_destroy(pool);
}

/* P3 in bulk: everything put comes out once; counts add up. */
static void bulk(void)
{
    static int values[1000];
    static void *items[1000], *got[1000];
    pwise_pool *pool = pwise_pool_create(NULL);
    for (size_t size = 1; size <= 1000; size = size * 3 + 1) {
        for (size_t i = 0; i < size; i++) {
            items[i] = &values[i];
            values[i] = 0;
        }
        pwise_put_bulk(pool, items, size);
        size_t count = pwise_get_bulk(pool, got, size);
        for (size_t i = 0; i < count; i++)
            CHECK_INT((*(int *)got[i])++, ==, 0);
        if (count < size)
            CHECK_INT(errno, ==, ENOENT);
        while (pwise_get(pool))
            count++;
        CHECK_INT(count, ==, size);
    }
    struct pwise_stats stats = stats_of(pool);
    CHECK_INT(stats.puts, ==, stats.hits);
    pwise_pool_destroy(pool);
}

static int count_visits(const pwise_pool *pool, const struct pwise_stats *stats, void *context)
{
    int *visits = context;
    CHECK_INT(stats->size, ==, sizeof(*stats));
    pwise_trim();
    return ++*visits == 2 ? 17 : 0;
}

static void each_pool(void)
{
    pwise_pool *pools[3];
    for (int i = 0; i < 3; i++)
        pools[i] = pool_of((struct pwise_options){.item_size = 8});
    int visits = 0;
    CHECK_INT(pwise_each_pool(count_visits, &visits), ==, 17);
    CHECK_INT(visits, ==, 2);
    CHECK_INT(pwise_each_pool(NULL, NULL), ==, -EINVAL);
    for (int i = 0; i < 3; i++)
        pwise_pool_destroy(pools[i]);
}

int main(void)
{
    CHECK_INT(pwise_set_reclaim(PWISE_MANUAL, 0), ==, 0);
    p1_blocks();
    p1_hand_back();
    p1_create_fails();
    p2_reset();
    p4_ages();
    p4_used_survives();
    p7_callbacks_reenter();
    p8_null_item();
    p10_closed();
    p11_static();
    p12_bounds();
    options_are_checked();
    bulk();
    each_pool();
    return 0;
}
