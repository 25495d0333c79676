/* SPDX-License-Identifier: MIT */
/* Processes, modules and threads: each is defined for the sinks before an event names it. */
#include "collector_internal.h"

#include <errno.h>
#include <string.h>

/* The text of a field that others may write to while we read it. */
static void text_copy(char ret_text[CHANNEL_PATH], const char *from)
{
    memcpy(ret_text, from, CHANNEL_PATH);
    ret_text[CHANNEL_PATH - 1] = '\0';
}

/* One that died while it registered is never ready, and must not keep the later ones from us. */
void collector_processes_update(struct collector *collector)
{
    struct channel *channel = collector->channel;
    uint32_t count = atomic_load_explicit(&channel->process_count, memory_order_acquire);
    if (count > CHANNEL_PROCESSES)
        count = CHANNEL_PROCESSES;
    if (count > collector->process_limit)
        collector->process_limit = count;
    for (uint32_t number = 0;
         number < count && collector->process_count < count && !collector->error; number++) {
        struct recorded *process = &collector->processes[number];
        const struct channel_process *from = &channel->processes[number];
        if (process->known || !atomic_load_explicit(&from->ready, memory_order_acquire))
            continue;
        if (live_map_init(&process->live)) {
            collector->error = -ENOMEM;
            return;
        }
        process->known = true;
        process->id = collector->process_count++;
        process->pid = from->pid;
        uint32_t parent = from->parent;
        char program[CHANNEL_PATH];
        text_copy(program, from->program);
        const struct trace_process made = {.id = process->id,
                                           .pid = process->pid,
                                           .program = program,
                                           .parent =
                                               parent < number && collector->processes[parent].known
                                                   ? collector->processes[parent].id
                                                   : process->id};
        collector_flush(collector);
        PUSH(collector, process, &made);
        collector->totals.processes++;
    }
}

void collector_modules_update(struct collector *collector)
{
    struct channel *channel = collector->channel;
    uint32_t count = atomic_load_explicit(&channel->module_count, memory_order_acquire);
    if (count > CHANNEL_MODULES)
        count = CHANNEL_MODULES;
    for (uint32_t number = 0;
         number < count && collector->module_count < count && !collector->error; number++) {
        const struct channel_module *from = &channel->modules[number];
        if (collector->module_ids[number] ||
            !atomic_load_explicit(&from->ready, memory_order_acquire))
            continue;
        uint32_t process = from->process, build_id_size = from->build_id_size;
        if (process >= CHANNEL_PROCESSES || !collector->processes[process].known)
            continue;
        char path[CHANNEL_PATH];
        text_copy(path, from->path);
        struct trace_module module = {.id = collector->module_count,
                                      .process = collector->processes[process].id,
                                      .bias = from->bias,
                                      .start = from->start,
                                      .end = from->end,
                                      .path = path,
                                      .build_id_size =
                                          build_id_size > TRACE_BUILD_ID_MAX ? 0 : build_id_size};
        memcpy(module.build_id, from->build_id, sizeof module.build_id);
        collector_flush(collector);
        PUSH(collector, module, &module);
        collector->module_ids[number] = ++collector->module_count;
    }
}

void collector_stream_open(struct collector *collector, uint32_t number, uint32_t owner)
{
    struct channel_ring *ring = &collector->channel->rings[number];
    struct stream *stream = &collector->streams[number];
    collector_processes_update(collector);
    uint32_t process = ring->process;
    if (process >= CHANNEL_PROCESSES || !collector->processes[process].known)
        return; /* not ready yet, or nonsense: the ring stays unread */
    uint32_t *nodes = stream->nodes;
    uint32_t capacity = stream->node_capacity;
    *stream = (struct stream){.active = true,
                              .thread = collector->thread_count,
                              .process = process,
                              .tid = (int32_t)owner,
                              .ticks = ring->start_ticks,
                              .nodes = nodes,
                              .node_capacity = capacity,
                              .node_count = 1,
                              .tail = atomic_load_explicit(&ring->tail, memory_order_relaxed)};
    const struct trace_thread thread = {.id = stream->thread,
                                        .process = collector->processes[process].id,
                                        .tid = stream->tid,
                                        .start_ns =
                                            collector_time_ns(collector, ring->start_ticks)};
    collector_flush(collector);
    PUSH(collector, thread, &thread);
    collector->thread_count++;
    collector->totals.threads++;
    collector->processes[process].streams++;
}
