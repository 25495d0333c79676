/* SPDX-License-Identifier: MIT */
#include "arena.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES ((size_t)64 << 10)
#define ALIGNMENT   ((size_t)16)

struct arena_chunk {
    struct arena_chunk *next;
    size_t
        usual; /* of the usual size: kept for another time; a word, so that what follows is aligned */
};

void *arena_alloc(struct arena *arena, size_t size)
{
    size = (size + ALIGNMENT - 1) & ~(ALIGNMENT - 1);
    if ((size_t)(arena->end - arena->at) < size || !arena->at) {
        size_t bytes = sizeof(struct arena_chunk) + (size > CHUNK_BYTES / 4 ? size : CHUNK_BYTES);
        bool usual = bytes == sizeof(struct arena_chunk) + CHUNK_BYTES;
        struct arena_chunk *chunk = usual ? arena->spare : NULL;
        if (chunk) {
            arena->spare = chunk->next;
            memset(chunk, 0, bytes);
        } else {
            chunk = calloc(1, bytes);
        }
        if (!chunk)
            longjmp(*arena->failed, 1);
        chunk->usual = usual;
        chunk->next = arena->chunks;
        arena->chunks = chunk;
        arena->bytes += bytes;
        if (!usual)
            return chunk + 1; /* a large one has its own chunk; the current one goes on */
        arena->at = (char *)(chunk + 1);
        arena->end = (char *)chunk + bytes;
    }
    void *block = arena->at;
    arena->at += size;
    return block;
}

char *arena_copy(struct arena *arena, const char *text, size_t length)
{
    char *copy = arena_alloc(arena, length + 1);
    memcpy(copy, text, length);
    return copy;
}

void *arena_grow(struct arena *arena, void *items, size_t count, uint32_t *capacity,
                 size_t item_size)
{
    uint32_t wanted = *capacity ? *capacity * 2 : 4;
    void *grown = arena_alloc(arena, wanted * item_size);
    if (count)
        memcpy(grown, items, count * item_size);
    *capacity = wanted;
    return grown;
}

void arena_reset(struct arena *arena)
{
    for (struct arena_chunk *chunk = arena->chunks, *next; chunk; chunk = next) {
        next = chunk->next;
        if (chunk->usual) {
            chunk->next = arena->spare;
            arena->spare = chunk;
        } else {
            free(chunk);
        }
    }
    arena->chunks = NULL;
    arena->at = arena->end = NULL;
    arena->bytes = 0;
}

void arena_done(struct arena *arena)
{
    arena_reset(arena);
    for (struct arena_chunk *chunk = arena->spare, *next; chunk; chunk = next) {
        next = chunk->next;
        free(chunk);
    }
    arena->spare = NULL;
    arena->chunks = NULL;
    arena->at = arena->end = NULL;
    arena->bytes = 0;
}
