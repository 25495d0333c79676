/* SPDX-License-Identifier: MIT */
/*
 * Property: what Go's own tests of its pool ask for holds here: reuse before creation, two cycles
 * and gone, nothing kept that was taken out, each value once among many takers, misuse stops the
 * program.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "poolwise/pool.h"

static void pin_to_one_cpu(cpu_set_t *ret_before)
{
    sched_getaffinity(0, sizeof(*ret_before), ret_before);
    int cpu = 0;
    while (!CPU_ISSET(cpu, ret_before))
        cpu++;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    sched_setaffinity(0, sizeof(one), &one);
}

/* TestPool */
static void basic(void)
{
    static char a, b, c[100];
    cpu_set_t before;
    pin_to_one_cpu(&before);
    pwise_pool *pool = pwise_pool_create(NULL);
    CHECK_PTR(pwise_get(pool), ==, NULL);
    pwise_put(pool, &a);
    pwise_put(pool, &b);
    char *first = pwise_get(pool), *second = pwise_get(pool);
    CHECK_INT(first == &a || first == &b, ==, 1);
    CHECK_PTR(second, ==, first == &a ? &b : &a);
    CHECK_PTR(pwise_get(pool), ==, NULL);
    for (int i = 0; i < 100; i++)
        pwise_put(pool, &c[i]);
    pwise_reclaim();
    CHECK_PTR(pwise_get(pool), !=, NULL); /* one cycle keeps them */
    pwise_reclaim();
    CHECK_PTR(pwise_get(pool), ==, NULL); /* the second does not */
    pwise_pool_destroy(pool);
    sched_setaffinity(0, sizeof(before), &before);
}

struct serial {
    int next;
};

static void *serial_create(void *context)
{
    struct serial *serial = context;
    int *item = malloc(sizeof(*item));
    *item = ++serial->next;
    return item;
}

/* TestPoolNew */
static void fresh_only_on_a_miss(void)
{
    struct serial serial = {0};
    cpu_set_t before;
    pin_to_one_cpu(&before);
    struct pwise_options options = {.create = serial_create, .context = &serial};
    pwise_pool *pool = pwise_pool_create(&options);
    int *one = pwise_get(pool), *two = pwise_get(pool);
    CHECK_INT(*one, ==, 1);
    CHECK_INT(*two, ==, 2);
    *two = 42;
    pwise_put(pool, two);
    int *again = pwise_get(pool);
    CHECK_INT(*again, ==, 42);
    int *three = pwise_get(pool);
    CHECK_INT(*three, ==, 3);
    pwise_put(pool, one);
    pwise_put(pool, again);
    pwise_put(pool, three);
    pwise_pool_destroy(pool);
    sched_setaffinity(0, sizeof(before), &before);
}

static _Atomic int finalised;

static void finalise(void *item, void *context)
{
    atomic_fetch_add(&finalised, 1);
    free(item);
}

static void *plain_create(void *context)
{
    return malloc(100);
}

/* TestPoolGC and TestPoolRelease: drained, nothing is left to destroy; undrained, all of it is. */
static void released(bool drain)
{
    enum { N = 100 };
    struct pwise_options options = {.create = plain_create, .destroy = finalise};
    for (int round = 0; round < 3; round++) {
        atomic_store(&finalised, 0);
        pwise_pool *pool = pwise_pool_create(&options);
        void *items[N];
        for (int i = 0; i < N; i++)
            items[i] = pwise_get(pool);
        for (int i = 0; i < N; i++)
            pwise_put(pool, items[i]);
        if (drain)
            for (int i = 0; i < N; i++)
                items[i] = pwise_get(pool);
        for (int i = 0; i < 2; i++)
            pwise_reclaim();
        if (drain) {
            for (int i = 0; i < N; i++) {
                memset(items[i], i, 100); /* ours alone: a checker would see a destroyed one */
                pwise_put(pool, items[i]);
            }
            pwise_trim();
        }
        CHECK_INT(atomic_load(&finalised), >=, N);
        struct pwise_stats stats = {.size = sizeof(stats)};
        CHECK_INT(pwise_pool_stats(pool, &stats), ==, 0);
        CHECK_INT(stats.idle_items, ==, 0);
        CHECK_INT(stats.creates, ==, atomic_load(&finalised));
        pwise_pool_destroy(pool);
    }
}

static pwise_pool *shared;

static void *put_and_get(void *argument)
{
    static int zero;
    for (int i = 0; i < 200000; i++) {
        pwise_put(shared, &zero);
        int *got = pwise_get(shared);
        if (got)
            CHECK_PTR(got, ==, &zero);
    }
    return NULL;
}

/* TestPoolStress */
static void never_garbage(void)
{
    pthread_t threads[10];
    shared = pwise_pool_create(NULL);
    for (int i = 0; i < 10; i++)
        CHECK_INT(pthread_create(&threads[i], NULL, put_and_get, NULL), ==, 0);
    for (int i = 0; i < 10; i++)
        pthread_join(threads[i], NULL);
    pwise_pool_destroy(shared);
}

enum { VALUES = 500000 };
static _Atomic unsigned char seen[VALUES];
static _Atomic bool produced;

static bool take_one(void)
{
    _Atomic unsigned char *value = pwise_get(shared);
    if (!value)
        return false;
    CHECK_INT(atomic_fetch_add(value, 1), ==, 0);
    return true;
}

static void *thief(void *argument)
{
    int fails = 0;
    while (!atomic_load(&produced))
        if (!take_one() && ++fails % 100 == 0)
            sched_yield();
    return NULL;
}

/* TestPoolDequeue and TestPoolChain: 9 takers, one producer that takes every tenth time: each value
 * once. The chain's case is the growing one: the depot. */
static void each_value_once(unsigned per_cpu_items)
{
    pthread_t threads[9];
    /* No bound: when the takers lag behind, what is over it would be destroyed, rightly. */
    struct pwise_options options = {.per_cpu_items = per_cpu_items, .max_idle_bytes = PTRDIFF_MAX};
    shared = pwise_pool_create(&options);
    memset((void *)seen, 0, sizeof(seen));
    atomic_store(&produced, false);
    for (int i = 0; i < 9; i++)
        CHECK_INT(pthread_create(&threads[i], NULL, thief, NULL), ==, 0);
    int own = 0;
    for (int i = 0; i < VALUES; i++) {
        pwise_put(shared, (void *)&seen[i]);
        if (i % 10 == 0)
            own += take_one();
    }
    atomic_store(&produced, true);
    for (int i = 0; i < 9; i++)
        pthread_join(threads[i], NULL);
    CHECK_INT(own, >, 0);
    /* What other CPUs have loaded becomes the depot's in a cycle; from there one CPU gets it all.
     */
    cpu_set_t before;
    pin_to_one_cpu(&before);
    pwise_reclaim();
    while (take_one())
        continue;
    sched_setaffinity(0, sizeof(before), &before);
    for (int i = 0; i < VALUES; i++)
        CHECK_INT(atomic_load(&seen[i]), ==, 1);
    pwise_pool_destroy(shared);
}

/* TestNilPool: the line, and the signal. */
static void null_pool(bool put, const char *expected)
{
    int ends[2];
    CHECK_INT(pipe(ends), ==, 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        if (put)
            pwise_put(NULL, ends);
        else
            pwise_get(NULL);
        _exit(0);
    }
    close(ends[1]);
    char line[200] = "";
    CHECK_INT(read(ends[0], line, sizeof(line) - 1), >, 0);
    int status;
    CHECK_INT(waitpid(child, &status, 0), ==, child);
    CHECK_INT(WIFSIGNALED(status), ==, 1);
    CHECK_INT(WTERMSIG(status), ==, SIGABRT);
    if (strcmp(line, expected) != 0) {
        fprintf(stderr, "%s:%d: got \"%s\", expected \"%s\"\n", __FILE__, __LINE__, line, expected);
        abort();
    }
    close(ends[0]);
}

int main(void)
{
    pwise_set_reclaim(PWISE_MANUAL, 0);
    basic();
    fresh_only_on_a_miss();
    released(true);
    released(false);
    never_garbage();
    each_value_once(16);
    each_value_once(0);
    null_pool(false, "poolwise: pwise_get: the pool is NULL\n");
    null_pool(true, "poolwise: pwise_put: the pool is NULL\n");
    return 0;
}
