/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* What one worker has done; the sum over workers does not depend on their number. */
struct totals {
    uint64_t requests;
    uint64_t checksum;
    uint64_t by_source[16];
};

struct frame_queue;

uint64_t hash_bytes(const void *bytes, size_t size);

/* Each answers one request, numbered `id`; 0, or -1 when memory ran out. */
int render_page(uint64_t id, struct totals *totals);
int record_event(uint64_t id, struct totals *totals);
int receive_frame(struct frame_queue *queue, uint64_t id, struct totals *totals);

struct frame_queue *frame_queue_create(void);
void frame_queue_destroy(struct frame_queue *queue, struct totals *totals); /* handles what waits */
