/* SPDX-License-Identifier: MIT */
/*
 * torture handover|signals|churn THREADS ROUNDS: does what is hard to record exactly, and prints how many
 * calls it made with blocks of its own sizes: {"alloc": {size: count}, "realloc": {...}, "frees": count,
 * "processes": count}. The sizes are used by nothing else, and all in one class of the allocator, so that
 * an address freed by one thread is given out by the next call of any.
 *
 *   handover  threads exchange blocks through an array of atomic pointers, resize and free what others made,
 *             while the main thread forks children that do the same by themselves
 *   signals   one thread bombards the others with signals whose handler allocates, resizes and frees;
 *             needs an allocator that stands it
 *   churn     threads that live for a few calls; some blocks are freed by destructors at the thread's end
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>

#include "../programs/programs.h"

#define FIRST_SIZE  1001 /* 8 sizes, and 8 more that blocks are resized to */
#define SIZES       16
#define SLOTS       64
#define THREADS_MAX 64
#define CHILDREN    6
#define CHILD_CALLS 500

struct counts {
    uint64_t allocs[SIZES], reallocs[SIZES], frees;
};

static _Atomic(void *) slots[SLOTS];
static struct counts totals;
static pthread_mutex_t totals_mutex = PTHREAD_MUTEX_INITIALIZER;
static _Atomic uint64_t handled_allocs, handled_reallocs, handled_frees;
static _Atomic int running;
static int rounds;

static void counts_add(const struct counts *counts)
{
    pthread_mutex_lock(&totals_mutex);
    for (int i = 0; i < SIZES; i++) {
        totals.allocs[i] += counts->allocs[i];
        totals.reallocs[i] += counts->reallocs[i];
    }
    totals.frees += counts->frees;
    pthread_mutex_unlock(&totals_mutex);
}

static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    return *state ^= *state << 5;
}

static OWN_FRAME void *make(struct counts *counts, uint32_t random)
{
    unsigned size = random % 8;
    void *block = malloc(FIRST_SIZE + size);
    CHECK(block != NULL);
    counts->allocs[size]++;
    return block;
}

static OWN_FRAME void *resize(struct counts *counts, void *block, uint32_t random)
{
    unsigned size = 8 + random % 8;
    block = realloc(block, FIRST_SIZE + size);
    CHECK(block != NULL);
    counts->reallocs[size]++;
    return block;
}

static OWN_FRAME void drop(struct counts *counts, void *block)
{
    if (block != NULL)
        counts->frees++;
    free(block);
}

/* At one of several depths, so that there is more than one stack. */
static OWN_FRAME void exchange(struct counts *counts, uint32_t random, unsigned depth)
{
    if (depth > 0) {
        exchange(counts, random, depth - 1);
        KEEP(&depth);
        return;
    }
    void *block = make(counts, random >> 4);
    block = atomic_exchange(&slots[random % SLOTS], block);
    if (block != NULL && random & 0x100)
        block = atomic_exchange(&slots[(random >> 9) % SLOTS], resize(counts, block, random >> 16));
    drop(counts, block);
}

static void *exchanger(void *number)
{
    struct counts counts = {0};
    uint32_t random = 0x9e3779b9u * (uint32_t)((uintptr_t)number + 1);
    for (int i = 0; i < rounds; i++)
        exchange(&counts, next_random(&random), random >> 28);
    counts_add(&counts);
    atomic_fetch_sub(&running, 1);
    return NULL;
}

static void child_work(void)
{
    struct counts unused = {0};
    for (int i = 0; i < CHILD_CALLS; i++) {
        void *block = make(&unused, 0);
        block = resize(&unused, block, 0);
        drop(&unused, block);
    }
    _exit(0);
}

static void handover(pthread_t *threads, int count)
{
    for (int i = 0; i < count; i++)
        CHECK(pthread_create(&threads[i], NULL, exchanger, (void *)(uintptr_t)i) == 0);
    for (int i = 0; i < CHILDREN; i++) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0)
            child_work();
        int status;
        CHECK(waitpid(child, &status, 0) == child && status == 0);
    }
    for (int i = 0; i < count; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    struct counts counts = {.allocs[0] = CHILDREN * CHILD_CALLS, .reallocs[8] = CHILDREN * CHILD_CALLS,
                            .frees = CHILDREN * CHILD_CALLS};
    for (int i = 0; i < SLOTS; i++)
        drop(&counts, atomic_load(&slots[i]));
    counts_add(&counts);
}

static void on_signal(int number)
{
    void *block = malloc(FIRST_SIZE + 7);
    block = realloc(block, FIRST_SIZE + 15);
    free(block);
    atomic_fetch_add(&handled_allocs, 1);
    atomic_fetch_add(&handled_reallocs, 1);
    atomic_fetch_add(&handled_frees, 1);
}

static void signals(pthread_t *threads, int count)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0 && sigaction(SIGALRM, &action, NULL) == 0);
    atomic_store(&running, count);
    for (int i = 0; i < count; i++)
        CHECK(pthread_create(&threads[i], NULL, exchanger, (void *)(uintptr_t)i) == 0);
    for (unsigned i = 0; atomic_load(&running) == count; i++) {
        pthread_kill(threads[i % (unsigned)count], i % 2 ? SIGUSR1 : SIGALRM);
        for (unsigned pause = 0; pause < i % 16 * 1000; pause++) /* so that its thread gets on */
            __asm__ volatile("");
    }
    for (int i = 0; i < count; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    struct counts counts = {.allocs[7] = handled_allocs, .reallocs[15] = handled_reallocs, .frees = handled_frees};
    CHECK(handled_allocs > 0);
    for (int i = 0; i < SLOTS; i++)
        drop(&counts, atomic_load(&slots[i]));
    counts_add(&counts);
}

static pthread_key_t key;

static void *short_life(void *number)
{
    struct counts counts = {0};
    uint32_t random = 0x9e3779b9u * (uint32_t)((uintptr_t)number + 1);
    CHECK(pthread_setspecific(key, make(&counts, random)) == 0);
    counts.frees++; /* by the key's destructor, at the thread's end */
    exchange(&counts, next_random(&random), 2);
    counts_add(&counts);
    return NULL;
}

static void churn(pthread_t *threads, int count)
{
    CHECK(pthread_key_create(&key, free) == 0);
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < count; i++)
            CHECK(pthread_create(&threads[i], NULL, short_life, (void *)(uintptr_t)(round * count + i)) == 0);
        for (int i = 0; i < count; i++)
            CHECK(pthread_join(threads[i], NULL) == 0);
    }
    struct counts counts = {0};
    for (int i = 0; i < SLOTS; i++)
        drop(&counts, atomic_load(&slots[i]));
    counts_add(&counts);
}

static void print_counts(const char *name, const uint64_t *counts)
{
    SAY("\"%s\": {", name);
    const char *between = "";
    for (int i = 0; i < SIZES; i++) {
        if (counts[i] == 0)
            continue;
        SAY("%s\"%d\": %llu", between, FIRST_SIZE + i, (unsigned long long)counts[i]);
        between = ", ";
    }
    SAY("}, ");
}

int main(int argc, char **argv)
{
    CHECK(argc == 4);
    int count = atoi(argv[2]);
    rounds = atoi(argv[3]);
    CHECK(count > 0 && count <= THREADS_MAX && rounds > 0);
    pthread_t threads[THREADS_MAX];
    unsigned processes = 1;
    if (strcmp(argv[1], "handover") == 0) {
        handover(threads, count);
        processes += CHILDREN;
    } else if (strcmp(argv[1], "signals") == 0) {
        signals(threads, count);
    } else {
        CHECK(strcmp(argv[1], "churn") == 0);
        churn(threads, count);
    }
    SAY("{");
    print_counts("alloc", totals.allocs);
    print_counts("realloc", totals.reallocs);
    SAY("\"frees\": %llu, \"processes\": %u}\n", (unsigned long long)totals.frees, processes);
    return 0;
}
