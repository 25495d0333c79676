/* SPDX-License-Identifier: MIT */
/*
 * Payloads that wait in a short queue until they are handled, of sizes from a fixed distribution.
 * What a variant keeps idle is counted as it grows, so that the timed loop is the counted one.
 */
#include "article.h"

#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "poolwise/buffer.h"

#define WAITING    8
#define HEAD_BYTES 64
#define CAP_BYTES  (64u * 1024)
#define PAGE_BYTES 4096

static uint32_t large_bytes, large_one_in; /* of the distribution */

struct frame {
    char *data;
    size_t size, capacity;
    void *owner; /* the pool's item, where that is not the block itself */
};

struct queue {
    struct frame frames[WAITING];
    uint64_t random;
    unsigned next;
} __attribute__((aligned(128)));
static struct queue queues[WORKER_THREADS_MAX];

static void (*frame_get)(struct frame *frame);
static void (*frame_put)(struct frame *frame);
static pwise_pool *pool;
static pwise_buffer_pool *buffers;
static pwise_blocks *blocks;
static size_t heap_before_bytes;
static _Atomic size_t
    pooled_bytes; /* capacity of all of the pool's payloads; grows and falls rarely */

static size_t payload_size(uint64_t *random)
{
    uint64_t drawn = random_next(random);
    if (large_one_in && drawn % large_one_in == 0)
        return large_bytes;
    return 640 + (drawn >> 32) % 385;
}

/* 1. malloc */
static __attribute__((noinline)) void malloc_get(struct frame *frame)
{
    frame->data = malloc(frame->size);
}

static void malloc_put(struct frame *frame)
{
    free(frame->data);
}

/* 2. and 3.: a pool of payloads that grow as they must; with a cap, large ones are dropped, by the
 * pool (cap: it asks size_of for every item) or by the program itself before the put (drop). */
struct payload {
    char *data;
    size_t capacity;
};

static void *payload_create(void *context)
{
    return calloc(1, sizeof(struct payload));
}

static void payload_destroy(void *item, void *context)
{
    struct payload *payload = item;
    atomic_fetch_sub_explicit(&pooled_bytes, payload->capacity, memory_order_relaxed);
    free(payload->data);
    free(payload);
}

static size_t payload_size_of(const void *item, void *context)
{
    return ((const struct payload *)item)->capacity;
}

static void pool_get(struct frame *frame)
{
    struct payload *payload = pwise_get(pool);
    if (!payload)
        abort();
    if (payload->capacity < frame->size) {
        free(payload->data);
        payload->data = malloc(frame->size);
        atomic_fetch_add_explicit(&pooled_bytes, frame->size - payload->capacity,
                                  memory_order_relaxed);
        payload->capacity = frame->size;
    }
    frame->data = payload->data;
    frame->owner = payload;
}

static void pool_put(struct frame *frame)
{
    pwise_put(pool, frame->owner);
}

static void drop_put(struct frame *frame)
{
    if (((const struct payload *)frame->owner)->capacity > CAP_BYTES)
        payload_destroy(frame->owner, NULL);
    else
        pwise_put(pool, frame->owner);
}

/* 4. adaptive: large buffers stay while they are being used */
static void adaptive_get(struct frame *frame)
{
    struct pwise_buffer *buffer = pwise_buffer_pool_get(buffers);
    if (!buffer || pwise_buffer_reserve(buffer, frame->size))
        abort();
    buffer->length = frame->size;
    frame->data = buffer->data;
    frame->owner = buffer;
}

static void adaptive_put(struct frame *frame)
{
    pwise_buffer_pool_put(buffers, frame->owner);
}

/* 5. size classes */
static void classes_get(struct frame *frame)
{
    frame->data = pwise_blocks_get(blocks, frame->size, &frame->capacity);
}

static void classes_put(struct frame *frame)
{
    pwise_blocks_put(blocks, frame->data, frame->capacity);
}

static int frame_setup(struct worker *worker)
{
    static const struct {
        const char *name;
        void (*get)(struct frame *), (*put)(struct frame *);
    } variants[] = {
        {"malloc", malloc_get, malloc_put},
        {"pool", pool_get, pool_put},
        {"cap", pool_get, pool_put},
        {"drop", pool_get, drop_put},
        {"adaptive", adaptive_get, adaptive_put},
        {"classes", classes_get, classes_put},
    };
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
        if (variant_is(worker, variants[i].name)) {
            frame_get = variants[i].get;
            frame_put = variants[i].put;
        }
    }
    bool capped = variant_is(worker, "cap");
    if (frame_get == pool_get) {
        pool =
            pwise_pool_create(&(struct pwise_options){.name = "frames",
                                                      .create = payload_create,
                                                      .destroy = payload_destroy,
                                                      .size_of = capped ? payload_size_of : NULL,
                                                      .max_item_bytes = capped ? CAP_BYTES : 0,
                                                      .max_idle_bytes = capped ? 0 : SIZE_MAX / 2});
    }
    if (frame_get == adaptive_get)
        buffers = pwise_buffer_pool_create(
            &(struct pwise_buffer_pool_options){.name = "frames", .max_capacity = SIZE_MAX});
    if (frame_get == classes_get)
        blocks = pwise_blocks_create(&(struct pwise_blocks_options){.name = "frames"});
    if (frame_get != malloc_get && !pool && !buffers && !blocks)
        return -errno;
    for (int i = 0; i < WORKER_THREADS_MAX; i++)
        queues[i].random = 0x9e3779b97f4a7c15u + (uint64_t)i * 7919;
    heap_before_bytes = mallinfo2().fordblks;
    return 0;
}

int frame_small_setup(struct worker *worker)
{
    return frame_setup(worker);
}

int frame_mixed_setup(struct worker *worker)
{
    large_bytes = 64 * 1024;
    large_one_in = 20;
    return frame_setup(worker);
}

int frame_rare_setup(struct worker *worker)
{
    large_bytes = 1024 * 1024;
    large_one_in = 10000;
    return frame_setup(worker);
}

static __attribute__((noinline)) void frame_handle(struct frame *frame)
{
    for (size_t at = 0; at < HEAD_BYTES; at += 8)
        *(volatile uint64_t *)(frame->data + at);
    frame_put(frame);
    frame->data = NULL;
}

static __attribute__((noinline)) void frame_receive(struct frame *frame, uint64_t *random)
{
    frame->size = payload_size(random);
    frame_get(frame);
    if (!frame->data)
        abort();
    memset(frame->data, 1, HEAD_BYTES);
    for (size_t at = PAGE_BYTES; at < frame->size; at += PAGE_BYTES)
        frame->data[at] = 1; /* a payload arrives in whole */
}

void frame_loop(struct worker *worker, int thread, uint64_t count)
{
    struct queue *queue = &queues[thread];
    for (uint64_t i = 0; i < count; i++) {
        struct frame *frame = &queue->frames[queue->next];
        queue->next = (queue->next + 1) % WAITING;
        if (frame->data)
            frame_handle(frame);
        frame_receive(frame, &queue->random);
    }
}

/* With nothing waiting, all that is left is idle. Idle memory only grows while no cycle runs, so the
 * end is the peak; for malloc it is what the heap keeps free. */
void frame_finish(struct worker *worker)
{
    for (int thread = 0; thread < worker->threads; thread++)
        for (int i = 0; i < WAITING; i++)
            if (queues[thread].frames[i].data)
                frame_handle(&queues[thread].frames[i]);
    struct pwise_stats stats = {.size = sizeof stats};
    size_t idle_bytes = 0;
    if (pool)
        idle_bytes = atomic_load(&pooled_bytes);
    else if (buffers && !pwise_buffer_pool_stats(buffers, &stats))
        idle_bytes = stats.idle_bytes;
    else if (blocks && !pwise_blocks_stats(blocks, &stats))
        idle_bytes = stats.idle_bytes;
    else if (mallinfo2().fordblks > heap_before_bytes)
        idle_bytes = mallinfo2().fordblks - heap_before_bytes;
    metric_add(worker, "idle-B", (double)idle_bytes);
}
