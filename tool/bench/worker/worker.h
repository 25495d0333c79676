/* SPDX-License-Identifier: MIT */
/*
 * One measurement in one process. The worker runs one case in one variant with some threads and
 * prints the rest of a line of Go's benchmark format: "N  1.23 ns/op  0 B/op ...".
 *
 *     case      what is done: a loop that every thread runs, or a measurement of its own
 *     variant   how the case gets its memory: malloc (whichever allocator is preloaded), pool, ...
 *     sample    one timed run of N operations over all threads; the line gives the samples' median
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "poolwise/pool.h"

#define WORKER_THREADS_MAX 256
#define WORKER_METRICS_MAX 8

/* A figure beside ns/op. */
struct worker_metric {
    const char *unit; /* as Go would name it: "p50-ns", "creates/op", "idle-B" */
    double value;
};

struct worker {
    const char *variant; /* as given on the command line */
    int threads;
    uint64_t count; /* operations of this sample, over all threads */
    uint64_t done;  /* operations of all samples so far, the present one included */
    struct worker_metric metrics[WORKER_METRICS_MAX];
    size_t metric_count;
};

struct worker_case {
    const char *name;
    const char *variants; /* space-separated; the first is what one would write without thinking */
    /* Makes what the case needs; the variant is one of `variants`. 0 or -errno. May be NULL. */
    int (*setup)(struct worker *worker);
    /* `count` operations by thread number `thread`; timed. Exclusive with `whole`. */
    void (*loop)(struct worker *worker, int thread, uint64_t count);
    /* Nanoseconds for worker->count operations over all threads, by its own clock. */
    double (*whole)(struct worker *worker);
    /* Adds metrics when all samples are done. May be NULL. */
    void (*finish)(struct worker *worker);
    uint64_t fixed_count; /* operations of a sample; 0: as many as fill the time of a sample */
    int fixed_samples;    /* 0: as asked for */
    bool two_threads;     /* needs at least two */
};

/* Cases, each file its own; ended by one without a name. */
extern const struct worker_case article_cases[];
extern const struct worker_case go_cases[];
extern const struct worker_case pattern_cases[];
extern const struct worker_case memory_cases[];

/* What the compiler cannot see through: the item counts as used. */
static inline void touch(void *item)
{
    *(volatile char *)item = 1;
}

static inline uint64_t random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

double now_ns(void);
void pin_to(int thread); /* thread n to the n-th CPU that the process may use, wrapping around */
void metric_add(struct worker *worker, const char *unit, double value);
bool variant_is(const struct worker *worker, const char *name);

/* Of the interposer, where it is preloaded: calls that gave memory and bytes asked for, by the
 * whole process. Both stay 0 without it. */
struct count_totals {
    uint64_t allocations, bytes;
};
struct count_totals count_read(void);
