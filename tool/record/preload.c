/* SPDX-License-Identifier: MIT */
/*
 * libpoolwise-record.so: the allocator's entry points, recorded and passed on.
 *
 * A free is recorded before the real call and an allocation after it, so that in the order of time a
 * block's address is never given out again before its free is seen. A resize is recorded on both sides.
 */
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <malloc.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "recorder.h"

#define EXPORT __attribute__((visibility("default"), noinline))

/* The state of the frame that called this entry point. The frame pointer is kept in this file, so the
 * word at the frame address is the caller's own frame pointer. */
#define CALLER()                                                                                   \
    ((struct stack_key){(uint64_t)(uintptr_t)__builtin_dwarf_cfa(),                                  \
                        (uint64_t)(uintptr_t)__builtin_return_address(0),                            \
                        *(const uint64_t *)__builtin_frame_address(0)})

/* Memory for calls that come while the real entry points are being looked up. Never given back. */
static struct {
    _Alignas(64) char bytes[1 << 16];
    _Atomic size_t used;
} arena;

static void *arena_take(size_t size, size_t align)
{
    if (align < 16)
        align = 16;
    size_t whole = size + align + 16;
    size_t at = atomic_fetch_add(&arena.used, whole);
    if (whole < size || at + whole > sizeof arena.bytes) {
        errno = ENOMEM;
        return NULL;
    }
    char *block = (char *)(((uintptr_t)(arena.bytes + at) + 16 + align - 1) & ~(uintptr_t)(align - 1));
    memcpy(block - sizeof size, &size, sizeof size);
    return block;
}

static bool arena_holds(const void *block)
{
    return (const char *)block >= arena.bytes && (const char *)block < arena.bytes + sizeof arena.bytes;
}

static void *first_malloc(size_t size);
static void *first_calloc(size_t count, size_t size);
static void *first_realloc(void *old, size_t size);
static void first_free(void *block);
static int first_posix_memalign(void **ret_block, size_t align, size_t size);
static void *first_aligned_alloc(size_t align, size_t size);
static void *first_memalign(size_t align, size_t size);
static void *first_valloc(size_t size);
static void *first_pvalloc(size_t size);
static void *first_reallocarray(void *old, size_t count, size_t size);
static int first_dlclose(void *handle);

/* The next entry points in the order of symbol search; until they are looked up, functions that do. */
static struct {
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
    int (*dlclose)(void *);
} real = {first_malloc, first_calloc, first_realloc, first_free, first_posix_memalign, first_aligned_alloc,
          first_memalign, first_valloc, first_pvalloc, first_reallocarray, first_dlclose};

static __thread int looking_up __attribute__((tls_model("initial-exec")));

#define LOOK_UP(name)                                                                              \
    do {                                                                                             \
        void *symbol = dlsym(RTLD_NEXT, #name);                                                      \
        if (symbol)                                                                                  \
            real.name = (__typeof__(real.name))(uintptr_t)symbol;                                    \
    } while (0)

/* False: called from within itself. */
static bool look_up(void)
{
    if (looking_up)
        return false;
    looking_up = 1;
    LOOK_UP(free);
    LOOK_UP(calloc);
    LOOK_UP(realloc);
    LOOK_UP(posix_memalign);
    LOOK_UP(aligned_alloc);
    LOOK_UP(memalign);
    LOOK_UP(valloc);
    LOOK_UP(pvalloc);
    LOOK_UP(reallocarray);
    LOOK_UP(dlclose);
    LOOK_UP(malloc);
    recorder_attach();
    looking_up = 0;
    return true;
}

/* With the constructors: most programs' threads then find everything in place. Before attaching, so that
 * what the look-up itself takes from the arena is not recorded: its free would not be. */
__attribute__((constructor)) static void start(void)
{
    look_up();
    recorder_start();
}

static void *first_malloc(size_t size)
{
    return look_up() && real.malloc != first_malloc ? real.malloc(size) : arena_take(size, 16);
}

static void *first_calloc(size_t count, size_t size)
{
    if (look_up() && real.calloc != first_calloc)
        return real.calloc(count, size);
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return arena_take(bytes, 16); /* static memory is zero, and never used twice */
}

static void *first_realloc(void *old, size_t size)
{
    if (look_up() && real.realloc != first_realloc)
        return real.realloc(old, size);
    return arena_take(size, 16);
}

static void first_free(void *block)
{
    if (look_up() && real.free != first_free)
        real.free(block);
}

static int first_posix_memalign(void **ret_block, size_t align, size_t size)
{
    if (look_up() && real.posix_memalign != first_posix_memalign)
        return real.posix_memalign(ret_block, align, size);
    *ret_block = arena_take(size, align);
    return *ret_block ? 0 : ENOMEM;
}

static void *first_aligned_alloc(size_t align, size_t size)
{
    return look_up() && real.aligned_alloc != first_aligned_alloc ? real.aligned_alloc(align, size)
                                                                  : arena_take(size, align);
}

static void *first_memalign(size_t align, size_t size)
{
    return look_up() && real.memalign != first_memalign ? real.memalign(align, size) : arena_take(size, align);
}

static void *first_valloc(size_t size)
{
    return look_up() && real.valloc != first_valloc ? real.valloc(size) : arena_take(size, 4096);
}

static void *first_pvalloc(size_t size)
{
    return look_up() && real.pvalloc != first_pvalloc ? real.pvalloc(size)
                                                      : arena_take((size + 4095) & ~(size_t)4095, 4096);
}

static void *first_reallocarray(void *old, size_t count, size_t size)
{
    size_t bytes;
    if (look_up() && real.reallocarray != first_reallocarray)
        return real.reallocarray(old, count, size);
    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return real.realloc(old, bytes);
}

static int first_dlclose(void *handle)
{
    return look_up() && real.dlclose != first_dlclose ? real.dlclose(handle) : 0;
}

static inline __attribute__((always_inline)) void made(uint32_t kind, void *block, size_t size, struct stack_key caller)
{
    if (__builtin_expect(block != NULL, 1))
        recorder_record(kind, (uint64_t)(uintptr_t)block, size, caller);
}

EXPORT void *malloc(size_t size)
{
    void *block = real.malloc(size);
    made(CHANNEL_MALLOC, block, size, CALLER());
    return block;
}

EXPORT void *calloc(size_t count, size_t size)
{
    void *block = real.calloc(count, size);
    made(CHANNEL_CALLOC, block, count * size, CALLER());
    return block;
}

EXPORT void free(void *block)
{
    if (__builtin_expect(!block, 0))
        return;
    if (__builtin_expect(arena_holds(block), 0))
        return;
    recorder_record(CHANNEL_FREE, (uint64_t)(uintptr_t)block, 0, CALLER());
    real.free(block);
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

static void *arena_resize(void *old, size_t size)
{
    void *block = real.malloc(size);
    size_t old_size;
    memcpy(&old_size, (char *)old - sizeof old_size, sizeof old_size);
    if (block)
        memcpy(block, old, old_size < size ? old_size : size);
    return block;
}

EXPORT void *realloc(void *old, size_t size)
{
    void *block;
    if (!old) {
        block = real.realloc(NULL, size);
        made(CHANNEL_REALLOC, block, size, CALLER());
    } else if (__builtin_expect(arena_holds(old), 0)) {
        block = arena_resize(old, size);
        made(CHANNEL_REALLOC, block, size, CALLER());
    } else {
        recorder_record(CHANNEL_RESIZE_BEGIN, (uint64_t)(uintptr_t)old, 0, CALLER());
        block = real.realloc(old, size);
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
        block = real.realloc(NULL, bytes);
        made(CHANNEL_REALLOC, block, bytes, CALLER());
    } else if (__builtin_expect(arena_holds(old), 0)) {
        block = arena_resize(old, bytes);
        made(CHANNEL_REALLOC, block, bytes, CALLER());
    } else {
        recorder_record(CHANNEL_RESIZE_BEGIN, (uint64_t)(uintptr_t)old, 0, CALLER());
        block = real.realloc(old, bytes);
        resized(old, block, bytes, CALLER());
    }
    return block;
}

EXPORT int posix_memalign(void **ret_block, size_t align, size_t size)
{
    int status = real.posix_memalign(ret_block, align, size);
    if (!status)
        made(CHANNEL_ALIGNED, *ret_block, size, CALLER());
    return status;
}

EXPORT void *aligned_alloc(size_t align, size_t size)
{
    void *block = real.aligned_alloc(align, size);
    made(CHANNEL_ALIGNED, block, size, CALLER());
    return block;
}

EXPORT void *memalign(size_t align, size_t size)
{
    void *block = real.memalign(align, size);
    made(CHANNEL_ALIGNED, block, size, CALLER());
    return block;
}

EXPORT void *valloc(size_t size)
{
    void *block = real.valloc(size);
    made(CHANNEL_ALIGNED, block, size, CALLER());
    return block;
}

EXPORT void *pvalloc(size_t size)
{
    void *block = real.pvalloc(size);
    made(CHANNEL_ALIGNED, block, size, CALLER());
    return block;
}

/* C23; glibc 2.43 has them. */
void free_sized(void *block, size_t size);
EXPORT void free_sized(void *block, size_t size)
{
    if (!block || arena_holds(block))
        return;
    recorder_record(CHANNEL_FREE, (uint64_t)(uintptr_t)block, 0, CALLER());
    real.free(block);
}

void free_aligned_sized(void *block, size_t align, size_t size);
EXPORT void free_aligned_sized(void *block, size_t align, size_t size)
{
    if (!block || arena_holds(block))
        return;
    recorder_record(CHANNEL_FREE, (uint64_t)(uintptr_t)block, 0, CALLER());
    real.free(block);
}

EXPORT int dlclose(void *handle)
{
    recorder_forget_code();
    int status = real.dlclose(handle);
    recorder_forget_code(); /* what was compiled between the two */
    return status;
}
