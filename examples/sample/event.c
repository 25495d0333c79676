/* SPDX-License-Identifier: MIT */
/* One record for each event, gone once it has been counted. */
#include <stdlib.h>

#include "sample.h"

struct event {
    int64_t id;
    uint8_t kind;
    uint16_t source;
};

/* A call of its own, as if the counters lived in another file. */
static __attribute__((noinline)) void count_event(const struct event *event, struct totals *totals)
{
    totals->by_source[event->source % 16] += (uint64_t)event->kind + 1;
    totals->checksum += (uint64_t)event->id * 31 + event->source;
}

int record_event(uint64_t id, struct totals *totals)
{
    struct event *event = malloc(sizeof *event);
    if (!event)
        return -1;
    event->id = (int64_t)id;
    event->kind = (uint8_t)(id % 5);
    event->source = (uint16_t)(id / 3 % 1021);
    count_event(event, totals);
    free(event);
    return 0;
}
