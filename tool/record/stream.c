/* SPDX-License-Identifier: MIT */
/* One ring's units, as events of numbered blocks. */
#include "collector_internal.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define STALL_ROUNDS     4u  /* an event waits at least: they show what was published meanwhile */
#define STALL_PATIENCE   16u /* waits without an answer, before age alone decides */
#define STREAM_NODES_MAX (1u << 22) /* more than a recorder numbers before it begins anew */

static void node_read(struct collector *collector, struct stream *stream, struct channel_unit unit,
                      struct channel_unit more)
{
    uint32_t id = (uint32_t)(unit.w1 >> 32), parent = (uint32_t)unit.w1;
    uint32_t number = (uint32_t)(unit.w0 >> 8) & 0xffff, module = TRACE_NO_MODULE;
    if (id != stream->node_count || parent >= id || id >= STREAM_NODES_MAX)
        return; /* not what a recorder writes: events that name it have no stack */
    if (stream->node_count >= stream->node_capacity) {
        uint32_t capacity = stream->node_capacity ? stream->node_capacity * 2 : 1024;
        uint32_t *nodes = realloc(stream->nodes, capacity * sizeof *nodes);
        if (!nodes) {
            collector->error = -ENOMEM;
            return;
        }
        stream->nodes = nodes;
        stream->node_capacity = capacity;
    }
    if (number < CHANNEL_MODULES) {
        if (!collector->module_ids[number])
            collector_modules_update(collector);
        if (collector->module_ids[number])
            module = collector->module_ids[number] - 1;
    }
    struct trace_node node = {.parent = parent ? stream->nodes[parent] : 0,
                              .thread = stream->thread,
                              .flags = (uint32_t)(unit.w0 >> 4) & 15,
                              .module = module,
                              .slot = more.w0,
                              .address = more.w1};
    bool made;
    int status = node_set_intern(&collector->nodes, &node, &made);
    if (status) {
        collector->error = status;
        return;
    }
    stream->nodes[stream->node_count++] = node.id;
    if (made) {
        collector->new_nodes[collector->new_node_count++] = node;
        if (collector->new_node_count == BATCH_NODES)
            collector_flush(collector);
    }
}

static inline void event_put(struct collector *collector, const struct stream *stream,
                             enum trace_kind kind, enum trace_call call, uint32_t block,
                             uint64_t address, uint64_t size, uint32_t local_node)
{
    struct trace_event *event = &collector->events[collector->event_count];
    event->time_ns = collector_time_ns(collector, stream->ticks);
    event->address = address;
    event->size = size;
    event->block = block;
    event->stack =
        local_node < stream->node_count && local_node ? stream->nodes[local_node] : TRACE_NO_STACK;
    event->thread = stream->thread;
    event->kind = (uint8_t)kind;
    event->call = (uint8_t)call;
    if (++collector->event_count == BATCH_EVENTS)
        collector_flush(collector);
}

/*
 * Whether the stream should wait for another thread to show a missing event; false: it has waited enough.
 * By the event's age, not by the time since we saw it: then a program with many blocks from elsewhere is read
 * a moment later, but not slower. Rounds count, too: this process itself may have been kept from running.
 */
static bool stall(struct collector *collector, struct stream *stream, uint64_t ticks, bool final)
{
    struct recorded *process = &collector->processes[stream->process];
    if (final || (process->streams < 2 && process->give_ups >= STALL_PATIENCE))
        return false;
    bool patient = process->give_ups < STALL_PATIENCE && !(collector->flags & CHANNEL_LOSSY);
    uint64_t age = collector->horizon > ticks ? collector->horizon - ticks : 0;
    stream->stalled_rounds += stream->stalled_round != collector->round;
    stream->stalled_round = collector->round;
    if (ticks <= collector->future &&
        (age < (patient ? collector->stall_ticks : collector->stall_short_ticks) ||
         (patient && stream->stalled_rounds <= STALL_ROUNDS))) {
        collector->stalled = true;
        return true;
    }
    process->give_ups++;
    return false;
}

static inline void block_freed(struct collector *collector, const struct stream *stream,
                               struct live_map *live, uint64_t address, uint32_t block,
                               uint32_t local_node)
{
    live_remove(live, address);
    if (live_number_free(&collector->numbers, block))
        collector->error = -ENOMEM;
    event_put(collector, stream, TRACE_FREE, TRACE_CALL_FREE, block, address, 0, local_node);
}

/* A block whose resize never ended (the end was dropped, or a handler jumped out) stays where it was. */
static void resize_forget(struct collector *collector, struct stream *stream, struct live_map *live)
{
    const struct resizing *oldest = &stream->resizing[0];
    if (oldest->block != TRACE_NO_BLOCK) {
        if (live_find(live, oldest->address) == LIVE_NONE) {
            if (live_insert(live, oldest->address, oldest->block))
                collector->error = -ENOMEM;
        } else {
            collector->totals.frees++;
            collector->implied_frees++;
            if (live_number_free(&collector->numbers, oldest->block))
                collector->error = -ENOMEM;
            event_put(collector, stream, TRACE_FREE, TRACE_CALL_REALLOC, oldest->block,
                      oldest->address, 0, 0);
        }
    }
    memmove(&stream->resizing[0], &stream->resizing[1],
            --stream->resizing_count * sizeof *stream->resizing);
}

static void resize_begin(struct collector *collector, struct stream *stream, struct live_map *live,
                         uint64_t address, uint32_t block)
{
    /* Where ends may be dropped, one that is missing is likelier than a handler that resizes. */
    if (stream->resizing_count == (collector->flags & CHANNEL_LOSSY ? 1 : RESIZING_MAX))
        resize_forget(collector, stream, live);
    if (block != TRACE_NO_BLOCK)
        live_remove(live, address);
    stream->resizing[stream->resizing_count++] = (struct resizing){address, block};
}

static void resize_end(struct collector *collector, struct stream *stream, struct live_map *live,
                       uint64_t address, uint64_t size, uint32_t local_node)
{
    struct resizing begun = {address, TRACE_NO_BLOCK};
    if (stream->resizing_count)
        begun = stream->resizing[--stream->resizing_count];
    uint32_t block = begun.block;
    if (size == UINT64_MAX) { /* failed: the old block stands */
        if (block != TRACE_NO_BLOCK && live_insert(live, begun.address, block))
            collector->error = -ENOMEM;
        return;
    }
    if (!address) { /* realloc(p, 0) freed it */
        collector->totals.frees++;
        if (block == TRACE_NO_BLOCK)
            collector->totals.unknown_frees++;
        else if (live_number_free(&collector->numbers, block))
            collector->error = -ENOMEM;
        event_put(collector, stream, TRACE_FREE, TRACE_CALL_REALLOC, block, begun.address, 0,
                  local_node);
        return;
    }
    bool known = block != TRACE_NO_BLOCK;
    if (known) {
        collector->totals.reallocs++;
    } else {
        collector->totals.allocations++;
        block = live_number_take(&collector->numbers);
    }
    if (live_insert(live, address, block))
        collector->error = -ENOMEM;
    event_put(collector, stream, known ? TRACE_REALLOC : TRACE_ALLOC, TRACE_CALL_REALLOC, block,
              address, size, local_node);
}

/*
 * Handles the unit at the stream's tail; the caller knows that it is below head. False: it must wait, or
 * its record is not complete yet; nothing has changed then.
 */
static inline bool unit_read(struct collector *collector, struct stream *stream,
                             const struct channel_unit *units, bool final)
{
    const struct channel_unit unit = collector_unit(units, stream->tail);
    uint64_t w0 = unit.w0, w1 = unit.w1;
    unsigned kind = w0 & 15;
    uint64_t address = w0 >> (4 + CHANNEL_DT_BITS) << 3;
    uint64_t dt = (w0 >> 4 & CHANNEL_DT_MAX) << CHANNEL_DT_SHIFT;
    uint64_t size = stream->big_size ? stream->big_size : (uint32_t)w1;
    uint32_t node = (uint32_t)(w1 >> 32);
    struct live_map *live = &collector->processes[stream->process].live;
    uint32_t block;
    static const uint8_t calls[] = {[CHANNEL_MALLOC] = TRACE_CALL_MALLOC,
                                    [CHANNEL_CALLOC] = TRACE_CALL_CALLOC,
                                    [CHANNEL_REALLOC] = TRACE_CALL_REALLOC,
                                    [CHANNEL_ALIGNED] = TRACE_CALL_ALIGNED};
    switch (kind) {
    case CHANNEL_MALLOC:
    case CHANNEL_CALLOC:
    case CHANNEL_REALLOC:
    case CHANNEL_ALIGNED:
        if (!address)
            break;
        block = live_find(live, address);
        if (__builtin_expect(block != LIVE_NONE, 0)) {
            if (stall(collector, stream, stream->ticks + dt, final))
                return false;
            /* Its free was never seen (a foreign way out of the allocator): it must have been. */
            stream->ticks += dt;
            collector->totals.frees++;
            collector->implied_frees++;
            block_freed(collector, stream, live, address, block, 0);
            dt = 0;
        }
        stream->ticks += dt;
        collector->totals.allocations++;
        block = live_number_take(&collector->numbers);
        if (live_insert(live, address, block))
            collector->error = -ENOMEM;
        event_put(collector, stream, TRACE_ALLOC, calls[kind], block, address, size, node);
        break;
    case CHANNEL_FREE:
        block = live_find(live, address);
        if (__builtin_expect(block == LIVE_NONE, 0)) {
            if (stall(collector, stream, stream->ticks + dt, final))
                return false;
            stream->ticks += dt;
            collector->totals.frees++;
            collector->totals.unknown_frees++;
            event_put(collector, stream, TRACE_FREE, TRACE_CALL_FREE, TRACE_NO_BLOCK, address, 0,
                      node);
            break;
        }
        stream->ticks += dt;
        collector->totals.frees++;
        block_freed(collector, stream, live, address, block, node);
        break;
    case CHANNEL_RESIZE_BEGIN:
        block = live_find(live, address);
        if (__builtin_expect(block == LIVE_NONE, 0) &&
            stall(collector, stream, stream->ticks + dt, final))
            return false;
        stream->ticks += dt;
        resize_begin(collector, stream, live, address, block);
        break;
    case CHANNEL_RESIZE_END:
        if (address && size != UINT64_MAX &&
            __builtin_expect((block = live_find(live, address)) != LIVE_NONE, 0)) {
            if (stall(collector, stream, stream->ticks + dt, final))
                return false;
            stream->ticks += dt;
            collector->totals.frees++;
            collector->implied_frees++;
            block_freed(collector, stream, live, address, block, 0);
            dt = 0;
        }
        stream->ticks += dt;
        resize_end(collector, stream, live, address, size, node);
        break;
    case CHANNEL_SIZE:
        stream->big_size = w1;
        stream->tail++;
        return true;
    case CHANNEL_TIME:
        stream->ticks = w1;
        break;
    case CHANNEL_NODE:
        if (stream->tail + 2 > stream->head)
            return false;
        node_read(collector, stream, unit, collector_unit(units, stream->tail + 1));
        stream->tail++;
        break;
    case CHANNEL_EPOCH:
        stream->node_count = 1;
        break;
    default:
        break;
    }
    stream->big_size = 0;
    stream->stalled_rounds = 0;
    stream->tail++;
    return true;
}

static void tail_publish(struct collector *collector, uint32_t number)
{
    struct channel_ring *ring = &collector->channel->rings[number];
    atomic_store_explicit(&ring->tail, collector->streams[number].tail, memory_order_seq_cst);
    if (atomic_load_explicit(&ring->writer_waits, memory_order_seq_cst)) {
        atomic_fetch_add_explicit(&ring->drained, 1, memory_order_release);
        syscall(SYS_futex, &ring->drained, FUTEX_WAKE, 1, NULL, NULL, 0);
    }
}

#define TAIL_PUBLISH_UNITS 8192u
#define PREFETCH_UNITS     8u

_Static_assert(LIVE_NONE == TRACE_NO_BLOCK, "one value says that there is no block");

uint64_t collector_stream_read(struct collector *collector, uint32_t number, uint64_t until,
                               bool final)
{
    struct stream *stream = &collector->streams[number];
    const struct channel_unit *units = collector->channel->units[number];
    const struct live_map *live = &collector->processes[stream->process].live;
    uint64_t begin = stream->tail, published = begin;
    while (stream->tail < stream->head && !collector->error) {
        if (until != UINT64_MAX && collector_peek(collector, stream, units) > until)
            break;
        live_prefetch(live, units[(stream->tail + PREFETCH_UNITS) % CHANNEL_UNITS].w0 >>
                                (4 + CHANNEL_DT_BITS) << 3);
        if (!unit_read(collector, stream, units, final))
            break;
        if (stream->tail - published >= TAIL_PUBLISH_UNITS) {
            tail_publish(collector, number);
            published = stream->tail;
        }
    }
    if (stream->tail != published)
        tail_publish(collector, number);
    return stream->tail - begin;
}
