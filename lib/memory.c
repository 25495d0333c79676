/* SPDX-License-Identifier: MIT */
#include "memory.h"

#include <errno.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "inject.h"
#include "pool_internal.h"
#include "slab.h"

#ifdef PWISE_INJECT
bool (*volatile inject_memory)(bool take);
#endif

void *memory_take(size_t bytes, size_t align)
{
    if (!INJECT_MEMORY(true)) {
        errno = ENOMEM;
        return NULL;
    }
    if (align <= _Alignof(max_align_t))
        return calloc(1, bytes);
    if (bytes > SIZE_MAX - align) {
        errno = ENOMEM;
        return NULL;
    }
    void *block = aligned_alloc(align, (bytes + align - 1) & ~(align - 1));
    if (block)
        memset(block, 0, bytes);
    return block;
}

void memory_give(void *block)
{
    if (block)
        (void)INJECT_MEMORY(false);
    free(block);
}

void *item_block_take(struct pool *pool)
{
    if (slabs_used(pool))
        return slabs_take(pool);
    return memory_take(pool->options.item_size, pool->options.item_align);
}

void item_block_give(struct pool *pool, void *block)
{
    if (slabs_used(pool))
        slabs_give(pool, block);
    else
        memory_give(block);
}

void memory_trim(void)
{
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}
