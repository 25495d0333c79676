/* SPDX-License-Identifier: MIT */
/* Debug mode: what happens to a pool at each step of its life, and which items are out. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "debug_internal.h"
#include "memory.h"

/* Graves of one pool, and the bytes of the blocks in them, at most. */
#define GRAVES_MAX      256
#define GRAVE_BYTES_MAX ((size_t)1 << 20)

static uint32_t count_graves(const struct pool *pool, const struct debug *debug)
{
    if (debug->hands_back)
        return 0;
    if (debug->owns_block && pool->options.item_size > GRAVE_BYTES_MAX / GRAVES_MAX)
        return (uint32_t)(GRAVE_BYTES_MAX / pool->options.item_size);
    return GRAVES_MAX;
}

int debug_pool_make(struct pool *pool)
{
    const struct pwise_options *options = &pool->options;
    const struct debug_settings *settings = debug_settings();
    struct debug shape = {
        .hands_back = !options->create && options->item_size == 0,
        .owns_block = !options->create && !options->destroy && options->item_size != 0,
        .fill_bytes = options->item_size,
    };
    shape.unique = !shape.hands_back || options->destroy;
    shape.graves.capacity = count_graves(pool, &shape);
    shape.delayed.capacity = (uint32_t)settings->quarantine;
    size_t entries = (size_t)shape.graves.capacity + shape.delayed.capacity;
    struct debug *debug =
        memory_take(sizeof(*debug) + entries * sizeof(struct ring_entry), _Alignof(struct debug));
    if (!debug)
        return -ENOMEM;
    *debug = shape;
    debug->graves.entries = (struct ring_entry *)(debug + 1);
    debug->delayed.entries = debug->graves.entries + debug->graves.capacity;
    pool->debug = debug;
    debug_prepare_stacks();
    return 0;
}

static bool is_of(const struct record *record, void *pool)
{
    return record->pool == pool;
}

void debug_pool_gone(struct pool *pool)
{
    debug_graves_clear(pool);
    /* What its holders disposed of themselves. */
    if (atomic_load_explicit(&pool->debug->records, memory_order_relaxed) != 0)
        table_walk(is_of, pool);
    memory_give(pool->debug);
    pool->debug = NULL;
}

void *debug_delay(struct pool *pool, void *item, bool *ret_closed)
{
    struct ring_entry entry = {.item = item}, out = {.item = NULL};
    *ret_closed = false;
    if (pool->debug->delayed.capacity == 0)
        return item;
    rings_lock();
    /* The closer sets the mark before it takes the lock to empty the ring. */
    *ret_closed = atomic_load_explicit(&pool->closed, memory_order_relaxed);
    if (*ret_closed)
        out = entry;
    else
        ring_push(&pool->debug->delayed, entry, &out);
    rings_unlock();
    return out.item;
}

size_t debug_delayed(struct pool *pool)
{
    rings_lock();
    size_t count = pool->debug->delayed.count;
    rings_unlock();
    return count;
}

void *debug_undelay(struct pool *pool)
{
    struct ring_entry entry = {.item = NULL};
    rings_lock();
    ring_pop(&pool->debug->delayed, &entry);
    rings_unlock();
    return entry.item;
}

struct out {
    uint64_t number;
    void *item;
    struct mark last_put;
    int thread;
    uint32_t depth;
    void *stack[DEBUG_STACK_MAX];
};

/* What is out of one pool: at most `room` of it copied, all of it counted. */
struct outs {
    const struct pool *pool;
    struct out *copies;
    size_t room, count;
};

static bool copy_out(const struct record *record, void *context)
{
    struct outs *outs = context;
    if (record->pool != outs->pool || record->state != RECORD_OUT)
        return false;
    if (outs->count < outs->room) {
        struct out *copy = &outs->copies[outs->count];
        *copy = (struct out){
            .number = record->number,
            .item = record->item,
            .last_put = record->last_put,
            .thread = record->got_by,
            .depth = record->depth,
        };
        memcpy(copy->stack, record->stack, record->depth * sizeof(void *));
    }
    outs->count++;
    return false;
}

static int by_number(const void *left, const void *right)
{
    const struct out *a = left, *b = right;
    return a->number < b->number ? -1 : a->number > b->number;
}

/* Sorted by the time of the get. -ENOMEM; else 0, and the copies are the caller's. */
static int copy_outs(struct pool *pool, struct outs *ret_outs)
{
    struct outs outs = {.pool = pool};
    table_walk(copy_out, &outs);
    /* Some more may be out by the time that they are copied. */
    outs.room = outs.count + outs.count / 8 + 16;
    outs.copies = memory_take(outs.room * sizeof(struct out), _Alignof(struct out));
    if (!outs.copies)
        return -ENOMEM;
    outs.count = 0;
    table_walk(copy_out, &outs);
    qsort(outs.copies, outs.count < outs.room ? outs.count : outs.room, sizeof(struct out),
          by_number);
    *ret_outs = outs;
    return 0;
}

int pwise_debug_each_out(pwise_pool *handle,
                         int (*visit)(void *item, int thread, void *const *stack, size_t depth,
                                      void *context),
                         void *context)
{
    if (!handle || !visit)
        return -EINVAL;
    struct pool *pool = pool_of_const(handle);
    if (!pool)
        return 0;
    if (!pool->debug)
        return -ENOTSUP;
    struct outs outs;
    pool_reference(pool);
    int result = copy_outs(pool, &outs);
    if (result == 0) {
        for (size_t i = 0; i < outs.count && i < outs.room && result == 0; i++) {
            const struct out *out = &outs.copies[i];
            result = visit(out->item, out->thread, out->stack, out->depth, context);
        }
        memory_give(outs.copies);
    }
    pool_unreference(pool);
    return result;
}

void debug_closed(struct pool *pool)
{
    struct outs outs;
    if (!debug_settings()->leaks_abort || copy_outs(pool, &outs) != 0)
        return;
    char got[PLACE_BYTES], put[PLACE_BYTES];
    if (outs.count != 0)
        debug_abort("leak in pool '%s': %zu out at its destruction, the first of them item %p, got "
                    "at %s by thread %d; %s",
                    pool->name, outs.count, outs.copies[0].item,
                    describe_place(outs.copies[0].stack[0], got), outs.copies[0].thread,
                    describe_last_put(outs.copies[0].last_put, put));
    memory_give(outs.copies);
}

/* Handles of freed pools, under the rings' lock; the oldest goes first. */
#define KEPT_MAX 256
static struct pwise_pool *kept[KEPT_MAX];
static size_t kept_at;

void debug_keep_handle(struct pwise_pool *handle, const char *pool_name)
{
    size_t bytes = strlen(pool_name) + 1;
    char *name = memory_take(bytes, 1);
    if (name)
        memcpy(name, pool_name, bytes);
    handle->options.name = name;
    rings_lock();
    struct pwise_pool *oldest = kept[kept_at];
    kept[kept_at] = handle;
    kept_at = (kept_at + 1) % KEPT_MAX;
    rings_unlock();
    if (oldest) {
        memory_give((void *)oldest->options.name);
        memory_give(oldest);
    }
}

void debug_destroyed_twice(const char *pool_name, void *place)
{
    char here[PLACE_BYTES];
    struct mark mark = mark_here(place);
    debug_abort("double destroy of pool '%s', at %s by thread %d", pool_name ? pool_name : "pool",
                describe_place(place, here), mark.thread);
}

void debug_fork_lock(void)
{
    rings_lock();
    table_fork_lock();
}

void debug_fork_unlock(void)
{
    table_fork_unlock();
    rings_unlock();
}
