/* SPDX-License-Identifier: MIT */
/*
 * What an event of a trace costs: CPU time of writing it, and of reading it back, on the stream of
 * a recording given (its first EVENTS events; they are held in memory while writing is timed).
 *
 *     trace_rate TRACE [EVENTS [RUNS]]
 *
 * Writing goes to /dev/null, compression included. Reading is of the whole TRACE, into a sink that
 * adds up the sizes. One core; the median of the runs is the figure, the spread is beside it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "reader.h"
#include "writer.h"

#define RUNS_MAX 99u

enum step_kind {
    STEP_PROCESS,
    STEP_MODULE,
    STEP_THREAD,
    STEP_NODES,
    STEP_EVENTS,
};

struct step {
    enum step_kind kind;
    size_t at, count; /* into the list of that kind */
};

struct list {
    char *data;
    size_t count, capacity;
};

struct stream {
    struct list steps, processes, modules, threads, nodes, events;
    size_t limit;
};

static void *list_add(struct list *list, const void *items, size_t count, size_t item_size)
{
    while (list->count + count > list->capacity) {
        list->capacity = list->capacity ? list->capacity * 2 : 4096;
        list->data = realloc(list->data, list->capacity * item_size);
        if (!list->data) {
            perror("realloc");
            exit(2);
        }
    }
    void *at = list->data + list->count * item_size;
    memcpy(at, items, count * item_size);
    list->count += count;
    return at;
}

static char *copy(const char *text)
{
    char *made = strdup(text);
    if (!made) {
        perror("strdup");
        exit(2);
    }
    return made;
}

static void step_add(struct stream *stream, enum step_kind kind, size_t at, size_t count)
{
    list_add(&stream->steps, &(struct step){kind, at, count}, 1, sizeof(struct step));
}

static int take_process(void *context, const struct trace_process *process)
{
    struct stream *stream = context;
    step_add(stream, STEP_PROCESS, stream->processes.count, 1);
    struct trace_process *kept = list_add(&stream->processes, process, 1, sizeof *process);
    kept->program = copy(process->program);
    return 0;
}

static int take_module(void *context, const struct trace_module *module)
{
    struct stream *stream = context;
    step_add(stream, STEP_MODULE, stream->modules.count, 1);
    struct trace_module *kept = list_add(&stream->modules, module, 1, sizeof *module);
    kept->path = copy(module->path);
    return 0;
}

static int take_thread(void *context, const struct trace_thread *thread)
{
    struct stream *stream = context;
    step_add(stream, STEP_THREAD, stream->threads.count, 1);
    list_add(&stream->threads, thread, 1, sizeof *thread);
    return 0;
}

static int take_nodes(void *context, const struct trace_node *nodes, size_t count)
{
    struct stream *stream = context;
    step_add(stream, STEP_NODES, stream->nodes.count, count);
    list_add(&stream->nodes, nodes, count, sizeof *nodes);
    return 0;
}

static int take_events(void *context, const struct trace_event *events, size_t count)
{
    struct stream *stream = context;
    size_t room = stream->limit - stream->events.count;
    if (count > room)
        count = room;
    if (count) {
        step_add(stream, STEP_EVENTS, stream->events.count, count);
        list_add(&stream->events, events, count, sizeof *events);
    }
    return 0;
}

static int add_sizes(void *context, const struct trace_event *events, size_t count)
{
    uint64_t *sum = context;
    for (size_t i = 0; i < count; i++)
        *sum += events[i].size;
    return 0;
}

static double cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int by_value(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static int push(const struct stream *stream, const struct trace_sink *sink)
{
    const struct step *steps = (const struct step *)stream->steps.data;
    int status = 0;
    for (size_t i = 0; i < stream->steps.count && !status; i++) {
        size_t at = steps[i].at;
        switch (steps[i].kind) {
        case STEP_PROCESS:
            status =
                sink->process(sink->context, (struct trace_process *)stream->processes.data + at);
            break;
        case STEP_MODULE:
            status = sink->module(sink->context, (struct trace_module *)stream->modules.data + at);
            break;
        case STEP_THREAD:
            status = sink->thread(sink->context, (struct trace_thread *)stream->threads.data + at);
            break;
        case STEP_NODES:
            status = sink->nodes(sink->context, (struct trace_node *)stream->nodes.data + at,
                                 steps[i].count);
            break;
        case STEP_EVENTS:
            status = sink->events(sink->context, (struct trace_event *)stream->events.data + at,
                                  steps[i].count);
            break;
        }
    }
    return status;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: trace_rate TRACE [EVENTS [RUNS]]\n");
        return 2;
    }
    struct stream stream = {.limit = argc > 2 ? strtoull(argv[2], NULL, 10) : 4000000};
    size_t runs = argc > 3 ? strtoull(argv[3], NULL, 10) : 5;
    if (!runs || runs > RUNS_MAX)
        runs = RUNS_MAX;
    struct trace_sink taker = {&stream,    take_process, take_module, take_thread,
                               take_nodes, take_events,  NULL};
    const struct trace_sink *sinks[] = {&taker};
    struct reader_result result;
    int status = reader_read(argv[1], 0, UINT64_MAX, sinks, 1, &result);
    if (status || !stream.events.count) {
        fprintf(stderr, "trace_rate: %s\n", result.message[0] ? result.message : "no events");
        return 2;
    }

    double times[RUNS_MAX];
    uint64_t bytes = 0;
    for (size_t run = 0; run < runs; run++) {
        struct writer *writer = writer_create("/dev/null", 0);
        if (!writer) {
            perror("/dev/null");
            return 2;
        }
        double start = cpu_ns();
        status = push(&stream, writer_sink(writer));
        if (!status)
            status = writer_sink(writer)->end(writer_sink(writer)->context, &(struct trace_end){0});
        times[run] = (cpu_ns() - start) / (double)stream.events.count;
        bytes = writer_bytes(writer);
        if (writer_close(writer) || status) {
            fprintf(stderr, "trace_rate: writing failed\n");
            return 2;
        }
    }
    qsort(times, runs, sizeof *times, by_value);
    printf("write: %.1f ns an event (%.1f to %.1f), %.2f bytes an event, %zu events\n",
           times[runs / 2], times[0], times[runs - 1], (double)bytes / (double)stream.events.count,
           stream.events.count);

    uint64_t sum = 0;
    struct trace_sink adder = {.context = &sum, .events = add_sizes};
    sinks[0] = &adder;
    for (size_t run = 0; run < runs; run++) {
        double start = cpu_ns();
        status = reader_read(argv[1], 0, UINT64_MAX, sinks, 1, &result);
        times[run] = (cpu_ns() - start) / (double)result.events;
        if (status) {
            fprintf(stderr, "trace_rate: %s\n", result.message);
            return 2;
        }
    }
    qsort(times, runs, sizeof *times, by_value);
    printf("read:  %.1f ns an event (%.1f to %.1f), %.1f M events/s, %" PRIu64 " events\n",
           times[runs / 2], times[0], times[runs - 1], 1e3 / times[runs / 2], result.events);
    return 0;
}
