/* SPDX-License-Identifier: MIT */
/*
 * Making and unmaking items, with what it costs, and telling the memory checkers about idle ones.
 */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "account.h"
#include "adaptive.h"
#include "debug.h"
#include "memory.h"
#include "pool_internal.h"
#include "reclaim.h"

#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#define HAVE_VALGRIND 1
#else
#define HAVE_VALGRIND 0
#endif

/* Present where the program was built with AddressSanitizer, whether or not this library was. */
void __asan_poison_memory_region(void const volatile *address, size_t bytes)
    __attribute__((weak, visibility("default")));
void __asan_unpoison_memory_region(void const volatile *address, size_t bytes)
    __attribute__((weak, visibility("default")));

uint64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

bool checkers_watch(void)
{
#if HAVE_VALGRIND
    if (RUNNING_ON_VALGRIND)
        return true;
#endif
    return __asan_poison_memory_region != NULL;
}

void checkers_hide(void *memory, size_t bytes)
{
    if (__asan_poison_memory_region)
        __asan_poison_memory_region(memory, bytes);
#if HAVE_VALGRIND
    VALGRIND_MAKE_MEM_NOACCESS(memory, bytes);
#endif
}

void checkers_show(void *memory, size_t bytes)
{
    if (__asan_unpoison_memory_region)
        __asan_unpoison_memory_region(memory, bytes);
#if HAVE_VALGRIND
    VALGRIND_MAKE_MEM_UNDEFINED(memory, bytes);
#endif
}

/* Bytes that are known to belong to the item and to nobody else while it is idle. */
static size_t known_bytes(const struct pool *pool)
{
    return pool->options.item_size;
}

/* Blocks that the pool made itself are a memory pool to Valgrind; other items just change state. */
static bool own_blocks(const struct pool *pool)
{
    return pool->options.item_size != 0 && !pool->options.create;
}

void item_mark_made(struct pool *pool, void *item)
{
#if HAVE_VALGRIND
    if (own_blocks(pool)) {
        VALGRIND_MEMPOOL_ALLOC(pool, item, known_bytes(pool));
        VALGRIND_MAKE_MEM_DEFINED(item, known_bytes(pool));
    }
#endif
}

void item_mark_idle(struct pool *pool, void *item)
{
    if (__asan_poison_memory_region)
        __asan_poison_memory_region(item, known_bytes(pool));
#if HAVE_VALGRIND
    if (own_blocks(pool))
        VALGRIND_MEMPOOL_FREE(pool, item);
    VALGRIND_MAKE_MEM_NOACCESS(item, known_bytes(pool));
#endif
}

void item_mark_used(struct pool *pool, void *item)
{
    if (__asan_unpoison_memory_region)
        __asan_unpoison_memory_region(item, known_bytes(pool));
#if HAVE_VALGRIND
    if (own_blocks(pool))
        VALGRIND_MEMPOOL_ALLOC(pool, item, known_bytes(pool));
    VALGRIND_MAKE_MEM_DEFINED(item, known_bytes(pool));
#endif
}

void pool_mark_made(struct pool *pool)
{
#if HAVE_VALGRIND
    if (own_blocks(pool))
        VALGRIND_CREATE_MEMPOOL(pool, 0, 0);
#endif
}

void pool_mark_gone(struct pool *pool)
{
#if HAVE_VALGRIND
    if (own_blocks(pool))
        VALGRIND_DESTROY_MEMPOOL(pool);
#endif
}

/* The first few of everything are timed, then one in sixteen. */
static bool sampled(uint64_t number)
{
    return number < 16 || number % 16 == 0;
}

static void *create_raw(struct pool *pool)
{
    const struct pwise_options *options = &pool->options;
    if (options->create)
        return options->create(options->context);
    return pool->debug ? debug_block_take(pool) : item_block_take(pool);
}

void *item_create(struct pool *pool)
{
    if (!pool->options.create && !pool->options.item_size) {
        errno = ENOENT;
        return NULL;
    }
    uint64_t number = atomic_load_explicit(&pool->creates, memory_order_relaxed);
    bool timed = sampled(number);
    uint64_t start_ns = timed ? clock_ns() : 0;
    void *item = create_raw(pool);
    if (!item)
        return NULL;
    if (timed)
        cost_note(&pool->create_cost, start_ns);
    atomic_fetch_add_explicit(&pool->creates, 1, memory_order_relaxed);
    pool_reference(pool);
    if (pool->hooked)
        item_mark_made(pool, item);
    return item;
}

static void destroy_raw(struct pool *pool, void *item)
{
    const struct pwise_options *options = &pool->options;
    if (options->destroy)
        options->destroy(item, options->context);
    else if (options->create)
        free(item);
    else if (pool->debug && options->item_size)
        debug_block_give(pool, item);
    else if (options->item_size)
        item_block_give(pool, item);
}

static void destroy_counted(struct pool *pool, void *item, enum destroy_cause cause)
{
    uint64_t number = atomic_fetch_add_explicit(&pool->destroys[cause], 1, memory_order_relaxed);
    if (!sampled(number)) {
        destroy_raw(pool, item);
        return;
    }
    uint64_t start_ns = clock_ns();
    destroy_raw(pool, item);
    cost_note(&pool->destroy_cost, start_ns);
}

/* The item becomes the destroyer's: accessible, and no longer one of the pool's. */
void item_mark_leaving(struct pool *pool, void *item)
{
    if (__asan_unpoison_memory_region)
        __asan_unpoison_memory_region(item, known_bytes(pool));
#if HAVE_VALGRIND
    VALGRIND_MAKE_MEM_DEFINED(item, known_bytes(pool));
#endif
}

void item_mark_buried(struct pool *pool, void *item)
{
    if (__asan_poison_memory_region)
        __asan_poison_memory_region(item, known_bytes(pool));
#if HAVE_VALGRIND
    VALGRIND_MAKE_MEM_NOACCESS(item, known_bytes(pool));
#endif
}

void item_destroy(struct pool *pool, void *item, enum destroy_cause cause)
{
    if (pool->hooked)
        item_mark_leaving(pool, item);
    if (pool->debug)
        debug_leave(pool, item);
    if (pool->options.size_of)
        atomic_fetch_sub_explicit(&pool->sized_bytes,
                                  pool->options.size_of(item, pool->options.context),
                                  memory_order_relaxed);
    if (pool->strikes)
        strikes_forget(pool->strikes, item);
    destroy_counted(pool, item, cause);
    pool_unreference(pool);
}

void item_destroy_orphan(const struct pwise_options *options, void *item)
{
    if (options->destroy)
        options->destroy(item, options->context);
    else if (options->create)
        free(item);
}
