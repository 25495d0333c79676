/* SPDX-License-Identifier: MIT */
#include "model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static inline uint32_t slot_of(uint32_t value)
{
    return value * 0x9e3779b1u >> (32 - MODEL_BITS);
}

static inline uint32_t class_of(uint64_t size)
{
    /* glibc's own steps: 16 bytes, with 8 bytes of its own. */
    uint64_t step = (size + 23) >> 4;
    if (step > 64)
        step = 64 + (step >> 6);
    return (uint32_t)(step % (MODEL_SIZE / 4));
}

int model_init(struct model *model)
{
    memset(model, 0, sizeof *model);
    model->freed_capacity = 1u << 17;
    model->freed = malloc(model->freed_capacity * sizeof *model->freed);
    return model->freed ? 0 : -ENOMEM;
}

void model_done(struct model *model)
{
    free(model->freed);
    free(model->blocks);
    memset(model, 0, sizeof *model);
}

void model_reset(struct model *model)
{
    model->epoch++;
    model->thread = 0;
    model->last_block = 0;
    model->step = 0;
    model->time = 0;
    model->freed_count = 0;
    memset(model->last_stack, 0, sizeof model->last_stack);
    memset(model->after, 0, sizeof model->after);
    memset(model->size, 0, sizeof model->size);
    memset(model->classes, 0, sizeof model->classes);
}

uint32_t model_guess_stack(const struct model *model, uint32_t thread)
{
    return model->after[slot_of(model->last_stack[thread % 256])];
}

uint64_t model_guess_size(const struct model *model, uint32_t kind, uint32_t stack)
{
    return kind == TRACE_FREE ? 0 : model->size[slot_of(stack)];
}

uint32_t model_guess_block(const struct model *model, uint32_t kind)
{
    if (kind == TRACE_ALLOC)
        return model->freed_count ? model->freed[model->freed_count - 1] : model->last_block + 1;
    return model->last_block + (uint32_t)(kind == TRACE_FREE ? model->step : 0);
}

static const struct model_block *block_known(const struct model *model, uint32_t block)
{
    return block < model->block_capacity && model->blocks[block].epoch == model->epoch ? &model->blocks[block] : NULL;
}

uint64_t model_guess_address(const struct model *model, uint32_t kind, uint64_t size, uint32_t block)
{
    if (kind != TRACE_ALLOC) {
        const struct model_block *known = block_known(model, block);
        return known ? known->address : 0;
    }
    const struct model_class *class = &model->classes[class_of(size)];
    return class->count ? class->freed[(class->top - 1) % MODEL_RECENT] : class->next;
}

static void freed_add(struct model *model, uint32_t block)
{
    if (model->freed_count == model->freed_capacity)
        model->freed_count = 0; /* only a worse guess; the reader forgets too */
    model->freed[model->freed_count++] = block;
}

static int block_set(struct model *model, const struct trace_event *event)
{
    if (event->block >= model->block_capacity) {
        uint32_t capacity = model->block_capacity ? model->block_capacity : 1024;
        while (capacity <= event->block)
            capacity *= 2;
        struct model_block *blocks = realloc(model->blocks, capacity * sizeof *blocks);
        if (!blocks)
            return -ENOMEM;
        memset(blocks + model->block_capacity, 0, (capacity - model->block_capacity) * sizeof *blocks);
        model->blocks = blocks;
        model->block_capacity = capacity;
    }
    model->blocks[event->block] = (struct model_block){event->address, event->size, model->epoch};
    return 0;
}

int model_learn(struct model *model, const struct trace_event *event)
{
    uint32_t *last = &model->last_stack[event->thread % 256];
    model->after[slot_of(*last)] = event->stack;
    *last = event->stack;
    if (event->kind == TRACE_FREE) {
        if (event->block == TRACE_NO_BLOCK)
            return 0;
        const struct model_block *known = block_known(model, event->block);
        if (known) {
            struct model_class *class = &model->classes[class_of(known->size)];
            class->freed[class->top++ % MODEL_RECENT] = known->address;
            class->count += class->count < MODEL_RECENT;
        }
        freed_add(model, event->block);
        model->step = (int32_t)(event->block - model->last_block);
        if (model->step > 1 || model->step < -1)
            model->step = 0;
        model->last_block = event->block;
        return 0;
    }
    model->size[slot_of(event->stack)] = event->size;
    if (event->kind == TRACE_ALLOC) {
        struct model_class *class = &model->classes[class_of(event->size)];
        if (class->count) {
            class->count--;
            class->top--;
        }
        class->next = event->address + ((event->size + 23) & ~UINT64_C(15));
        if (model->freed_count)
            model->freed_count--;
        model->step = 0;
    }
    model->last_block = event->block;
    return block_set(model, event);
}
