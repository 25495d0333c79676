/* SPDX-License-Identifier: MIT */
/*
 * libpoolwise-record.so: the allocator's entry points, recorded and passed on.
 *
 * A free is recorded before the real call and an allocation after it, so that in the order of time a
 * block's address is never given out again before its free is seen. A resize is recorded on both sides.
 */
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "next.h"
#include "recorder.h"

#define EXPORT __attribute__((visibility("default"), noinline))

/* The state of the frame that called this entry point. The frame pointer is kept in this file, so the
 * word at the frame address is the caller's own frame pointer. */
#define CALLER()                                                                                   \
    ((struct stack_key){(uint64_t)(uintptr_t)__builtin_dwarf_cfa(),                                  \
                        (uint64_t)(uintptr_t)__builtin_return_address(0),                            \
                        *(const uint64_t *)__builtin_frame_address(0)})

/* With the constructors: most programs' threads then find everything in place. Before attaching, so that
 * what the look-up itself takes from the arena is not recorded: its free would not be. */
__attribute__((constructor)) static void start(void)
{
    next_look_up();
    recorder_start();
}

void next_ready(void)
{
    recorder_attach();
}

static inline __attribute__((always_inline)) void made(uint32_t kind, void *block, size_t size, struct stack_key caller)
{
    if (__builtin_expect(block != NULL, 1))
        recorder_record(kind, (uint64_t)(uintptr_t)block, size, caller);
}

EXPORT void *malloc(size_t size)
{
    void *block = next.malloc(size);
    made(CHANNEL_MALLOC, block, size, CALLER());
    return block;
}

EXPORT void *calloc(size_t count, size_t size)
{
    void *block = next.calloc(count, size);
    made(CHANNEL_CALLOC, block, count * size, CALLER());
    return block;
}

EXPORT void free(void *block)
{
    if (__builtin_expect(!block, 0))
        return;
    if (__builtin_expect(next_arena_holds(block), 0))
        return;
    recorder_record(CHANNEL_FREE, (uint64_t)(uintptr_t)block, 0, CALLER());
    next.free(block);
}

/* After a resize of `old` to `size` bytes that gave `block`. */
static inline __attribute__((always_inline)) void resized(void *old, void *block, size_t size, struct stack_key caller)
{
    if (block)
        recorder_record(CHANNEL_RESIZE_END, (uint64_t)(uintptr_t)block, size, caller);
    else if (size == 0)
        recorder_record(CHANNEL_RESIZE_END, 0, 0, caller); /* the old block is gone, and there is no new one */
    else
        recorder_record(CHANNEL_RESIZE_END, (uint64_t)(uintptr_t)old, UINT64_MAX, caller); /* failed: as it was */
}

EXPORT void *realloc(void *old, size_t size)
{
    void *block;
    if (!old) {
        block = next.realloc(NULL, size);
        made(CHANNEL_REALLOC, block, size, CALLER());
    } else if (__builtin_expect(next_arena_holds(old), 0)) {
        block = next_arena_resize(old, size);
        made(CHANNEL_REALLOC, block, size, CALLER());
    } else {
        recorder_record(CHANNEL_RESIZE_BEGIN, (uint64_t)(uintptr_t)old, 0, CALLER());
        block = next.realloc(old, size);
        resized(old, block, size, CALLER());
    }
    return block;
}

EXPORT void *reallocarray(void *old, size_t count, size_t size)
{
    void *block;
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    /* By realloc, as glibc's own does: its reallocarray calls the interposed realloc, which would count twice. */
    if (!old) {
        block = next.realloc(NULL, bytes);
        made(CHANNEL_REALLOC, block, bytes, CALLER());
    } else if (__builtin_expect(next_arena_holds(old), 0)) {
        block = next_arena_resize(old, bytes);
        made(CHANNEL_REALLOC, block, bytes, CALLER());
    } else {
        recorder_record(CHANNEL_RESIZE_BEGIN, (uint64_t)(uintptr_t)old, 0, CALLER());
        block = next.realloc(old, bytes);
        resized(old, block, bytes, CALLER());
    }
    return block;
}

EXPORT int posix_memalign(void **ret_block, size_t align, size_t size)
{
    int status = next.posix_memalign(ret_block, align, size);
    if (!status)
        made(CHANNEL_ALIGNED, *ret_block, size, CALLER());
    return status;
}

EXPORT void *aligned_alloc(size_t align, size_t size)
{
    void *block = next.aligned_alloc(align, size);
    made(CHANNEL_ALIGNED, block, size, CALLER());
    return block;
}

EXPORT void *memalign(size_t align, size_t size)
{
    void *block = next.memalign(align, size);
    made(CHANNEL_ALIGNED, block, size, CALLER());
    return block;
}

EXPORT void *valloc(size_t size)
{
    void *block = next.valloc(size);
    made(CHANNEL_ALIGNED, block, size, CALLER());
    return block;
}

EXPORT void *pvalloc(size_t size)
{
    void *block = next.pvalloc(size);
    made(CHANNEL_ALIGNED, block, size, CALLER());
    return block;
}

/* C23; glibc 2.43 has them. */
void free_sized(void *block, size_t size);
EXPORT void free_sized(void *block, size_t size)
{
    if (!block || next_arena_holds(block))
        return;
    recorder_record(CHANNEL_FREE, (uint64_t)(uintptr_t)block, 0, CALLER());
    next.free(block);
}

void free_aligned_sized(void *block, size_t align, size_t size);
EXPORT void free_aligned_sized(void *block, size_t align, size_t size)
{
    if (!block || next_arena_holds(block))
        return;
    recorder_record(CHANNEL_FREE, (uint64_t)(uintptr_t)block, 0, CALLER());
    next.free(block);
}

EXPORT int dlclose(void *handle)
{
    recorder_forget_code();
    int status = next.dlclose(handle);
    recorder_forget_code(); /* what was compiled between the two */
    return status;
}
