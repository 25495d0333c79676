/* SPDX-License-Identifier: MIT */
#include "stream.h"

#include <stdlib.h>
#include <string.h>

#define PROCESSES 4u
#define THREADS   24u
#define MODULES   12u
#define NODES     600u

struct stream {
    uint64_t random;
    const struct trace_sink *const *sinks;
    size_t sink_count;
    int status;
    uint32_t processes, threads, modules, nodes;
    uint64_t now_ns, thread_ns[THREADS];
    uint32_t node_threads[NODES + 32]; /* by node */
    uint32_t *live, *unused;
    uint64_t *addresses;
    size_t live_count, unused_count;
    uint32_t block_count;
    struct trace_event *batch;
    size_t batch_count;
    struct trace_end end;
};

#define PUSH(stream, member, ...)                                                                  \
    do {                                                                                           \
        for (size_t sink = 0; sink < (stream)->sink_count && !(stream)->status; sink++)            \
            (stream)->status =                                                                     \
                (stream)->sinks[sink]->member((stream)->sinks[sink]->context, __VA_ARGS__);        \
    } while (0)

uint64_t stream_random(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t mixed = *state;
    mixed = (mixed ^ mixed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ mixed >> 31;
}

static uint32_t below(struct stream *stream, uint32_t limit)
{
    return (uint32_t)(stream_random(&stream->random) % limit);
}

static void process_make(struct stream *stream)
{
    struct trace_process process = {.id = stream->processes,
                                    .parent =
                                        stream->processes ? below(stream, stream->processes) : 0,
                                    .pid = (int32_t)below(stream, 4000000),
                                    .program = below(stream, 4) ? "/usr/bin/program" : ""};
    stream->processes++;
    PUSH(stream, process, &process);
}

static void module_make(struct stream *stream)
{
    static const uint32_t lengths[] = {0, 6, 40, 255, 4095, 4110, 65535};
    char *path = malloc(65536);
    if (!path)
        abort();
    uint32_t length = lengths[stream->modules % (sizeof lengths / sizeof *lengths)];
    for (uint32_t i = 0; i < length; i++)
        path[i] = (char)('a' + (i * 7 + stream->modules) % 26);
    path[length] = '\0';
    struct trace_module module = {.id = stream->modules,
                                  .process = below(stream, stream->processes),
                                  .bias = stream_random(&stream->random),
                                  .start = stream_random(&stream->random),
                                  .end = UINT64_MAX,
                                  .path = path,
                                  .build_id_size = below(stream, TRACE_BUILD_ID_MAX + 1)};
    for (uint32_t i = 0; i < module.build_id_size; i++)
        module.build_id[i] = (uint8_t)below(stream, 256);
    stream->modules++;
    PUSH(stream, module, &module);
    free(path);
}

static void thread_make(struct stream *stream)
{
    struct trace_thread thread = {.id = stream->threads,
                                  .process = below(stream, stream->processes),
                                  .tid = (int32_t)below(stream, 4000000),
                                  .start_ns = stream->now_ns};
    stream->thread_ns[stream->threads++] = stream->now_ns;
    PUSH(stream, thread, &thread);
}

static void nodes_make(struct stream *stream)
{
    struct trace_node nodes[16];
    uint32_t count = 1 + below(stream, 16);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t id = ++stream->nodes;
        uint32_t parent = below(stream, 8) ? below(stream, id) : id - 1;
        uint32_t thread = parent ? stream->node_threads[parent] : below(stream, stream->threads);
        stream->node_threads[id] = thread;
        nodes[i] = (struct trace_node){
            .id = id,
            .parent = parent,
            .thread = thread,
            .module = below(stream, 5) ? below(stream, stream->modules) : TRACE_NO_MODULE,
            .flags = below(stream, 2) * TRACE_NODE_TRUNCATED,
            .slot = UINT64_C(0x7fff00000000) - below(stream, 100000) * UINT64_C(8),
            .address = below(stream, 9) ? UINT64_C(0x555500000000) + below(stream, 1 << 20)
                                        : stream_random(&stream->random)};
    }
    PUSH(stream, nodes, nodes, count);
}

static void batch_push(struct stream *stream)
{
    if (stream->batch_count)
        PUSH(stream, events, stream->batch, stream->batch_count);
    stream->batch_count = 0;
}

static uint64_t size_pick(struct stream *stream)
{
    switch (below(stream, 40)) {
    case 0:
        return 0;
    case 1:
        return (UINT64_C(1) << 32) + below(stream, 1 << 30); /* over 4 GiB */
    case 2:
        return UINT64_C(1) << 62 | below(stream, 1000);
    case 3:
        return stream_random(&stream->random) >> 20;
    default:
        return below(stream, 5) * UINT64_C(16) + 24;
    }
}

static uint64_t address_pick(struct stream *stream)
{
    switch (below(stream, 30)) {
    case 0:
        return stream_random(&stream->random);
    case 1:
        return UINT64_MAX - below(stream, 40);
    case 2:
        return below(stream, 3);
    case 3:
        return UINT64_C(0x7f0000000008) + below(stream, 1 << 16) * UINT64_C(8); /* 8-byte aligned */
    default:
        return UINT64_C(0x555555000000) + below(stream, 1 << 16) * UINT64_C(16);
    }
}

static void event_alloc(struct stream *stream, struct trace_event *event)
{
    static const uint8_t calls[] = {TRACE_CALL_MALLOC, TRACE_CALL_CALLOC, TRACE_CALL_REALLOC,
                                    TRACE_CALL_ALIGNED};
    event->kind = TRACE_ALLOC;
    event->call = calls[below(stream, 4)];
    event->size = size_pick(stream);
    event->address = address_pick(stream);
    event->block =
        stream->unused_count ? stream->unused[--stream->unused_count] : stream->block_count++;
    stream->addresses[event->block] = event->address;
    stream->live[stream->live_count++] = event->block;
    stream->end.allocations++;
}

static void event_free(struct stream *stream, struct trace_event *event)
{
    event->kind = TRACE_FREE;
    event->call = below(stream, 10) ? TRACE_CALL_FREE : TRACE_CALL_REALLOC;
    stream->end.frees++;
    if (!stream->live_count || !below(stream, 20)) {
        event->block = TRACE_NO_BLOCK;
        event->address = address_pick(stream);
        stream->end.unknown_frees++;
        return;
    }
    size_t at =
        below(stream, 3) ? stream->live_count - 1 : below(stream, (uint32_t)stream->live_count);
    event->block = stream->live[at];
    event->address = stream->addresses[event->block];
    stream->live[at] = stream->live[--stream->live_count];
    stream->unused[stream->unused_count++] = event->block;
}

static void event_realloc(struct stream *stream, struct trace_event *event)
{
    event->kind = TRACE_REALLOC;
    event->call = TRACE_CALL_REALLOC;
    event->block = stream->live[below(stream, (uint32_t)stream->live_count)];
    event->size = size_pick(stream);
    event->address = below(stream, 2) ? address_pick(stream) : stream->addresses[event->block];
    stream->addresses[event->block] = event->address;
    stream->end.reallocs++;
}

static void event_make(struct stream *stream)
{
    struct trace_event event = {0};
    event.thread = below(stream, 3) && stream->batch_count
                       ? stream->batch[stream->batch_count - 1].thread
                       : below(stream, stream->threads);
    stream->now_ns += below(stream, 400);
    /* Other threads may be seen a little late. */
    uint64_t time_ns = stream->now_ns;
    if (!below(stream, 5))
        time_ns -= time_ns < 3000 ? time_ns : below(stream, 3000);
    if (time_ns < stream->thread_ns[event.thread])
        time_ns = stream->thread_ns[event.thread];
    event.time_ns = stream->thread_ns[event.thread] = time_ns;
    event.stack = below(stream, 12) ? below(stream, stream->nodes + 1) : TRACE_NO_STACK;
    uint32_t what = below(stream, 100);
    if (what < 8 && stream->live_count)
        event_realloc(stream, &event);
    else if (what < 45)
        event_free(stream, &event);
    else
        event_alloc(stream, &event);
    stream->batch[stream->batch_count++] = event;
    stream->end.events++;
}

int stream_push(const struct stream_options *options, const struct trace_sink *const *sinks,
                size_t sink_count)
{
    struct stream *stream = calloc(1, sizeof *stream);
    size_t most = options->batch ? options->batch : 4096;
    if (!stream)
        abort();
    *stream = (struct stream){.random = options->seed, .sinks = sinks, .sink_count = sink_count};
    stream->live = calloc(options->events + 1, sizeof *stream->live);
    stream->unused = calloc(options->events + 1, sizeof *stream->unused);
    stream->addresses = calloc(options->events + 1, sizeof *stream->addresses);
    stream->batch = calloc(most, sizeof *stream->batch);
    if (!stream->live || !stream->unused || !stream->addresses || !stream->batch)
        abort();
    process_make(stream);
    module_make(stream);
    thread_make(stream);
    nodes_make(stream);
    for (size_t i = 0; i < options->events && !stream->status; i++) {
        if (options->pause_every && i % options->pause_every == options->pause_every - 1)
            stream->now_ns += options->pause_ns;
        if (!below(stream, 60)) {
            batch_push(stream);
            uint32_t what = below(stream, 8);
            if (what == 0 && stream->processes < PROCESSES)
                process_make(stream);
            else if (what == 1 && stream->modules < MODULES)
                module_make(stream);
            else if (what <= 3 && stream->threads < THREADS)
                thread_make(stream);
            else if (stream->nodes < NODES)
                nodes_make(stream);
        }
        event_make(stream);
        if (stream->batch_count == most)
            batch_push(stream);
    }
    batch_push(stream);
    stream->end.threads = stream->threads;
    stream->end.processes = stream->processes;
    stream->end.wall_ns = stream->now_ns + 5;
    stream->end.cpu_ns = 12345678;
    stream->end.exit_status = -11;
    stream->end.dropped = 3;
    stream->end.lost_threads = 2;
    stream->end.recording_ns = UINT64_MAX;
    stream->end.stack_hits = 77;
    stream->end.minor_faults = 4711;
    stream->end.peak_bytes = 1ull << 40;
    if (!options->no_end)
        PUSH(stream, end, &stream->end);
    int status = stream->status;
    free(stream->live);
    free(stream->unused);
    free(stream->addresses);
    free(stream->batch);
    free(stream);
    return status;
}
