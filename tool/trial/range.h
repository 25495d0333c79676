/* SPDX-License-Identifier: MIT */
/*
 * The address range that all pooled blocks lie in, so that one subtraction tells them from the program's
 * own. It is divided into chunks of 2 MiB; each belongs to one owner while it is in use.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RANGE_CHUNK_SHIFT 21u
#define RANGE_CHUNK_BYTES ((size_t)1 << RANGE_CHUNK_SHIFT)
#define RANGE_BYTES       ((size_t)1 << 36)
#define RANGE_CHUNKS      (RANGE_BYTES >> RANGE_CHUNK_SHIFT)

struct home;

#pragma GCC visibility push(hidden)

/* The range's first address; until it is reserved one that no block of the program can have. Constant
 * before any block lies in it. */
extern uintptr_t range_base;

/* Owner of each chunk. Written under the range's lock before a block of the chunk is handed out. */
extern struct home *range_owners[RANGE_CHUNKS];

/* Reserves addresses, no memory. 0 or -ENOMEM (a limit on the address space). Once, by one thread. */
int range_init(void);

/* A zeroed chunk for this owner, of the lowest address that is free; NULL: none left, or no memory. */
void *range_take(struct home *owner);
void range_give(void *chunk);

/* Around fork, as pthread_atfork's handlers. */
void range_lock(void);
void range_unlock(void);

#pragma GCC visibility pop

static inline bool range_holds(const void *block)
{
    return (uintptr_t)block - range_base < RANGE_BYTES;
}

/* Of a block that range_holds(). */
static inline struct home *range_owner(const void *block)
{
    return range_owners[((uintptr_t)block - range_base) >> RANGE_CHUNK_SHIFT];
}
