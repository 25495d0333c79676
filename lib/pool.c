/* SPDX-License-Identifier: MIT */
/*
 * The public operations on pools. The fast path of a get or put is one section; whatever it
 * declines, and every call on a pool that wants more than a section does, goes through the
 * functions below it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "account.h"
#include "adaptive.h"
#include "debug.h"
#include "depot.h"
#include "magazine.h"
#include "memory.h"
#include "reclaim.h"
#include "rseq.h"
#include "slab.h"

#define KNOWN_FLAGS           (PWISE_NO_STEAL | PWISE_DEBUG | PWISE_ADAPTIVE)
#define PER_CPU_ITEMS_LIMIT   65534u
#define PER_CPU_ITEMS_LEAST   4u
#define PER_CPU_ITEMS_MOST    128u
#define PER_CPU_BYTES_DEFAULT ((size_t)256 << 10)
#define IDLE_BYTES_DEFAULT    ((size_t)64 << 20)
#define IDLE_ITEMS_LEAST      8
#define UNKNOWN_ITEM_BYTES    256 /* stands in for item_size 0 where a size is needed */
#define BULK_WORTH_A_TAKE     4   /* fewer items go one by one */

_Noreturn void misuse(const char *message)
{
    ssize_t ignored = write(STDERR_FILENO, message, strlen(message));
    (void)ignored;
    abort();
}

/* state_ of a pool whose state is freed; `watched`: that was in debug mode. */
static char state_gone, state_gone_watched;

static bool is_gone(const void *state)
{
    return state == &state_gone || state == &state_gone_watched;
}

static struct slot *handle_slots(const struct pwise_pool *handle)
{
    /* acquire: pairs with the release in publish(). */
    return __atomic_load_n((struct slot *const *)&handle->slots_, __ATOMIC_ACQUIRE);
}

static void *handle_state(const struct pwise_pool *handle)
{
    return __atomic_load_n(&handle->state_, __ATOMIC_ACQUIRE);
}

struct pool *pool_of_const(const struct pwise_pool *handle)
{
    void *state = handle_state(handle);
    return is_gone(state) ? NULL : state;
}

static int check_options(const struct pwise_options *options)
{
    size_t align = options->item_align;
    if ((align & (align - 1)) != 0 || align > PTRDIFF_MAX || options->item_size > PTRDIFF_MAX ||
        options->per_cpu_items > PER_CPU_ITEMS_LIMIT || (options->flags & ~KNOWN_FLAGS))
        return -EINVAL;
    if (options->flags & PWISE_ADAPTIVE)
        return options->size_of ? 0 : -EINVAL;
    return options->used_of ? -EINVAL : 0;
}

static long online_cpus(void)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count < 1 ? 1 : count;
}

/* How many items a magazine takes and how many magazines there may be, so that neither the bound
 * for one CPU nor the one for all is ever exceeded. */
static void size_caches(struct pool *pool)
{
    const struct pwise_options *options = &pool->options;
    size_t item_bytes = options->item_size ? options->item_size : UNKNOWN_ITEM_BYTES;
    size_t max_idle = options->max_idle_bytes;
    if (max_idle == 0) {
        max_idle = IDLE_BYTES_DEFAULT;
        if (item_bytes > max_idle / IDLE_ITEMS_LEAST)
            max_idle =
                item_bytes < SIZE_MAX / IDLE_ITEMS_LEAST ? item_bytes * IDLE_ITEMS_LEAST : SIZE_MAX;
    }
    size_t max_items = max_idle / item_bytes;
    size_t per_cpu = options->per_cpu_items;
    if (per_cpu == 0) {
        per_cpu = PER_CPU_BYTES_DEFAULT / item_bytes;
        if (per_cpu < PER_CPU_ITEMS_LEAST)
            per_cpu = PER_CPU_ITEMS_LEAST;
        if (per_cpu > PER_CPU_ITEMS_MOST)
            per_cpu = PER_CPU_ITEMS_MOST;
        size_t fair = max_items / (size_t)online_cpus();
        if (per_cpu > fair)
            per_cpu = fair;
    }
    if (per_cpu > max_items)
        per_cpu = max_items;
    if (per_cpu < 1)
        per_cpu = 1;
    pool->item_bytes = item_bytes;
    pool->max_idle_bytes = max_idle;
    pool->spare_allowed = per_cpu >= 2;
    pool->magazine_capacity = (uint32_t)(pool->spare_allowed ? per_cpu / 2 : 1);
    pool->magazines_max = max_items / pool->magazine_capacity;
}

static struct pool *state_make(struct pwise_pool *handle, const struct pwise_options *options,
                               bool watched)
{
    int error = check_options(options);
    if (error) {
        errno = -error;
        return NULL;
    }
    rseq_init();
    struct pool *pool = memory_take(sizeof(*pool), _Alignof(struct pool));
    if (!pool)
        return NULL;
    size_t slots = slot_count + GUARD_SLOTS;
    struct slot *first = memory_take(slots * sizeof(struct slot), CACHE_LINE_BYTES);
    if (options->flags & PWISE_ADAPTIVE)
        pool->strikes = strikes_create();
    if (!first || ((options->flags & PWISE_ADAPTIVE) && !pool->strikes)) {
        strikes_destroy(pool->strikes);
        memory_give(first);
        memory_give(pool);
        return NULL;
    }
    for (size_t i = 0; i < slots; i++)
        atomic_init(&first[i].loaded, MAGAZINE_EMPTY);
    pool->slots = first + GUARD_SLOTS;
    pool->handle = handle;
    pool->options = *options;
    if (pool->options.item_align < _Alignof(max_align_t))
        pool->options.item_align = _Alignof(max_align_t);
    const char *name = options->name ? options->name : "pool";
    size_t length = strlen(name);
    memcpy(pool->name, name, length < POOL_NAME_BYTES ? length : POOL_NAME_BYTES - 1);
    pool->options.name = pool->name;
    size_caches(pool);
    pool->unwatched = !watched;
    if (watched && debug_wanted(options->flags) && debug_pool_make(pool) != 0) {
        strikes_destroy(pool->strikes);
        memory_give(first);
        memory_give(pool);
        errno = ENOMEM;
        return NULL;
    }
    pool->hooked = pool->debug || options->reset || options->size_of || options->max_item_bytes ||
                   (checkers_watch() && options->item_size);
    lock_init(&pool->depot.lock);
    account_start(pool);
    slabs_init(pool);
    atomic_init(&pool->references, POOL_OPEN);
    if (pool->hooked)
        pool_mark_made(pool);
    return pool;
}

/* From here on any thread that has the handle may use the pool. */
static void publish_locked(struct pwise_pool *handle, struct pool *pool)
{
    registry_add_locked(pool);
    __atomic_store_n(&handle->state_, pool, __ATOMIC_RELEASE);
    handle->id_at_ = rseq_id_offset;
    handle->cs_at_ = rseq_cs_offset;
    if (rseq_active && !pool->hooked)
        __atomic_store_n((struct slot **)&handle->slots_, pool->slots, __ATOMIC_RELEASE);
}

/* The pool of a handle, made on first use. NULL + errno; EINVAL also for a static one that is gone.
 */
static struct pool *pool_state(struct pwise_pool *handle)
{
    void *state = handle_state(handle);
    if (unlikely(!state)) {
        struct pool *made = state_make(handle, &handle->options, true);
        if (!made)
            return NULL;
        registry_lock();
        state = handle_state(handle);
        if (!state) {
            publish_locked(handle, made);
            state = made;
            made = NULL;
        }
        registry_unlock();
        if (made)
            pool_free(made);
    }
    if (unlikely(is_gone(state))) {
        errno = EINVAL;
        return NULL;
    }
    return state;
}

static pwise_pool *create(const struct pwise_options *options, bool watched,
                          const _Atomic size_t *retained_bytes, void (*on_free)(void *context),
                          void *context)
{
    static const struct pwise_options defaults;
    struct pwise_pool *handle = memory_take(sizeof(*handle), _Alignof(struct pwise_pool));
    if (!handle)
        return NULL;
    handle->options = options ? *options : defaults;
    struct pool *pool = state_make(handle, &handle->options, watched);
    if (!pool) {
        memory_give(handle);
        return NULL;
    }
    handle->options.name = pool->name;
    pool->owns_handle = true;
    pool->retained_bytes = retained_bytes;
    pool->on_free = on_free;
    pool->on_free_context = context;
    registry_lock();
    publish_locked(handle, pool);
    registry_unlock();
    return handle;
}

pwise_pool *pwise_pool_create(const struct pwise_options *options)
{
    return create(options, true, NULL, NULL, NULL);
}

pwise_pool *pool_create_unwatched(const struct pwise_options *options)
{
    return create(options, false, NULL, NULL, NULL);
}

pwise_pool *pool_create_inside(const struct pwise_options *options,
                               const _Atomic size_t *retained_bytes, void (*on_free)(void *context),
                               void *context)
{
    return create(options, true, retained_bytes, on_free, context);
}

void pool_free(struct pool *pool)
{
    struct pwise_pool *handle = pool->handle;
    bool published = handle_state(handle) == pool;
    bool owns_handle = pool->owns_handle, watched = pool->debug;
    if (watched) {
        debug_pool_gone(pool);
        if (owns_handle)
            debug_keep_handle(handle, pool->name);
    }
    depot_free_chain(pool, pool->depot.empties, false);
    pthread_mutex_destroy(&pool->depot.lock);
    slabs_done(pool);
    if (pool->hooked)
        pool_mark_gone(pool);
    void (*on_free)(void *context) = pool->on_free;
    void *on_free_context = pool->on_free_context;
    strikes_destroy(pool->strikes);
    memory_give(pool->slots - GUARD_SLOTS);
    memory_give(pool);
    if (owns_handle && !watched)
        memory_give(handle);
    else if (published)
        __atomic_store_n(&handle->state_, (void *)(watched ? &state_gone_watched : &state_gone),
                         __ATOMIC_RELEASE);
    if (on_free)
        on_free(on_free_context);
}

void pool_reference(struct pool *pool)
{
    atomic_fetch_add_explicit(&pool->references, 1, memory_order_relaxed);
}

static void pool_retire(struct pool *pool)
{
    registry_lock();
    registry_remove_locked(pool);
    registry_unlock();
    pool_free(pool);
}

void pool_unreference(struct pool *pool)
{
    /* acq_rel: what every holder did to the pool comes before it is freed. */
    if (atomic_fetch_sub_explicit(&pool->references, 1, memory_order_acq_rel) == 1)
        pool_retire(pool);
}

void pwise_pool_destroy(pwise_pool *handle)
{
    if (!handle)
        return;
    struct pool *pool = handle_state(handle);
    if ((void *)pool == &state_gone_watched)
        debug_destroyed_twice(handle->options.name, __builtin_return_address(0));
    if (!pool || is_gone(pool))
        return;
    if (!atomic_load_explicit(&pool->closed, memory_order_relaxed))
        stats_tell_destroyed(pool);
    registry_lock();
    bool was_closed = atomic_exchange_explicit(&pool->closed, true, memory_order_seq_cst);
    registry_unlock();
    if (was_closed && pool->debug)
        debug_destroyed_twice(pool->name, __builtin_return_address(0));
    if (was_closed)
        misuse("poolwise: pwise_pool_destroy: the pool is destroyed already\n");
    __atomic_store_n((struct slot **)&handle->slots_, NULL, __ATOMIC_RELEASE);
    depot_close(pool);
    reclaim_drain_closed(pool);
    if (pool->debug)
        debug_closed(pool);
    /* What is left are the items that are out and the pins. Items that were put without having been
     * got have made it run low. */
    int64_t references = atomic_load_explicit(&pool->references, memory_order_relaxed);
    int64_t left;
    do {
        left = references > POOL_OPEN ? references - POOL_OPEN : 0;
    } while (!atomic_compare_exchange_weak_explicit(&pool->references, &references, left,
                                                    memory_order_acq_rel, memory_order_relaxed));
    if (left == 0)
        pool_retire(pool);
}

static void reset(struct pool *pool, void *item)
{
    const struct pwise_options *options = &pool->options;
    if (!account_sample()) {
        options->reset(item, options->context);
        return;
    }
    uint64_t start_ns = clock_ns();
    options->reset(item, options->context);
    cost_note(&pool->reset_cost, start_ns);
}

static void *hand_out(struct pool *pool, void *item, void *place)
{
    if (pool->hooked) {
        item_mark_used(pool, item);
        if (pool->debug)
            debug_get(pool, item, place);
        if (pool->options.size_of)
            atomic_fetch_sub_explicit(&pool->sized_bytes,
                                      pool->options.size_of(item, pool->options.context),
                                      memory_order_relaxed);
        if (pool->options.reset)
            reset(pool, item);
    }
    return item;
}

static void *get_missed(struct pool *pool, void *place)
{
    struct slot *slot = slot_hint(pool->slots);
    atomic_fetch_add_explicit(slot ? &slot->misses : &pool->misses, 1, memory_order_relaxed);
    void *item = item_create(pool);
    if (pool->debug && item)
        debug_made(pool, item, place);
    return item;
}

/* The fast path found nothing in the slot of an open pool, which is not in debug mode. */
static __attribute__((noinline)) void *get_slow(struct pwise_pool *handle)
{
    struct pool *pool = handle_state(handle);
    void *item = cache_get_slow(pool);
    return item ? hand_out(pool, item, NULL) : get_missed(pool, NULL);
}

static __attribute__((noinline)) void *get_general(struct pwise_pool *handle, void *place)
{
    if (unlikely(!handle))
        misuse("poolwise: pwise_get: the pool is NULL\n");
    struct pool *pool = pool_state(handle);
    if (!pool)
        return NULL;
    if (unlikely(atomic_load_explicit(&pool->closed, memory_order_relaxed))) {
        errno = EINVAL;
        return NULL;
    }
    void *item = NULL;
#if HAVE_SECTIONS
    if (rseq_active && section_pop(pool->slots, &item))
        return hand_out(pool, item, place);
#endif
    item = cache_get_slow(pool);
    return item ? hand_out(pool, item, place) : get_missed(pool, place);
}

__attribute__((aligned(64))) void *pwise_get(pwise_pool *handle)
{
#if HAVE_SECTIONS
    struct slot *slots = likely(handle) ? handle_slots(handle) : NULL;
    if (likely(slots)) {
        void *item;
        bool done = pwise_section_pop_(slots, handle->id_at_, handle->cs_at_, &item);
        return likely(done) ? item : get_slow(handle);
    }
#endif
    return get_general(handle, __builtin_return_address(0));
}

/* Whether the adaptive rule lets the item stay. */
static bool item_is_used(struct pool *pool, const void *item, size_t bytes)
{
    const struct pwise_options *options = &pool->options;
    size_t used = options->used_of ? options->used_of(item, options->context) : 0;
    return strikes_note(pool->strikes, item, bytes, used, options->used_of);
}

/* Whether an item may become idle; destroys it if not. */
static bool admit(struct pool *pool, void *item)
{
    const struct pwise_options *options = &pool->options;
    size_t bytes = options->item_size;
    size_t idle_bytes = 0;
    if (options->size_of) {
        bytes = options->size_of(item, options->context);
        account_size(pool, bytes);
        idle_bytes =
            atomic_fetch_add_explicit(&pool->sized_bytes, bytes, memory_order_relaxed) + bytes;
    }
    bool used = !pool->strikes || item_is_used(pool, item, bytes);
    if (pool->debug)
        debug_hide(pool, item);
    item_mark_idle(pool, item);
    enum destroy_cause cause;
    if (options->max_item_bytes != 0 && bytes > options->max_item_bytes)
        cause = DESTROY_OVERSIZE;
    else if (idle_bytes > pool->max_idle_bytes)
        cause = DESTROY_BOUND;
    else if (!used)
        cause = DESTROY_UNUSED;
    else
        return true;
    atomic_fetch_add_explicit(&pool->direct_puts, 1, memory_order_relaxed);
    item_destroy(pool, item, cause);
    return false;
}

void pool_discard(struct pwise_pool *handle, void *item, enum destroy_cause cause)
{
    struct pool *pool = handle_state(handle);
    atomic_fetch_add_explicit(&pool->direct_puts, 1, memory_order_relaxed);
    if (pool->debug)
        debug_put(pool, item, __builtin_return_address(0));
    if (pool->hooked)
        item_mark_idle(pool, item);
    item_destroy(pool, item, cause);
}

static __attribute__((noinline)) void put_slow(struct pwise_pool *handle, void *item)
{
    int saved_errno = errno;
    cache_put_slow(handle_state(handle), item);
    errno = saved_errno;
}

/* The item cannot or shall not be kept: the pool is closed, or there is none, or by chance. */
static void put_unkept(struct pwise_pool *handle, struct pool *pool, void *item, void *place)
{
    if (!pool) {
        if (handle_state(handle) == &state_gone_watched)
            debug_put_after_free(handle->options.name, item, place);
        item_destroy_orphan(&handle->options, item);
        return;
    }
    atomic_fetch_add_explicit(&pool->direct_puts, 1, memory_order_relaxed);
    if (pool->options.size_of)
        atomic_fetch_add_explicit(&pool->sized_bytes,
                                  pool->options.size_of(item, pool->options.context),
                                  memory_order_relaxed);
    if (pool->hooked)
        item_mark_idle(pool, item);
    item_destroy(pool, item, DESTROY_RECLAIM);
}

/* The item that goes to the cache in this one's place; NULL: none does. */
static void *delay(struct pool *pool, void *item)
{
    bool closed;
    item = debug_delay(pool, item, &closed);
    if (closed) {
        atomic_fetch_add_explicit(&pool->direct_puts, 1, memory_order_relaxed);
        item_destroy(pool, item, DESTROY_RECLAIM);
        return NULL;
    }
    if (!item)
        reclaimer_note_idle();
    return item;
}

static __attribute__((noinline)) void put_general(struct pwise_pool *handle, void *item,
                                                  void *place)
{
    if (unlikely(!handle))
        misuse("poolwise: pwise_put: the pool is NULL\n");
    if (!item)
        return;
    int saved_errno = errno;
    struct pool *pool = pool_state(handle);
    bool drop = pool && pool->debug && debug_put(pool, item, place);
    if (!pool || drop || atomic_load_explicit(&pool->closed, memory_order_relaxed)) {
        put_unkept(handle, pool, item, place);
    } else if (!pool->hooked ||
               (admit(pool, item) && (!pool->debug || (item = delay(pool, item))))) {
#if HAVE_SECTIONS
        if (!rseq_active || !section_push(pool->slots, item))
#endif
            cache_put_slow(pool, item);
    }
    errno = saved_errno;
}

__attribute__((aligned(64))) void pwise_put(pwise_pool *handle, void *item)
{
#if HAVE_SECTIONS
    struct slot *slots = likely(handle) ? handle_slots(handle) : NULL;
    if (likely(slots && item)) {
        if (unlikely(!pwise_section_push_(slots, handle->id_at_, handle->cs_at_, item)))
            put_slow(handle, item);
        return;
    }
#endif
    put_general(handle, item, __builtin_return_address(0));
}

size_t pwise_get_bulk(pwise_pool *handle, void **ret_items, size_t count)
{
    if (unlikely(!handle))
        misuse("poolwise: pwise_get_bulk: the pool is NULL\n");
    void *place = __builtin_return_address(0);
    size_t got = 0;
    struct pool *pool = count >= BULK_WORTH_A_TAKE ? pool_state(handle) : NULL;
    if (pool && !atomic_load_explicit(&pool->closed, memory_order_relaxed)) {
        got = cache_get_bulk(pool, ret_items, count);
        if (pool->hooked)
            for (size_t i = 0; i < got; i++)
                hand_out(pool, ret_items[i], place);
    }
    while (got < count) {
        void *item = handle_slots(handle) ? pwise_get(handle) : get_general(handle, place);
        if (!item)
            break;
        ret_items[got++] = item;
    }
    return got;
}

void pwise_put_bulk(pwise_pool *handle, void **items, size_t count)
{
    if (unlikely(!handle))
        misuse("poolwise: pwise_put_bulk: the pool is NULL\n");
    struct pool *pool = count >= BULK_WORTH_A_TAKE ? pool_state(handle) : NULL;
    bool direct =
        pool && !pool->hooked && !atomic_load_explicit(&pool->closed, memory_order_relaxed);
    size_t given = 0;
    while (given < count) {
        size_t run = 0;
        while (direct && given + run < count && items[given + run])
            run++;
        if (run >= BULK_WORTH_A_TAKE) {
            int saved_errno = errno;
            cache_put_bulk(pool, items + given, run);
            errno = saved_errno;
            given += run;
        } else if (handle_slots(handle)) {
            pwise_put(handle, items[given++]);
        } else {
            put_general(handle, items[given++], __builtin_return_address(0));
        }
    }
}
