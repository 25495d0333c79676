/* SPDX-License-Identifier: MIT */
/*
 * The records of all pools in one table by address, so that an item of one pool is recognised at
 * another. It lies outside the items: what a stray write changes is the item, never what is known
 * of it. Shards have a lock each, held for a few list steps and where a shard grows.
 */
#include "debug_internal.h"
#include "memory.h"

#define SHARDS        64
#define BUCKETS_FIRST 64

struct shard {
    pthread_mutex_t lock;
    /* Under the lock. A shard without memory for more buckets stays as it is. */
    struct record **buckets;
    size_t bucket_count, count;
    struct record *only; /* the one bucket while there is no memory for more */
};

#define SHARD                                                                                      \
    {                                                                                              \
        .lock = PTHREAD_MUTEX_INITIALIZER                                                          \
    }
#define SHARD_4  SHARD, SHARD, SHARD, SHARD
#define SHARD_16 SHARD_4, SHARD_4, SHARD_4, SHARD_4
static struct shard shards[] = {SHARD_16, SHARD_16, SHARD_16, SHARD_16};
_Static_assert(sizeof(shards) / sizeof(shards[0]) == SHARDS, "each shard has its initialiser");

static uint64_t hash(const void *item)
{
    uint64_t value = (uint64_t)(uintptr_t)item * 0x9e3779b97f4a7c15u;
    return value ^ value >> 32;
}

struct shard *table_lock(const void *item)
{
    struct shard *shard = &shards[hash(item) % SHARDS];
    pthread_mutex_lock(&shard->lock);
    return shard;
}

void table_unlock(struct shard *shard)
{
    pthread_mutex_unlock(&shard->lock);
}

static struct record **bucket_of(struct shard *shard, const void *item)
{
    if (!shard->buckets)
        return &shard->only;
    return &shard->buckets[hash(item) / SHARDS % shard->bucket_count];
}

struct record *table_find(struct shard *shard, const struct pool *pool, const void *item)
{
    struct record *record = *bucket_of(shard, item);
    while (record && (record->item != item || record->pool != pool))
        record = record->next;
    return record;
}

struct record *table_find_other(struct shard *shard, const struct pool *pool, const void *item)
{
    struct record *found = NULL;
    for (struct record *record = *bucket_of(shard, item); record; record = record->next) {
        if (record->item != item || record->pool == pool || record->state == RECORD_GONE)
            continue;
        if (!found || record->state == RECORD_IDLE)
            found = record;
    }
    return found;
}

static void link_record(struct shard *shard, struct record *record)
{
    struct record **bucket = bucket_of(shard, record->item);
    record->next = *bucket;
    *bucket = record;
}

static void grow(struct shard *shard)
{
    size_t old_count = shard->buckets ? shard->bucket_count : 1;
    size_t new_count = shard->buckets ? old_count * 2 : BUCKETS_FIRST;
    struct record **made = memory_take(new_count * sizeof(struct record *), sizeof(void *));
    if (!made)
        return;
    struct record **old = shard->buckets, *only = shard->only;
    shard->buckets = made;
    shard->bucket_count = new_count;
    shard->only = NULL;
    for (size_t i = 0; i < old_count; i++)
        for (struct record *record = old ? old[i] : only, *next; record; record = next) {
            next = record->next;
            link_record(shard, record);
        }
    memory_give(old);
}

void table_insert(struct shard *shard, struct record *record)
{
    if (shard->count >= shard->bucket_count)
        grow(shard);
    link_record(shard, record);
    shard->count++;
    atomic_fetch_add_explicit(&record->pool->debug->records, 1, memory_order_relaxed);
}

void table_remove(struct shard *shard, struct record *record)
{
    struct record **link = bucket_of(shard, record->item);
    while (*link != record)
        link = &(*link)->next;
    *link = record->next;
    shard->count--;
    atomic_fetch_sub_explicit(&record->pool->debug->records, 1, memory_order_relaxed);
}

static void walk_bucket(struct shard *shard, struct record *first,
                        bool (*visit)(const struct record *record, void *context), void *context)
{
    for (struct record *record = first, *next; record; record = next) {
        next = record->next;
        if (visit(record, context)) {
            table_remove(shard, record);
            memory_give(record);
        }
    }
}

void table_walk(bool (*visit)(const struct record *record, void *context), void *context)
{
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *shard = &shards[i];
        pthread_mutex_lock(&shard->lock);
        if (!shard->buckets)
            walk_bucket(shard, shard->only, visit, context);
        for (size_t k = 0; k < shard->bucket_count; k++)
            walk_bucket(shard, shard->buckets[k], visit, context);
        pthread_mutex_unlock(&shard->lock);
    }
}

struct record *record_make(struct pool *pool, void *item)
{
    struct debug *debug = pool->debug;
    size_t stack_bytes = debug_settings()->stacks * sizeof(void *);
    struct record *record = NULL;
    if (debug->fill_bytes <= SIZE_MAX / 2)
        record =
            memory_take(sizeof(*record) + stack_bytes + debug->fill_bytes, _Alignof(struct record));
    if (!record) {
        atomic_store_explicit(&debug->unrecorded, true, memory_order_relaxed);
        return NULL;
    }
    record->pool = pool;
    record->item = item;
    record->saved = (unsigned char *)record->stack + stack_bytes;
    return record;
}

void table_fork_lock(void)
{
    for (size_t i = 0; i < SHARDS; i++)
        pthread_mutex_lock(&shards[i].lock);
}

void table_fork_unlock(void)
{
    for (size_t i = SHARDS; i-- > 0;)
        pthread_mutex_unlock(&shards[i].lock);
}
