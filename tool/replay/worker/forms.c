/* SPDX-License-Identifier: MIT */
#include "forms.h"

#include <stdlib.h>
#include <string.h>

bool malloc_make(struct slot *slot, uint32_t size, uint8_t code)
{
    void *block;
    switch (code) {
    case OP_CALLOC:
        block = calloc(1, size);
        break;
    case OP_ALIGNED:
        if (posix_memalign(&block, ALIGNED_BYTES, size))
            block = NULL;
        break;
    default:
        block = malloc(size);
    }
    slot->block = block;
    slot->owner = NULL;
    slot->size = size;
    return block || !size;
}

bool malloc_resize(struct slot *slot, uint32_t size)
{
    void *block = realloc(slot->block, size ? size : 1);
    if (!block)
        return false;
    slot->block = block;
    slot->size = size;
    return true;
}

static bool plain_make(struct place *place, uint32_t lane, struct slot *slot, uint32_t size, uint8_t code)
{
    return malloc_make(slot, size, code);
}

static bool plain_resize(struct place *place, uint32_t lane, struct slot *slot, uint32_t size)
{
    return malloc_resize(slot, size);
}

static void plain_free(struct place *place, uint32_t lane, struct slot *slot)
{
    free(slot->block);
}

static const struct form form_malloc = {NULL, plain_make, plain_resize, plain_free};

static char empty_block[4096];

static bool empty_make(struct place *place, uint32_t lane, struct slot *slot, uint32_t size, uint8_t code)
{
    slot->block = empty_block;
    slot->owner = NULL;
    slot->size = size;
    return true;
}

static bool empty_resize(struct place *place, uint32_t lane, struct slot *slot, uint32_t size)
{
    slot->size = size;
    return true;
}

static void empty_free(struct place *place, uint32_t lane, struct slot *slot)
{
}

const struct form form_empty = {NULL, empty_make, empty_resize, empty_free};

const struct form *form_of(uint32_t kind)
{
    static const struct form *const forms[FORM_COUNT] = {
        [FORM_MALLOC] = &form_malloc,   [FORM_POOL] = &form_pool,       [FORM_CAPPED] = &form_capped,
        [FORM_CLASSES] = &form_classes, [FORM_BUFFERS] = &form_buffers, [FORM_STACK] = &form_stack,
        [FORM_HOIST] = &form_hoist,     [FORM_PRESIZE] = &form_presize, [FORM_ARENA] = &form_arena,
    };
    return kind < FORM_COUNT ? forms[kind] : &form_malloc;
}
