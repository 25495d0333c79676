/* SPDX-License-Identifier: MIT */
/*
 * One measurement in one process: pool-worker CASE KIND THREADS prints nanoseconds (or another
 * figure) per operation. KIND: pool (its functions called), inline (the same, compiled in), empty (calls into a
 * library that does nothing), malloc (whichever allocator is preloaded), floor (an unshared array).
 * bench/pool_bench.py runs it for every peer in turn. Times are wall time per operation over all
 * threads, as Go counts.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "empty.h"
#include "poolwise/pool.h"

#define ITEM_BYTES 64

/* The functions behind calls; pwise_get and pwise_put themselves are compiled in. */
extern void *called_get(pwise_pool *pool) __asm__("pwise_get");
extern void called_put(pwise_pool *pool, void *item) __asm__("pwise_put");

enum kind { KIND_POOL, KIND_INLINE, KIND_EMPTY, KIND_MALLOC, KIND_FLOOR };

static enum kind kind;
static int threads;
static pwise_pool *shared_pool;

static double now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

/* What a plain per-thread array costs, inlined, bounded and shared with nobody: the floor. */
struct stack {
    size_t count;
    void *items[128];
};
static __thread struct stack stack;

static inline void *stack_get(struct stack *from)
{
    if (__builtin_expect(from->count == 0, 0))
        return malloc(ITEM_BYTES);
    return from->items[--from->count];
}

static inline void stack_put(struct stack *to, void *item)
{
    if (__builtin_expect(to->count == 128, 0))
        free(item);
    else
        to->items[to->count++] = item;
}

/* Touches the item, so that no pair is optimised away and every peer pays for the line. */
static inline void touch(void *item)
{
    *(volatile char *)item = 1;
}

static void pairs(uint64_t count)
{
    pwise_pool *const pool = shared_pool;
    switch (kind) {
    case KIND_POOL:
        for (uint64_t i = 0; i < count; i++) {
            void *item = called_get(pool);
            touch(item);
            called_put(pool, item);
        }
        break;
    case KIND_INLINE:
        for (uint64_t i = 0; i < count; i++) {
            void *item = pwise_get(pool);
            touch(item);
            pwise_put(pool, item);
        }
        break;
    case KIND_EMPTY:
        for (uint64_t i = 0; i < count; i++) {
            static char bytes[ITEM_BYTES];
            void *item = empty_get(bytes);
            touch(item);
            empty_put(item);
        }
        break;
    case KIND_MALLOC:
        for (uint64_t i = 0; i < count; i++) {
            void *item = malloc(ITEM_BYTES);
            touch(item);
            free(item);
        }
        break;
    case KIND_FLOOR:
        for (uint64_t i = 0; i < count; i++) {
            void *item = stack_get(&stack);
            touch(item);
            stack_put(&stack, item);
        }
        break;
    }
}

/* Go's three parallel loops: the pool has no create, the item is a constant. */
static void go_pool(uint64_t count)
{
    static int item;
    for (uint64_t i = 0; i < count; i++) {
        pwise_put(shared_pool, &item);
        pwise_get(shared_pool);
    }
}

static void go_overflow(uint64_t count)
{
    static int item;
    for (uint64_t i = 0; i < count; i++) {
        for (int k = 0; k < 100; k++)
            pwise_put(shared_pool, &item);
        for (int k = 0; k < 100; k++)
            pwise_get(shared_pool);
    }
}

static void go_starvation(uint64_t count)
{
    static int item;
    for (uint64_t i = 0; i < count; i++) {
        for (int k = 0; k < 67; k++)
            pwise_put(shared_pool, &item);
        for (int k = 0; k < 100; k++)
            pwise_get(shared_pool);
    }
}

static _Atomic uint64_t created;
static _Atomic uint64_t garbage_bytes;
static _Atomic uint64_t drains;

static void *expensive_create(void *context)
{
    atomic_fetch_add(&created, 1);
    usleep(1000);
    return malloc(8);
}

/* As Go's: garbage of 32 KiB a get; a drain for each 8 MiB of it stands in for the collector. */
static void go_expensive(uint64_t count)
{
    void *items[100];
    for (uint64_t i = 0; i < count; i++) {
        for (int k = 0; k < 100; k++) {
            items[k] = pwise_get(shared_pool);
            char *garbage = malloc(32768);
            touch(garbage);
            free(garbage);
            if (atomic_fetch_add(&garbage_bytes, 32768) % (8u << 20) == 0) {
                atomic_fetch_add(&drains, 1);
                pwise_reclaim();
            }
        }
        for (int k = 0; k < 100; k++)
            pwise_put(shared_pool, items[k]);
    }
}

static void (*body)(uint64_t count);
static uint64_t count_per_thread;

static _Atomic int arrived;
static pthread_barrier_t start_line;
static double finished_ns[256];

static void *thread_main(void *argument)
{
    atomic_fetch_add(&arrived, 1);
    pthread_barrier_wait(&start_line);
    body(count_per_thread);
    *(double *)argument = now_ns();
    return NULL;
}

/* Wall time from the start, given when all have come to the line, until the last one's end, over
 * all threads' operations. */
static double run_threads(uint64_t count)
{
    pthread_t ids[256];
    count_per_thread = count / (uint64_t)threads;
    atomic_store(&arrived, 0);
    pthread_barrier_init(&start_line, NULL, (unsigned)threads + 1);
    for (int i = 0; i < threads; i++)
        if (pthread_create(&ids[i], NULL, thread_main, &finished_ns[i]) != 0)
            abort();
    while (atomic_load(&arrived) != threads)
        usleep(100);
    usleep(1000);
    double start_ns = now_ns(), end_ns = 0;
    pthread_barrier_wait(&start_line);
    for (int i = 0; i < threads; i++) {
        pthread_join(ids[i], NULL);
        if (finished_ns[i] > end_ns)
            end_ns = finished_ns[i];
    }
    pthread_barrier_destroy(&start_line);
    return (end_ns - start_ns) / (double)(count_per_thread * (uint64_t)threads);
}

/* Producer to consumer: a ring of one cell a line-group, batches of 64 at most in flight per step.
 */
#define RING 4096
static void *ring[RING];
static _Alignas(128) _Atomic uint64_t ring_head;
static _Alignas(128) _Atomic uint64_t ring_tail;
static uint64_t ring_total;

static void pin(int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    sched_setaffinity(0, sizeof(set), &set);
}

static void *producer(void *argument)
{
    pin(0);
    uint64_t room = RING;
    for (uint64_t i = 0; i < ring_total; i++) {
        while (i == room) {
            room = atomic_load_explicit(&ring_tail, memory_order_acquire) + RING;
            if (i == room)
                sched_yield();
        }
        void *item = kind == KIND_MALLOC ? malloc(ITEM_BYTES) : pwise_get(shared_pool);
        touch(item);
        ring[i % RING] = item;
        if (i % 64 == 63)
            atomic_store_explicit(&ring_head, i + 1, memory_order_release);
    }
    atomic_store_explicit(&ring_head, ring_total, memory_order_release);
    return NULL;
}

static double producer_consumer(uint64_t count)
{
    pthread_t id;
    ring_total = count;
    ring_head = ring_tail = 0;
    double start_ns = now_ns();
    if (pthread_create(&id, NULL, producer, NULL) != 0)
        abort();
    pin(1);
    uint64_t ready = 0;
    for (uint64_t i = 0; i < count; i++) {
        while (i == ready) {
            ready = atomic_load_explicit(&ring_head, memory_order_acquire);
            if (i == ready)
                sched_yield();
        }
        void *item = ring[i % RING];
        touch(item);
        if (kind == KIND_MALLOC)
            free(item);
        else
            pwise_put(shared_pool, item);
        if (i % 64 == 63)
            atomic_store_explicit(&ring_tail, i + 1, memory_order_release);
    }
    pthread_join(id, NULL);
    return (now_ns() - start_ns) / (double)count;
}

static int by_value(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

/* Go's PoolSTW: 100,000 items put, then the time of the cycle; items need no destruction. */
static double go_stw(uint64_t rounds)
{
    static int item;
    double *took = calloc(rounds, sizeof(*took));
    for (uint64_t i = 0; i < rounds; i++) {
        for (int k = 0; k < 100000; k++)
            pwise_put(shared_pool, &item);
        double start_ns = now_ns();
        pwise_reclaim();
        took[i] = now_ns() - start_ns;
        pwise_trim();
    }
    qsort(took, rounds, sizeof(*took), by_value);
    double median = took[rounds / 2];
    free(took);
    return median;
}

/* The longest get+put of a thread while another runs cycles over 100,000 idle items; with any other
 * KIND than pool the same without the cycles: what the machine itself does to a thread. */
static _Atomic bool stalls_done;

static void *stall_reclaimer(void *argument)
{
    void **items = calloc(100000, sizeof(*items));
    for (int round = 0; round < 20; round++) {
        for (int k = 0; k < 100000; k++)
            items[k] = pwise_get(shared_pool);
        for (int k = 0; k < 100000; k++)
            pwise_put(shared_pool, items[k]);
        if (kind == KIND_POOL) {
            pwise_reclaim();
            pwise_reclaim();
        }
    }
    free(items);
    atomic_store(&stalls_done, true);
    return NULL;
}

static long waits_so_far(void)
{
    struct rusage usage;
    getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_nvcsw;
}

/* Returns the longest call in which the thread waited, in ns; calls in which the scheduler merely
 * took the CPU away are counted apart. */
static double stalls(uint64_t unused)
{
    pthread_t id;
    uint64_t calls = 0, preempted = 0, waited = 0, waited_long = 0;
    double longest = 0, begin_ns = now_ns();
    if (pthread_create(&id, NULL, stall_reclaimer, NULL) != 0)
        abort();
    long waits = waits_so_far();
    while (!atomic_load(&stalls_done)) {
        double start_ns = now_ns();
        void *item = pwise_get(shared_pool);
        pwise_put(shared_pool, item);
        double took = now_ns() - start_ns;
        calls++;
        if (took < 1e4)
            continue;
        long waits_now = waits_so_far();
        if (waits_now == waits) {
            preempted++;
            continue;
        }
        waits = waits_now;
        waited++;
        waited_long += took > 1e5;
        if (took > longest)
            longest = took;
    }
    pthread_join(id, NULL);
    fprintf(stderr,
            "%.1f s, %lu calls; over 10 us: %lu preempted, %lu waited, %lu of them over 100 us\n",
            (now_ns() - begin_ns) / 1e9, (unsigned long)calls, (unsigned long)preempted,
            (unsigned long)waited, (unsigned long)waited_long);
    return longest;
}

struct bench_case {
    const char *name;
    void (*body)(uint64_t count);
    double (*whole)(uint64_t count);
    uint64_t count;
    bool has_items;
    int runs;
};

static const struct bench_case cases[] = {
    {"pair", pairs, NULL, 4000000, true, 12},
    {"prodcons", NULL, producer_consumer, 2000000, true, 5},
    {"go-pool", go_pool, NULL, 4000000, false, 8},
    {"go-overflow", go_overflow, NULL, 100000, false, 4},
    {"go-starvation", go_starvation, NULL, 100000, false, 4},
    {"go-stw", NULL, go_stw, 50, false, 3},
    {"go-expensive", go_expensive, NULL, 1000, false, 1},
    {"stalls", NULL, stalls, 1, true, 1},
};

int main(int argc, char **argv)
{
    const struct bench_case *chosen = NULL;
    if (argc != 4)
        return 2;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (strcmp(argv[1], cases[i].name) == 0)
            chosen = &cases[i];
    threads = atoi(argv[3]);
    kind = strcmp(argv[2], "malloc") == 0   ? KIND_MALLOC
           : strcmp(argv[2], "inline") == 0 ? KIND_INLINE
           : strcmp(argv[2], "empty") == 0  ? KIND_EMPTY
           : strcmp(argv[2], "floor") == 0  ? KIND_FLOOR
                                            : KIND_POOL;
    if (!chosen || threads < 1 || threads > 256)
        return 2;
    pwise_set_reclaim(PWISE_MANUAL, 0);
    struct pwise_options options = {.name = "bench",
                                    .item_size = chosen->has_items ? ITEM_BYTES : 0};
    if (chosen->body == go_expensive)
        options.create = expensive_create;
    shared_pool = pwise_pool_create(&options);
    body = chosen->body;
    double best = 0;
    for (int run = 0; run < chosen->runs; run++) {
        double took = chosen->whole ? chosen->whole(chosen->count) : run_threads(chosen->count);
        if (run == 0 || took < best)
            best = took;
        stalls_done = false;
    }
    if (chosen->body == go_expensive)
        fprintf(stderr, "drains/op %.3f creates/op %.1f\n",
                (double)drains / (double)((uint64_t)chosen->runs * chosen->count),
                (double)created / (double)((uint64_t)chosen->runs * chosen->count));
    printf("%.3f\n", best);
    return 0;
}
