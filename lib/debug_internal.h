/* SPDX-License-Identifier: MIT */
/*
 * What the files of debug mode share.
 *
 *   record   what is known of one item of one pool; lies in a table beside the items, not in them
 *   mark     where and by which thread something was done
 *   grave    an item that has left its pool: its record, and its block where the pool made it
 *   delayed  an item that was put and has not gone to the cache yet
 */
#pragma once

#include "debug.h"

#define DEBUG_STACK_MAX 32
#define DEBUG_FILL      0xdb /* eight of them make no address: a stale pointer read faults */

struct debug_settings {
    bool all;             /* every pool, not only those with PWISE_DEBUG in their flags */
    bool guard;           /* own blocks lie on pages of their own */
    bool leaks_abort;     /* destroying a pool with items out aborts */
    bool foreign_allowed; /* a pool with `create` takes items that it has not made */
    uint64_t drop;        /* one put in so many; 0: none */
    uint64_t seed;
    uint64_t stacks;     /* frames kept of each get, 1 to DEBUG_STACK_MAX */
    uint64_t quarantine; /* items that each pool delays */
};

struct mark {
    void *place; /* NULL: never */
    int thread;  /* the kernel's number */
};

enum record_state {
    RECORD_OUT,
    RECORD_IDLE,
    RECORD_GONE, /* destroyed by the pool; the record is the grave's */
};

struct record {
    /* Constant. */
    struct pool *pool;
    void *item;
    bool guarded; /* the item lies on pages of its own */
    /* Under the lock of its shard. */
    struct record *next;
    enum record_state state;
    uint64_t number; /* of its last change; tells one life of an address from the next */
    uint64_t idle;   /* of a pool that just hands back: how many puts no get has answered */
    struct mark last_put;
    int got_by;
    uint32_t depth;
    /* By who has the item in hand: its put, or its get, or its destruction. */
    bool filled; /* the item holds DEBUG_FILL, `saved` what it held before */
    unsigned char *saved;
    void *stack[]; /* of the last get, `depth` return addresses; then what `saved` points to */
};

struct ring_entry {
    void *item;
    uint64_t number;
};

/* First in, first out; under the rings' lock. */
struct ring {
    struct ring_entry *entries;
    uint32_t capacity, first, count;
};

struct debug {
    /* Constant. */
    bool hands_back; /* neither makes nor knows its items */
    bool owns_block; /* neither create nor destroy: made and unmade by the library alone */
    bool unique;     /* an idle item is the pool's alone; false: a token that may be put twice */
    size_t fill_bytes;
    /* Any thread, relaxed, upwards only. */
    _Atomic uint64_t changes;
    _Atomic uint64_t puts;
    _Atomic bool unrecorded; /* for want of memory: items that it does not know may be its own */
    _Atomic size_t records;  /* any thread, relaxed: how many of the pool's are in the table */
    struct ring graves;
    struct ring delayed;
};

#pragma GCC visibility push(hidden)

struct shard;

/* debug_settings.c */
const struct debug_settings *debug_settings(void);

/* debug.c */
uint64_t debug_next_number(struct debug *debug);
void debug_prepare_stacks(void);
/* A get of a pool that hands back, or a destruction there, answers one put. Under the lock; where
 * the record is of no more use, it is handed back to be freed. */
void debug_answer_put(struct shard *shard, struct record *record, struct record **ret_unused);

/* debug_ring.c: `ret_out` is what has to go for the entry; all under the lock. */
void rings_lock(void);
void rings_unlock(void);
bool ring_push(struct ring *ring, struct ring_entry entry, struct ring_entry *ret_out);
bool ring_pop(struct ring *ring, struct ring_entry *ret_out);

/* debug_grave.c: who has the record's item in hand. */
void debug_reveal(struct pool *pool, struct record *record); /* undoes debug_hide */
void debug_graves_clear(struct pool *pool);

/* debug_table.c: the records of all pools by address. `shard` is what table_lock returned. */
struct shard *table_lock(const void *item);
void table_unlock(struct shard *shard);
struct record *table_find(struct shard *shard, const struct pool *pool, const void *item);
/* A record of another pool for this address, an idle one before one that is out. NULL: none. */
struct record *table_find_other(struct shard *shard, const struct pool *pool, const void *item);
void table_insert(struct shard *shard, struct record *record);
void table_remove(struct shard *shard, struct record *record);
/* Calls visit for every record under its shard's lock; what it returns true for is removed and
 * freed. */
void table_walk(bool (*visit)(const struct record *record, void *context), void *context);
struct record *record_make(struct pool *pool, void *item); /* NULL: no memory, which is noted */
void table_fork_lock(void);
void table_fork_unlock(void);

/* debug_guard.c: blocks on pages of their own. */
void *guard_take(struct pool *pool); /* NULL: as an ordinary block, then */
void guard_give(struct pool *pool, void *block);
bool guard_close(struct pool *pool, void *block); /* any access faults from here on */
bool guard_open(struct pool *pool, void *block);

/* debug_report.c */
struct mark mark_here(void *place);
/* One line and abort; the first thread's alone, where several find something. */
_Noreturn void debug_abort(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define PLACE_BYTES 160
const char *describe_place(const void *place, char *text);       /* of PLACE_BYTES */
const char *describe_last_put(struct mark last_put, char *text); /* of PLACE_BYTES */

#pragma GCC visibility pop
