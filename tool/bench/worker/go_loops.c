/* SPDX-License-Identifier: MIT */
/*
 * The loops by which Go measures its sync.Pool, with the same counts. Where Go's pool has no New,
 * ours has no create: what was put comes back, and a miss is a miss. ../go/pool_test.go is the other
 * side.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "worker.h"

#define MANY          100 /* puts or gets in a row */
#define STARVED       67  /* puts for 100 gets: a third of them miss */
#define STW_ITEMS     100000
#define STW_ROUNDS    30
#define GARBAGE_BYTES 32768
#define DRAIN_BYTES   (8u << 20) /* garbage between two cycles: Go's collector runs about as often */

static pwise_pool pool = PWISE_POOL_INIT(.name = "go");
static char item;

static void *expensive_create(void *context);

static int go_setup(struct worker *worker)
{
    pwise_put(&pool, &item); /* what the pool makes once is not a loop's cost */
    return pwise_get(&pool) ? 0 : -errno;
}

static int expensive_setup(struct worker *worker)
{
    pool.options.create = expensive_create;
    return 0;
}

static void pool_loop(struct worker *worker, int thread, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        pwise_put(&pool, &item);
        pwise_get(&pool);
    }
}

static void runs(uint64_t count, int puts, int gets)
{
    for (uint64_t i = 0; i < count; i++) {
        for (int k = 0; k < puts; k++)
            pwise_put(&pool, &item);
        for (int k = 0; k < gets; k++)
            pwise_get(&pool);
    }
}

static void overflow_loop(struct worker *worker, int thread, uint64_t count)
{
    runs(count, MANY, MANY);
}

static void starvation_loop(struct worker *worker, int thread, uint64_t count)
{
    runs(count, STARVED, MANY);
}

/* STW: what a cycle over 100,000 items takes; Go reports the pause of its collection. */
static double stw_ns[STW_ROUNDS];

static int by_value(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static double stw_whole(struct worker *worker)
{
    double sum_ns = 0;
    for (int round = 0; round < STW_ROUNDS; round++) {
        for (int k = 0; k < STW_ITEMS; k++)
            pwise_put(&pool, &item);
        double start_ns = now_ns();
        pwise_reclaim();
        stw_ns[round] = now_ns() - start_ns;
        sum_ns += stw_ns[round];
        pwise_trim();
    }
    qsort(stw_ns, STW_ROUNDS, sizeof *stw_ns, by_value);
    return sum_ns;
}

static void stw_finish(struct worker *worker)
{
    metric_add(worker, "p50-ns/STW", stw_ns[STW_ROUNDS / 2]);
    metric_add(worker, "p95-ns/STW", stw_ns[STW_ROUNDS * 95 / 100]);
}

/* ExpensiveNew: an item takes 1 ms to make; garbage drives the cycles, as it drives Go's. */
static _Atomic uint64_t created, drains, garbage_bytes;

static void *expensive_create(void *context)
{
    atomic_fetch_add(&created, 1);
    usleep(1000);
    return malloc(8);
}

static void expensive_loop(struct worker *worker, int thread, uint64_t count)
{
    void *items[MANY];
    for (uint64_t i = 0; i < count; i++) {
        for (int k = 0; k < MANY; k++) {
            items[k] = pwise_get(&pool);
            char *garbage = calloc(1, GARBAGE_BYTES); /* Go's is zeroed, too */
            touch(garbage);
            free(garbage);
            if (atomic_fetch_add(&garbage_bytes, GARBAGE_BYTES) % DRAIN_BYTES == 0) {
                atomic_fetch_add(&drains, 1);
                pwise_reclaim();
            }
        }
        for (int k = 0; k < MANY; k++)
            pwise_put(&pool, items[k]);
    }
}

static void expensive_finish(struct worker *worker)
{
    metric_add(worker, "drains/op", (double)drains / (double)worker->done);
    metric_add(worker, "creates/op", (double)created / (double)worker->done);
}

const struct worker_case go_cases[] = {
    {.name = "Pool", .variants = "pool", .setup = go_setup, .loop = pool_loop},
    {.name = "PoolOverflow", .variants = "pool", .setup = go_setup, .loop = overflow_loop},
    {.name = "PoolStarvation", .variants = "pool", .setup = go_setup, .loop = starvation_loop},
    {.name = "PoolSTW",
     .variants = "pool",
     .setup = go_setup,
     .whole = stw_whole,
     .finish = stw_finish,
     .fixed_count = STW_ROUNDS,
     .fixed_samples = 1},
    {.name = "PoolExpensiveNew",
     .variants = "pool",
     .setup = expensive_setup,
     .loop = expensive_loop,
     .finish = expensive_finish,
     .fixed_count = 1000,
     .fixed_samples = 1},
    {.name = NULL},
};
