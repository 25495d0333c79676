/* SPDX-License-Identifier: MIT */
/*
 * Property: debug mode without memory for its records keeps the pool's promises, stops no correct
 * program, and still watches what it has records of. memory_take is replaced at link time by one
 * that fails on demand.
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "check.h"
#include "memory.h"
#include "poolwise/pool.h"

void *__real_memory_take(size_t bytes, size_t align);
void *__wrap_memory_take(size_t bytes, size_t align);

static int fail_every, calls, failures; /* 0: never */

void *__wrap_memory_take(size_t bytes, size_t align)
{
    if (fail_every && ++calls % fail_every == 0) {
        failures++;
        errno = ENOMEM;
        return NULL;
    }
    return __real_memory_take(bytes, align);
}

static int created, destroyed, failed_gets;

static void *make(void *context)
{
    created++;
    return calloc(1, 64);
}

static void unmake(void *item, void *context)
{
    destroyed++;
    free(item);
}

static int count(void *item, int thread, void *const *stack, size_t depth, void *context)
{
    ++*(int *)context;
    return 0;
}

static void run(struct pwise_options options, int every)
{
    enum { ITEMS = 64 };
    char *items[ITEMS];
    options.flags = PWISE_DEBUG;
    created = destroyed = calls = failed_gets = 0;
    fail_every = 0;
    pwise_pool *pool = pwise_pool_create(&options);
    CHECK_PTR(pool, !=, NULL);
    for (int round = 0; round < 20; round++) {
        fail_every = every;
        for (int i = 0; i < ITEMS; i++) {
            errno = 0;
            items[i] = pwise_get(pool);
            if (!items[i] && !options.create) { /* there was no memory for the item itself */
                CHECK_INT(errno, ==, ENOMEM);
                failed_gets++;
                fail_every = 0;
                items[i] = pwise_get(pool);
                fail_every = every;
            }
            CHECK_PTR(items[i], !=, NULL);
            memset(items[i], i, 64);
        }
        int out = 0, result = pwise_debug_each_out(pool, count, &out);
        if (result != -ENOMEM)
            CHECK_INT(out, <=, ITEMS);
        for (int i = 0; i < ITEMS; i++) {
            for (int k = 0; k < 64; k++)
                CHECK_INT(items[i][k], ==, i);
            pwise_put(pool, items[i]);
        }
        if (round % 3 == 0)
            pwise_trim();
    }
    fail_every = 0;
    struct pwise_stats stats = {.size = sizeof(stats)};
    CHECK_INT(pwise_pool_stats(pool, &stats), ==, 0);
    CHECK_INT(stats.gets, ==, 20 * ITEMS + failed_gets);
    CHECK_INT(stats.puts, ==, 20 * ITEMS);
    pwise_pool_destroy(pool);
    CHECK_INT(created, ==, destroyed);
}

/* A pool that cannot be in debug mode as asked is not made at all. */
static void no_pool_without_memory(void)
{
    struct pwise_options options = {.item_size = 64, .flags = PWISE_DEBUG};
    for (calls = 0, fail_every = 1; fail_every < 5; fail_every++) {
        calls = 0;
        pwise_pool *pool = pwise_pool_create(&options);
        if (fail_every < 5 && !pool)
            CHECK_INT(errno, ==, ENOMEM);
        if (pool)
            pwise_pool_destroy(pool);
    }
    fail_every = 0;
}

int main(void)
{
    pwise_set_reclaim(PWISE_MANUAL, 0);
    for (int every = 1; every < 12; every++) {
        run((struct pwise_options){.create = make, .destroy = unmake, .item_size = 64}, every);
        run((struct pwise_options){.create = make, .destroy = unmake}, every);
        run((struct pwise_options){.item_size = 64}, every);
    }
    no_pool_without_memory();
    CHECK_INT(failures, >, 1000);
    return 0;
}
