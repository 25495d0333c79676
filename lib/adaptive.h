/* SPDX-License-Identifier: MIT */
/*
 * Keeping a large item only while it is being used: one that is larger than ADAPTIVE_FREE_BYTES
 * gets a strike at each put after which less than a quarter of it was used. The fourth in a row ends
 * it; a good use clears them. So at worst a twentieth of what a pool keeps is being used: a quarter
 * once, then nothing four times. Where a pool knows which sizes are used regularly, it is patient with
 * these: letting them go costs a new block of that size time after time.
 *
 * Buffers carry their strikes with them. Items of other pools have no room for any: theirs stand in
 * a table beside the pool, by address.
 */
#pragma once

#include "pool_internal.h"

#define ADAPTIVE_FREE_BYTES      4096u /* a page: what is not larger is always kept */
#define ADAPTIVE_SHARE           4u    /* a use is good that fills 1/4 */
#define ADAPTIVE_STRIKES         4u

/* Where uses of a buffer's size are known to come once in 32 or more often, small ones between them say
 * little: after so many in a row they have stopped coming, but for one case in fifty. */
#define ADAPTIVE_STRIKES_REGULAR 120u

/* How much of `bytes` must be used for no strike. */
static inline size_t adaptive_good_bytes(size_t bytes)
{
    return bytes <= ADAPTIVE_FREE_BYTES ? 0 : bytes / ADAPTIVE_SHARE;
}

static inline bool adaptive_use_is_good(size_t bytes, size_t used)
{
    return used >= adaptive_good_bytes(bytes);
}

struct strikes;

#pragma GCC visibility push(hidden)

struct strikes *strikes_create(void); /* NULL: no memory */
void strikes_destroy(struct strikes *strikes);

/* Notes a use, at put; only by who has the item. `used` is what was used, or, where known is false,
 * judged by the sizes of other items. False: the item is to go. */
bool strikes_note(struct strikes *strikes, const void *item, size_t bytes, size_t used, bool known);

/* The item is going: its address may come back as another. */
void strikes_forget(struct strikes *strikes, const void *item);

#pragma GCC visibility pop
