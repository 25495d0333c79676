/* SPDX-License-Identifier: MIT */
#include "account.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Limits of the verdicts. */
#define GETS_LEAST       100  /* with fewer there is nothing to judge */
#define CPU_SHARE_LEAST  0.01 /* of the process's CPU time: what saves less does not matter */
#define SIZES_LEAST      100  /* puts of known size, to judge their spread */
#define CAP_WITHIN       0.95 /* of the puts are to fit under a cap */
#define CAP_SPREAD       8    /* an item this many times the cap has been seen */
#define CAP_INFLATED     4    /* and this many times what the cap allows is idle */

#define BLOCK_BYTES_MOST ((size_t)1 << 20) /* larger ones are taken to cost what this does */

struct costs {
    uint64_t clock_ns;
    double pair_ns;        /* a get and a put, plain */
    double hooked_pair_ns; /* with a callback for the size */
    double miss_ns;        /* what a get that finds nothing costs besides making the item */
};

static pthread_once_t clock_once = PTHREAD_ONCE_INIT, costs_once = PTHREAD_ONCE_INIT;
static struct costs costs;

static uint64_t cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* The least of many: what disturbs a measurement can only lengthen it. */
static void measure_clock(void)
{
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < 64; i++) {
        uint64_t start_ns = clock_ns();
        uint64_t took_ns = clock_ns() - start_ns;
        if (took_ns < least)
            least = took_ns;
    }
    costs.clock_ns = least;
}

void account_start(struct pool *pool)
{
    pthread_once(&clock_once, measure_clock);
    pool->since_ns = clock_ns();
    pool->since_cpu_ns = cpu_ns();
    pool->depot.idle_noted_ns = pool->since_ns;
}

void cost_note(struct cost *cost, uint64_t start_ns)
{
    uint64_t took_ns = clock_ns() - start_ns;
    took_ns = took_ns > costs.clock_ns ? took_ns - costs.clock_ns : 0;
    uint64_t number = atomic_fetch_add_explicit(&cost->count, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&cost->sum_ns, took_ns, memory_order_relaxed);
    atomic_store_explicit(&cost->recent_ns[number % COST_RECENT],
                          took_ns < UINT32_MAX ? (uint32_t)took_ns : UINT32_MAX,
                          memory_order_relaxed);
}

uint64_t cost_mean(const struct cost *cost)
{
    uint64_t count = atomic_load_explicit(&cost->count, memory_order_relaxed);
    return count ? atomic_load_explicit(&cost->sum_ns, memory_order_relaxed) / count : 0;
}

static int by_value(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

/* The lower quartile of the last few: what it takes undisturbed, as a pair is priced. The first ones
 * were cold, and one that was interrupted is no cost of the operation. */
static uint32_t cost_typical(const struct cost *cost)
{
    uint32_t recent[COST_RECENT];
    uint64_t count = atomic_load_explicit(&cost->count, memory_order_relaxed);
    if (count > COST_RECENT)
        count = COST_RECENT;
    for (uint64_t i = 0; i < count; i++)
        recent[i] = atomic_load_explicit(&cost->recent_ns[i], memory_order_relaxed);
    qsort(recent, count, sizeof(recent[0]), by_value);
    return count ? recent[count / 4] : 0;
}

bool account_sample(void)
{
    static __thread uint32_t turn;
    return turn++ % 64 == 0;
}

void account_size(struct pool *pool, size_t bytes)
{
    unsigned class = bytes > 1 ? (unsigned)(64 - __builtin_clzll(bytes - 1)) : 0;
    if (class >= SIZE_CLASSES)
        class = SIZE_CLASSES - 1;
    atomic_fetch_add_explicit(&pool->put_sizes[class], 1, memory_order_relaxed);
}

void account_idle_locked(struct depot *depot, uint64_t idle_bytes)
{
    uint64_t now_ns = clock_ns();
    if (now_ns > depot->idle_noted_ns)
        depot->idle_byte_seconds +=
            (double)idle_bytes * (double)(now_ns - depot->idle_noted_ns) / 1e9;
    depot->idle_noted_ns = now_ns;
}

enum { MEASURE_RUNS = 8, MEASURE_PAIRS = 2000 };

static size_t some_size(const void *item, void *context)
{
    return 64;
}

static void keep(void *item, void *context)
{
}

static double measure_pair(size_t (*size_of)(const void *, void *))
{
    static char item[64];
    struct pwise_options options = {
        .name = "pair", .flags = PWISE_NO_STEAL, .size_of = size_of, .destroy = keep};
    pwise_pool *pool = pool_create_unwatched(&options);
    double best_ns = 0;
    for (int run = 0; run < MEASURE_RUNS && pool; run++) {
        pwise_put(pool, item);
        uint64_t start_ns = clock_ns();
        for (int i = 0; i < MEASURE_PAIRS; i++)
            pwise_put(pool, pwise_get(pool));
        double pair_ns = (double)(clock_ns() - start_ns) / MEASURE_PAIRS;
        pwise_get(pool);
        if (run == 0 || pair_ns < best_ns)
            best_ns = pair_ns;
    }
    pwise_pool_destroy(pool);
    return best_ns;
}

static void *make_nothing(void *context)
{
    return context;
}

static double measure_miss(void)
{
    static char item[64];
    struct pwise_options options = {.name = "miss",
                                    .flags = PWISE_NO_STEAL,
                                    .create = make_nothing,
                                    .destroy = keep,
                                    .context = item};
    pwise_pool *pool = pool_create_unwatched(&options);
    double best_ns = 0;
    for (int run = 0; run < MEASURE_RUNS && pool; run++) {
        uint64_t start_ns = clock_ns();
        for (int i = 0; i < MEASURE_PAIRS / 4; i++)
            pwise_get(pool);
        double miss_ns = (double)(clock_ns() - start_ns) / (MEASURE_PAIRS / 4);
        if (run == 0 || miss_ns < best_ns)
            best_ns = miss_ns;
    }
    for (int i = 0; i < MEASURE_RUNS * (MEASURE_PAIRS / 4) && pool; i++)
        pwise_put(pool, item);
    pwise_pool_destroy(pool);
    return best_ns;
}

static void measure_costs(void)
{
    costs.pair_ns = measure_pair(NULL);
    costs.hooked_pair_ns = measure_pair(some_size);
    costs.miss_ns = measure_miss();
}

/* What the allocator takes for a zeroed block of this size and its free, at its best: for a pool that
 * makes its items itself, that is what the program would do without it. Measured once for each. */
static uint32_t block_pair_ns(struct pool *pool)
{
    uint32_t known = atomic_load_explicit(&pool->block_pair_ns, memory_order_relaxed);
    if (known)
        return known - 1;
    size_t bytes = pool->options.item_size;
    if (bytes > BLOCK_BYTES_MOST)
        bytes = BLOCK_BYTES_MOST;
    int pairs = bytes > 65536 ? 8 : 400;
    double best_ns = 0;
    for (int run = 0; run < MEASURE_RUNS; run++) {
        uint64_t start_ns = clock_ns();
        for (int i = 0; i < pairs; i++) {
            void *volatile block = calloc(1, bytes);
            free(block);
        }
        double pair_ns = (double)(clock_ns() - start_ns) / pairs;
        if (run == 0 || pair_ns < best_ns)
            best_ns = pair_ns;
    }
    atomic_store_explicit(&pool->block_pair_ns, (uint32_t)(best_ns + 0.5) + 1,
                          memory_order_relaxed);
    return (uint32_t)(best_ns + 0.5);
}

/* The size that most puts stay within, where others go far beyond and fill the pool; else 0. */
static uint64_t worth_capping(const struct pool *pool, const struct pwise_stats *stats)
{
    uint64_t total = 0, within = 0, cap = 0;
    unsigned largest = 0;
    for (unsigned class = 0; class < SIZE_CLASSES; class ++) {
        uint64_t puts = atomic_load_explicit(&pool->put_sizes[class], memory_order_relaxed);
        total += puts;
        if (puts)
            largest = class;
    }
    if (!pool->options.size_of || pool->options.max_item_bytes || total < SIZES_LEAST)
        return 0;
    for (unsigned class = 0; class < SIZE_CLASSES && cap == 0; class ++) {
        within += atomic_load_explicit(&pool->put_sizes[class], memory_order_relaxed);
        if ((double)within >= CAP_WITHIN * (double)total)
            cap = (uint64_t)1 << class;
    }
    bool spread = (uint64_t)1 << largest >= cap * CAP_SPREAD;
    bool inflated = stats->idle_bytes > CAP_INFLATED * cap * stats->idle_items;
    return spread && inflated ? cap : 0;
}

#define REASON(...) snprintf(stats->reason, sizeof(stats->reason), __VA_ARGS__)

static void judge(struct pool *pool, struct pwise_stats *stats)
{
    double saved_ms = (double)stats->saved_ns / 1e6;
    stats->cap_bytes = worth_capping(pool, stats);
    if (stats->gets < GETS_LEAST) {
        stats->verdict = "TAIL";
        REASON("%llu gets: too few to matter", (unsigned long long)stats->gets);
    } else if (stats->saved_ns <= 0) {
        stats->verdict = "LOSES";
        REASON("costs %.3g ms more than making each item anew: remove it", -saved_ms);
    } else if (stats->cap_bytes) {
        stats->verdict = "CAP";
        REASON("%.3g MiB idle in %llu items, of which most need %llu bytes: set max_item_bytes to "
               "%llu",
               (double)stats->idle_bytes / 1048576, (unsigned long long)stats->idle_items,
               (unsigned long long)stats->cap_bytes, (unsigned long long)stats->cap_bytes);
    } else if (stats->saved_cpu_share < CPU_SHARE_LEAST) {
        stats->verdict = "TAIL";
        REASON("saves %.3g ms, %.2f %% of the CPU time: too little to matter", saved_ms,
               100 * stats->saved_cpu_share);
    } else {
        stats->verdict = "POOL";
        REASON("saves %.3g ms, %.1f %% of the CPU time: earns its keep", saved_ms,
               100 * stats->saved_cpu_share);
    }
}

void account_fill(struct pool *pool, struct pwise_stats *stats)
{
    pthread_once(&costs_once, measure_costs);
    uint64_t misses = stats->gets - stats->hits;
    bool own_blocks = !pool->options.create && pool->options.item_size;
    double make_ns = cost_typical(&pool->create_cost),
           unmake_ns = cost_typical(&pool->destroy_cost);
    double reset_ns = cost_typical(&pool->reset_cost);
    double anew_ns = own_blocks ? block_pair_ns(pool) : make_ns + unmake_ns;
    double miss_ns = costs.miss_ns;
    if (own_blocks) /* it pays for a slab's block what it would have paid for malloc's, or not quite */
        miss_ns += make_ns > anew_ns ? make_ns - anew_ns : 0;
    stats->pair_ns = pool->hooked ? costs.hooked_pair_ns : costs.pair_ns;
    stats->create_ns_mean = cost_mean(&pool->create_cost);
    stats->destroy_ns_mean = cost_mean(&pool->destroy_cost);
    stats->reset_ns_mean = cost_mean(&pool->reset_cost);
    stats->saved_ns = (int64_t)((double)stats->hits * (anew_ns - reset_ns) -
                                (double)stats->gets * stats->pair_ns - (double)misses * miss_ns);
    uint64_t spent_ns = cpu_ns() - pool->since_cpu_ns;
    if (stats->saved_ns > 0) /* without the pool the program would have spent that, too */
        spent_ns += (uint64_t)stats->saved_ns;
    stats->saved_cpu_share = spent_ns ? (double)stats->saved_ns / (double)spent_ns : 0;
    judge(pool, stats);
}
