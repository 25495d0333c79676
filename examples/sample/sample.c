/* SPDX-License-Identifier: MIT */
/*
 * sample: a small server without its sockets, written as one would write it on a working day, for
 * poolwise to look at.
 *
 *     sample [--threads N] [--requests N]
 *
 * It answers three kinds of requests, and each allocates in its own way:
 *
 *     /render  appends 200 lines of text to a buffer that doubles by realloc        (render.c)
 *     /event   makes a 16-byte record, hands it to a function and frees it          (event.c)
 *     /frame   makes a payload of about 1 KiB, rarely 1 MiB, that waits in a queue  (frame.c)
 *
 * The three look alike from outside: many allocations, most of them short-lived. What helps
 * differs. The output is the same whatever the number of threads.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sample.h"

#define MAX_THREADS 64

struct worker {
    pthread_t thread;
    uint64_t first, end; /* its requests: [first, end) */
    struct totals totals;
    int error;
};

uint64_t hash_bytes(const void *bytes, size_t size)
{
    const unsigned char *byte = bytes;
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ byte[i]) * 1099511628211u;
    return hash;
}

static void *serve(void *argument)
{
    struct worker *worker = argument;
    struct frame_queue *queue = frame_queue_create();
    if (!queue)
        worker->error = -1;
    for (uint64_t id = worker->first; id < worker->end && worker->error == 0; id++) {
        if (id % 30 == 0)
            worker->error = render_page(id, &worker->totals);
        else if (id % 3 == 0)
            worker->error = record_event(id, &worker->totals);
        else
            worker->error = receive_frame(queue, id, &worker->totals);
        worker->totals.requests++;
    }
    if (queue)
        frame_queue_destroy(queue, &worker->totals);
    return NULL;
}

static int parse_count(const char *text, uint64_t low, uint64_t high, uint64_t *ret_count)
{
    char *end;
    errno = 0;
    unsigned long long count = strtoull(text, &end, 10);
    if (end == text || *end || *text == '-' || errno || count < low || count > high)
        return -1;
    *ret_count = count;
    return 0;
}

static int parse(int argc, char **argv, uint64_t *ret_threads, uint64_t *ret_requests)
{
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 == argc)
            return -1;
        if (strcmp(argv[i], "--threads") == 0) {
            if (parse_count(argv[i + 1], 1, MAX_THREADS, ret_threads) < 0)
                return -1;
        } else if (strcmp(argv[i], "--requests") == 0) {
            if (parse_count(argv[i + 1], 0, 1000000000, ret_requests) < 0)
                return -1;
        } else {
            return -1;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    static struct worker workers[MAX_THREADS];
    uint64_t threads = 1, requests = 9000000;
    if (parse(argc, argv, &threads, &requests) < 0) {
        fprintf(stderr, "usage: sample [--threads 1..%d] [--requests N]\n", MAX_THREADS);
        return 2;
    }

    for (uint64_t i = 0; i < threads; i++) {
        workers[i].first = requests * i / threads;
        workers[i].end = requests * (i + 1) / threads;
        if (i > 0 && pthread_create(&workers[i].thread, NULL, serve, &workers[i]) != 0) {
            fprintf(stderr, "sample: cannot start thread %" PRIu64 "\n", i);
            return 1;
        }
    }
    serve(&workers[0]);

    struct totals sum = {0};
    int error = workers[0].error;
    for (uint64_t i = 0; i < threads; i++) {
        if (i > 0)
            pthread_join(workers[i].thread, NULL);
        error |= workers[i].error;
        sum.requests += workers[i].totals.requests;
        sum.checksum += workers[i].totals.checksum;
        for (size_t source = 0; source < 16; source++)
            sum.by_source[source] += workers[i].totals.by_source[source];
    }
    if (error) {
        fprintf(stderr, "sample: out of memory\n");
        return 1;
    }
    printf("%" PRIu64 " requests, checksum %016" PRIx64 "\n", sum.requests,
           sum.checksum ^ hash_bytes(sum.by_source, sizeof sum.by_source));
    return 0;
}
