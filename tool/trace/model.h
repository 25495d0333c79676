/* SPDX-License-Identifier: MIT */
/*
 * What the writer and the reader both expect of the next event, so that only surprises take space. It
 * is made anew for each block of the file: a block can be read without those before it.
 *
 * Expected are: the stack that came last time after the thread's last stack; the size that came last time
 * with this stack; for a new block the number freed last; for a free the block touched last, or next
 * to it in the direction the last frees went; for an address the one freed last of that size (as malloc's own
 * caches behave), or the one behind the last block of that size.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "trace.h"

#define MODEL_BITS    12u
#define MODEL_SIZE    (1u << MODEL_BITS)
#define MODEL_RECENT  8u /* addresses kept per size class */

struct model_class {
    uint64_t freed[MODEL_RECENT]; /* a ring: the newest are kept */
    uint64_t next;                /* behind the last block handed out */
    uint32_t top, count;
};

struct model_block {
    uint64_t address, size;
    uint32_t epoch; /* of the file block in which it was made; another: unknown here */
};

struct model {
    uint32_t epoch;
    uint32_t thread, last_block;
    int32_t step; /* between the last two blocks freed */
    uint64_t time; /* in units */
    uint32_t last_stack[256]; /* by thread, hashed */
    uint32_t after[MODEL_SIZE];
    uint64_t size[MODEL_SIZE];
    struct model_class classes[MODEL_SIZE / 4];
    uint32_t *freed; /* numbers freed in this block, newest last */
    uint32_t freed_count, freed_capacity;
    struct model_block *blocks;
    uint32_t block_capacity;
};

struct model_guess {
    uint64_t size, address;
    uint32_t stack, block;
};

int model_init(struct model *model);
void model_done(struct model *model);
void model_reset(struct model *model);

/* In this order, as each guess may rest on what is known by then. */
uint32_t model_guess_stack(const struct model *model, uint32_t thread);
uint64_t model_guess_size(const struct model *model, uint32_t kind, uint32_t stack);
uint32_t model_guess_block(const struct model *model, uint32_t kind);
uint64_t model_guess_address(const struct model *model, uint32_t kind, uint64_t size, uint32_t block);

/* The event as it was. 0 or -ENOMEM. */
int model_learn(struct model *model, const struct trace_event *event);
