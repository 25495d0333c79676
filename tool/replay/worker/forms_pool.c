/* SPDX-License-Identifier: MIT */
/* The pools, as the advised code uses them. */
#include <stdlib.h>
#include <string.h>

#include "forms.h"

/* ---- POOL: items of one size; what is larger comes from malloc ---- */

static bool pool_open(struct place *place)
{
    place->pool = pwise_pool_create(&(struct pwise_options){.name = "replay", .item_size = place->form.bytes});
    return place->pool;
}

static bool pool_make(struct place *place, uint32_t lane, struct slot *slot, uint32_t size, uint8_t code)
{
    if (size > place->form.bytes)
        return malloc_make(slot, size, code);
    slot->block = pwise_get(place->pool);
    slot->owner = place->pool;
    slot->size = place->form.bytes;
    if (code == OP_CALLOC && slot->block)
        memset(slot->block, 0, size);
    return slot->block;
}

/* A block that has outgrown its item moves to malloc. */
static bool item_leave(pwise_pool *pool, struct slot *slot, uint32_t size)
{
    void *block = malloc(size);
    if (!block)
        return false;
    memcpy(block, slot->block, slot->size < size ? slot->size : size);
    pwise_put(pool, slot->block);
    *slot = (struct slot){.block = block, .size = size, .turn = slot->turn};
    return true;
}

static bool pool_resize(struct place *place, uint32_t lane, struct slot *slot, uint32_t size)
{
    if (!slot->owner)
        return malloc_resize(slot, size);
    return size <= slot->size || item_leave(slot->owner, slot, size);
}

static void pool_free(struct place *place, uint32_t lane, struct slot *slot)
{
    if (slot->owner)
        pwise_put(slot->owner, slot->block);
    else
        free(slot->block);
}

const struct form form_pool = {pool_open, pool_make, pool_resize, pool_free};

/* ---- CAPPED: items that hold a block; dropped when it is over the cap ---- */

struct holder {
    char *data;
    size_t capacity;
};

static void *holder_create(void *context)
{
    return calloc(1, sizeof(struct holder));
}

static void holder_destroy(void *item, void *context)
{
    struct holder *holder = item;
    free(holder->data);
    free(holder);
}

static size_t holder_size(const void *item, void *context)
{
    return ((const struct holder *)item)->capacity;
}

static bool capped_open(struct place *place)
{
    place->pool = pwise_pool_create(&(struct pwise_options){.name = "replay",
                                                            .item_size = sizeof(struct holder),
                                                            .create = holder_create,
                                                            .destroy = holder_destroy,
                                                            .size_of = holder_size,
                                                            .max_item_bytes = place->form.bytes});
    return place->pool;
}

static bool holder_reserve(const struct place *place, struct holder *holder, size_t size)
{
    if (holder->capacity >= size)
        return true;
    size_t capacity = size < place->form.bytes ? place->form.bytes : size;
    char *data = realloc(holder->data, capacity);
    if (!data)
        return false;
    holder->data = data;
    holder->capacity = capacity;
    return true;
}

static bool capped_make(struct place *place, uint32_t lane, struct slot *slot, uint32_t size, uint8_t code)
{
    struct holder *holder = pwise_get(place->pool);
    if (!holder)
        return false;
    if (!holder_reserve(place, holder, size)) {
        pwise_put(place->pool, holder);
        return false;
    }
    if (code == OP_CALLOC && size)
        memset(holder->data, 0, size);
    slot->block = holder->data;
    slot->owner = holder;
    slot->size = (uint32_t)holder->capacity;
    return true;
}

static bool capped_resize(struct place *place, uint32_t lane, struct slot *slot, uint32_t size)
{
    struct holder *holder = slot->owner;
    if (!holder_reserve(place, holder, size))
        return false;
    slot->block = holder->data;
    slot->size = (uint32_t)holder->capacity;
    return true;
}

static void capped_free(struct place *place, uint32_t lane, struct slot *slot)
{
    pwise_put(place->pool, slot->owner);
}

const struct form form_capped = {capped_open, capped_make, capped_resize, capped_free};

/* ---- CLASSES: a pool for each power of two ---- */

static bool classes_open(struct place *place)
{
    for (uint64_t size = place->form.low; place->class_count < POOL_CLASSES; size *= 2) {
        place->classes[place->class_count] =
            pwise_pool_create(&(struct pwise_options){.name = "replay", .item_size = size});
        if (!place->classes[place->class_count++])
            return false;
        if (size >= place->form.bytes)
            break;
    }
    return true;
}

static pwise_pool *class_of(const struct place *place, uint32_t size, uint32_t *ret_bytes)
{
    uint32_t i = 0;
    while (i < place->class_count && (uint64_t)place->form.low << i < size)
        i++;
    *ret_bytes = i < place->class_count ? place->form.low << i : 0;
    return i < place->class_count ? place->classes[i] : NULL;
}

static bool classes_make(struct place *place, uint32_t lane, struct slot *slot, uint32_t size, uint8_t code)
{
    uint32_t bytes;
    pwise_pool *pool = class_of(place, size, &bytes);
    if (!pool)
        return malloc_make(slot, size, code);
    slot->block = pwise_get(pool);
    slot->owner = pool;
    slot->size = bytes;
    if (code == OP_CALLOC && slot->block)
        memset(slot->block, 0, size);
    return slot->block;
}

/* The advised code finds the pool by the size that the block was taken with, at free as well. */
static void classes_free(struct place *place, uint32_t lane, struct slot *slot)
{
    uint32_t bytes;
    pwise_pool *pool = slot->owner ? class_of(place, slot->size, &bytes) : NULL;
    if (pool)
        pwise_put(pool, slot->block);
    else
        free(slot->block);
}

const struct form form_classes = {classes_open, classes_make, pool_resize, classes_free};

/* ---- BUFFERS: for blocks that grow ---- */

static bool buffers_open(struct place *place)
{
    place->buffers = pwise_buffer_pool_create(
        &(struct pwise_buffer_pool_options){.name = "replay", .max_capacity = place->form.bytes});
    return place->buffers;
}

/* The buffer keeps a byte more than it is filled with, for its NUL. */
static bool buffer_grow(struct slot *slot, struct pwise_buffer *buffer, uint32_t size)
{
    buffer->length = slot->used;
    if (size >= buffer->capacity && pwise_buffer_reserve(buffer, size - buffer->length) < 0)
        return false;
    slot->block = buffer->data;
    slot->size = (uint32_t)buffer->capacity - 1;
    slot->used = size;
    return true;
}

static bool buffers_make(struct place *place, uint32_t lane, struct slot *slot, uint32_t size, uint8_t code)
{
    struct pwise_buffer *buffer = pwise_buffer_pool_get(place->buffers);
    slot->owner = buffer;
    slot->used = 0;
    if (!buffer || !buffer_grow(slot, buffer, size))
        return false;
    if (code == OP_CALLOC && size)
        memset(slot->block, 0, size);
    return true;
}

static bool buffers_resize(struct place *place, uint32_t lane, struct slot *slot, uint32_t size)
{
    if (size <= slot->size) {
        slot->used = size;
        return true;
    }
    return buffer_grow(slot, slot->owner, size);
}

static void buffers_free(struct place *place, uint32_t lane, struct slot *slot)
{
    ((struct pwise_buffer *)slot->owner)->length = slot->used;
    pwise_buffer_pool_put(place->buffers, slot->owner);
}

const struct form form_buffers = {buffers_open, buffers_make, buffers_resize, buffers_free};
