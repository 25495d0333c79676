/* SPDX-License-Identifier: MIT */
/* Payloads that wait in a short queue until they are handled. Now and then one is very large. */
#include <stdlib.h>
#include <string.h>

#include "sample.h"

#define WAITING   8
#define HEAD      24
#define LARGE     (1024 * 1024)
#define ONE_LARGE 10000

struct frame {
    size_t size;
    unsigned char *payload;
};

struct frame_queue {
    struct frame frames[WAITING];
    size_t first, count;
};

static size_t payload_size(uint64_t id)
{
    uint64_t mixed = (id + 1) * 0x9e3779b97f4a7c15u;
    mixed ^= mixed >> 32;
    return mixed % ONE_LARGE == 0 ? LARGE : 640 + mixed % 385;
}

static void handle_frame(struct frame_queue *queue, struct totals *totals)
{
    struct frame *frame = &queue->frames[queue->first];
    totals->checksum += hash_bytes(frame->payload, HEAD) + frame->size;
    free(frame->payload);
    queue->first = (queue->first + 1) % WAITING;
    queue->count--;
}

static void fill_frame(struct frame *frame, unsigned char *payload, size_t size)
{
    frame->payload = payload;
    frame->size = size;
}

static void push_frame(struct frame_queue *queue, unsigned char *payload, size_t size)
{
    size_t last = (queue->first + queue->count) % WAITING;
    fill_frame(&queue->frames[last], payload, size);
    queue->count++;
}

int receive_frame(struct frame_queue *queue, uint64_t id, struct totals *totals)
{
    if (queue->count == WAITING)
        handle_frame(queue, totals);

    size_t size = payload_size(id);
    unsigned char *payload = malloc(size);
    if (!payload)
        return -1;
    memset(payload, (int)(id & 0xff), HEAD);
    memcpy(payload, &id, sizeof id);
    push_frame(queue, payload, size);
    return 0;
}

struct frame_queue *frame_queue_create(void)
{
    return calloc(1, sizeof(struct frame_queue));
}

void frame_queue_destroy(struct frame_queue *queue, struct totals *totals)
{
    while (queue->count)
        handle_frame(queue, totals);
    free(queue);
}
