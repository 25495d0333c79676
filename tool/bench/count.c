/* SPDX-License-Identifier: MIT */
/*
 * libpoolwise-count.so: preloaded into the worker, it counts the calls that give memory and the
 * bytes they ask for, in the way of Go's -benchmem; a resize counts as one call for its new size.
 * The memory comes from glibc by its own second names, so nothing has to be looked up at start.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

void poolwise_bench_counts(uint64_t *ret_allocations, uint64_t *ret_bytes);

/* Any thread adds; read when the threads are at rest. */
static _Atomic uint64_t allocations, bytes;

static void *counted(void *block, size_t size)
{
    if (block) {
        atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&bytes, size, memory_order_relaxed);
    }
    return block;
}

void poolwise_bench_counts(uint64_t *ret_allocations, uint64_t *ret_bytes)
{
    *ret_allocations = atomic_load_explicit(&allocations, memory_order_relaxed);
    *ret_bytes = atomic_load_explicit(&bytes, memory_order_relaxed);
}

void *malloc(size_t size)
{
    return counted(__libc_malloc(size), size);
}

void *calloc(size_t count, size_t size)
{
    return counted(__libc_calloc(count, size), count * size);
}

void *realloc(void *block, size_t size)
{
    return counted(__libc_realloc(block, size), size);
}

void *memalign(size_t alignment, size_t size)
{
    return counted(__libc_memalign(alignment, size), size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return memalign(alignment, size);
}

int posix_memalign(void **ret_block, size_t alignment, size_t size)
{
    if (alignment < sizeof(void *) || alignment & (alignment - 1))
        return EINVAL;
    void *block = memalign(alignment, size);
    if (!block)
        return ENOMEM;
    *ret_block = block;
    return 0;
}
