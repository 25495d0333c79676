/* SPDX-License-Identifier: MIT */
/*
 * Memory that goes all at once. When there is none left, arena_alloc does not return: it jumps to the
 * arena's `failed`, which whoever owns the arena has set; so the analysis needs no error path per list.
 */
#pragma once

#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

struct arena_chunk;

struct arena {
    struct arena_chunk *chunks; /* the newest first */
    struct arena_chunk *spare;  /* for another time */
    char *at, *end;
    size_t bytes; /* taken from the heap so far */
    jmp_buf *failed;
};

/* Zeroed, aligned for anything. */
void *arena_alloc(struct arena *arena, size_t size);
char *arena_copy(struct arena *arena, const char *text, size_t length);
void arena_reset(struct arena *arena); /* forgets all, and keeps the memory for another time */
void arena_done(struct arena *arena);

/* A list that grows by doubling; what it leaves behind goes with the arena. */
void *arena_grow(struct arena *arena, void *items, size_t count, uint32_t *capacity,
                 size_t item_size);

#define ARENA_PUSH(arena, list, item)                                                              \
    do {                                                                                           \
        if ((list)->count == (list)->capacity)                                                     \
            (list)->items = arena_grow((arena), (list)->items, (list)->count, &(list)->capacity,   \
                                       sizeof *(list)->items);                                     \
        (list)->items[(list)->count++] = (item);                                                   \
    } while (0)
