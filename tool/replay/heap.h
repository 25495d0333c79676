/* SPDX-License-Identifier: MIT */
/* The ops that make the heap in which a window begins. Used by schedule.c alone. */
#pragma once

#include <stdbool.h>

#include "image.h"

struct ops {
    struct image_op *ops;
    uint32_t count, capacity;
};

/* 0 or -ENOMEM. */
int ops_add(struct ops *ops, const struct image_op *op);

struct heap_block {
    uint64_t address;
    uint32_t size, slot;
    uint8_t place;
    bool needed;
};

/*
 * Makes the blocks in the order of their addresses, and between them what fills the room they left; that is
 * freed at last, in a random order: so the allocator has the holes that it had, as far as they are known.
 * Sorts the blocks; takes slots from *slot_count on. 0 or -ENOMEM.
 */
int heap_ops(struct heap_block *blocks, uint32_t count, uint32_t *slot_count, struct ops *ret_ops);

/* What a heap has gone through before: `freed_max` is made and freed, since allocators learn from it what comes from
 * the system directly; and behind all that is there, room for `room` bytes more, touched and given back, that the
 * heap does not have to ask for any more. 0 or -ENOMEM. */
int heap_history(uint64_t freed_max, uint64_t room, uint32_t *slot_count, struct ops *ret_ops);

/* Blocks of the given sizes, every second of which is freed, in a random order. 0 or -ENOMEM. */
int heap_litter(const uint32_t *sizes, uint32_t size_count, uint32_t blocks, uint32_t *slot_count,
                struct ops *ret_ops);
