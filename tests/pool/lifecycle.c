/* SPDX-License-Identifier: MIT */
/*
 * Property: P13 and P10 across threads and processes. Threads leave nothing behind, forked children
 * use every pool, cycles start by themselves in automatic mode and only there, no signal's
 * disposition changes, pools work in constructors and at exit, and the last put from any thread
 * frees a closed pool.
 */
#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "poolwise/pool.h"

/* ThreadSanitizer does not support threads in the child of a process that had several. */
#if defined(__SANITIZE_THREAD__)
#define THREADS_AFTER_FORK 0
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define THREADS_AFTER_FORK 0
#endif
#endif
#ifndef THREADS_AFTER_FORK
#define THREADS_AFTER_FORK 1
#endif

/* AddressSanitizer's allocator does not see to its own locks at a fork: where another thread, the
 * reclaimer among them, may be inside it, a child that allocates can wait for ever. */
#ifdef __SANITIZE_ADDRESS__
#define FORK_BESIDE_THREADS 0
#else
#define FORK_BESIDE_THREADS 1
#endif

static pwise_pool early = PWISE_POOL_INIT(.name = "early", .item_size = 32);
static struct sigaction dispositions[65];

__attribute__((constructor)) static void before_main(void)
{
    for (int i = 1; i < 65; i++)
        sigaction(i, NULL, &dispositions[i]);
    void *item = pwise_get(&early);
    CHECK_PTR(item, !=, NULL);
    pwise_put(&early, item);
}

__attribute__((destructor)) static void after_main(void)
{
    void *item = pwise_get(&early);
    CHECK_PTR(item, !=, NULL);
    pwise_put(&early, item);
}

static int count_tasks(void)
{
    int count = 0;
    DIR *tasks = opendir("/proc/self/task");
    CHECK_PTR(tasks, !=, NULL);
    for (struct dirent *entry; (entry = readdir(tasks));)
        count += entry->d_name[0] != '.';
    closedir(tasks);
    return count;
}

static int
    own_tasks; /* before any pool has been used in automatic mode; a checker may have its own */

/* A thread that was joined may still be listed until the kernel has buried it: join waits for its
 * identifier to be cleared, which comes earlier. */
static void check_tasks(int expected)
{
    for (int i = 0; i < 6000 && count_tasks() != expected; i++)
        usleep(10000);
    CHECK_INT(count_tasks(), ==, expected);
}

static struct pwise_stats stats_of(const pwise_pool *pool)
{
    struct pwise_stats stats = {.size = sizeof(stats)};
    CHECK_INT(pwise_pool_stats(pool, &stats), ==, 0);
    return stats;
}

static void *use(void *pool)
{
    void *items[100];
    for (int i = 0; i < 100; i++)
        items[i] = pwise_get(pool);
    for (int i = 0; i < 100; i++)
        pwise_put(pool, items[i]);
    return NULL;
}

/* Idle items after N threads are those of the CPUs, not of the threads. */
static void threads_leave_nothing(void)
{
    struct pwise_options options = {.item_size = 64, .per_cpu_items = 100};
    pwise_pool *pool = pwise_pool_create(&options);
    for (int i = 0; i < 200; i++) {
        pthread_t thread;
        CHECK_INT(pthread_create(&thread, NULL, use, pool), ==, 0);
        pthread_join(thread, NULL);
    }
    long cpus = sysconf(_SC_NPROCESSORS_CONF);
    CHECK_INT(stats_of(pool).idle_items, <=, 100 * (cpus + 1));
    CHECK_INT(stats_of(pool).gets, ==, 200 * 100);
    pwise_pool_destroy(pool);
}

static _Atomic int stop;

static void *keep_using(void *pool)
{
    while (!atomic_load(&stop)) {
        use(pool);
        pwise_reclaim();
    }
    return NULL;
}

static void forked_children_use_pools(void)
{
    struct pwise_options options = {.item_size = 64, .per_cpu_items = 10};
    pwise_pool *pool = pwise_pool_create(&options);
    pthread_t threads[3];
    atomic_store(&stop, 0);
    for (int i = 0; i < 3; i++)
        CHECK_INT(pthread_create(&threads[i], NULL, keep_using, pool), ==, 0);
    for (int i = 0; i < 50; i++) {
        pid_t child = fork();
        CHECK_INT(child, >=, 0);
        if (child == 0) {
            alarm(60);
            for (int k = 0; k < 20; k++) {
                use(pool);
                pwise_reclaim();
            }
            if (THREADS_AFTER_FORK) {
                pthread_t thread;
                CHECK_INT(pthread_create(&thread, NULL, use, pool), ==, 0);
                pthread_join(thread, NULL);
            }
            pwise_trim();
            CHECK_INT(stats_of(pool).idle_items, ==, 0);
            _exit(7);
        }
        int status;
        CHECK_INT(waitpid(child, &status, 0), ==, child);
        CHECK_INT(status, ==, 7 << 8);
    }
    atomic_store(&stop, 1);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    pwise_pool_destroy(pool);
}

/* Whether all that was made is gone. A cycle in progress has items in hand, which then count as neither
 * idle nor destroyed: none idle says nothing by itself. */
static bool all_gone(const pwise_pool *pool)
{
    struct pwise_stats stats = stats_of(pool);
    return stats.idle_items == 0 && stats.creates == stats.destroys_reclaim + stats.destroys_bound +
                                                         stats.destroys_pressure +
                                                         stats.destroys_oversize;
}

/* Waits for what the reclaimer brings about, at most for a minute. */
static void wait_for_no_idle(const pwise_pool *pool)
{
    for (int i = 0; i < 6000 && !all_gone(pool); i++)
        usleep(10000);
    CHECK_INT(all_gone(pool), ==, 1);
    CHECK_INT(stats_of(pool).idle_items, ==, 0);
}

static void cycles_start_by_themselves(void)
{
    struct pwise_options options = {.item_size = 64};
    CHECK_INT(pwise_set_reclaim(PWISE_MANUAL, 0), ==, 0);
    pwise_pool *pool = pwise_pool_create(&options);
    use(pool);
    check_tasks(own_tasks);
    CHECK_INT(pwise_set_reclaim(PWISE_AUTOMATIC, 10), ==, 0);
    wait_for_no_idle(pool);
    check_tasks(own_tasks + 1);
    for (int i = 0; i < 5; i++) { /* it sleeps between, and is woken */
        use(pool);
        wait_for_no_idle(pool);
    }
    if (FORK_BESIDE_THREADS) {
        pid_t child = fork();
        CHECK_INT(child, >=, 0);
        if (child == 0) {
            alarm(60);
            if (THREADS_AFTER_FORK) {
                use(pool); /* starts the child's own */
                wait_for_no_idle(pool);
                check_tasks(own_tasks + 1);
            }
            _exit(7);
        }
        int status;
        CHECK_INT(waitpid(child, &status, 0), ==, child);
        CHECK_INT(status, ==, 7 << 8);
    }
    CHECK_INT(pwise_set_reclaim(PWISE_MANUAL, 0), ==, 0);
    check_tasks(own_tasks);
    use(pool);
    check_tasks(own_tasks);
    CHECK_INT(stats_of(pool).idle_items, ==, 100);
    pwise_pool_destroy(pool);
}

/* How often the reclaimer has gone to sleep, -1 where there is none. */
static long reclaimer_waits(void)
{
    long waits = -1;
    DIR *tasks = opendir("/proc/self/task");
    CHECK_PTR(tasks, !=, NULL);
    for (struct dirent *entry; (entry = readdir(tasks));) {
        char path[300], line[200];
        bool ours = false;
        snprintf(path, sizeof(path), "/proc/self/task/%s/status", entry->d_name);
        FILE *status = entry->d_name[0] == '.' ? NULL : fopen(path, "r");
        while (status && fgets(line, sizeof(line), status)) {
            if (strncmp(line, "Name:", 5) == 0)
                ours = strstr(line, "poolwise\n") != NULL;
            if (ours)
                sscanf(line, "voluntary_ctxt_switches: %ld", &waits);
        }
        if (status)
            fclose(status);
    }
    closedir(tasks);
    return waits;
}

/* Nothing idle: the reclaimer does not wake, though its interval is 10 ms. */
static void sleeps_while_pools_are_empty(void)
{
    struct pwise_options options = {.item_size = 64};
    CHECK_INT(pwise_set_reclaim(PWISE_AUTOMATIC, 10), ==, 0);
    pwise_pool *pool = pwise_pool_create(&options);
    use(pool);
    wait_for_no_idle(pool);
    /* One that woke at its interval would do so 100 times a second. The kernel itself wakes all who
     * watch a control group's pressure when one of them ends, to no effect here: a few times a
     * second while other programs with a reclaimer come and go. */
    long before, waits = reclaimer_waits();
    CHECK_INT(waits, >=, 0);
    int windows = 0;
    do {
        before = waits;
        usleep(1000000);
        waits = reclaimer_waits();
    } while (waits - before > 10 && ++windows < 60);
    CHECK_INT(waits - before, <=, 10);
    CHECK_INT(pwise_set_reclaim(PWISE_MANUAL, 0), ==, 0);
    pwise_pool_destroy(pool);
}

/* What a forked child inherits ages there too, once it has used it; no new magazine is needed for
 * that. And a pool whose items only move within a CPU's cache wakes a sleeping reclaimer. */
static void inherited_items_age(void)
{
    struct pwise_options options = {.item_size = 64};
    pwise_pool *pool = pwise_pool_create(&options);
    CHECK_INT(pwise_set_reclaim(PWISE_AUTOMATIC, 500), ==, 0);
    use(pool);
    for (int cycles = 0; cycles < 2; cycles++) {
        pid_t child = fork();
        CHECK_INT(child, >=, 0);
        if (child == 0) {
            alarm(60);
            if (THREADS_AFTER_FORK) {
                use(pool);
                wait_for_no_idle(pool);
            }
            _exit(7);
        }
        int status;
        CHECK_INT(waitpid(child, &status, 0), ==, child);
        CHECK_INT(status, ==, 7 << 8);
        use(pool);
        pwise_reclaim(); /* the second child inherits victims */
    }
    CHECK_INT(pwise_set_reclaim(PWISE_MANUAL, 0), ==, 0);
    pwise_pool_destroy(pool);
}

/* Much that becomes idle starts a cycle long before the timer does: also where it has grown by then
 * without a thread that could have been told. Two pools take turns: what the one leaves idle is not
 * used again until the growth of the other has started another cycle. */
static void growth_starts_a_cycle(void)
{
    enum { ITEMS = 3000 };
    static void *items[ITEMS];
    struct pwise_options options = {.item_size = 16384};
    CHECK_INT(pwise_set_reclaim(PWISE_MANUAL, 0), ==, 0);
    pwise_pool *pools[2] = {pwise_pool_create(&options), pwise_pool_create(&options)};
    for (int round = 0; round < 400; round++) {
        pwise_pool *pool = pools[round % 2];
        for (int i = 0; i < ITEMS; i++)
            items[i] = pwise_get(pool);
        pwise_put_bulk(pool, items, ITEMS);
        if (round == 0) {
            pwise_trim();
            CHECK_INT(pwise_set_reclaim(PWISE_AUTOMATIC, 3600 * 1000), ==, 0);
        }
        usleep(20000);
        if (stats_of(pools[0]).destroys_reclaim + stats_of(pools[1]).destroys_reclaim > ITEMS)
            break;
    }
    CHECK_INT(stats_of(pools[0]).destroys_reclaim + stats_of(pools[1]).destroys_reclaim, >, ITEMS);
    CHECK_INT(pwise_set_reclaim(PWISE_MANUAL, 0), ==, 0);
    pwise_pool_destroy(pools[0]);
    pwise_pool_destroy(pools[1]);
}

static _Atomic int destroyed;

static void count_destroy(void *item, void *context)
{
    atomic_fetch_add(&destroyed, 1);
    free(item);
}

static void *plain_create(void *context)
{
    return malloc(64);
}

static void *put_back(void *argument)
{
    void **load = argument;
    for (int i = 1; i <= 50; i++)
        pwise_put(load[0], load[i]);
    return NULL;
}

/* P9, P10: many threads put while the pool is destroyed. */
static void closed_under_load(void)
{
    for (int round = 0; round < 400; round++) {
        struct pwise_options options = {
            .create = plain_create, .destroy = count_destroy, .per_cpu_items = 8};
        atomic_store(&destroyed, 0);
        pwise_pool *pool = pwise_pool_create(&options);
        void *loads[4][51];
        pthread_t threads[4];
        for (int i = 0; i < 4; i++) {
            loads[i][0] = pool;
            for (int k = 1; k <= 50; k++)
                loads[i][k] = pwise_get(pool);
        }
        for (int i = 0; i < 4; i++)
            CHECK_INT(pthread_create(&threads[i], NULL, put_back, loads[i]), ==, 0);
        if (round % 2)
            pwise_reclaim();
        pwise_pool_destroy(pool);
        if (round % 3)
            pwise_trim();
        for (int i = 0; i < 4; i++)
            pthread_join(threads[i], NULL);
        CHECK_INT(atomic_load(&destroyed), ==, 200);
    }
}

static void dispositions_are_as_before(void)
{
    for (int i = 1; i < 65; i++) {
        struct sigaction now;
        if (sigaction(i, NULL, &now) == 0)
            CHECK_INT((intptr_t)now.sa_handler, ==, (intptr_t)dispositions[i].sa_handler);
    }
}

int main(void)
{
    CHECK_INT(pwise_set_reclaim(PWISE_MANUAL, 0), ==, 0);
    own_tasks = count_tasks();
    threads_leave_nothing();
    if (FORK_BESIDE_THREADS)
        forked_children_use_pools();
    closed_under_load();
    cycles_start_by_themselves();
    sleeps_while_pools_are_empty();
    if (FORK_BESIDE_THREADS)
        inherited_items_age();
    growth_starts_a_cycle();
    dispositions_are_as_before();
    return 0;
}
