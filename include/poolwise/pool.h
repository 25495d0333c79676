/* SPDX-License-Identifier: MIT */
/*
 * poolwise/pool.h: object pools that any number of threads share.
 *
 * A pool keeps items that are idle so that the next user need not make one. Its caches belong to
 * CPUs, not to threads; what stays idle is destroyed by itself after two reclaim cycles.
 *
 * What it promises (the tests carry these numbers):
 *
 *   P1   A get returns an item that some earlier put gave, or a fresh one: from `create`, or without
 *        one a zeroed block of `item_size` bytes. It returns NULL with errno when making one failed,
 *        and NULL with ENOENT when the pool has neither `create` nor `item_size` and found nothing.
 *   P2   A reused item holds what it held when it was put, unless `reset` is given: then `reset` has
 *        run on it, and never on a fresh one.
 *   P3   No relation holds between what is put and what a get returns; a get may ignore what is
 *        pooled. An item is handed out once for each time it was put, never twice.
 *   P4   Any pooled item may be destroyed at any time without notice. One that is not used lives
 *        through one reclaim cycle and is gone after the second; one that is used survives.
 *   P5   Every function may be called from any number of threads at once.
 *   P6   Whatever a thread did before put(x) happens before the get that returns x; the same holds
 *        for what `create` did to x.
 *   P7   `create`, `destroy`, `reset` and `size_of` run with no lock held. The first three may call
 *        any function of this header on any pool, the same one included.
 *   P8   A put of NULL does nothing. A NULL pool aborts with one line on standard error.
 *   P9   `destroy` runs exactly once for every item that leaves the pool by any way: too large, over
 *        a bound, aged out, memory pressure, pool destroyed; never while someone holds the item.
 *   P10  Destroying a pool whose items are still out closes it: a get gives NULL (EINVAL), a put
 *        destroys the item, and the last such put frees the pool.
 *   P11  A static pool and a zeroed one with options.item_size set are usable at once; making a pool
 *        never fails for want of a thread.
 *   P12  Idle items stay within per_cpu_items for each CPU and max_idle_bytes in all; an item that
 *        size_of finds larger than max_item_bytes is destroyed at put.
 *   P13  A thread that exits leaves nothing behind; a forked child may use every pool; pools work in
 *        constructors and at exit; the library installs no lasting signal handler, prints nothing
 *        but the line before an abort, and starts a thread only for automatic reclaim.
 *
 * What it is not for: a cache (items vanish), a free list inside a short-lived object (let the
 * object keep its own), objects of which one thread needs one at a time (a variable does that
 * better).
 *
 * None of these functions may be called from a signal handler, except pwise_backend(): get and put
 * usually take no lock, but when a cache runs empty or full they do.
 */
#ifndef POOLWISE_POOL_H
#define POOLWISE_POOL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#ifdef __GNUC__
#pragma GCC visibility push(default)
#endif

/* A pool. The struct is complete only so that one can be a static object; its members ending in an
 * underscore are the library's. A pool must not be copied or moved once it has been used. */
typedef struct pwise_pool pwise_pool;

/* Never steal items that other CPUs have loaded; costs creates when one thread puts and another
 * gets in small numbers, saves the interruptions that stealing costs the other CPUs. */
#define PWISE_NO_STEAL (1u << 0)

/* Debug mode: misuse of this pool aborts with a line that names it; see the end of this header. */
#define PWISE_DEBUG    (1u << 1)

/* Keep a large item only while it is being used; wants size_of. An item of more than 4 KiB gets a
 * strike at each put after which less than a quarter of it was used, and goes at the fourth in a row.
 * `used_of` says how much was used; where one use in 32 or more is as large as a quarter of the item, it
 * takes 120 strikes. Without it there are only sizes to go by: then an item counts
 * as unused that is more than four times as large as the running mean of what is put (the last 64
 * or so). Strikes of 512 items are remembered for each pool; where there is no room for another,
 * that item goes at its first. */
#define PWISE_ADAPTIVE (1u << 2)

/*
 * Zero means the default, field by field. The library calls the callbacks with no lock held.
 *
 * With neither `create` nor `destroy`, items of up to 8 KiB come from slabs of the pool's own: 64 KiB
 * each, blocks side by side with no header, in address order. A slab goes back to the system when none
 * of its blocks is out or idle, at the latest at the next cycle. (After J. Bonwick, "The slab
 * allocator", USENIX Summer 1994.)
 */
struct pwise_options {
    const char *name;  /* shown in statistics; copied, at most 47 bytes; NULL: "pool" */
    size_t item_size;  /* bytes of one item; 0: unknown, then `create` is what makes items */
    size_t item_align; /* bytes, a power of two; 0: that of max_align_t. Without `create` only. */
    void *(*create)(void *context); /* a fresh item; NULL: failed, errno is kept */
    /* NULL: with `create`, free(); without, the block goes back to the pool's slabs. Given without
     * `create`, it must free() the item, which then is a block of its own. */
    void (*destroy)(void *item, void *context);
    void (*reset)(void *item, void *context); /* before a used item is handed out; NULL: none */
    /* Bytes the item retains now; NULL: item_size. Must say at get and destroy what it said at put.
     * It costs two updates of a shared counter a pair, and makes max_idle_bytes exact. */
    size_t (*size_of)(const void *item, void *context);
    void *context;          /* handed to the callbacks */
    size_t max_item_bytes;  /* a larger item is destroyed at put; 0: no bound */
    size_t max_idle_bytes;  /* bytes of all idle items; 0: 64 MiB, or 8 items where that is more */
    unsigned per_cpu_items; /* items idle in one CPU's cache, at most 65534; 0: what fits in 256
                               KiB, at least 4, at most 128 */
    unsigned flags;         /* PWISE_NO_STEAL, PWISE_DEBUG, PWISE_ADAPTIVE */
    /* With PWISE_ADAPTIVE: bytes of the item that its last user has used; called at put, first. */
    size_t (*used_of)(const void *item, void *context);
};

struct pwise_pool {
    void *slots_;
    ptrdiff_t id_at_, cs_at_;
    void *state_;
    struct pwise_options options; /* read once, at first use; do not change after it */
};

/* A static pool from designated members of struct pwise_options, usable at once:
 *     static pwise_pool lines = PWISE_POOL_INIT(.name = "lines", .item_size = 256);
 * (C, and C++20.) */
#define PWISE_POOL_INIT(...)                                                                       \
    {                                                                                              \
        NULL, 0, 0, NULL,                                                                          \
        {                                                                                          \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }

/* A static pool of `type` with typed name_get() and name_put(); further options may follow:
 *     PWISE_DEFINE_POOL(request_pool, struct request, .reset = request_reset)
 * (C, and C++20.) */
#define PWISE_DEFINE_POOL(...) PWISE_DEFINE_POOL_(__VA_ARGS__, )
#define PWISE_DEFINE_POOL_(pool_name, type, ...)                                                   \
    static pwise_pool pool_name =                                                                  \
        PWISE_POOL_INIT(.name = #pool_name, .item_size = sizeof(type), __VA_ARGS__);               \
    static inline type *pool_name##_get(void)                                                      \
    {                                                                                              \
        return (type *)pwise_get(&pool_name);                                                      \
    }                                                                                              \
    static inline void pool_name##_put(type *item)                                                 \
    {                                                                                              \
        pwise_put(&pool_name, item);                                                               \
    }                                                                                              \
    static inline type *pool_name##_get(void)

/*
 * Makes a pool. `options` is copied; NULL means all defaults, a pool that hands back what is put.
 * Returns the pool, owned by the caller until pwise_pool_destroy; NULL with errno
 *   EINVAL  item_align not a power of two, item_size over PTRDIFF_MAX, per_cpu_items over 65534, a
 *           flag that is not known, PWISE_ADAPTIVE without size_of, or used_of without PWISE_ADAPTIVE;
 *   ENOMEM  no memory.
 * Any thread. Allocates; does not block but for memory.
 */
pwise_pool *pwise_pool_create(const struct pwise_options *options);

/*
 * Destroys every idle item and the pool; with items out it closes the pool (P10). For a pool with
 * neither `create` nor `item_size` the library cannot know what is out: this must then be the last
 * call on it. Items put that no get gave hide as many that are out. NULL does nothing.
 * Any thread, once. May block on other threads' short critical sections; runs `destroy`.
 */
void pwise_pool_destroy(pwise_pool *pool);

/*
 * Hands out an item; the caller owns it until it puts it back or disposes of it as `destroy` would.
 * NULL with errno
 *   ENOENT  nothing pooled, and neither `create` nor `item_size`;
 *   EINVAL  the pool is closed, or a static pool's options are wrong (see pwise_pool_create);
 *   ENOMEM  no memory; or what `create` left in errno.
 * Any thread. Usually neither blocks nor allocates; may do both when the CPU's cache is empty.
 */
void *pwise_get(pwise_pool *pool);

/*
 * Gives `item` to the pool, which owns it from then on: one that a get of this pool gave, unless the
 * pool has neither `create` nor `item_size`. NULL does nothing. Leaves errno alone.
 * Any thread. Usually neither blocks nor allocates; may do both when the CPU's cache is full.
 */
void pwise_put(pwise_pool *pool, void *item);

#ifdef __GNUC__
/*
 * The recommended use: an item that is put back when the scope ends, whichever way it does, so that
 * no put is forgotten and none is done twice.
 *     PWISE_SCOPED(pool, item);          declares void *const item
 *     PWISE_SCOPED(pool, type, item);    declares type *const item
 *     if (!item)                         as pwise_get: errno says why
 *         return -errno;
 * PWISE_SCOPED_KEEP(item) is the item, which from there on is the caller's as if got by pwise_get.
 * Not for the body of an `if` without braces. (C11 and C++17 with the GNU extensions.)
 */
#define PWISE_SCOPED(...)                                                                          \
    PWISE_SCOPED_PICK_(__VA_ARGS__, PWISE_SCOPED_TYPED_, PWISE_SCOPED_VOID_, 0)(__VA_ARGS__)
#ifdef __cplusplus
#define PWISE_SCOPED_KEEP(name)                                                                    \
    (static_cast<decltype(true ? name : nullptr)>(pwise_scope_keep_(&pwise_scope_of_##name)))
#else
#define PWISE_SCOPED_KEEP(name) pwise_scope_keep_(&pwise_scope_of_##name)
#endif

#define PWISE_SCOPED_PICK_(pool, type, name, picked, ...) picked
#define PWISE_SCOPED_VOID_(pool, name)                    PWISE_SCOPED_TYPED_(pool, void, name)
#ifdef __cplusplus
#define PWISE_SCOPED_CAST_(type, item) static_cast<type *>(item)
#else
#define PWISE_SCOPED_CAST_(type, item) (item)
#endif
#define PWISE_SCOPED_TYPED_(pool, type, name)                                                      \
    __attribute__((cleanup(pwise_scope_end_))) struct pwise_scope_ pwise_scope_of_##name =         \
        pwise_scope_begin_(pool);                                                                  \
    type *const name = PWISE_SCOPED_CAST_(type, pwise_scope_of_##name.item)

struct pwise_scope_ {
    pwise_pool *pool;
    void *item;
};

static inline struct pwise_scope_ pwise_scope_begin_(pwise_pool *pool)
{
    struct pwise_scope_ scope = {pool, pwise_get(pool)};
    return scope;
}

static inline void pwise_scope_end_(struct pwise_scope_ *scope)
{
    pwise_put(scope->pool, scope->item);
}

static inline void *pwise_scope_keep_(struct pwise_scope_ *scope)
{
    void *item = scope->item;
    scope->item = NULL;
    return item;
}
#endif

/*
 * Hands out up to `count` items into ret_items[0..], as pwise_get would one by one, in fewer steps.
 * Returns how many were got; when fewer than asked for, errno says why as for pwise_get.
 * Any thread; blocking and allocation as pwise_get.
 */
size_t pwise_get_bulk(pwise_pool *pool, void **ret_items, size_t count);

/*
 * Gives items[0..count-1] to the pool; NULL entries are skipped. Leaves errno and the array alone.
 * Any thread; blocking and allocation as pwise_put.
 */
void pwise_put_bulk(pwise_pool *pool, void **items, size_t count);

/*
 * Runs one reclaim cycle over all pools: destroys what was idle at the last cycle and has not been
 * used since; what is idle now is next. Interrupts the CPUs that run this process once.
 * Any thread. No get or put waits for it. Runs `destroy`; allocates nothing.
 */
void pwise_reclaim(void);

/*
 * Destroys everything that is idle in all pools now. Any thread; as pwise_reclaim.
 */
void pwise_trim(void);

enum pwise_reclaim_mode {
    PWISE_AUTOMATIC, /* by a timer while anything is idle, memory pressure, and growth (default) */
    PWISE_MANUAL, /* by pwise_reclaim and pwise_trim alone; starts no thread, ends a running one */
};

/*
 * Says what starts reclaim cycles. `interval_ms` is the time between two in automatic mode; 0:
 * 5000. 0, or -EINVAL for an unknown mode. In automatic mode the thread starts with the first item
 * that is put; where none can be started, cycles are up to the caller. Any thread; may block
 * briefly.
 */
int pwise_set_reclaim(enum pwise_reclaim_mode mode, unsigned interval_ms);

/* What a pool has done since `since_ns`. Counts are exact once the pool is at rest; while threads
 * use it they may lag by what is in flight. */
struct pwise_stats {
    size_t size;      /* bytes of this struct: set by the caller to sizeof, kept within it */
    const char *name; /* the pool's copy; valid while the pool is */
    uint64_t gets;    /* calls for one item, bulk counted by the item */
    uint64_t puts;    /* items put */
    uint64_t hits;    /* gets served from what was pooled */
    uint64_t creates; /* fresh items made */
    uint64_t destroys_oversize; /* at put: larger than max_item_bytes */
    uint64_t destroys_bound;    /* at put: over max_idle_bytes, or no memory to keep it */
    uint64_t destroys_reclaim;  /* by cycle, trim, or destruction of the pool */
    uint64_t destroys_pressure; /* because memory was short */
    uint64_t steals;            /* times a get took another CPU's items */
    uint64_t idle_items;
    uint64_t idle_bytes;      /* idle_items by item_size, or what size_of says */
    uint64_t create_ns_mean;  /* mean cost of making an item, from samples */
    uint64_t destroy_ns_mean; /* mean cost of destroying one, from samples */
    double pair_ns;           /* cost of one get and put on this machine, measured once */
    int64_t saved_ns;         /* CPU time that the pool has saved, or lost; see below */
    uint64_t since_ns;        /* CLOCK_MONOTONIC when the pool was made */
    uint64_t slab_bytes;      /* what the pool's slabs take from the system, used or not */
    uint64_t destroys_unused; /* at put: large and not being used (PWISE_ADAPTIVE) */
    uint64_t reset_ns_mean;   /* mean cost of a reset, from samples */
    double idle_byte_seconds; /* idle bytes over time: what the pool has kept from others */
    double saved_cpu_share; /* saved_ns as a share of the CPU time of the process since since_ns */
    uint64_t cap_bytes;     /* the max_item_bytes that the verdict CAP asks for; else 0 */
    const char *verdict;    /* "POOL", "TAIL", "LOSES" or "CAP"; a static string */
    char reason[128];       /* one line with the number that decided */
};

/*
 * The account. saved_ns = hits x (create + destroy - reset) - gets x pair - misses x miss, where the
 * first two are lower quartiles of what this pool's callbacks took lately (for items that the pool makes
 * itself: what a calloc and a free of that size take), and the pair and what a miss costs besides the
 * create are measured on this machine, once. An estimate: it does not see what reuse does to the
 * processor's caches. The verdicts:
 *   POOL   saves 1 % of the process's CPU time or more: it earns its keep;
 *   TAIL   saves less, or was used less than 100 times: it does not matter;
 *   LOSES  costs more than making each item anew: remove it;
 *   CAP    saves, but few large items fill it: 95 % of what is put would fit under cap_bytes.
 */

/*
 * Fills at most ret_stats->size bytes of *ret_stats (0 is taken as the whole struct); size is set
 * to what was filled. 0, or -EINVAL: an argument is NULL, or the pool is closed. Any thread; the
 * first call measures costs for some hundred microseconds.
 */
int pwise_pool_stats(const pwise_pool *pool, struct pwise_stats *ret_stats);

/*
 * Calls `visit` for every pool that has been used and is not closed, with no lock held; a non-zero
 * return ends the walk and is returned. Pools made or destroyed meanwhile may or may not be seen.
 * Any thread.
 */
int pwise_each_pool(int (*visit)(const pwise_pool *pool, const struct pwise_stats *stats,
                                 void *context),
                    void *context);

/*
 * From now on `visit` is called for every pool that is about to be destroyed, with its last account,
 * by the thread that destroys it, with no lock held; it must not destroy that pool. One at a time:
 * another one, or NULL, takes its place. 0. Any thread.
 */
int pwise_on_destroy(void (*visit)(const pwise_pool *pool, const struct pwise_stats *stats,
                                   void *context),
                     void *context);

/*
 * The fast path in use: "rseq-mm_cid", "rseq-cpu_id" or "locked". The environment variable
 * PWISE_BACKEND, read at first use, forces one where the machine has it (else "locked").
 * Any thread; a static string.
 */
const char *pwise_backend(void);

/*
 * Debug mode, for pools with PWISE_DEBUG in their flags, or for all where the environment variable
 * PWISE_DEBUG is set. It keeps the promises above, at a few microseconds a call and some 300 bytes
 * and a copy of item_size for each item, and finds: an item put twice, put into a pool that did not
 * make it, put into the wrong pool, changed or freed while it was idle, and a pool destroyed twice.
 * Each ends the program (SIGABRT) with one line that names the pool, the item, and where and by
 * which thread it was last put. One put in four is as if a cycle came at once: the item is
 * destroyed.
 *
 * The variable, read at first use, is a comma list (docs/debug-mode.md has more):
 *   1              nothing further; 0: only the pools with the flag
 *   guard          blocks that the pool makes itself lie on pages that are closed while idle, so
 *                  that the access itself faults (SIGSEGV, no line)
 *   drop=N         one put in N is dropped (4); 0: none
 *   seed=N         which ones (1)
 *   stacks=N       frames kept of each get, at most 32 (16)
 *   quarantine=N   N items wait, first in first out, before they are reused (0)
 *   leaks=abort    pwise_pool_destroy with items out aborts with their number and the first
 *   foreign=allow  a pool with `create` takes items that it did not make
 * Any other setting aborts with a line.
 *
 * pwise_debug_each_out calls `visit` for every item that is out, in the order of the gets, with the
 * thread (the kernel's number) and the stack of the get: `depth` return addresses, the caller's of
 * the get first, valid during the call. No lock is held; items got or put meanwhile may or may not
 * be seen. A pool that hands back what is put has none to tell of, and an item that its holder
 * disposed of itself counts as out. A non-zero return ends the walk and is returned; else 0, or
 *   -EINVAL   an argument is NULL;
 *   -ENOTSUP  the pool is not in debug mode;
 *   -ENOMEM   no memory.
 * Any thread; the pool must not be destroyed meanwhile, but may be closed. Allocates.
 */
int pwise_debug_each_out(pwise_pool *pool,
                         int (*visit)(void *item, int thread, void *const *stack, size_t depth,
                                      void *context),
                         void *context);

/*
 * With GCC and Clang the fast path of a get and a put is compiled into the program, which then holds
 * the layout of version 0 of the library: link it with libpoolwise.so.0. Define PWISE_NO_INLINE
 * before this header for calls instead.
 */
#ifndef PWISE_NO_INLINE
#include "poolwise/sections.h"
#if PWISE_HAVE_SECTIONS
#include "poolwise/pool_inline.h"
#endif
#endif

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif

#endif
