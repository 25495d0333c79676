/* SPDX-License-Identifier: MIT */
/*
 * Debug mode: what happens to an item at each step of its life, and what is found there.
 *
 * A record's state changes under its shard's lock, at a put before the item can reach the cache and
 * at a get after it has left it, so that of two puts one always sees the other's. What is found is
 * copied out of the lock before the line is made: naming a place enters the loader, whose lock
 * other threads may hold while their constructors use a pool.
 */
#include "debug_internal.h"

#include <string.h>
#if __has_include(<execinfo.h>)
#include <execinfo.h>
#define HAVE_BACKTRACE 1
#else
#define HAVE_BACKTRACE 0
#endif

#include "memory.h"

/* Frames of the library's own that lie above the caller's. */
#define OWN_FRAMES 8

struct stack {
    uint32_t depth;
    void *frames[DEBUG_STACK_MAX + OWN_FRAMES];
};

/*
 * Where a get came from. libc's backtrace() reads the unwind tables, so it needs no frame pointers,
 * which most programs are built without. It loads libgcc and allocates at its first call: that one
 * is made when the first debug pool is, in a place that allocates anyway. Later calls need neither
 * the allocator nor (from glibc 2.35 on) the loader's lock, and none is made while a lock of this
 * library is held. A program whose allocator uses pools cannot use debug mode, nor any pool: slow
 * paths allocate. Without backtrace() the stack is the caller alone.
 */
static void capture(struct stack *stack, void *place)
{
    uint32_t wanted = (uint32_t)debug_settings()->stacks;
    stack->depth = 1;
    stack->frames[0] = place;
#if HAVE_BACKTRACE
    if (wanted < 2)
        return;
    void *frames[DEBUG_STACK_MAX + OWN_FRAMES];
    int count = backtrace(frames, (int)wanted + OWN_FRAMES), first = 0;
    while (first < count && frames[first] != place)
        first++;
    if (first == count)
        return;
    stack->depth = (uint32_t)(count - first) < wanted ? (uint32_t)(count - first) : wanted;
    memcpy(stack->frames, frames + first, stack->depth * sizeof(void *));
#endif
}

void debug_prepare_stacks(void)
{
    struct stack unused;
    capture(&unused, NULL);
}

uint64_t debug_next_number(struct debug *debug)
{
    return atomic_fetch_add_explicit(&debug->changes, 1, memory_order_relaxed) + 1;
}

static void note_out(struct record *record, const struct stack *stack, int thread)
{
    record->state = RECORD_OUT;
    record->number = debug_next_number(record->pool->debug);
    record->got_by = thread;
    record->depth = stack->depth;
    memcpy(record->stack, stack->frames, stack->depth * sizeof(void *));
}

/* A record begins to stand for a new item at its address. */
static void renew(struct record *record)
{
    record->last_put = (struct mark){.place = NULL};
    record->filled = false;
}

/* What the finder needs of another pool's record once the lock is gone. */
struct other {
    bool found, idle;
    struct mark last_put;
    char pool_name[POOL_NAME_BYTES];
};

static void note_other(struct other *ret_other, const struct record *record)
{
    ret_other->found = record;
    if (!record)
        return;
    ret_other->idle = record->state == RECORD_IDLE && record->pool->debug->unique;
    ret_other->last_put = record->last_put;
    memcpy(ret_other->pool_name, record->pool->name, POOL_NAME_BYTES);
}

/* Who frees an idle item breaks the pool it lies in: that one is named first. */
static _Noreturn void freed_while_idle(const char *keeper, const char *maker, const void *item,
                                       struct mark last_put)
{
    char put[PLACE_BYTES];
    debug_abort(
        "free after put in pool '%s': item %p was idle there when pool '%s' made an item at "
        "its address; %s",
        keeper, item, maker, describe_last_put(last_put, put));
}

void debug_made(struct pool *pool, void *item, void *place)
{
    struct debug *debug = pool->debug;
    struct stack stack;
    struct mark mark = mark_here(place), idle_put = {.place = NULL};
    capture(&stack, place);
    /* The record of an own block was made with it, where there was memory. */
    struct record *fresh = debug->owns_block ? NULL : record_make(pool, item);
    struct other other;
    bool idle = false;
    struct shard *shard = table_lock(item);
    struct record *record = table_find(shard, pool, item);
    note_other(&other, table_find_other(shard, pool, item));
    if (!record && fresh) {
        table_insert(shard, fresh);
        record = fresh;
        fresh = NULL;
    }
    if (record && record->state == RECORD_IDLE) {
        idle = true;
        idle_put = record->last_put;
    } else if (record) {
        /* One that is out was disposed of by its holder, as a holder may. */
        renew(record);
        note_out(record, &stack, mark.thread);
    }
    table_unlock(shard);
    memory_give(fresh);
    if (idle)
        freed_while_idle(pool->name, pool->name, item, idle_put);
    if (other.found && other.idle)
        freed_while_idle(other.pool_name, pool->name, item, other.last_put);
}

void debug_answer_put(struct shard *shard, struct record *record, struct record **ret_unused)
{
    if (--record->idle == 0) {
        table_remove(shard, record);
        *ret_unused = record;
    }
}

void debug_get(struct pool *pool, void *item, void *place)
{
    struct record *unused = NULL;
    struct shard *shard = table_lock(item);
    struct record *record = table_find(shard, pool, item);
    if (record && pool->debug->hands_back)
        debug_answer_put(shard, record, &unused);
    table_unlock(shard);
    memory_give(unused);
    if (!record || pool->debug->hands_back)
        return;
    debug_reveal(pool, record);
    struct stack stack;
    struct mark mark = mark_here(place);
    capture(&stack, place);
    shard = table_lock(item);
    note_out(record, &stack, mark.thread);
    table_unlock(shard);
}

enum finding {
    FINE,
    TWICE,      /* it is idle */
    TWICE_GONE, /* it was put, and the pool has destroyed it since */
    NEVER_MADE,
    OTHER_POOLS,
};

/* Where the item may come from anywhere, `fresh` is for its record. */
static enum finding judge_put(struct shard *shard, struct record *record, struct record **fresh,
                              const struct pool *pool, const struct other *other)
{
    const struct debug *debug = pool->debug;
    bool takes_any = debug->hands_back || (debug_settings()->foreign_allowed && !debug->owns_block);
    if (record && record->state == RECORD_IDLE && debug->unique)
        return TWICE;
    bool unknown = !record || record->state == RECORD_GONE;
    if (other->found && (other->idle || (unknown && !takes_any)))
        return OTHER_POOLS;
    if (record && (record->state != RECORD_GONE || takes_any))
        return FINE;
    if (record)
        return TWICE_GONE;
    if (takes_any) {
        if (*fresh)
            table_insert(shard, *fresh);
        *fresh = NULL;
        return FINE;
    }
    /* Without a record it may be one of those there was no memory for. */
    return atomic_load_explicit(&debug->unrecorded, memory_order_relaxed) ? FINE : NEVER_MADE;
}

static _Noreturn void bad_put(const struct pool *pool, const void *item, struct mark mark,
                              enum finding finding, struct mark last_put, const struct other *other)
{
    char here[PLACE_BYTES], before[PLACE_BYTES];
    describe_place(mark.place, here);
    switch (finding) {
    case TWICE:
        debug_abort("double put into pool '%s': item %p, put at %s by thread %d, is idle already; "
                    "%s",
                    pool->name, item, here, mark.thread, describe_last_put(last_put, before));
    case TWICE_GONE:
        debug_abort("double put into pool '%s': item %p, put at %s by thread %d, was destroyed by "
                    "the pool; %s",
                    pool->name, item, here, mark.thread, describe_last_put(last_put, before));
    case OTHER_POOLS:
        debug_abort("put into the wrong pool '%s': item %p, put at %s by thread %d, belongs to "
                    "pool '%s'; %s",
                    pool->name, item, here, mark.thread, other->pool_name,
                    describe_last_put(other->last_put, before));
    default:
        debug_abort("foreign put into pool '%s': item %p, put at %s by thread %d, is none that the "
                    "pool made; %s",
                    pool->name, item, here, mark.thread, describe_last_put(last_put, before));
    }
}

/* One put in `drop`, by the number of the put and the seed alone. */
static bool falls_to_chance(struct debug *debug)
{
    const struct debug_settings *settings = debug_settings();
    uint64_t value = atomic_fetch_add_explicit(&debug->puts, 1, memory_order_relaxed);
    if (settings->drop == 0)
        return false;
    value += settings->seed * 0x9e3779b97f4a7c15u;
    value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9u;
    value = (value ^ value >> 27) * 0x94d049bb133111ebu;
    return (value ^ value >> 31) % settings->drop == 0;
}

bool debug_put(struct pool *pool, void *item, void *place)
{
    struct debug *debug = pool->debug;
    struct mark mark = mark_here(place), last_put = {.place = NULL};
    struct record *fresh = NULL;
    if (debug->hands_back || debug_settings()->foreign_allowed)
        fresh = record_make(pool, item);
    struct other other;
    struct shard *shard = table_lock(item);
    struct record *record = table_find(shard, pool, item);
    note_other(&other, table_find_other(shard, pool, item));
    if (record)
        last_put = record->last_put;
    enum finding finding = judge_put(shard, record, &fresh, pool, &other);
    if (finding == FINE)
        record = table_find(shard, pool, item);
    if (finding == FINE && record) {
        if (record->state == RECORD_GONE)
            renew(record);
        record->state = RECORD_IDLE;
        record->number = debug_next_number(debug);
        record->idle++;
        record->last_put = mark;
    }
    table_unlock(shard);
    memory_give(fresh);
    if (finding != FINE)
        bad_put(pool, item, mark, finding, last_put, &other);
    return falls_to_chance(debug);
}

void debug_put_after_free(const char *pool_name, const void *item, void *place)
{
    struct mark mark = mark_here(place);
    char here[PLACE_BYTES];
    if (!debug_settings()->foreign_allowed)
        debug_abort("put into the destroyed pool '%s': item %p, put at %s by thread %d, when none "
                    "of its items was out",
                    pool_name ? pool_name : "pool", item, describe_place(mark.place, here),
                    mark.thread);
}
