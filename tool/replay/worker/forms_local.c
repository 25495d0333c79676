/* SPDX-License-Identifier: MIT */
/* What needs no pool: a local variable, a block that is kept, one that is large at once, an arena. */
#include <stdlib.h>
#include <string.h>

#include "forms.h"

#define STACK_BLOCKS 64u
#define ALIGN        _Alignof(max_align_t)

static bool lanes_open(struct place *place)
{
    place->lanes = calloc(LANES_MAX, sizeof *place->lanes);
    return place->lanes;
}

static void *zero_if_asked(void *block, uint32_t size, uint8_t code)
{
    return code == OP_CALLOC && size ? memset(block, 0, size) : block;
}

static void free_own(struct place *place, uint32_t lane, struct slot *slot)
{
    if (!slot->owner)
        free(slot->block);
}

/* ---- STACK: so many blocks deep; more at once, or larger ones, by malloc ---- */

static bool stack_make(struct place *place, uint32_t lane, struct slot *slot, uint32_t size, uint8_t code)
{
    struct lane_state *state = &place->lanes[lane];
    uint32_t bytes = (place->form.bytes + ALIGN - 1) & ~(uint32_t)(ALIGN - 1);
    if (size > bytes || state->depth == STACK_BLOCKS)
        return malloc_make(slot, size, code);
    if (!state->block && !(state->block = malloc((size_t)bytes * STACK_BLOCKS)))
        return false;
    slot->block = zero_if_asked(state->block + (size_t)bytes * state->depth++, size, code);
    slot->owner = state;
    slot->size = bytes;
    return true;
}

static bool local_resize(struct place *place, uint32_t lane, struct slot *slot, uint32_t size)
{
    if (!slot->owner)
        return malloc_resize(slot, size);
    if (size <= slot->size)
        return true;
    void *block = malloc(size);
    if (!block)
        return false;
    memcpy(block, slot->block, slot->size);
    ((struct lane_state *)slot->owner)->depth--;
    *slot = (struct slot){.block = block, .size = size, .turn = slot->turn};
    return true;
}

static void stack_free(struct place *place, uint32_t lane, struct slot *slot)
{
    if (slot->owner)
        ((struct lane_state *)slot->owner)->depth--;
    else
        free(slot->block);
}

const struct form form_stack = {lanes_open, stack_make, local_resize, stack_free};

/* ---- HOIST: grows to the largest, and stays ---- */

static bool hoist_make(struct place *place, uint32_t lane, struct slot *slot, uint32_t size, uint8_t code)
{
    struct lane_state *state = &place->lanes[lane];
    if (state->depth)
        return malloc_make(slot, size, code);
    if (state->size < size || !state->block) {
        free(state->block);
        state->block = malloc(size);
        state->size = state->block ? size : 0;
        if (!state->block)
            return false;
    }
    state->depth = 1;
    slot->block = zero_if_asked(state->block, size, code);
    slot->owner = state;
    slot->size = state->size;
    return true;
}

static bool hoist_resize(struct place *place, uint32_t lane, struct slot *slot, uint32_t size)
{
    struct lane_state *state = slot->owner;
    if (!state)
        return malloc_resize(slot, size);
    if (size <= state->size)
        return true;
    char *block = realloc(state->block, size);
    if (!block)
        return false;
    slot->block = state->block = block;
    slot->size = state->size = size;
    return true;
}

const struct form form_hoist = {lanes_open, hoist_make, hoist_resize, stack_free};

/* ---- PRESIZE ---- */

static bool presize_make(struct place *place, uint32_t lane, struct slot *slot, uint32_t size, uint8_t code)
{
    return malloc_make(slot, size > place->form.bytes ? size : place->form.bytes, code);
}

static bool presize_resize(struct place *place, uint32_t lane, struct slot *slot, uint32_t size)
{
    return size <= slot->size || malloc_resize(slot, size);
}

const struct form form_presize = {NULL, presize_make, presize_resize, free_own};

/* ---- ARENA: one for each thread; emptied when nothing in it lives ---- */

static bool arena_make(struct place *place, uint32_t lane, struct slot *slot, uint32_t size, uint8_t code)
{
    struct lane_state *state = &place->lanes[lane];
    struct arena_chunk *chunk = state->chunks;
    size_t bytes = ((size_t)size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    if (!chunk || chunk->size - chunk->used < bytes) {
        size_t room = bytes > place->form.bytes ? bytes : place->form.bytes;
        chunk = malloc(sizeof *chunk + room);
        if (!chunk)
            return false;
        *chunk = (struct arena_chunk){.next = state->chunks, .size = room};
        state->chunks = chunk;
    }
    slot->block = zero_if_asked(chunk->data + chunk->used, size, code);
    slot->owner = state;
    slot->size = size;
    chunk->used += bytes;
    state->live++;
    return true;
}

static bool arena_resize(struct place *place, uint32_t lane, struct slot *slot, uint32_t size)
{
    if (size <= slot->size)
        return true;
    const struct slot old = {.block = slot->block, .size = slot->size, .owner = slot->owner};
    if (!arena_make(place, lane, slot, size, OP_MALLOC))
        return false;
    memcpy(slot->block, old.block, old.size);
    place->lanes[lane].live--; /* still one block */
    slot->owner = old.owner;
    return true;
}

/* A block that another thread frees just stays: only its maker's thread counts. */
static void arena_free(struct place *place, uint32_t lane, struct slot *slot)
{
    struct lane_state *state = slot->owner;
    if (state != &place->lanes[lane] || --state->live)
        return;
    while (state->chunks && state->chunks->next) {
        struct arena_chunk *chunk = state->chunks;
        state->chunks = chunk->next;
        free(chunk);
    }
    state->chunks->used = 0;
}

const struct form form_arena = {lanes_open, arena_make, arena_resize, arena_free};
