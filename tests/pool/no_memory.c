/* SPDX-License-Identifier: MIT */
/*
 * Property: whichever allocation of the library fails, once or from then on, calls fail as the header
 * says or do without; no item is lost or destroyed twice, and all memory is given back.
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "check.h"
#include "inject.h"
#include "poolwise/pool.h"

static int asked, fail_from, fail_until; /* allocations in [from, until) fail */
static int refused, outstanding;

static bool memory(bool take)
{
    if (!take) {
        outstanding--;
        return true;
    }
    int number = asked++;
    if (number >= fail_from && number < fail_until) {
        refused++;
        return false;
    }
    outstanding++;
    return true;
}

static int created, destroyed;

static void *count_create(void *context)
{
    created++;
    return calloc(1, 48);
}

static void count_destroy(void *item, void *context)
{
    destroyed++;
    free(item);
}

enum { ITEMS = 60 };

/* Returns how many items it got. */
static int use(pwise_pool *pool)
{
    void *items[ITEMS];
    int got = 0;
    for (int i = 0; i < ITEMS / 2; i++) {
        errno = 0;
        void *item = pwise_get(pool);
        if (item)
            items[got++] = item;
        else
            CHECK_INT(errno, ==, ENOMEM);
    }
    errno = 0;
    size_t more = pwise_get_bulk(pool, items + got, ITEMS / 2);
    if (more < ITEMS / 2)
        CHECK_INT(errno, ==, ENOMEM);
    got += (int)more;
    for (int i = 0; i < got; i++)
        memset(items[i], 1, 48); /* each is whole, and nobody else's */
    for (int i = 0; i < got / 2; i++)
        pwise_put(pool, items[i]);
    pwise_put_bulk(pool, items + got / 2, (size_t)(got - got / 2));
    return got;
}

static void round_of(struct pwise_options options)
{
    struct pwise_stats stats = {.size = sizeof(stats)};
    errno = 0;
    pwise_pool *pool = pwise_pool_create(&options);
    if (!pool) {
        CHECK_INT(errno, ==, ENOMEM);
        return;
    }
    for (int cycle = 0; cycle < 3; cycle++) {
        int got = use(pool);
        CHECK_INT(got, <=, ITEMS);
        if (options.create)
            CHECK_INT(got, ==, ITEMS);
        pwise_reclaim();
    }
    CHECK_INT(pwise_pool_stats(pool, &stats), ==, 0);
    CHECK_INT(stats.gets - stats.puts, <=, (uint64_t)refused); /* a failed get is a get */
    pwise_trim();
    pwise_pool_destroy(pool);
}

/* A static pool whose state cannot be made: gets fail, and the next one may succeed. */
static void static_pool(void)
{
    pwise_pool pool = PWISE_POOL_INIT(.item_size = 48);
    for (int i = 0; i < 5; i++) {
        errno = 0;
        void *item = pwise_get(&pool);
        if (!item)
            CHECK_INT(errno, ==, ENOMEM);
        pwise_put(&pool, item);
    }
    pwise_pool_destroy(&pool);
}

static int run(int from, int until)
{
    asked = refused = outstanding = created = destroyed = 0;
    fail_from = from;
    fail_until = until;
    round_of((struct pwise_options){
        .create = count_create, .destroy = count_destroy, .per_cpu_items = 8});
    CHECK_INT(created, ==, destroyed);
    round_of((struct pwise_options){.item_size = 48, .per_cpu_items = 8});
    round_of((struct pwise_options){.item_size = 48, .item_align = 256, .max_idle_bytes = 48 * 20});
    static_pool();
    CHECK_INT(outstanding, ==, 0);
    return refused;
}

int main(void)
{
    CHECK_INT(pwise_set_reclaim(PWISE_MANUAL, 0), ==, 0);
    struct pwise_stats stats = {.size = sizeof(stats)};
    pwise_pool warm = PWISE_POOL_INIT(.item_size = 1);
    pwise_put(&warm, pwise_get(&warm));
    pwise_pool_stats(&warm, &stats); /* measures with pools of its own, once */
    pwise_pool_destroy(&warm);
    inject_memory = memory;
    CHECK_INT(run(0, 0), ==, 0);
    int allocations = asked;
    CHECK_INT(allocations, >, 20);
    for (int number = 0; number < allocations; number++) {
        CHECK_INT(run(number, number + 1), >=, 1);
        run(number, number + 5);
        run(number, 1 << 30);
    }
    printf("%d allocations, each failed alone and with those after it\n", allocations);
    return 0;
}
