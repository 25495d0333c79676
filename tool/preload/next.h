/* SPDX-License-Identifier: MIT */
/*
 * The allocator behind a preloaded one: the next entry points in the order of symbol search. Until they
 * have been looked up the pointers lead to functions that do that, and serve from a small arena the calls
 * that the look-up itself makes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct next_allocator {
    void *(*malloc)(size_t);
    void *(*calloc)(size_t, size_t);
    void *(*realloc)(void *, size_t);
    void (*free)(void *);
    int (*posix_memalign)(void **, size_t, size_t);
    void *(*aligned_alloc)(size_t, size_t);
    void *(*memalign)(size_t, size_t);
    void *(*valloc)(size_t);
    void *(*pvalloc)(size_t);
    void *(*reallocarray)(void *, size_t, size_t);
    size_t (*usable_size)(void *); /* NULL: the allocator has none */
    int (*dlclose)(void *);
};

#define NEXT_ARENA_BYTES ((size_t)1 << 16)

#pragma GCC visibility push(hidden)

/* Constant once looked up. Called through directly: one load and a jump. */
extern struct next_allocator next;

/* Never given back; static memory is zero, and never used twice. */
extern char next_arena[NEXT_ARENA_BYTES];

/* Looks the entry points up, then calls on_ready, if any, still marked as looking up. False: called from
 * within itself. Any thread; again is harmless. */
bool next_look_up(void);

/* To be defined by who includes this: what there is to do when the allocator is known. May be called more
 * than once. */
void next_ready(void);

/* realloc of a block of the arena, which next does not know: a new block of next's. */
void *next_arena_resize(void *old, size_t size);

#pragma GCC visibility pop

static inline bool next_arena_holds(const void *block)
{
    return (const char *)block >= next_arena && (const char *)block < next_arena + NEXT_ARENA_BYTES;
}
