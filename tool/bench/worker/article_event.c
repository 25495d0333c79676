/* SPDX-License-Identifier: MIT */
/* An event is made, handed to a function, and gone. */
#include "article.h"

#include <errno.h>
#include <stdlib.h>

struct event {
    int64_t id;
    uint8_t kind;
    uint16_t source;
};

PWISE_DEFINE_POOL(event_pool, struct event);
static int variant;
static uint64_t checksums[WORKER_THREADS_MAX][16];

/* A call of its own, as if the counters lived in another file. */
static __attribute__((noinline)) void event_count(const struct event *event, uint64_t *checksum)
{
    *checksum += (uint64_t)event->id * 31 + event->source + event->kind;
}

static __attribute__((noinline)) void event_count_value(struct event event, uint64_t *checksum)
{
    *checksum += (uint64_t)event.id * 31 + event.source + event.kind;
}

static inline void event_fill(struct event *event, uint64_t id)
{
    event->id = (int64_t)id;
    event->kind = (uint8_t)(id % 5);
    event->source = (uint16_t)(id / 3 % 1021);
}

/* Each a function of its own, as it would stand in a program. */
static __attribute__((noinline)) void event_malloc(uint64_t id, uint64_t *checksum)
{
    struct event *event = malloc(sizeof *event);
    if (!event)
        abort();
    event_fill(event, id);
    event_count(event, checksum);
    free(event);
}

static __attribute__((noinline)) void event_pooled(uint64_t id, uint64_t *checksum)
{
    struct event *event = event_pool_get();
    if (!event)
        abort();
    event_fill(event, id);
    event_count(event, checksum);
    event_pool_put(event);
}

static __attribute__((noinline)) void event_stack(uint64_t id, uint64_t *checksum)
{
    struct event event;
    event_fill(&event, id);
    event_count(&event, checksum);
}

static __attribute__((noinline)) void event_value(uint64_t id, uint64_t *checksum)
{
    struct event event;
    event_fill(&event, id);
    event_count_value(event, checksum);
}

int event_setup(struct worker *worker)
{
    variant = variant_is(worker, "malloc")  ? 0
              : variant_is(worker, "pool")  ? 1
              : variant_is(worker, "stack") ? 2
                                            : 3;
    event_pool_put(event_pool_get()); /* what the pool makes once is not an event's cost */
    return 0;
}

void event_loop(struct worker *worker, int thread, uint64_t count)
{
    static void (*const variants[])(uint64_t, uint64_t *) = {event_malloc, event_pooled,
                                                             event_stack, event_value};
    void (*make)(uint64_t, uint64_t *) = variants[variant];
    for (uint64_t id = 0; id < count; id++)
        make(id, checksums[thread]);
}
