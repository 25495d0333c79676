/* SPDX-License-Identifier: MIT */
/* Property: an adaptive pool keeps a large item only while it is being used, whether or not it is
 * told how much was; counts what it drops; and says what options it does not take. */
#include <errno.h>
#include <string.h>

#include "check.h"
#include "poolwise/pool.h"

struct item {
    size_t bytes, used;
};

static int created, destroyed;

static void *item_create(void *context)
{
    created++;
    return calloc(1, sizeof(struct item));
}

static void item_destroy(void *item, void *context)
{
    destroyed++;
    free(item);
}

static size_t item_bytes(const void *item, void *context)
{
    return ((const struct item *)item)->bytes;
}

static size_t item_used(const void *item, void *context)
{
    return ((const struct item *)item)->used;
}

static pwise_pool *adaptive_pool(size_t (*used_of)(const void *, void *))
{
    struct pwise_options options = {.create = item_create,
                                    .destroy = item_destroy,
                                    .size_of = item_bytes,
                                    .used_of = used_of,
                                    .max_idle_bytes = SIZE_MAX / 2,
                                    .flags = PWISE_ADAPTIVE};
    created = destroyed = 0;
    pwise_pool *pool = pwise_pool_create(&options);
    CHECK_PTR(pool, !=, NULL);
    return pool;
}

static uint64_t unused(const pwise_pool *pool)
{
    struct pwise_stats stats = {.size = sizeof(stats)};
    CHECK_INT(pwise_pool_stats(pool, &stats), ==, 0);
    CHECK_INT(stats.destroys_unused, ==, destroyed);
    return stats.destroys_unused;
}

static void use(pwise_pool *pool, size_t bytes, size_t used)
{
    struct item *item = pwise_get(pool);
    if (bytes)
        item->bytes = bytes;
    item->used = used;
    pwise_put(pool, item);
}

static void told_what_is_used(void)
{
    pwise_pool *pool = adaptive_pool(item_used);
    use(pool, 100000, 100000);
    for (int round = 0; round < 3; round++) { /* too few to be known as regular */
        for (int strike = 1; strike <= 3; strike++)
            use(pool, 0, strike == 1 ? 24999 : 0);
        use(pool, 0, 25000);
    }
    CHECK_INT(unused(pool), ==, 0);
    for (int strike = 1; strike <= 4; strike++) {
        CHECK_INT(unused(pool), ==, 0);
        use(pool, 0, strike == 1 ? 24999 : 0);
    }
    CHECK_INT(unused(pool), ==, 1);
    for (int i = 0; i < 100; i++)
        use(pool, 4096, 0);
    CHECK_INT(unused(pool), ==, 1);
    CHECK_INT(created, ==, 2);
    /* Shrinking to a small size clears, too. */
    for (int i = 0; i < 3; i++)
        use(pool, 5000, 0);
    use(pool, 4000, 0);
    for (int i = 0; i < 3; i++)
        use(pool, 5000, 0);
    CHECK_INT(unused(pool), ==, 1);
    pwise_pool_destroy(pool);
    CHECK_INT(created, ==, destroyed);
}

/* One use in 20 is large: what it has made large stays. Not so when such uses have stopped, nor when
 * they are rare. */
static void regular_ones_stay(void)
{
    pwise_pool *pool = adaptive_pool(item_used);
    for (int round = 0; round < 5000; round++) {
        use(pool, 65536, 65536);
        for (int i = 0; i < 19; i++)
            use(pool, 0, 800);
        if (round == 999)
            CHECK_INT(unused(pool), <, 200); /* until it was known */
    }
    CHECK_INT(unused(pool), <, 200);
    for (int i = 0; i < 2000; i++)
        use(pool, 0, 800);
    int before = unused(pool);
    for (int round = 0; round < 20; round++) {
        use(pool, 65536, 65536);
        for (int i = 0; i < 999; i++)
            use(pool, 0, 800);
        CHECK_INT(unused(pool), ==, before + round + 1);
    }
    pwise_pool_destroy(pool);
    CHECK_INT(created, ==, destroyed);
}

/* Each item has its own strikes, as many as are remembered; beyond that an item goes at once. */
static void many_items(void)
{
    enum { ITEMS = 3000 };
    static struct item *items[ITEMS];
    pwise_pool *pool = adaptive_pool(item_used);
    for (int round = 1; round <= 4; round++) {
        int count = 64;
        for (int i = 0; i < count; i++)
            items[i] = pwise_get(pool);
        for (int i = 0; i < count; i++) {
            items[i]->bytes = 10000;
            items[i]->used = 0;
            pwise_put(pool, items[i]);
        }
        if (round == 1)
            CHECK_INT(unused(pool), ==, 0); /* a crowd of 8 in one of 64 sets would be a wonder */
    }
    CHECK_INT(unused(pool), ==, 64);
    for (int i = 0; i < ITEMS; i++)
        items[i] = pwise_get(pool);
    for (int i = 0; i < ITEMS; i++) {
        items[i]->bytes = 10000;
        pwise_put(pool, items[i]);
    }
    CHECK_INT(unused(pool), >=, 64 + ITEMS - 512);
    /* What goes by cycles is forgotten: there is room for others again. */
    pwise_trim();
    int before = destroyed;
    for (int i = 0; i < 32; i++)
        items[i] = pwise_get(pool);
    for (int i = 0; i < 32; i++) {
        items[i]->bytes = 10000;
        pwise_put(pool, items[i]);
    }
    CHECK_INT(destroyed, ==, before);
    pwise_pool_destroy(pool);
    CHECK_INT(created, ==, destroyed);
}

/* With sizes alone, an outlier goes after four puts; what is usual stays. */
static void not_told(void)
{
    pwise_pool *pool = adaptive_pool(NULL);
    for (int i = 0; i < 1000; i++)
        use(pool, 1000, 0);
    for (int put = 1; put <= 4; put++) {
        CHECK_INT(destroyed, ==, 0);
        use(pool, 1 << 20, 0);
    }
    CHECK_INT(unused(pool), ==, 1);
    for (int i = 0; i < 1000; i++)
        use(pool, 1000, 0);
    CHECK_INT(unused(pool), ==, 1);
    pwise_pool_destroy(pool);

    pool = adaptive_pool(NULL);
    for (int i = 0; i < 1000; i++)
        use(pool, 20000 + (size_t)(i % 2) * 40000, 0);
    CHECK_INT(unused(pool), ==, 0);
    /* A lasting change of sizes is followed. */
    for (int i = 0; i < 1000; i++)
        use(pool, 1 << 20, 0);
    int before = destroyed;
    CHECK_INT(before, <, 20);
    for (int i = 0; i < 1000; i++)
        use(pool, 1 << 20, 0);
    CHECK_INT(destroyed, ==, before);
    pwise_pool_destroy(pool);
    CHECK_INT(created, ==, destroyed);
}

static void options_are_checked(void)
{
    struct pwise_options bad[] = {
        {.item_size = 10, .flags = PWISE_ADAPTIVE},
        {.item_size = 10, .used_of = item_used, .flags = PWISE_ADAPTIVE},
        {.item_size = 10, .size_of = item_bytes, .used_of = item_used},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        errno = 0;
        CHECK_PTR(pwise_pool_create(&bad[i]), ==, NULL);
        CHECK_INT(errno, ==, EINVAL);
    }
}

int main(void)
{
    check_on_one_cpu();
    pwise_set_reclaim(PWISE_MANUAL, 0);
    told_what_is_used();
    regular_ones_stay();
    many_items();
    not_told();
    options_are_checked();
    return 0;
}
