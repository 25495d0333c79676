/* SPDX-License-Identifier: MIT */
/* From the first round to the last: the batches, what a round reads, the totals. */
#include "collector_internal.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* How old an event gets while it waits for a missing one of another thread. */
#define STALL_NS 1000000000u

static uint64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_RAW, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Ticks of the machine against its clock, over a few milliseconds. */
static void clock_calibrate(struct collector *collector)
{
    uint64_t ns0 = clock_ns(), ticks0 = channel_ticks(), ns1, ticks1;
    do {
        ns1 = clock_ns();
        ticks1 = channel_ticks();
    } while (ns1 - ns0 < 5000000);
    collector->ns_per_tick_32 =
        (uint64_t)((double)(ns1 - ns0) / (double)(ticks1 - ticks0) * 4294967296.0);
    collector->start_ticks = ticks0;
    double ticks_per_ns = (double)(ticks1 - ticks0) / (double)(ns1 - ns0);
    collector->stall_ticks = (uint64_t)(STALL_NS * ticks_per_ns);
    collector->stall_short_ticks = (uint64_t)(STALL_SHORT_NS * ticks_per_ns);
}

struct collector *collector_create(struct channel *channel, const struct trace_sink *const *sinks,
                                   size_t sink_count)
{
    struct collector *collector = calloc(1, sizeof *collector);
    if (!collector)
        return NULL;
    collector->channel = channel;
    collector->flags = channel->flags;
    collector->sinks = sinks;
    collector->sink_count = sink_count;
    clock_calibrate(collector);
    if (node_set_init(&collector->nodes)) {
        free(collector);
        errno = ENOMEM;
        return NULL;
    }
    return collector;
}

void collector_destroy(struct collector *collector)
{
    if (!collector)
        return;
    for (uint32_t i = 0; i < CHANNEL_RINGS; i++)
        free(collector->streams[i].nodes);
    for (uint32_t i = 0; i < CHANNEL_PROCESSES; i++)
        live_map_done(&collector->processes[i].live);
    live_numbers_done(&collector->numbers);
    node_set_done(&collector->nodes);
    free(collector);
}

void collector_flush(struct collector *collector)
{
    if (collector->new_node_count)
        PUSH(collector, nodes, collector->new_nodes, collector->new_node_count);
    if (collector->event_count)
        PUSH(collector, events, collector->events, collector->event_count);
    collector->new_node_count = 0;
    collector->event_count = 0;
}

int64_t collector_drain(struct collector *collector, bool final)
{
    struct channel *channel = collector->channel;
    uint32_t ready[CHANNEL_RINGS], count = 0, active = 0;
    collector->wake = atomic_load_explicit(&channel->wake, memory_order_acquire);
    collector->round++;
    collector->stalled = false;
    collector->horizon = channel_ticks();
    channel_fence(); /* the heads are read later */
    uint32_t limit = atomic_load_explicit(&channel->ring_hint, memory_order_acquire);
    if (limit > CHANNEL_RINGS)
        limit = CHANNEL_RINGS;
    for (uint32_t i = 0; i < limit && !collector->error; i++) {
        struct channel_ring *ring = &channel->rings[i];
        struct stream *stream = &collector->streams[i];
        if (!stream->active) {
            uint32_t owner = atomic_load_explicit(&ring->owner, memory_order_acquire);
            if (!owner || owner == UINT32_MAX)
                continue;
            collector_stream_open(collector, i, owner);
            if (!stream->active)
                continue;
        }
        active++;
        uint64_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
        /* A head out of range is not a recorder's: read nothing rather than garbage. */
        stream->head =
            head >= stream->tail && head - stream->tail <= CHANNEL_UNITS ? head : stream->tail;
        if (stream->tail < stream->head)
            ready[count++] = i;
    }
    /* What was in the rings was read from the counter by now, whatever it says. */
    collector->future = channel_ticks() + collector->stall_short_ticks;
    collector_processes_update(collector);
    collector_modules_update(collector);
    uint64_t read = 0;
    uint64_t horizon = final ? collector->future : collector->horizon;
    if (count == 1 && active == 1)
        read = collector_stream_read(collector, ready[0], horizon, final);
    else if (count)
        read = collector_merge(collector, ready, count, horizon, final);
    /* Finally nothing is missing any more: who still waits goes on. */
    if (final && count && !collector->error) {
        for (uint32_t i = 0; i < limit; i++)
            if (collector->streams[i].active)
                read += collector_stream_read(collector, i, UINT64_MAX, true);
    }
    collector_flush(collector);
    collector->units += read;
    return collector->error ? collector->error : (int64_t)read;
}

void collector_sleep(struct collector *collector, uint64_t limit_ns)
{
    struct channel *channel = collector->channel;
    if (collector->stalled && limit_ns > STALL_SHORT_NS)
        limit_ns = STALL_SHORT_NS;
    atomic_store_explicit(&channel->collector_sleeps, 1, memory_order_seq_cst);
    const struct timespec limit = {(time_t)(limit_ns / 1000000000u),
                                   (long)(limit_ns % 1000000000u)};
    /* The value from before we looked into the rings: who has woken us since need not do so again. */
    syscall(SYS_futex, &channel->wake, FUTEX_WAIT, collector->wake, &limit, NULL, 0);
    atomic_store_explicit(&channel->collector_sleeps, 0, memory_order_relaxed);
}

uint64_t collector_implied_frees(const struct collector *collector)
{
    return collector->implied_frees;
}

void collector_oracle(const struct collector *collector, struct collector_oracle *ret_oracle)
{
    *ret_oracle = collector_rings_sum(collector).oracle;
}

/* What the sampling does not repeat: the call of the entry point, writing and publishing the unit, and the
 * caches' and predictors' losses. Measured as the difference between the CPU time that recording added to seven
 * programs (jq, sqlite3, xmllint, bash, readelf, git, the sample) and their samples: 6 to 13 ns, but git 32. */
#define ENTRY_NS 12.0

void collector_totals(const struct collector *collector, struct trace_end *ret_end)
{
    const struct ring_sums sums = collector_rings_sum(collector);
    *ret_end = collector->totals;
    ret_end->events = ret_end->allocations + ret_end->frees + ret_end->reallocs;
    ret_end->dropped = sums.dropped;
    for (uint32_t i = 0; i < CHANNEL_PROCESSES; i++)
        ret_end->dropped +=
            atomic_load_explicit(&collector->channel->processes[i].no_ring, memory_order_relaxed);
    double event_ns = ENTRY_NS;
    if (sums.sampled_events)
        event_ns += (double)collector_ticks_to_ns(collector, sums.sampled_ticks) /
                    (double)sums.sampled_events;
    ret_end->recording_ns = (uint64_t)(event_ns * (double)ret_end->events) +
                            collector_ticks_to_ns(collector, sums.miss_ticks);
    ret_end->stack_hits = ret_end->events > sums.misses ? ret_end->events - sums.misses : 0;
    ret_end->wall_ns = collector_time_ns(collector, channel_ticks());
    ret_end->exit_status = -1;
}

int collector_finish(struct collector *collector, const struct trace_end *end)
{
    collector_flush(collector);
    PUSH(collector, end, end);
    return collector->error;
}
