/* SPDX-License-Identifier: MIT */
/*
 * Blocks on pages of their own. A block ends as close to the end of its last page as its alignment
 * allows, and an inaccessible page follows. What is stored in it survives being closed.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "debug_internal.h"

/* Each block may cost the kernel three areas of the process, of which it allows 65530. */
#define BLOCKS_MAX 8192

static _Atomic size_t blocks; /* in existence; any thread, relaxed */

static size_t page_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

/* Of the block's accessible pages. */
static size_t span_bytes(const struct pool *pool)
{
    return (pool->options.item_size + page_bytes() - 1) & ~(page_bytes() - 1);
}

/* The block begins in the first page. */
static void *base_of(void *block)
{
    return (void *)((uintptr_t)block & ~(page_bytes() - 1));
}

void *guard_take(struct pool *pool)
{
    size_t size = pool->options.item_size, align = pool->options.item_align;
    if (align > page_bytes() || size > SIZE_MAX / 4)
        return NULL;
    if (atomic_fetch_add_explicit(&blocks, 1, memory_order_relaxed) < BLOCKS_MAX) {
        size_t span = span_bytes(pool);
        char *base = mmap(NULL, span + page_bytes(), PROT_NONE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (base != MAP_FAILED) {
            if (mprotect(base, span, PROT_READ | PROT_WRITE) == 0)
                return base + ((span - size) & ~(align - 1));
            munmap(base, span + page_bytes());
        }
    }
    atomic_fetch_sub_explicit(&blocks, 1, memory_order_relaxed);
    return NULL;
}

void guard_give(struct pool *pool, void *block)
{
    munmap(base_of(block), span_bytes(pool) + page_bytes());
    atomic_fetch_sub_explicit(&blocks, 1, memory_order_relaxed);
}

bool guard_close(struct pool *pool, void *block)
{
    return mprotect(base_of(block), span_bytes(pool), PROT_NONE) == 0;
}

bool guard_open(struct pool *pool, void *block)
{
    return mprotect(base_of(block), span_bytes(pool), PROT_READ | PROT_WRITE) == 0;
}
