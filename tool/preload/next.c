/* SPDX-License-Identifier: MIT */
#include "next.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

_Alignas(64) char next_arena[NEXT_ARENA_BYTES];
static _Atomic size_t arena_used;

static void *arena_take(size_t size, size_t align)
{
    if (align < 16)
        align = 16;
    size_t whole = size + align + 16;
    size_t at = atomic_fetch_add(&arena_used, whole);
    if (whole < size || at + whole > sizeof next_arena) {
        errno = ENOMEM;
        return NULL;
    }
    char *block =
        (char *)(((uintptr_t)(next_arena + at) + 16 + align - 1) & ~(uintptr_t)(align - 1));
    memcpy(block - sizeof size, &size, sizeof size);
    return block;
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

struct next_allocator next = {
    .malloc = first_malloc,
    .calloc = first_calloc,
    .realloc = first_realloc,
    .free = first_free,
    .posix_memalign = first_posix_memalign,
    .aligned_alloc = first_aligned_alloc,
    .memalign = first_memalign,
    .valloc = first_valloc,
    .pvalloc = first_pvalloc,
    .reallocarray = first_reallocarray,
    .dlclose = first_dlclose,
};

static __thread int looking_up __attribute__((tls_model("initial-exec")));

#define LOOK_UP(member, name)                                                                      \
    do {                                                                                           \
        void *symbol = dlsym(RTLD_NEXT, name);                                                     \
        if (symbol)                                                                                \
            next.member = (__typeof__(next.member))(uintptr_t)symbol;                              \
    } while (0)

bool next_look_up(void)
{
    if (looking_up)
        return false;
    looking_up = 1;
    LOOK_UP(free, "free");
    LOOK_UP(calloc, "calloc");
    LOOK_UP(realloc, "realloc");
    LOOK_UP(posix_memalign, "posix_memalign");
    LOOK_UP(aligned_alloc, "aligned_alloc");
    LOOK_UP(memalign, "memalign");
    LOOK_UP(valloc, "valloc");
    LOOK_UP(pvalloc, "pvalloc");
    LOOK_UP(reallocarray, "reallocarray");
    LOOK_UP(usable_size, "malloc_usable_size");
    LOOK_UP(dlclose, "dlclose");
    LOOK_UP(malloc, "malloc");
    next_ready();
    looking_up = 0;
    return true;
}

void *next_arena_resize(void *old, size_t size)
{
    void *block = next.malloc(size);
    size_t old_size;
    memcpy(&old_size, (char *)old - sizeof old_size, sizeof old_size);
    if (block)
        memcpy(block, old, old_size < size ? old_size : size);
    return block;
}

static void *first_malloc(size_t size)
{
    return next_look_up() && next.malloc != first_malloc ? next.malloc(size) : arena_take(size, 16);
}

static void *first_calloc(size_t count, size_t size)
{
    if (next_look_up() && next.calloc != first_calloc)
        return next.calloc(count, size);
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return arena_take(bytes, 16);
}

static void *first_realloc(void *old, size_t size)
{
    if (next_look_up() && next.realloc != first_realloc)
        return next.realloc(old, size);
    return arena_take(size, 16);
}

static void first_free(void *block)
{
    if (next_look_up() && next.free != first_free)
        next.free(block);
}

static int first_posix_memalign(void **ret_block, size_t align, size_t size)
{
    if (next_look_up() && next.posix_memalign != first_posix_memalign)
        return next.posix_memalign(ret_block, align, size);
    *ret_block = arena_take(size, align);
    return *ret_block ? 0 : ENOMEM;
}

static void *first_aligned_alloc(size_t align, size_t size)
{
    return next_look_up() && next.aligned_alloc != first_aligned_alloc
               ? next.aligned_alloc(align, size)
               : arena_take(size, align);
}

static void *first_memalign(size_t align, size_t size)
{
    return next_look_up() && next.memalign != first_memalign ? next.memalign(align, size)
                                                             : arena_take(size, align);
}

static void *first_valloc(size_t size)
{
    return next_look_up() && next.valloc != first_valloc ? next.valloc(size)
                                                         : arena_take(size, 4096);
}

static void *first_pvalloc(size_t size)
{
    return next_look_up() && next.pvalloc != first_pvalloc
               ? next.pvalloc(size)
               : arena_take((size + 4095) & ~(size_t)4095, 4096);
}

static void *first_reallocarray(void *old, size_t count, size_t size)
{
    size_t bytes;
    if (next_look_up() && next.reallocarray != first_reallocarray)
        return next.reallocarray(old, count, size);
    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return next.realloc(old, bytes);
}

static int first_dlclose(void *handle)
{
    return next_look_up() && next.dlclose != first_dlclose ? next.dlclose(handle) : 0;
}
