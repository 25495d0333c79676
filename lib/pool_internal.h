/* SPDX-License-Identifier: MIT */
/*
 * The nouns of this library, each with one meaning everywhere:
 *
 *   item      what users get and put
 *   id        the number of a cache: the kernel's concurrency id of the running thread, or its CPU
 *   slot      one id's cache of one pool: the loaded magazine and the spare one
 *   magazine  a bounded array of idle items and its word
 *   word      a magazine's count of items and its count of gets in one 64-bit cell, so that the
 *             store that commits a get counts it as well
 *   private   (of a magazine) reachable by one thread alone; only such a one is touched in plain C
 *   depot     a pool's shared stock of magazines, behind its lock
 *   stock     magazines with items, put since the last cycle
 *   victim    magazines with items that were idle at the last cycle; the next one destroys them
 *   aged      (of a spare) taken from the victims: what is left in it at a cycle is destroyed
 *   cycle     one pass of the reclaimer over all pools
 *   pin       a reference to a pool that is not an item of it
 *
 * docs/pool-protocol.md argues who may touch a magazine when.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "poolwise/pool.h"

#define likely(condition)   __builtin_expect(!!(condition), 1)
#define unlikely(condition) __builtin_expect(!!(condition), 0)

#define CACHE_LINE_BYTES    64
#define POOL_NAME_BYTES     48
#define MAGAZINE_COUNT_MAX  65535u
#define POOL_OPEN           ((int64_t)1 << 48)

/*
 * word = gets << 16 | count, 0 <= count <= capacity. Taking the item items[count - 1] adds
 * WORD_GET to it, laying one at items[count] adds 1.
 * puts since the last fold = count - base + gets.
 */
#define WORD_GET            ((uint64_t)0xffff)

struct magazine {
    /* Written: in sections of the id that has it loaded, and by whoever has it private.
     * Read: likewise; by stats, which may see a stale value. */
    _Atomic uint64_t word;
    uint32_t capacity;     /* constant */
    uint32_t base;         /* private: the count at the last fold */
    struct magazine *next; /* in the depot: under its lock; else private, or the reclaimer's */
    struct magazine *next_chain; /* of a doomed chain's first: the next chain; the reclaimer's */
    struct pool *pool;           /* constant */
    void *items[];
};
_Static_assert(offsetof(struct magazine, capacity) == 8, "sections read the capacity at byte 8");
_Static_assert(offsetof(struct magazine, items) == 40, "sections find the items at byte 40");

struct slot {
    /* Written: by exchange with &magazine_empty by anyone, by compare-and-swap from &magazine_empty
     * by anyone who has the new magazine private. Read: in sections of the slot's id, by hints. */
    _Alignas(CACHE_LINE_BYTES) _Atomic(struct magazine *) loaded;
    /* A private magazine's address and its SPARE_ bits, or 0. Written by exchange alone, by anyone;
     * whoever gets a non-zero value out of the exchange has that magazine private. */
    _Atomic uintptr_t spare;
    /* Gets that found nothing, counted here by whoever seems to run with the id; relaxed, upwards. */
    _Atomic uint64_t misses;
};
_Static_assert(sizeof(struct slot) == 64, "sections shift the id by 6");

/* For ids -1 and -2, before slots[0]: magazine_empty stays loaded in them. */
#define GUARD_SLOTS     2

#define SPARE_HAS_ITEMS ((uintptr_t)1)
#define SPARE_AGED      ((uintptr_t)2)
#define SPARE_BITS      ((uintptr_t)3)

struct depot {
    pthread_mutex_t lock;
    /* All under the lock. */
    struct magazine *stock;
    struct magazine *victim;
    struct magazine *empties;
    size_t stock_count, victim_count, empties_count;
    size_t in_service; /* magazines made and not freed, less those in `empties` */
    size_t stock_items, victim_items;
    int64_t noted_bytes; /* the stock's, as the reclaimer was last told */
    uint64_t gets_folded, puts_folded;
    uint64_t gets_shown, puts_shown; /* what stats said last, so that they do not run back */
    uint64_t idle_noted_ns;          /* when idle_byte_seconds was brought up to date */
    double idle_byte_seconds;
    bool closed_to_stock; /* set when the pool closes: nothing enters any more */
    /* Written under the lock, read without: stock_count + victim_count. A hint: who reads 0 may
     * miss what is just being given. */
    _Atomic size_t filled_hint;
};

/* What one kind of operation takes, from samples; account.c. Any thread, relaxed. */
#define COST_RECENT 15
struct cost {
    _Atomic uint64_t count, sum_ns;
    _Atomic uint32_t recent_ns[COST_RECENT];
};

/* Of what is put, by the power of two that it fits into. */
#define SIZE_CLASSES 48

/* The memory of items that the pool makes itself; slab.c. */
struct slabs {
    /* Constant: */
    uint32_t stride; /* bytes from one block to the next; 0: the pool has no slabs */
    uint32_t first_at;
    uint32_t block_count; /* of a slab */
    uint32_t map_words;
    pthread_mutex_t lock;
    _Atomic uint32_t wanted; /* gets that wait for the lock; a hint, relaxed */
    /* Under the lock: */
    struct slab *partial; /* slabs with used blocks and free ones; the first one is in use */
    struct slab *unused;  /* slabs without used blocks */
    struct region *regions;
    struct region *leaving; /* of these, those with slabs that a thread is giving back */
    size_t slab_count;      /* of `unused` as well, not those that are leaving */
    size_t unused_count;
    uint32_t holds; /* threads that destroy many items: slabs stay meanwhile */
};

/* What one pool gives up in a cycle, as chains linked by `next`; any of them may be NULL. */
struct harvest {
    struct magazine *loaded;  /* in: exchanged out of the slots and fenced */
    struct magazine *spares;  /* in: not aged */
    struct magazine *aged;    /* in: aged spares; out: doomed */
    struct magazine *victim;  /* out: doomed */
    struct magazine *stock;   /* out: doomed, where everything was asked for */
    struct magazine *empties; /* out: without items, to be freed */
    bool mark_lost;           /* a cell held magazine_closed, which is not there any more */
};

enum destroy_cause {
    DESTROY_OVERSIZE,
    DESTROY_BOUND,
    DESTROY_RECLAIM,
    DESTROY_PRESSURE,
    DESTROY_UNUSED,
    DESTROY_CAUSES,
};

struct pool {
    /* Constant from the moment the state is published until it is freed. */
    struct slot *slots;
    uint32_t magazine_capacity;
    bool spare_allowed;
    bool unwatched;        /* one of the library's own, for measuring */
    bool hooked;           /* every call needs more than the section does */
    size_t magazines_max;  /* in_service never exceeds it */
    size_t item_bytes;     /* item_size, or what stands in for it */
    size_t max_idle_bytes; /* of the options, or the default */
    struct pwise_options options;
    char name[POOL_NAME_BYTES];
    struct debug *debug;       /* NULL: not in debug mode; lib/debug.h */
    struct pwise_pool *handle; /* the user's */
    bool owns_handle;          /* it came from pwise_pool_create: it is freed with the state */
    uint64_t since_ns, since_cpu_ns;
    struct strikes *strikes;              /* with PWISE_ADAPTIVE: adaptive.h; else NULL */
    const _Atomic size_t *retained_bytes; /* of pool_create_inside, or NULL, as the next two */
    void (*on_free)(void *context);
    void *on_free_context;

    _Alignas(CACHE_LINE_BYTES) struct depot depot;
    struct slabs slabs;

    /* Counted on slow paths, relaxed, upwards only. */
    _Alignas(CACHE_LINE_BYTES) _Atomic uint64_t misses; /* of threads without a slot */
    _Atomic uint64_t creates;
    _Atomic uint64_t destroys[DESTROY_CAUSES];
    _Atomic uint64_t direct_puts; /* puts that never reached a magazine */
    _Atomic uint64_t steals;
    /* With size_of only: what idle items retain. Raised at put, lowered at get and destruction,
     * relaxed. */
    _Atomic size_t sized_bytes;
    struct cost create_cost, destroy_cost, reset_cost;
    _Atomic uint32_t block_pair_ns;           /* plus 1; 0: not measured yet */
    _Atomic uint64_t put_sizes[SIZE_CLASSES]; /* with size_of only */
    _Atomic uint32_t steal_wait;    /* misses to let pass before the next attempt with a fence */
    _Atomic uint32_t steal_backoff; /* the next value of steal_wait */

    /* POOL_OPEN while open, plus the items made and not destroyed, plus the pins: chains that await
     * destruction, walkers. Who brings it to 0 frees the pool. Raised by who has one, or under the
     * registry's lock while the pool is not closed. */
    _Atomic int64_t references;
    /* Set once, under the registry's lock; read anywhere. seq_cst: pairs with the check after a
     * spare is laid in (hand_install). */
    _Atomic bool closed;
    struct pool *next, *previous; /* under the registry's lock */
    struct pool *cycle_next;      /* under the cycle's lock, as is `harvest` */
    struct harvest harvest;
};

#pragma GCC visibility push(hidden)

extern const struct magazine
    magazine_empty; /* loaded where nothing is: capacity 0, never written */
extern const struct magazine magazine_closed; /* the same, in the cells of a closed pool */
#define MAGAZINE_EMPTY  ((struct magazine *)&magazine_empty)
#define MAGAZINE_CLOSED ((struct magazine *)&magazine_closed)

/* pool.c */
struct pool *pool_of_const(const struct pwise_pool *handle); /* NULL: not used yet, or gone */
_Noreturn void misuse(const char *message);                  /* one line, then abort */
/* A pool inside of something else. *retained_bytes, unless NULL, is what stats say is idle; on_free
 * is called last of all when the pool is freed. */
pwise_pool *pool_create_inside(const struct pwise_options *options,
                               const _Atomic size_t *retained_bytes, void (*on_free)(void *context),
                               void *context);
/* In place of a put: the item, which a get gave, is destroyed. Any thread. */
void pool_discard(struct pwise_pool *handle, void *item, enum destroy_cause cause);
pwise_pool *pool_create_unwatched(const struct pwise_options *options); /* never in debug mode */
void pool_reference(struct pool *pool);
void pool_unreference(struct pool *pool); /* may free it */

/* depot.c: a lock that spins for a moment before it sleeps, as what it guards is short */
void lock_init(pthread_mutex_t *lock);

/* slow.c: what the sections cannot do; any thread */
void *cache_get_slow(struct pool *pool);            /* NULL: nothing pooled that is worth taking */
void cache_put_slow(struct pool *pool, void *item); /* item's ownership goes to the pool */
size_t cache_get_bulk(struct pool *pool, void **ret_items, size_t count);
void cache_put_bulk(struct pool *pool, void **items, size_t count); /* none NULL */

/* item.c: making and unmaking items; no lock may be held */
void *item_create(struct pool *pool); /* NULL + errno */
void item_destroy(struct pool *pool, void *item, enum destroy_cause cause);
void item_destroy_orphan(const struct pwise_options *options, void *item); /* its pool is gone */
/* For the memory checkers: every item that is put is marked idle before anything else happens to
 * it. */
bool checkers_watch(void);
void checkers_hide(void *memory, size_t bytes); /* until shown, no access is valid */
void checkers_show(void *memory, size_t bytes); /* valid to write; contents undefined */
void item_mark_made(struct pool *pool, void *item);
void item_mark_idle(struct pool *pool, void *item);
void item_mark_used(struct pool *pool, void *item);
void item_mark_leaving(struct pool *pool, void *item); /* idle, to be destroyed: accessible */
void item_mark_buried(struct pool *pool, void *item);  /* that undone, for a block kept aside */
void pool_mark_made(struct pool *pool);
void pool_mark_gone(struct pool *pool);

/* stats.c */
uint64_t clock_ns(void);
/* Without the account, whose first call measures what things cost. */
void stats_counts(struct pool *pool, uint64_t *ret_gets, uint64_t *ret_hits, uint64_t *ret_idle_bytes);
void stats_note_idle(struct pool *pool);      /* brings idle_byte_seconds up to date */
void stats_tell_destroyed(struct pool *pool); /* while it is still open */

#pragma GCC visibility pop
