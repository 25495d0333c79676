/* SPDX-License-Identifier: MIT */
/*
 * How a place's blocks are served. A form does what the advised code would do, reset of reused memory
 * included; it is called once for each op, through pointers, whose cost is taken off.
 */
#pragma once

#include <poolwise/buffer.h>
#include <poolwise/pool.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "image.h"

#define LANES_MAX       65u /* threads of a schedule, and the one that makes the heap */
#define POOL_CLASSES    32u
#define ALIGNED_BYTES   64u /* a recording does not tell what alignment was asked for */

struct slot {
    void *block;
    void *owner;   /* the form's: a buffer, or an arena's lane; NULL: block is malloc's own */
    uint32_t size; /* usable bytes, as the form counts them */
    uint32_t used; /* of a buffer */
    uint8_t place; /* whose block it is, */
    bool live;     /* while there is one; both only for warming up */
    _Atomic uint32_t turn; /* written by whoever has used the slot, read by whoever waits for it */
};

struct arena_chunk {
    struct arena_chunk *next;
    size_t used, size;
    _Alignas(max_align_t) char data[];
};

/* One thread's part of a place; never touched by another. */
struct lane_state {
    char *block;          /* STACK: the local variables; HOIST: the block kept */
    uint32_t size, depth; /* bytes of it; local variables in use, or 1 while the block is */
    struct arena_chunk *chunks;
    uint64_t live;
};

struct place {
    struct image_form form;
    const struct form *how;
    pwise_pool *pool, *classes[POOL_CLASSES];
    uint32_t class_count;
    pwise_buffer_pool *buffers;
    struct lane_state *lanes; /* LANES_MAX */
};

struct form {
    bool (*open)(struct place *place);
    /* All fill or use *slot; false: no memory. */
    bool (*make)(struct place *place, uint32_t lane, struct slot *slot, uint32_t size, uint8_t code);
    bool (*resize)(struct place *place, uint32_t lane, struct slot *slot, uint32_t size);
    void (*free)(struct place *place, uint32_t lane, struct slot *slot);
};

const struct form *form_of(uint32_t kind);

/* Does nothing, by the same way: to take the way's own cost off. */
extern const struct form form_empty;

bool malloc_make(struct slot *slot, uint32_t size, uint8_t code);
bool malloc_resize(struct slot *slot, uint32_t size);

/* In forms_pool.c and forms_local.c. */
extern const struct form form_pool, form_capped, form_classes, form_buffers;
extern const struct form form_stack, form_hoist, form_presize, form_arena;
