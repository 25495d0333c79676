/* SPDX-License-Identifier: MIT */
/*
 * What the parts of the collector share.
 *
 * stream   what the collector knows of one ring: where it has read to, the clock, the node numbers
 * recorded a process that records, or did
 * horizon  a moment before the heads were read: what happened earlier has been published, but for calls
 *          that were interrupted between taking the time and publishing
 *
 * Order. Within a thread events are in order. Between threads they are merged by time up to the
 * horizon. An interrupted call may still be missing, so the order of one address is guarded by itself:
 * a free of a block not yet seen, or a block given out that is still live, makes its stream wait until the
 * other threads have shown what is missing, for a bounded time.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "channel.h"
#include "collector.h"
#include "live.h"
#include "node_set.h"

#define BATCH_EVENTS   4096u
#define BATCH_NODES    4096u
#define RESIZING_MAX   8u

/* Once a process has proven to have blocks from elsewhere, an event waits for a missing one until it is this old. */
#define STALL_SHORT_NS 500000u

struct stream {
    bool active;
    uint32_t thread, process;
    int32_t tid;
    uint64_t tail, head; /* units; head as of this round */
    uint64_t ticks;      /* time of the last unit read */
    uint64_t big_size;   /* from a SIZE unit; 0: none */
    uint64_t next_ticks; /* of the event at tail, valid while merging */
    uint32_t *nodes;     /* local id -> node; [0] unused */
    uint32_t node_count, node_capacity;
    /* Between RESIZE_BEGIN and _END; several when signal handlers resize, too: the last begun ends first. */
    struct resizing {
        uint64_t address;
        uint32_t block; /* TRACE_NO_BLOCK: unknown */
    } resizing[RESIZING_MAX];
    uint32_t resizing_count;
    uint32_t stalled_rounds; /* in which the unit at tail had to wait; the last of them */
    uint64_t stalled_round;
};

struct recorded {
    bool known;
    uint32_t id; /* in the trace */
    int32_t pid; /* as it was when we first saw it: the mapping may have been scribbled on since */
    uint32_t streams;  /* active ones */
    uint32_t give_ups; /* waits that ended without an answer */
    struct live_map live;
};

/* What the rings' owners counted. */
struct ring_sums {
    uint64_t sampled_ticks, sampled_events, miss_ticks, misses;
    uint64_t dropped;
    struct collector_oracle oracle;
};

struct collector {
    struct channel *channel;
    uint32_t flags; /* the channel's, which others could change */
    const struct trace_sink *const *sinks;
    size_t sink_count;
    struct stream streams[CHANNEL_RINGS];
    struct recorded processes[CHANNEL_PROCESSES];       /* by number in the channel */
    uint32_t module_ids[CHANNEL_MODULES];               /* in the trace, plus 1; 0: not known yet */
    uint32_t process_limit, module_limit;               /* numbers seen in the channel so far */
    uint32_t process_count, module_count, thread_count; /* known ones */
    uint32_t wake; /* the channel's, as of the beginning of the round */
    uint64_t horizon, future, stall_ticks, stall_short_ticks; /* of this round; constants */
    uint64_t round;                                           /* from 1 */
    bool stalled; /* an event waits for another thread's */
    struct live_numbers numbers;
    struct node_set nodes;
    struct trace_event events[BATCH_EVENTS];
    size_t event_count;
    struct trace_node new_nodes[BATCH_NODES];
    size_t new_node_count;
    uint64_t start_ticks;
    uint64_t ns_per_tick_32; /* fixed point, 32 bits of fraction */
    struct trace_end totals;
    struct ring_sums sums; /* of retired rings */
    uint64_t units, implied_frees;
    int error;
};

#define PUSH(collector, member, ...)                                                               \
    do {                                                                                           \
        for (size_t sink = 0; sink < (collector)->sink_count && !(collector)->error; sink++)       \
            if ((collector)->sinks[sink]->member)                                                  \
                (collector)->error = (collector)->sinks[sink]->member(                             \
                    (collector)->sinks[sink]->context, __VA_ARGS__);                               \
    } while (0)

static inline uint64_t collector_ticks_to_ns(const struct collector *collector, uint64_t ticks)
{
    /* By halves: the product of 64 and 32 bits needs 96. */
    uint64_t high = ticks >> 32, low = ticks & UINT32_MAX;
    return high * collector->ns_per_tick_32 + (low * collector->ns_per_tick_32 >> 32);
}

static inline uint64_t collector_time_ns(const struct collector *collector, uint64_t ticks)
{
    return ticks > collector->start_ticks
               ? collector_ticks_to_ns(collector, ticks - collector->start_ticks)
               : 0;
}

/* Read once: a process that scribbles must not change what has been checked. */
static inline struct channel_unit collector_unit(const struct channel_unit *units, uint64_t at)
{
    const volatile struct channel_unit *unit = &units[at % CHANNEL_UNITS];
    return (struct channel_unit){unit->w0, unit->w1};
}

/* Time of the event at tail; units without time count as due now, and so do times that cannot be. */
static inline uint64_t collector_peek(const struct collector *collector,
                                      const struct stream *stream, const struct channel_unit *units)
{
    uint64_t w0 = collector_unit(units, stream->tail).w0, ticks = stream->ticks;
    unsigned kind = w0 & 15;
    if (kind >= CHANNEL_MALLOC && kind <= CHANNEL_RESIZE_END)
        ticks += (w0 >> 4 & CHANNEL_DT_MAX) << CHANNEL_DT_SHIFT;
    return ticks <= collector->future ? ticks : 0;
}

/* collector.c: pushes what is batched; before each definition, and at the end of a round. */
void collector_flush(struct collector *collector);

/* definitions.c: what has become ready in the channel since. */
void collector_processes_update(struct collector *collector);
void collector_modules_update(struct collector *collector);

/* definitions.c: begins to read a ring. It stays inactive as long as its process is not ready. */
void collector_stream_open(struct collector *collector, uint32_t number, uint32_t owner);

/* stream.c: reads one stream up to head, or while its next event is not after `until`. Returns how many units. */
uint64_t collector_stream_read(struct collector *collector, uint32_t number, uint64_t until,
                               bool final);

/* merge.c: reads the given streams, which all have units, in order of time up to the horizon. Reorders `numbers`. */
uint64_t collector_merge(struct collector *collector, uint32_t *numbers, uint32_t count,
                         uint64_t horizon, bool final);

/* retire.c: of all rings so far. */
struct ring_sums collector_rings_sum(const struct collector *collector);
