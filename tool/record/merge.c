/* SPDX-License-Identifier: MIT */
/* Several threads' streams in one order of time. */
#include "collector_internal.h"

#define STALL_SLACK_TICKS 16384u

/* Merges the given streams by time, up to the horizon. */
uint64_t collector_merge(struct collector *collector, uint32_t *numbers, uint32_t count,
                         uint64_t horizon, bool final)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct stream *stream = &collector->streams[numbers[i]];
        stream->next_ticks =
            collector_peek(collector, stream, collector->channel->units[numbers[i]]);
    }
    while (count && !collector->error) {
        uint32_t first = 0;
        uint64_t second = horizon;
        for (uint32_t i = 1; i < count; i++) {
            uint64_t ticks = collector->streams[numbers[i]].next_ticks;
            uint64_t least = collector->streams[numbers[first]].next_ticks;
            if (ticks < least) {
                second = least < second ? least : second;
                first = i;
            } else if (ticks < second) {
                second = ticks;
            }
        }
        struct stream *stream = &collector->streams[numbers[first]];
        if (stream->next_ticks > horizon)
            break;
        uint64_t read = collector_stream_read(collector, numbers[first], second, final);
        total += read;
        /*
         * While one waits, the others go no further than to what it waits for: a later event of theirs on
         * the same address would be taken for it. Counters are read out of order by some hundred ticks.
         */
        if (stream->stalled_rounds && stream->stalled_round == collector->round &&
            horizon > stream->next_ticks + STALL_SLACK_TICKS) {
            uint64_t due =
                collector_peek(collector, stream, collector->channel->units[numbers[first]]);
            if (horizon > due + STALL_SLACK_TICKS)
                horizon = due + STALL_SLACK_TICKS;
        }
        /* A stream that is empty or waits leaves this round; its units stay in the ring. */
        if (!read || stream->tail == stream->head)
            numbers[first] = numbers[--count];
        else
            stream->next_ticks =
                collector_peek(collector, stream, collector->channel->units[numbers[first]]);
    }
    return total;
}
