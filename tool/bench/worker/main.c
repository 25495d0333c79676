/* SPDX-License-Identifier: MIT */
/*
 *     bench-worker --list
 *     bench-worker CASE VARIANT THREADS [--sample-ms MS] [--samples N] [--count N]
 *
 * --count N runs N operations, once, without a warm-up, and gives B/op and allocs/op where the
 * interposer is preloaded; it is also what `poolwise advise` is shown.
 */
#include "worker.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COUNT_MAX   (UINT64_C(1) << 40)
#define SAMPLES_MAX 1000

static const struct worker_case *chosen;
static struct worker worker;
static pthread_barrier_t start_line, end_line;
static double started_ns[WORKER_THREADS_MAX], ended_ns[WORKER_THREADS_MAX];

double now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

void pin_to(int thread)
{
    static cpu_set_t allowed;
    static int allowed_count;
    if (!allowed_count) {
        sched_getaffinity(0, sizeof allowed, &allowed);
        allowed_count = CPU_COUNT(&allowed);
    }
    int skip = thread % allowed_count;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &allowed) || skip-- > 0)
            continue;
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        sched_setaffinity(0, sizeof one, &one);
        return;
    }
}

void metric_add(struct worker *to, const char *unit, double value)
{
    if (to->metric_count < WORKER_METRICS_MAX)
        to->metrics[to->metric_count++] = (struct worker_metric){unit, value};
}

bool variant_is(const struct worker *of, const char *name)
{
    return !strcmp(of->variant, name);
}

__attribute__((weak)) void poolwise_bench_counts(uint64_t *ret_allocations, uint64_t *ret_bytes);

struct count_totals count_read(void)
{
    struct count_totals totals = {0, 0};
    if (poolwise_bench_counts)
        poolwise_bench_counts(&totals.allocations, &totals.bytes);
    return totals;
}

/* Thread n does its share of worker.count, sample after sample, until the count is 0. */
static void *thread_main(void *argument)
{
    int thread = (int)(intptr_t)argument;
    /* More threads than CPUs are the scheduler's to place. */
    cpu_set_t allowed;
    sched_getaffinity(0, sizeof allowed, &allowed);
    if (worker.threads <= CPU_COUNT(&allowed))
        pin_to(thread);
    for (;;) {
        pthread_barrier_wait(&start_line);
        uint64_t count = worker.count / (uint64_t)worker.threads;
        if (!worker.count)
            return NULL;
        started_ns[thread] = now_ns();
        chosen->loop(&worker, thread, count);
        ended_ns[thread] = now_ns();
        pthread_barrier_wait(&end_line);
    }
}

/* Nanoseconds from the first thread's start to the last one's end. */
static double sample_run(uint64_t count)
{
    uint64_t threads = (uint64_t)worker.threads;
    worker.count = chosen->whole ? count : (count + threads - 1) / threads * threads;
    worker.done += worker.count;
    if (chosen->whole)
        return chosen->whole(&worker);
    pthread_barrier_wait(&start_line);
    pthread_barrier_wait(&end_line);
    double start = started_ns[0], end = ended_ns[0];
    for (int i = 1; i < worker.threads; i++) {
        start = started_ns[i] < start ? started_ns[i] : start;
        end = ended_ns[i] > end ? ended_ns[i] : end;
    }
    return end - start;
}

/* As many operations as fill a sample. Serves as the warm-up. */
static uint64_t count_choose(double sample_ns)
{
    if (chosen->fixed_count)
        return chosen->fixed_count;
    uint64_t count = (uint64_t)worker.threads;
    for (;;) {
        double took_ns = sample_run(count);
        for (int again = 0; again < 2 && took_ns >= sample_ns / 2; again++) {
            double repeated_ns = sample_run(count); /* or was it only disturbed? */
            took_ns = repeated_ns < took_ns ? repeated_ns : took_ns;
        }
        if (took_ns >= sample_ns / 2 || count >= COUNT_MAX)
            return (uint64_t)((double)count * sample_ns / (took_ns > 1 ? took_ns : 1)) + 1;
        double factor = sample_ns / (took_ns > 1 ? took_ns : 1);
        count *= factor > 100 ? 100 : factor < 2 ? 2 : (uint64_t)factor;
    }
}

static int by_value(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static void threads_start(pthread_t *ids)
{
    pthread_barrier_init(&start_line, NULL, (unsigned)worker.threads + 1);
    pthread_barrier_init(&end_line, NULL, (unsigned)worker.threads + 1);
    for (int i = 0; i < worker.threads; i++) {
        if (pthread_create(&ids[i], NULL, thread_main, (void *)(intptr_t)i)) {
            fprintf(stderr, "bench-worker: cannot start thread %d\n", i);
            exit(1);
        }
    }
}

static void threads_end(pthread_t *ids)
{
    worker.count = 0;
    pthread_barrier_wait(&start_line);
    for (int i = 0; i < worker.threads; i++)
        pthread_join(ids[i], NULL);
}

static void measure(double sample_ms, int samples, uint64_t count)
{
    static double took_ns[SAMPLES_MAX];
    static pthread_t ids[WORKER_THREADS_MAX];
    bool counting = count != 0;
    if (!chosen->whole)
        threads_start(ids);
    else if (worker.threads == 1)
        pin_to(0);
    if (counting)
        samples = 1;
    else
        count = count_choose(sample_ms * 1e6);
    if (chosen->fixed_samples && !counting)
        samples = chosen->fixed_samples;
    struct count_totals before = count_read();
    for (int i = 0; i < samples; i++)
        took_ns[i] = sample_run(count);
    struct count_totals after = count_read();
    count = worker.count;
    qsort(took_ns, (size_t)samples, sizeof *took_ns, by_value);
    double middle =
        samples % 2 ? took_ns[samples / 2] : (took_ns[samples / 2 - 1] + took_ns[samples / 2]) / 2;
    if (chosen->finish)
        chosen->finish(&worker);
    if (!chosen->whole)
        threads_end(ids);
    printf("%llu\t%.4g ns/op", (unsigned long long)count, middle / (double)count);
    if (poolwise_bench_counts)
        printf("\t%.12g B/op\t%.12g allocs/op",
               (double)(after.bytes - before.bytes) / (double)count,
               (double)(after.allocations - before.allocations) / (double)count);
    for (size_t i = 0; i < worker.metric_count; i++)
        printf("\t%.6g %s", worker.metrics[i].value, worker.metrics[i].unit);
    putchar('\n');
}

static const struct worker_case *const groups[] = {article_cases, go_cases, pattern_cases,
                                                   memory_cases};

static const struct worker_case *case_find(const char *name)
{
    for (size_t group = 0; group < sizeof groups / sizeof *groups; group++)
        for (const struct worker_case *each = groups[group]; each->name; each++)
            if (!strcmp(each->name, name))
                return each;
    return NULL;
}

static void list(void)
{
    for (size_t group = 0; group < sizeof groups / sizeof *groups; group++)
        for (const struct worker_case *each = groups[group]; each->name; each++)
            printf("%s\t%s\n", each->name, each->variants);
}

static bool variant_known(const struct worker_case *of, const char *variant)
{
    size_t length = strlen(variant);
    for (const char *at = of->variants; length && (at = strstr(at, variant)); at += length)
        if ((at == of->variants || at[-1] == ' ') && (!at[length] || at[length] == ' '))
            return true;
    return false;
}

static bool number_read(const char *text, double low, double high, double *ret_value)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end || !(value >= low && value <= high))
        return false;
    *ret_value = value;
    return true;
}

int main(int argc, char **argv)
{
    double threads, sample_ms = 10, samples = 9, count = 0;
    if (argc == 2 && !strcmp(argv[1], "--list")) {
        list();
        return 0;
    }
    bool good = argc >= 4 && argc % 2 == 0 && (chosen = case_find(argv[1])) &&
                variant_known(chosen, argv[2]) &&
                number_read(argv[3], 1 + chosen->two_threads, WORKER_THREADS_MAX, &threads);
    for (int i = 4; good && i < argc; i += 2) {
        if (!strcmp(argv[i], "--sample-ms"))
            good = number_read(argv[i + 1], 0.001, 10000, &sample_ms);
        else if (!strcmp(argv[i], "--samples"))
            good = number_read(argv[i + 1], 1, SAMPLES_MAX, &samples);
        else if (!strcmp(argv[i], "--count"))
            good = number_read(argv[i + 1], 1, (double)COUNT_MAX, &count);
        else
            good = false;
    }
    if (!good) {
        fprintf(stderr, "usage: bench-worker --list\n       bench-worker CASE VARIANT THREADS "
                        "[--sample-ms MS] [--samples N] [--count N]\n");
        return 2;
    }
    worker.variant = argv[2];
    worker.threads = (int)threads;
    pwise_set_reclaim(PWISE_MANUAL, 0); /* cycles are part of a case, or absent */
    int status = chosen->setup ? chosen->setup(&worker) : 0;
    if (status) {
        fprintf(stderr, "bench-worker: %s %s: %s\n", chosen->name, argv[2], strerror(-status));
        return 1;
    }
    measure(sample_ms, (int)samples, (uint64_t)count);
    return 0;
}
