/* SPDX-License-Identifier: MIT */
#include "poolwise/report.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "poolwise/pool.h"

#define NAME_BYTES 48

struct row {
    char name[NAME_BYTES];
    struct pwise_stats stats;
};

struct rows {
    struct row *first;
    size_t count, room;
    int error;
};

/* What was destroyed, under the lock; grows to PAST_MOST rows, then the last one stands for more. */
#define PAST_MOST 1000
static pthread_mutex_t past_lock = PTHREAD_MUTEX_INITIALIZER;
static struct rows past;
static size_t past_left_out;
static const char *target;

static void add(struct rows *rows, const struct pwise_stats *stats)
{
    if (rows->count == rows->room) {
        size_t room = rows->room ? 2 * rows->room : 16;
        struct row *grown = realloc(rows->first, room * sizeof(*grown));
        if (!grown) {
            rows->error = -ENOMEM;
            return;
        }
        rows->first = grown;
        rows->room = room;
    }
    struct row *row = &rows->first[rows->count++];
    row->stats = *stats;
    snprintf(row->name, sizeof(row->name), "%s", stats->name ? stats->name : "pool");
    row->stats.name = NULL;
}

static int add_live(const pwise_pool *pool, const struct pwise_stats *stats, void *context)
{
    add(context, stats);
    return 0;
}

static void add_past(const pwise_pool *pool, const struct pwise_stats *stats, void *context)
{
    pthread_mutex_lock(&past_lock);
    if (past.count < PAST_MOST)
        add(&past, stats);
    else
        past_left_out++;
    pthread_mutex_unlock(&past_lock);
}

static int by_saved(const void *left, const void *right)
{
    const struct row *a = left, *b = right;
    if (a->stats.saved_ns != b->stats.saved_ns)
        return a->stats.saved_ns < b->stats.saved_ns ? 1 : -1;
    return strcmp(a->name, b->name);
}

static void format(FILE *out, const struct rows *rows, size_t left_out)
{
    fprintf(out, "poolwise: %zu pools of process %ld, %s\n", rows->count, (long)getpid(),
            pwise_backend());
    fprintf(out, "%-7s %-24s %12s %6s %12s %12s %12s  %s\n", "verdict", "pool", "gets", "hit %",
            "saved ms", "idle bytes", "byte-seconds", "why");
    for (size_t i = 0; i < rows->count; i++) {
        const struct pwise_stats *stats = &rows->first[i].stats;
        double hit = stats->gets ? 100.0 * (double)stats->hits / (double)stats->gets : 0;
        fprintf(out, "%-7s %-24s %12ju %6.1f %12.3f %12ju %12.4g  %s\n", stats->verdict,
                rows->first[i].name, (uintmax_t)stats->gets, hit, (double)stats->saved_ns / 1e6,
                (uintmax_t)stats->idle_bytes, stats->idle_byte_seconds, stats->reason);
    }
    if (left_out)
        fprintf(out, "and %zu more that were destroyed\n", left_out);
}

static int write_all(int fd, const char *text, size_t length)
{
    while (length != 0) {
        ssize_t written = write(fd, text, length);
        if (written < 0 && errno != EINTR)
            return -errno;
        if (written > 0) {
            text += written;
            length -= (size_t)written;
        }
    }
    return 0;
}

int pwise_report(int fd)
{
    struct rows rows = {NULL};
    pwise_each_pool(add_live, &rows);
    pthread_mutex_lock(&past_lock);
    for (size_t i = 0; i < past.count; i++) {
        struct pwise_stats stats = past.first[i].stats;
        stats.name = past.first[i].name;
        add(&rows, &stats);
    }
    size_t left_out = past_left_out;
    pthread_mutex_unlock(&past_lock);
    char *text = NULL;
    size_t length = 0;
    FILE *out = rows.error ? NULL : open_memstream(&text, &length);
    int result = -ENOMEM;
    if (out) {
        if (rows.count)
            qsort(rows.first, rows.count, sizeof(rows.first[0]), by_saved);
        format(out, &rows, left_out);
        if (fclose(out) == 0)
            result = write_all(fd, text, length);
        free(text);
    }
    free(rows.first);
    return result;
}

__attribute__((constructor)) static void at_load(void)
{
    target = secure_getenv("PWISE_REPORT");
    if (target && *target)
        pwise_on_destroy(add_past, NULL);
    else
        target = NULL;
}

__attribute__((destructor)) static void at_exit(void)
{
    if (!target)
        return;
    if (strcmp(target, "stderr") == 0) {
        pwise_report(STDERR_FILENO);
        return;
    }
    int fd = open(target, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    int result = fd < 0 ? -errno : pwise_report(fd);
    if (fd >= 0)
        close(fd);
    if (result != 0)
        fprintf(stderr, "poolwise: cannot write the report to %s: %s\n", target, strerror(-result));
}
