/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "heap.h"

#define CHUNK_ALIGN 16u
#define CHUNK_HEAD  8u
#define HISTORY_LOW 65536u /* smaller blocks teach nothing */
#define ROOM_PIECE  32768u
#define ROOM_HIGH   (256u << 20)
#define FILLER_LOW  16u
#define FILLER_HIGH                                                                                \
    4096u /* between two neighbours further apart lie blocks that are not known; as one hole they would be dearer than they are */

int ops_add(struct ops *ops, const struct image_op *op)
{
    if (ops->count == ops->capacity) {
        uint32_t capacity = ops->capacity ? ops->capacity * 2 : 1024;
        struct image_op *grown = realloc(ops->ops, capacity * sizeof *grown);
        if (!grown)
            return -ENOMEM;
        ops->ops = grown;
        ops->capacity = capacity;
    }
    ops->ops[ops->count++] = *op;
    return 0;
}

/* The same numbers each time: a replay of the same recording is the same. */
static uint32_t random_below(uint64_t *state, uint32_t limit)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((*state >> 33) % limit);
}

static void shuffle(uint32_t *values, uint32_t count)
{
    uint64_t state = 1;
    for (uint32_t left = count; left > 1; left--) {
        uint32_t other = random_below(&state, left), value = values[other];
        values[other] = values[left - 1];
        values[left - 1] = value;
    }
}

static int by_address(const void *a, const void *b)
{
    const struct heap_block *left = a, *right = b;
    return left->address < right->address ? -1 : left->address > right->address;
}

static int fillers_free(const uint32_t *slots, uint32_t count, struct ops *ops)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct image_op op = {.slot = slots[i], .size = 0, .code = OP_FILLER};
        if (ops_add(ops, &op))
            return -ENOMEM;
    }
    return 0;
}

int heap_ops(struct heap_block *blocks, uint32_t count, uint32_t *slot_count, struct ops *ret_ops)
{
    uint32_t *fillers = calloc(count ? count : 1, sizeof *fillers);
    if (!fillers)
        return -ENOMEM;
    uint32_t filler_count = 0;
    int status = 0;
    qsort(blocks, count, sizeof *blocks, by_address);
    for (uint32_t i = 0; i < count && !status; i++) {
        const struct image_op make = {.slot = blocks[i].slot,
                                      .size = blocks[i].size,
                                      .place = blocks[i].place,
                                      .code = OP_MALLOC,
                                      .flags = blocks[i].needed ? OP_NEEDED : 0};
        status = ops_add(ret_ops, &make);
        if (status || i + 1 == count)
            break;
        uint64_t end = blocks[i].address + blocks[i].size;
        end = (end + CHUNK_HEAD + CHUNK_ALIGN - 1) & ~(uint64_t)(CHUNK_ALIGN - 1);
        uint64_t next = blocks[i + 1].address;
        if (next < end + FILLER_LOW + CHUNK_ALIGN || next - end > FILLER_HIGH)
            continue;
        const struct image_op filler = {.slot = (*slot_count)++,
                                        .size = (uint32_t)(next - end - CHUNK_HEAD),
                                        .code = OP_FILLER};
        fillers[filler_count++] = filler.slot;
        status = ops_add(ret_ops, &filler);
    }
    shuffle(fillers, filler_count);
    if (!status)
        status = fillers_free(fillers, filler_count, ret_ops);
    free(fillers);
    return status;
}

int heap_history(uint64_t freed_max, uint64_t room, uint32_t *slot_count, struct ops *ret_ops)
{
    uint32_t pieces = (uint32_t)((room < ROOM_HIGH ? room : ROOM_HIGH) / ROOM_PIECE),
             first = *slot_count;
    int status = 0;
    if (freed_max > HISTORY_LOW && freed_max < ROOM_HIGH) {
        struct image_op op = {
            .slot = (*slot_count)++, .size = (uint32_t)freed_max, .code = OP_FILLER};
        status = ops_add(ret_ops, &op);
        op.size = 0;
        if (!status)
            status = ops_add(ret_ops, &op);
    }
    first = *slot_count;
    *slot_count += pieces;
    for (uint32_t i = 0; i < 2 * pieces && !status; i++) {
        const struct image_op op = {.slot = first + i % pieces,
                                    .size = i < pieces ? ROOM_PIECE - 2 * CHUNK_HEAD : 0,
                                    .code = OP_FILLER};
        status = ops_add(ret_ops, &op);
    }
    return status;
}

int heap_litter(const uint32_t *sizes, uint32_t size_count, uint32_t blocks, uint32_t *slot_count,
                struct ops *ret_ops)
{
    uint32_t *slots = calloc(blocks ? blocks : 1, sizeof *slots);
    if (!slots)
        return -ENOMEM;
    uint64_t state = 2;
    int status = 0;
    for (uint32_t i = 0; i < blocks && size_count && !status; i++) {
        slots[i] = (*slot_count)++;
        const struct image_op op = {
            .slot = slots[i], .size = sizes[random_below(&state, size_count)], .code = OP_FILLER};
        status = ops_add(ret_ops, &op);
    }
    shuffle(slots, blocks);
    if (!status && size_count)
        status = fillers_free(slots, blocks / 2, ret_ops);
    free(slots);
    return status;
}
