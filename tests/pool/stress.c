/* SPDX-License-Identifier: MIT */
/*
 * Property: conservation. Every item has at most one holder at any time, every item that is made is
 * destroyed once, and none is lost: at the end, made = destroyed and the pool is empty. Beside the
 * workers run reclaim and trim, affinity changes, a signal storm, threads that come and go, and,
 * where the library is built with them, delays at its injection points.
 *
 *     pool-stress [million operations [threads [seed]]]
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "poolwise/pool.h"
#ifdef PWISE_INJECT
#include "inject.h"
#endif

#define HELD_MAX 64

enum { FREE = 0x46524545, HELD = 0x48454c44, DEAD = 0x44454144 };

struct item {
    _Atomic uint32_t
        state;      /* FREE while pooled, HELD while out: changed by whoever gets or puts it */
    uint32_t owner; /* plain: the pool's ordering must protect it (P6) */
    uint64_t payload[5];
};

static pwise_pool *pool;
static _Atomic uint64_t created, destroyed, operations;
static _Atomic bool done;
static uint64_t target;
static uint32_t base_seed = 1;

static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

static void *item_create(void *context)
{
    struct item *item = calloc(1, sizeof(*item));
    if (!item)
        return NULL;
    atomic_store_explicit(&item->state, FREE, memory_order_relaxed);
    atomic_fetch_add_explicit(&created, 1, memory_order_relaxed);
    return item;
}

static void item_destroy(void *argument, void *context)
{
    struct item *item = argument;
    uint32_t state = atomic_exchange_explicit(&item->state, DEAD, memory_order_relaxed);
    CHECK_INT(state, ==, FREE);
    atomic_fetch_add_explicit(&destroyed, 1, memory_order_relaxed);
    free(item);
}

static void got(struct item *item, uint32_t owner)
{
    uint32_t state = atomic_exchange_explicit(&item->state, HELD, memory_order_relaxed);
    CHECK_INT(state, ==, FREE);
    for (int i = 1; i < 5; i++)
        CHECK_INT(item->payload[i], ==, item->payload[0]);
    item->owner = owner;
    for (int i = 0; i < 5; i++)
        item->payload[i] = owner;
}

static void putting(struct item *item, uint32_t owner)
{
    CHECK_INT(item->owner, ==, owner);
    for (int i = 0; i < 5; i++)
        CHECK_INT(item->payload[i], ==, owner);
    uint32_t state = atomic_exchange_explicit(&item->state, FREE, memory_order_relaxed);
    CHECK_INT(state, ==, HELD);
}

static void *work(void *argument)
{
    uint32_t owner = (uint32_t)(uintptr_t)argument, seed = owner * 2654435761u + base_seed;
    struct item *held[HELD_MAX];
    size_t count = 0;
    while (!atomic_load_explicit(&done, memory_order_relaxed)) {
        for (int step = 0; step < 256; step++) {
            uint32_t dice = next_random(&seed);
            size_t burst = dice >> 16 & 15;
            if (dice % 64 == 0 && count + 8 + burst < HELD_MAX) {
                size_t more = pwise_get_bulk(pool, (void **)held + count, 8 + burst);
                for (size_t i = 0; i < more; i++)
                    got(held[count + i], owner);
                count += more;
            } else if (dice % 64 == 1 && count >= 8) {
                size_t fewer = 8 + burst < count ? 8 + burst : count;
                for (size_t i = 0; i < fewer; i++)
                    putting(held[count - 1 - i], owner);
                count -= fewer;
                pwise_put_bulk(pool, (void **)held + count, fewer);
            } else if (count < HELD_MAX && (count == 0 || dice & 4)) {
                struct item *item = pwise_get(pool);
                CHECK_PTR(item, !=, NULL);
                got(item, owner);
                held[count++] = item;
            } else {
                putting(held[--count], owner);
                pwise_put(pool, held[count]);
            }
        }
        if (atomic_fetch_add_explicit(&operations, 256, memory_order_relaxed) >= target)
            break;
    }
    while (count) {
        putting(held[--count], owner);
        pwise_put(pool, held[count]);
    }
    return NULL;
}

/* Takes from the pool on one CPU and gives back on another through a mailbox. */
static _Atomic(struct item *) mailbox[32];

static void *ferry(void *argument)
{
    uint32_t owner = (uint32_t)(uintptr_t)argument, seed = owner + base_seed;
    while (!atomic_load_explicit(&done, memory_order_relaxed)) {
        for (int step = 0; step < 64; step++) {
            struct item *mine = pwise_get(pool);
            CHECK_PTR(mine, !=, NULL);
            got(mine, owner);
            putting(mine, owner);
            atomic_store_explicit(&mine->state, HELD, memory_order_relaxed);
            struct item *other = atomic_exchange(&mailbox[next_random(&seed) % 32], mine);
            if (other) {
                uint32_t state = atomic_exchange(&other->state, FREE);
                CHECK_INT(state, ==, HELD);
                pwise_put(pool, other);
            }
        }
        atomic_fetch_add_explicit(&operations, 128, memory_order_relaxed);
    }
    return NULL;
}

static void *reclaim(void *argument)
{
    uint32_t seed = base_seed;
    while (!atomic_load_explicit(&done, memory_order_relaxed)) {
        uint32_t dice = next_random(&seed);
        if (dice % 8 == 0)
            pwise_trim();
        else
            pwise_reclaim();
        struct pwise_stats stats = {.size = sizeof(stats)};
        CHECK_INT(pwise_pool_stats(pool, &stats), ==, 0);
        CHECK_INT(stats.hits, <=, stats.gets);
        usleep(dice % 512);
    }
    return NULL;
}

static void *churn(void *argument)
{
    while (!atomic_load_explicit(&done, memory_order_relaxed)) {
        pthread_t thread;
        struct item *item = pwise_get(pool);
        CHECK_PTR(item, !=, NULL);
        got(item, 77);
        putting(item, 77);
        pwise_put(pool, item);
        if (pthread_create(&thread, NULL, argument ? churn : ferry, NULL) != 0)
            return NULL;
        if (argument) {
            pthread_join(thread, NULL);
            return NULL;
        }
        pthread_join(thread, NULL);
    }
    return NULL;
}

static _Atomic uint64_t signals;

static void on_signal(int number)
{
    atomic_fetch_add_explicit(&signals, 1, memory_order_relaxed);
}

static pthread_t victims[256];
static int victim_count;

static void *storm(void *argument)
{
    uint32_t seed = base_seed + 17;
    cpu_set_t all;
    sched_getaffinity(0, sizeof(all), &all);
    int cpus = CPU_COUNT(&all);
    while (!atomic_load_explicit(&done, memory_order_relaxed)) {
        uint32_t dice = next_random(&seed);
        pthread_t victim = victims[dice % (uint32_t)victim_count];
        pthread_kill(victim, SIGUSR1);
        if (dice >> 8 & 1) {
            cpu_set_t one;
            CPU_ZERO(&one);
            CPU_SET((dice >> 16) % (uint32_t)cpus, &one);
            pthread_setaffinity_np(victim, sizeof(one), dice >> 9 & 1 ? &one : &all);
        }
        struct timespec pause = {.tv_nsec = 1000 + dice % 50000};
        nanosleep(&pause, NULL);
    }
    return NULL;
}

#ifdef PWISE_INJECT
static int swept_point, swept_kind;

static void inject(int point)
{
    static __thread uint32_t seed;
    if (point != swept_point)
        return;
    if (seed == 0)
        seed = (uint32_t)(uintptr_t)&seed | 1;
    uint32_t dice = next_random(&seed);
    if (dice % 16 != 0)
        return;
    switch (swept_kind) {
    case 0:
        for (volatile uint32_t i = 0; i < dice >> 20; i++)
            continue;
        break;
    case 1:
        sched_yield();
        break;
    case 2:
        pthread_kill(pthread_self(), SIGUSR1);
        break;
    default:
        usleep(dice >> 26);
        break;
    }
}
#endif

static void round_of(uint64_t round_operations, int threads, struct pwise_options options)
{
    pthread_t helpers[4];
    atomic_store(&done, false);
    atomic_store(&operations, 0);
    atomic_store(&created, 0);
    atomic_store(&destroyed, 0);
    target = round_operations;
    options.name = "stress";
    options.create = item_create;
    options.destroy = item_destroy;
    options.item_size = sizeof(struct item);
    pool = pwise_pool_create(&options);
    CHECK_PTR(pool, !=, NULL);
    victim_count = threads;
    for (int i = 0; i < threads; i++)
        CHECK_INT(pthread_create(&victims[i], NULL, work, (void *)(uintptr_t)(i + 1)), ==, 0);
    CHECK_INT(pthread_create(&helpers[0], NULL, reclaim, NULL), ==, 0);
    CHECK_INT(pthread_create(&helpers[1], NULL, storm, NULL), ==, 0);
    CHECK_INT(pthread_create(&helpers[2], NULL, ferry, (void *)(uintptr_t)1000), ==, 0);
    CHECK_INT(pthread_create(&helpers[3], NULL, churn, (void *)1), ==, 0);
    while (atomic_load(&operations) < target)
        usleep(1000);
    atomic_store(&done, true);
    /* The storm first: it signals the workers. */
    pthread_join(helpers[1], NULL);
    for (int i = 0; i < threads; i++)
        pthread_join(victims[i], NULL);
    pthread_join(helpers[0], NULL);
    pthread_join(helpers[2], NULL);
    pthread_join(helpers[3], NULL);
    for (int i = 0; i < 32; i++) {
        struct item *item = atomic_exchange(&mailbox[i], NULL);
        if (item) {
            atomic_store(&item->state, FREE);
            pwise_put(pool, item);
        }
    }
    struct pwise_stats stats = {.size = sizeof(stats)};
    CHECK_INT(pwise_pool_stats(pool, &stats), ==, 0);
    CHECK_INT(stats.creates, ==, atomic_load(&created));
    CHECK_INT(stats.gets, ==, stats.puts);
    CHECK_INT(stats.gets, ==, stats.hits + stats.creates);
    CHECK_INT(stats.idle_items, ==, atomic_load(&created) - atomic_load(&destroyed));
    pwise_pool_destroy(pool);
    CHECK_INT(atomic_load(&created), ==, atomic_load(&destroyed));
    printf("%s: %ju gets, %ju creates, %ju steals, %ju signals\n", pwise_backend(),
           (uintmax_t)stats.gets, (uintmax_t)stats.creates, (uintmax_t)stats.steals,
           (uintmax_t)atomic_load(&signals));
}

int main(int argc, char **argv)
{
    uint64_t million = argc > 1 ? strtoull(argv[1], NULL, 10) : 40;
    int threads = argc > 2 ? atoi(argv[2]) : 6;
    if (argc > 3)
        base_seed = (uint32_t)strtoul(argv[3], NULL, 10) | 1;
    CHECK_INT(threads, <=, 256);
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigaction(SIGUSR1, &action, NULL);
    pwise_set_reclaim(PWISE_MANUAL, 0);
#ifdef PWISE_INJECT
    inject_hook = inject;
    for (swept_point = 1; swept_point < INJECT_C_POINTS; swept_point++)
        for (swept_kind = 0; swept_kind < 4; swept_kind++)
            round_of(million * 10000, threads, (struct pwise_options){.per_cpu_items = 8});
    inject_hook = NULL;
    for (int point = 0; point < INJECT_SECTION_POINTS; point++)
        for (uint32_t spins = 100; spins <= 10000; spins *= 100) {
            inject_spins[point] = spins;
            round_of(million * 10000 / (spins / 100 > 1 ? 10 : 1), threads,
                     (struct pwise_options){.per_cpu_items = 8});
            inject_spins[point] = 0;
        }
#else
    static const unsigned per_cpu[] = {2, 16, 0};
    for (size_t i = 0; i < sizeof(per_cpu) / sizeof(per_cpu[0]); i++)
        round_of(million * 1000000 / 4, threads,
                 (struct pwise_options){.per_cpu_items = per_cpu[i]});
    round_of(
        million * 1000000 / 4, threads,
        (struct pwise_options){.per_cpu_items = 16, .max_idle_bytes = sizeof(struct item) * 40});
#endif
    return 0;
}
