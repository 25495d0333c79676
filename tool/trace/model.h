/* SPDX-License-Identifier: MIT */
/*
 * What the writer and the reader both expect of the next event, so that only surprises take space.
 * It is made anew for each block of the file: events can be decoded without those of earlier
 * blocks.
 *
 * Expected are: the stack that came last time after the thread's last stack; the size that came
 * last time with this stack; for a new block the number freed last; for a free the block touched
 * last, or next to it in the direction the last frees went; for an address the one freed last of
 * that size (as malloc's own caches behave), or the one behind the last block of that size.
 *
 * A change of any guess is a change of the format. All is inline: it runs for every event, on both
 * sides.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "format.h"
#include "trace.h"

#define MODEL_STACK_BITS 12u
#define MODEL_THREADS    256u
#define MODEL_CLASSES    1024u
#define MODEL_RECENT     8u /* addresses kept per size class */
#define MODEL_BLOCKS     (1u << 14)

struct model_stack {
    uint64_t size;  /* of the block it made or resized last */
    uint32_t after; /* the stack that came after it in its thread */
    uint32_t unused;
};

struct model_class {
    uint64_t freed[MODEL_RECENT]; /* a ring: the newest are kept */
    uint64_t next;                /* behind the last block handed out */
    uint32_t top, count;
};

struct model_block {
    uint64_t address;
    uint32_t block;
    uint16_t class;
    uint16_t epoch; /* of the file block in which it was set; another: empty */
};

struct model {
    uint32_t thread, last_block;
    int32_t step; /* between the last two blocks freed */
    uint16_t epoch;
    uint64_t time;    /* in units */
    uint64_t unknown; /* address of the last block freed that had no number */
    uint32_t freed_count;
    uint16_t last[MODEL_THREADS]; /* slot of the thread's last stack; threads share by number */
    struct model_stack stacks[1u << MODEL_STACK_BITS];
    struct model_class classes[MODEL_CLASSES];
    struct model_block blocks[MODEL_BLOCKS]; /* by number, the newest holds the place */
    uint32_t freed[FORMAT_BLOCK_EVENTS];     /* numbers freed and not used again, newest last */
};

static inline uint32_t model_slot(uint32_t stack)
{
    return stack * 0x9e3779b1u >> (32 - MODEL_STACK_BITS);
}

static inline uint32_t model_class(uint64_t size)
{
    /* glibc's own steps: 16 bytes, with 8 bytes of its own. */
    uint64_t step = (size + 23) >> 4;
    if (step > 64)
        step = 64 + (step >> 6);
    return (uint32_t)(step % MODEL_CLASSES);
}

/* Before the first use the model must be all zero. */
static inline void model_reset(struct model *model)
{
    uint16_t epoch = (uint16_t)(model->epoch + 1);
    if (!epoch) {
        memset(model->blocks, 0, sizeof model->blocks);
        epoch = 1;
    }
    memset(model, 0, offsetof(struct model, blocks));
    model->epoch = epoch;
}

static inline uint32_t model_guess_stack(const struct model *model, uint32_t thread)
{
    return model->stacks[model->last[thread % MODEL_THREADS]].after;
}

static inline void model_learn_stack(struct model *model, uint32_t thread, uint32_t stack)
{
    uint16_t *last = &model->last[thread % MODEL_THREADS];
    model->stacks[*last].after = stack;
    *last = (uint16_t)model_slot(stack);
}

/* Of a block made or resized. */
static inline uint64_t model_guess_size(const struct model *model, uint32_t stack)
{
    return model->stacks[model_slot(stack)].size;
}

static inline uint32_t model_guess_new_block(const struct model *model)
{
    return model->freed_count ? model->freed[model->freed_count - 1] : model->last_block + 1;
}

static inline uint64_t model_guess_new_address(const struct model *model, uint64_t size)
{
    const struct model_class *class = &model->classes[model_class(size)];
    return class->count ? class->freed[(class->top - 1) % MODEL_RECENT] : class->next;
}

static inline uint32_t model_guess_resized_block(const struct model *model)
{
    return model->last_block;
}

static inline uint64_t model_guess_resized_address(const struct model *model, uint32_t block)
{
    const struct model_block *known = &model->blocks[block % MODEL_BLOCKS];
    return known->epoch == model->epoch && known->block == block ? known->address : 0;
}

static inline uint32_t model_guess_freed_block(const struct model *model)
{
    return model->last_block + (uint32_t)model->step;
}

static inline uint64_t model_guess_unknown_address(const struct model *model)
{
    return model->unknown;
}

static inline void model_set_block(struct model *model, const struct trace_event *event,
                                   uint32_t class)
{
    model->blocks[event->block % MODEL_BLOCKS] =
        (struct model_block){event->address, event->block, (uint16_t) class, model->epoch};
    model->last_block = event->block;
}

static inline void model_learn_alloc(struct model *model, const struct trace_event *event)
{
    uint32_t number = model_class(event->size);
    struct model_class *class = &model->classes[number];
    if (class->count) {
        class->count--;
        class->top--;
    }
    class->next = event->address + ((event->size + 23) & ~UINT64_C(15));
    model->stacks[model_slot(event->stack)].size = event->size;
    if (model->freed_count)
        model->freed_count--;
    model->step = 0;
    model_set_block(model, event, number);
}

static inline void model_learn_realloc(struct model *model, const struct trace_event *event)
{
    model->stacks[model_slot(event->stack)].size = event->size;
    model_set_block(model, event, model_class(event->size));
}

static inline void model_learn_free(struct model *model, const struct trace_event *event)
{
    if (event->block == TRACE_NO_BLOCK) {
        model->unknown = event->address;
        return;
    }
    const struct model_block *known = &model->blocks[event->block % MODEL_BLOCKS];
    if (known->epoch == model->epoch && known->block == event->block) {
        struct model_class *class = &model->classes[known->class];
        class->freed[class->top++ % MODEL_RECENT] = known->address;
        class->count += class->count < MODEL_RECENT;
    }
    model->freed[model->freed_count++] = event->block; /* a block's frees all fit */
    uint32_t step = event->block - model->last_block;
    model->step = step == 1 ? 1 : step == UINT32_MAX ? -1 : 0;
    model->last_block = event->block;
}
