/* SPDX-License-Identifier: MIT */
/*
 * C++'s operators new and delete.
 *
 * libstdc++'s and libc++'s call malloc and free, which are recorded there: these entry points only jump
 * on. Allocators that replace the operators (tcmalloc, jemalloc, mimalloc) do not go through malloc: then
 * the operator is recorded here, and what it may call underneath is not.
 */
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "modules.h"
#include "recorder.h"

#define EXPORT __attribute__((visibility("default"), noinline))

enum next_kind {
    NEXT_UNKNOWN, /* not looked up yet */
    NEXT_PLAIN,   /* goes through malloc and free */
    NEXT_OWN,     /* an allocator's own */
    NEXT_NONE,    /* no such operator is in sight: a C++ plugin in a C program */
};

struct next {
    _Atomic int kind;
    void *function;
};

static enum next_kind next_look_up(struct next *next, const char *name)
{
    void *function = dlsym(RTLD_NEXT, name);
    enum next_kind kind = NEXT_NONE;
    if (function)
        kind = modules_is_plain_cxx((uint64_t)(uintptr_t)function) ? NEXT_PLAIN : NEXT_OWN;
    next->function = function;
    atomic_store_explicit(&next->kind, kind, memory_order_release);
    return kind;
}

static inline enum next_kind next_kind(struct next *next, const char *name)
{
    int kind = atomic_load_explicit(&next->kind, memory_order_acquire);
    return __builtin_expect(kind != NEXT_UNKNOWN, 1) ? (enum next_kind)kind : next_look_up(next, name);
}

/* While it stands, what this thread allocates is part of a call that is recorded as a whole. */
struct inside {
    uint64_t generation;
};

static void inside_begin(struct inside *inside)
{
    struct recorder_thread *self = &recorder_self;
    inside->generation = self->generation;
    self->inside++;
    atomic_signal_fence(memory_order_seq_cst);
    self->generation = RECORDER_SLOW;
}

/* Also when the operator throws: see -fexceptions. */
static void inside_end(struct inside *inside)
{
    struct recorder_thread *self = &recorder_self;
    self->generation = inside->generation;
    atomic_signal_fence(memory_order_seq_cst);
    self->inside--;
}

static _Noreturn void out_of_memory(void)
{
    static const char message[] = "poolwise: operator new: out of memory, and no C++ library to throw from\n";
    fwrite(message, 1, sizeof message - 1, stderr);
    abort();
}

#define CALLER()                                                                                   \
    ((struct stack_key){(uint64_t)(uintptr_t)__builtin_dwarf_cfa(),                                  \
                        (uint64_t)(uintptr_t)__builtin_return_address(0),                            \
                        *(const uint64_t *)__builtin_frame_address(0)})

/* `parameters` and `arguments` with their parentheses; `fallback` when no operator is in sight. */
#define OPERATOR_NEW(name, kind_, parameters, arguments, fallback)                                 \
    void *name parameters;                                                                           \
    static struct next next##name;                                                                   \
    static __attribute__((noinline)) void *own##name parameters                                      \
    {                                                                                                \
        struct inside inside __attribute__((cleanup(inside_end)));                                   \
        inside_begin(&inside);                                                                       \
        return ((void *(*)parameters)(uintptr_t)next##name.function)arguments;                       \
    }                                                                                                \
    EXPORT void *name parameters                                                                     \
    {                                                                                                \
        void *block;                                                                                 \
        switch (next_kind(&next##name, #name)) {                                                     \
        case NEXT_PLAIN:                                                                             \
            return ((void *(*)parameters)(uintptr_t)next##name.function)arguments;                   \
        case NEXT_OWN:                                                                               \
            block = own##name arguments;                                                             \
            if (block)                                                                               \
                recorder_record(kind_, (uint64_t)(uintptr_t)block, size, CALLER());                  \
            return block;                                                                            \
        default:                                                                                     \
            block = fallback;                                                                        \
            return block ? block : (out_of_memory(), NULL);                                          \
        }                                                                                            \
    }

#define OPERATOR_DELETE(name, parameters, arguments)                                               \
    void name parameters;                                                                            \
    static struct next next##name;                                                                   \
    static __attribute__((noinline)) void own##name parameters                                       \
    {                                                                                                \
        struct inside inside __attribute__((cleanup(inside_end)));                                   \
        inside_begin(&inside);                                                                       \
        ((void (*)parameters)(uintptr_t)next##name.function)arguments;                               \
    }                                                                                                \
    EXPORT void name parameters                                                                      \
    {                                                                                                \
        switch (next_kind(&next##name, #name)) {                                                     \
        case NEXT_PLAIN:                                                                             \
            ((void (*)parameters)(uintptr_t)next##name.function)arguments;                           \
            return;                                                                                  \
        case NEXT_OWN:                                                                               \
            if (block)                                                                               \
                recorder_record(CHANNEL_FREE, (uint64_t)(uintptr_t)block, 0, CALLER());              \
            own##name arguments;                                                                     \
            return;                                                                                  \
        default:                                                                                     \
            free(block);                                                                             \
        }                                                                                            \
    }

/* The names are those of the Itanium C++ ABI, on machines where size_t is unsigned long. */
OPERATOR_NEW(_Znwm, CHANNEL_MALLOC, (size_t size), (size), malloc(size ? size : 1))
OPERATOR_NEW(_Znam, CHANNEL_MALLOC, (size_t size), (size), malloc(size ? size : 1))
OPERATOR_NEW(_ZnwmRKSt9nothrow_t, CHANNEL_MALLOC, (size_t size, const void *tag), (size, tag), malloc(size ? size : 1))
OPERATOR_NEW(_ZnamRKSt9nothrow_t, CHANNEL_MALLOC, (size_t size, const void *tag), (size, tag), malloc(size ? size : 1))
OPERATOR_NEW(_ZnwmSt11align_val_t, CHANNEL_ALIGNED, (size_t size, size_t align), (size, align),
             aligned_alloc(align, (size + align) & ~(align - 1)))
OPERATOR_NEW(_ZnamSt11align_val_t, CHANNEL_ALIGNED, (size_t size, size_t align), (size, align),
             aligned_alloc(align, (size + align) & ~(align - 1)))
OPERATOR_NEW(_ZnwmSt11align_val_tRKSt9nothrow_t, CHANNEL_ALIGNED, (size_t size, size_t align, const void *tag),
             (size, align, tag), aligned_alloc(align, (size + align) & ~(align - 1)))
OPERATOR_NEW(_ZnamSt11align_val_tRKSt9nothrow_t, CHANNEL_ALIGNED, (size_t size, size_t align, const void *tag),
             (size, align, tag), aligned_alloc(align, (size + align) & ~(align - 1)))

OPERATOR_DELETE(_ZdlPv, (void *block), (block))
OPERATOR_DELETE(_ZdaPv, (void *block), (block))
OPERATOR_DELETE(_ZdlPvm, (void *block, size_t size), (block, size))
OPERATOR_DELETE(_ZdaPvm, (void *block, size_t size), (block, size))
OPERATOR_DELETE(_ZdlPvRKSt9nothrow_t, (void *block, const void *tag), (block, tag))
OPERATOR_DELETE(_ZdaPvRKSt9nothrow_t, (void *block, const void *tag), (block, tag))
OPERATOR_DELETE(_ZdlPvSt11align_val_t, (void *block, size_t align), (block, align))
OPERATOR_DELETE(_ZdaPvSt11align_val_t, (void *block, size_t align), (block, align))
OPERATOR_DELETE(_ZdlPvmSt11align_val_t, (void *block, size_t size, size_t align), (block, size, align))
OPERATOR_DELETE(_ZdaPvmSt11align_val_t, (void *block, size_t size, size_t align), (block, size, align))
OPERATOR_DELETE(_ZdlPvSt11align_val_tRKSt9nothrow_t, (void *block, size_t align, const void *tag), (block, align, tag))
OPERATOR_DELETE(_ZdaPvSt11align_val_tRKSt9nothrow_t, (void *block, size_t align, const void *tag), (block, align, tag))
