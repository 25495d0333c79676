/* SPDX-License-Identifier: MIT */
/*
 * An allocator that may be called at any instruction, signal handlers included: every block is taken from
 * one large mapping with one atomic addition, and never used again. Preloaded behind the recorder it makes
 * programs legal whose handlers allocate, so that a handler can hit the recorder anywhere.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define EXPORT     __attribute__((visibility("default")))
#define HEAP_BYTES (UINT64_C(1) << 36)

static _Atomic uintptr_t heap, used;

static char *heap_begin(void)
{
    uintptr_t begin = atomic_load(&heap);
    if (begin == 0) {
        void *made = mmap(NULL, HEAP_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (made == MAP_FAILED)
            abort();
        if (!atomic_compare_exchange_strong(&heap, &begin, (uintptr_t)made))
            munmap(made, HEAP_BYTES);
        else
            begin = (uintptr_t)made;
    }
    return (char *)begin;
}

static void *take(size_t align, size_t size)
{
    if (align < 16)
        align = 16;
    uintptr_t at = atomic_fetch_add(&used, size + align + sizeof(size_t) + 15);
    if (size > HEAP_BYTES || at + size + align + 32 > HEAP_BYTES) {
        errno = ENOMEM;
        return NULL;
    }
    uintptr_t block = ((uintptr_t)heap_begin() + at + sizeof(size_t) + align - 1) & ~(align - 1);
    memcpy((char *)block - sizeof size, &size, sizeof size);
    return (void *)block;
}

EXPORT void *malloc(size_t size)
{
    return take(16, size);
}

EXPORT void *calloc(size_t count, size_t size)
{
    return take(16, count * size); /* fresh memory is zero */
}

EXPORT void free(void *block)
{
    (void)block;
}

EXPORT void *realloc(void *old, size_t size)
{
    size_t old_size = 0;
    if (old != NULL)
        memcpy(&old_size, (char *)old - sizeof old_size, sizeof old_size);
    void *block = take(16, size);
    if (block != NULL && old != NULL)
        memcpy(block, old, old_size < size ? old_size : size);
    return block;
}

EXPORT void *memalign(size_t align, size_t size)
{
    return take(align, size);
}

EXPORT void *aligned_alloc(size_t align, size_t size)
{
    return take(align, size);
}

EXPORT int posix_memalign(void **ret_block, size_t align, size_t size)
{
    *ret_block = take(align, size);
    return *ret_block == NULL ? ENOMEM : 0;
}
