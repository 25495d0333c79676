/* SPDX-License-Identifier: MIT */
/*
 * Property: of a pool that earns its keep, one that is useless, one that outliers inflate and one that
 * is hardly used, each is told what it is. Their costs are apart by so much that no noise decides.
 * With "report" the program ends without a check, for its report to be looked at.
 */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include "check.h"
#include "poolwise/pool.h"

static void spin(long ns)
{
    struct timespec start, now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    do
        clock_gettime(CLOCK_MONOTONIC, &now);
    while ((now.tv_sec - start.tv_sec) * 1000000000 + now.tv_nsec - start.tv_nsec < ns);
}

static void *dear_create(void *context)
{
    spin(50000);
    return calloc(1, 64);
}

static void *cheap_create(void *context)
{
    return calloc(1, 64);
}

/* Clearing what is cheap to make. */
static void dear_reset(void *item, void *context)
{
    spin(300000);
}

struct bytes {
    size_t size;
    char *data;
};

static void *bytes_create(void *context)
{
    spin(20000);
    return calloc(1, sizeof(struct bytes));
}

static void bytes_destroy(void *item, void *context)
{
    free(((struct bytes *)item)->data);
    free(item);
}

static size_t bytes_size(const void *item, void *context)
{
    return ((const struct bytes *)item)->size;
}

/* A payload of `need` bytes, in a buffer that grows and never shrinks. */
static void bytes_use(struct bytes *bytes, size_t need)
{
    if (need > bytes->size) {
        free(bytes->data);
        bytes->data = malloc(need);
        bytes->size = need;
    }
    memset(bytes->data, 1, need < 4096 ? need : 4096);
}

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
    return stats;
}

static void expect(const pwise_pool *pool, const char *verdict)
{
    struct pwise_stats stats = stats_of(pool);
    if (strcmp(stats.verdict, verdict) != 0) {
        fprintf(stderr, "%s: told %s (%s), expected %s\n", stats.name, stats.verdict, stats.reason,
                verdict);
        abort();
    }
    CHECK_INT(strlen(stats.reason), >, 10);
}

static int told;

static void count_told(const pwise_pool *pool, const struct pwise_stats *stats, void *context)
{
    CHECK_PTR(context, ==, &told);
    CHECK_PTR(stats->verdict, !=, NULL);
    told++;
}

int main(int argc, char **argv)
{
    bool report = argc > 1 && strcmp(argv[1], "report") == 0;
    CHECK_INT(pwise_set_reclaim(PWISE_MANUAL, 0), ==, 0);
    pwise_pool *good = pool_of((struct pwise_options){.name = "good", .create = dear_create});
    pwise_pool *useless = pool_of(
        (struct pwise_options){.name = "useless", .create = cheap_create, .reset = dear_reset});
    pwise_pool *inflated = pool_of((struct pwise_options){.name = "inflated",
                                                          .create = bytes_create,
                                                          .destroy = bytes_destroy,
                                                          .size_of = bytes_size});
    pwise_pool *seldom = pool_of((struct pwise_options){.name = "seldom", .item_size = 64});
    for (int i = 0; i < 20000; i++)
        pwise_put(good, pwise_get(good));
    for (int i = 0; i < 500; i++)
        pwise_put(useless, pwise_get(useless));
    pwise_put(seldom, pwise_get(seldom));

    /* Twenty requests at a time; one in two hundred needs 1 MiB, the others 1 KiB. */
    for (int round = 0; round < 400; round++) {
        struct bytes *items[20];
        for (int i = 0; i < 20; i++) {
            items[i] = pwise_get(inflated);
            CHECK_PTR(items[i], !=, NULL);
            bytes_use(items[i], round == 200 && i == 7 ? 8 << 20 : 1024);
        }
        for (int i = 0; i < 20; i++)
            pwise_put(inflated, items[i]);
    }
    if (!report) {
        expect(good, "POOL");
        expect(useless, "LOSES");
        expect(inflated, "CAP");
        expect(seldom, "TAIL");
        CHECK_INT(stats_of(inflated).cap_bytes, ==, 1024);
        CHECK_INT(stats_of(good).saved_ns, >, 20000LL * 10000);
        CHECK_INT(stats_of(useless).saved_ns, <, 0);

        /* A zeroed block from the allocator is what the pool's own would have been. */
        pwise_pool *own = pool_of((struct pwise_options){.name = "own", .item_size = 8192});
        for (int i = 0; i < 1000; i++)
            pwise_put(own, pwise_get(own));
        CHECK_INT(stats_of(own).hits, ==, 999);
        pwise_pool_destroy(own);

        /* Bytes that lie idle count by the time they do. */
        struct pwise_stats before = stats_of(inflated);
        spin(20000000);
        struct pwise_stats after = stats_of(inflated);
        CHECK_INT(after.idle_bytes, ==, before.idle_bytes);
        double seconds =
            (after.idle_byte_seconds - before.idle_byte_seconds) / (double)after.idle_bytes;
        CHECK_INT(seconds * 1e6, >=, 20000);

        /* An older program's struct is filled as far as it goes. */
        struct pwise_stats small;
        memset(&small, 0x55, sizeof(small));
        small.size = offsetof(struct pwise_stats, slab_bytes);
        CHECK_INT(pwise_pool_stats(good, &small), ==, 0);
        CHECK_INT(small.gets, ==, 20000);
        CHECK_INT(small.slab_bytes, ==, 0x5555555555555555);
        CHECK_INT(pwise_on_destroy(count_told, &told), ==, 0);
    }
    pwise_pool_destroy(good);
    pwise_pool_destroy(useless);
    pwise_pool_destroy(seldom);
    if (report)
        return 0; /* one pool is left */
    CHECK_INT(told, ==, 3);
    CHECK_INT(pwise_on_destroy(NULL, NULL), ==, 0);
    pwise_pool_destroy(inflated);
    CHECK_INT(told, ==, 3);
    return 0;
}
