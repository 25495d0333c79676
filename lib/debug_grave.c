/* SPDX-License-Identifier: MIT */
/*
 * Debug mode: what an item holds while nobody may touch it, and where its block stays once it is
 * destroyed.
 */
#include <string.h>

#include "debug_internal.h"
#include "memory.h"

/* The first byte that is not the fill any more, or `bytes`. */
static size_t first_changed(const unsigned char *item, size_t bytes)
{
    size_t at = 0;
    while (at < bytes && item[at] == DEBUG_FILL)
        at++;
    return at;
}

static void check_fill(const struct pool *pool, const struct record *record, const char *meanwhile)
{
    size_t bytes = pool->debug->fill_bytes;
    size_t at = first_changed(record->item, bytes);
    char put[PLACE_BYTES];
    if (at != bytes)
        debug_abort("use after put in pool '%s': item %p was changed at byte %zu of %zu while it "
                    "was %s; %s",
                    pool->name, record->item, at, bytes, meanwhile,
                    describe_last_put(record->last_put, put));
}

static struct record *find(struct pool *pool, void *item)
{
    struct shard *shard = table_lock(item);
    struct record *record = table_find(shard, pool, item);
    table_unlock(shard);
    return record;
}

/* The contents of a guarded block stay where they are, behind its closed pages; where the kernel
 * does not close them, that block goes unwatched this time. */
static void hide(struct pool *pool, struct record *record)
{
    if (record->guarded) {
        guard_close(pool, record->item);
    } else if (pool->debug->fill_bytes != 0) {
        memcpy(record->saved, record->item, pool->debug->fill_bytes);
        memset(record->item, DEBUG_FILL, pool->debug->fill_bytes);
        record->filled = true;
    }
}

/* The record is safe without the lock: its item is in this thread's hand. */
void debug_hide(struct pool *pool, void *item)
{
    struct record *record = pool->debug->hands_back ? NULL : find(pool, item);
    if (record)
        hide(pool, record);
}

void debug_reveal(struct pool *pool, struct record *record)
{
    char put[PLACE_BYTES];
    if (record->guarded && !guard_open(pool, record->item))
        /* The block can be neither given out nor destroyed. */
        debug_abort("guard: the kernel does not open the pages of item %p of pool '%s' again; %s",
                    record->item, pool->name, describe_last_put(record->last_put, put));
    if (record->filled) {
        check_fill(pool, record, "idle");
        memcpy(record->item, record->saved, pool->debug->fill_bytes);
        record->filled = false;
    }
}

/* A grave makes room: its block was not to be touched, either. */
static void open_grave(struct pool *pool, struct ring_entry entry)
{
    struct shard *shard = table_lock(entry.item);
    struct record *record = table_find(shard, pool, entry.item);
    bool same = record && record->state == RECORD_GONE && record->number == entry.number;
    if (same)
        table_remove(shard, record);
    table_unlock(shard);
    if (!same)
        return; /* the address has come back to life */
    if (pool->debug->owns_block) {
        /* Also where the pages go: what is mapped there next must not be poisoned. */
        item_mark_leaving(pool, entry.item);
        if (record->guarded) {
            guard_give(pool, entry.item);
        } else {
            check_fill(pool, record, "in quarantine after its destruction");
            item_block_give(pool, entry.item);
        }
    }
    memory_give(record);
}

static void bury(struct pool *pool, struct record *record)
{
    struct ring_entry entry = {.item = record->item, .number = record->number}, out;
    rings_lock();
    bool full = ring_push(&pool->debug->graves, entry, &out);
    rings_unlock();
    if (full)
        open_grave(pool, out);
}

void debug_leave(struct pool *pool, void *item)
{
    struct debug *debug = pool->debug;
    struct record *unused = NULL;
    struct shard *shard = table_lock(item);
    struct record *record = table_find(shard, pool, item);
    if (record && debug->hands_back)
        debug_answer_put(shard, record, &unused);
    table_unlock(shard);
    memory_give(unused);
    if (!record || debug->hands_back)
        return;
    debug_reveal(pool, record);
    table_lock(item);
    record->state = RECORD_GONE;
    record->number = debug_next_number(debug);
    table_unlock(shard);
    /* Before `destroy` runs: after it, the address may be another item's. */
    if (!debug->owns_block)
        bury(pool, record);
}

void *debug_block_take(struct pool *pool)
{
    struct debug *debug = pool->debug;
    if (!debug->owns_block)
        return item_block_take(pool);
    struct record *record = record_make(pool, NULL);
    void *block = record && debug_settings()->guard ? guard_take(pool) : NULL;
    if (block)
        record->guarded = true;
    else
        block = item_block_take(pool);
    if (!block || !record) {
        memory_give(record);
        return block;
    }
    record->item = block;
    struct shard *shard = table_lock(block);
    table_insert(shard, record);
    table_unlock(shard);
    return block;
}

/* The block stays a while, unused, so that who still writes to it is found out. */
void debug_block_give(struct pool *pool, void *block)
{
    struct record *record = pool->debug->owns_block ? find(pool, block) : NULL;
    if (!record) {
        item_block_give(pool, block);
        return;
    }
    hide(pool, record);
    item_mark_buried(pool, block);
    bury(pool, record);
}

void debug_graves_clear(struct pool *pool)
{
    struct ring_entry entry;
    bool more = true;
    while (more) {
        rings_lock();
        more = ring_pop(&pool->debug->graves, &entry);
        rings_unlock();
        if (more)
            open_grave(pool, entry);
    }
}
