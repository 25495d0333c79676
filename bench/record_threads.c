/* SPDX-License-Identifier: MIT */
/*
 * record_threads THREADS PAIRS: each thread makes and frees PAIRS blocks at depths of 4, 12 and 28 frames, with
 * a little work in between. Prints its threads' CPU time in nanoseconds a pair, the least of several slices
 * over the depths' mean, so that a processor shared with the collector does not count; and wall time.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define DEPTHS      3
#define SLICES      20
#define THREADS_MAX 64

static int pairs;
static const int depths[DEPTHS] = {4, 12, 28};

static double seconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static __attribute__((noinline)) void slice(int count)
{
    uint32_t work = 1;
    for (int i = 0; i < count; i++) {
        void *block = malloc(64);
        __asm__ volatile("" : : "r"(block) : "memory");
        for (int step = 0; step < 10; step++)
            work = work * 1664525 + 1013904223;
        __asm__ volatile("" : : "r"(work));
        free(block);
    }
}

static __attribute__((noinline)) void descend(int depth, int count)
{
    if (depth == 0)
        slice(count);
    else
        descend(depth - 1, count);
    __asm__ volatile("");
}

static void *run(void *ret_ns)
{
    double sum = 0;
    for (int i = 0; i < DEPTHS; i++) {
        double least = 1e9;
        for (int j = 0; j < SLICES; j++) {
            double begin = seconds(CLOCK_THREAD_CPUTIME_ID);
            descend(depths[i], pairs / DEPTHS / SLICES);
            double took = seconds(CLOCK_THREAD_CPUTIME_ID) - begin;
            least = took < least ? took : least;
        }
        sum += least / (pairs / DEPTHS / SLICES) * 1e9;
    }
    *(double *)ret_ns = sum / DEPTHS;
    return NULL;
}

int main(int argc, char **argv)
{
    int count = argc > 1 ? atoi(argv[1]) : 1;
    pairs = argc > 2 ? atoi(argv[2]) : 1000000;
    if (count < 1 || count > THREADS_MAX || pairs < DEPTHS * SLICES) {
        fprintf(stderr, "usage: record_threads THREADS PAIRS\n");
        return 2;
    }
    pthread_t threads[THREADS_MAX];
    double ns[THREADS_MAX], sum = 0, begin = seconds(CLOCK_MONOTONIC);
    for (int i = 0; i < count; i++)
        if (pthread_create(&threads[i], NULL, run, &ns[i]))
            return 1;
    for (int i = 0; i < count; i++) {
        pthread_join(threads[i], NULL);
        sum += ns[i];
    }
    printf("%.2f %.3f\n", sum / count, seconds(CLOCK_MONOTONIC) - begin);
    return 0;
}
