/* SPDX-License-Identifier: MIT */
/*
 * What the sections decline: an empty or a full magazine. Each path takes what it needs out of the
 * slot, so that it has it private, works on it in plain C, and installs it again. Of the locked
 * backend these paths are the whole.
 */
#include <string.h>

#include "account.h"
#include "depot.h"
#include "magazine.h"
#include "reclaim.h"
#include "rseq.h"

/* What the calling thread has private. */
struct hand {
    struct slot *slot;       /* where it came from; NULL: the thread has no slot */
    struct magazine *loaded; /* NULL: none was loaded */
    struct magazine *spare;
    bool spare_aged;
    bool gave; /* one with items has gone to the depot meanwhile */
};

/* False: the pool is closed. Whoever takes the mark of that out of a cell sees to it that it comes
 * back and that nothing has slipped in. */
static bool hand_take_loaded(struct pool *pool, struct hand *hand)
{
    *hand = (struct hand){.slot = NULL};
    hand->loaded = slot_take(pool->slots, &hand->slot);
    INJECT(1);
    if (unlikely(hand->loaded == MAGAZINE_CLOSED)) {
        hand->loaded = NULL;
        reclaim_drain_closed(pool);
        return false;
    }
    if (hand->loaded == MAGAZINE_EMPTY)
        hand->loaded = NULL;
    return true;
}

static void hand_take_spare(struct hand *hand)
{
    if (!hand->slot || atomic_load_explicit(&hand->slot->spare, memory_order_relaxed) == 0)
        return;
    /* acquire: the exchange that laid it there */
    uintptr_t spare = atomic_exchange_explicit(&hand->slot->spare, 0, memory_order_acquire);
    hand->spare = spare_magazine(spare);
    hand->spare_aged = spare & SPARE_AGED;
    INJECT(4);
}

/* Gives a magazine away for good. A closed pool's depot declines one with items: then they are
 * destroyed, after whatever this thread may have laid into a drained slot. They keep the pool in
 * memory until here; from here a reference does. */
static void give(struct pool *pool, struct magazine *magazine, bool aged)
{
    if (!magazine || depot_give(pool, magazine, aged))
        return;
    pool_reference(pool);
    reclaim_drain_closed(pool);
    while (magazine_count(magazine) != 0)
        item_destroy(pool, magazine_discard(magazine), DESTROY_RECLAIM);
    depot_give(pool, magazine, false);
    pool_unreference(pool);
}

/*
 * The hand's magazines go back to where they came from, or to the depot if another has come there.
 * From here on others own them. The loaded one goes last: with it goes the item of a put, and with
 * that the right to touch the pool, which may be closed and freed at once.
 *
 * A pool that closes marks each loaded cell and takes the spare after that. So where the loaded one
 * goes in, the closer is still to come, for both; where the mark keeps it out, give() drains. With
 * no loaded one to try, the caller has an item in hand, and `closed` is looked at: both sides store
 * first and load then, seq_cst.
 */
static void hand_install(struct pool *pool, struct hand *hand)
{
    INJECT(2);
    struct slot *slot = hand->slot;
    if (hand->spare) {
        uintptr_t other = spare_of(hand->spare, hand->spare_aged);
        if (slot && pool->spare_allowed)
            other = atomic_exchange_explicit(&slot->spare, other, memory_order_seq_cst);
        give(pool, spare_magazine(other), other & SPARE_AGED);
        INJECT(3);
        if (!hand->loaded && atomic_load_explicit(&pool->closed, memory_order_seq_cst))
            reclaim_drain_closed(pool);
    }
    if (hand->loaded) {
        struct magazine *expected = MAGAZINE_EMPTY;
        /* release: what this thread did to the magazine, for who pops or takes it. seq_cst: above.
         */
        if (!slot ||
            !atomic_compare_exchange_strong_explicit(&slot->loaded, &expected, hand->loaded,
                                                     memory_order_seq_cst, memory_order_relaxed))
            give(pool, hand->loaded, false);
    }
    /* While it was private the reclaimer may have looked, found nothing idle and gone to sleep; and
     * a forked child has no reclaimer yet, but may have inherited what now becomes idle again. */
    if (hand->loaded || hand->spare || hand->gave)
        reclaimer_note_idle();
}

/* An idle item out of a filled magazine from the depot, which stays in the hand. */
static void *get_from_depot(struct pool *pool, struct hand *hand)
{
    bool aged;
    struct magazine *filled = depot_take_filled(pool, &aged);
    if (!filled)
        return NULL;
    void *item = magazine_pop(filled);
    /* Both of the hand's magazines are empty: one is enough, for the puts to come. */
    if (hand->loaded && hand->spare) {
        depot_give(pool, hand->spare, false);
        hand->spare = NULL;
    } else if (hand->spare) {
        hand->loaded = hand->spare;
        hand->spare = NULL;
    }
    /* What is left of an aged one must not mix with what is put from now on: it stays the spare. */
    if (aged && pool->spare_allowed && hand->slot) {
        hand->spare = filled;
        hand->spare_aged = true;
    } else if (aged) {
        depot_give(pool, filled, true);
        hand->gave = true;
    } else {
        hand->spare = hand->loaded;
        hand->spare_aged = false;
        hand->loaded = filled;
    }
    return item;
}

/* Steals what other ids have put aside: no fence, spares change hands by exchange alone. */
static void *steal_spare(struct pool *pool, struct hand *hand)
{
    for (uint32_t i = 0; i < slot_count; i++) {
        struct slot *slot = &pool->slots[i];
        if (!(atomic_load_explicit(&slot->spare, memory_order_relaxed) & SPARE_HAS_ITEMS))
            continue;
        uintptr_t spare = atomic_exchange_explicit(&slot->spare, 0, memory_order_acquire);
        struct magazine *magazine = spare_magazine(spare);
        if (!magazine)
            continue;
        void *item = NULL;
        if (magazine_count(magazine) != 0) {
            item = magazine_pop(magazine);
            atomic_fetch_add_explicit(&pool->steals, 1, memory_order_relaxed);
        }
        struct magazine *empty = hand->spare;
        if (spare & SPARE_AGED) {
            give(pool, magazine, true);
            hand->gave = true;
            empty = NULL;
        } else {
            hand->spare = hand->loaded;
            hand->loaded = magazine;
        }
        depot_give(pool, empty, false);
        if (item)
            return item;
    }
    return NULL;
}

/* Exponential waits between fruitless or dear attempts; a pool whose creates cost less than a fence
 * never tries. */
#define STEAL_BACKOFF_MAX 4096

static _Atomic uint64_t fence_ns = 2000; /* running mean; any thread, relaxed */

static bool steal_pays(struct pool *pool)
{
    if ((pool->options.flags & PWISE_NO_STEAL) || !pool->options.create)
        return false;
    if (cost_mean(&pool->create_cost) <= atomic_load_explicit(&fence_ns, memory_order_relaxed))
        return false;
    uint32_t wait = atomic_load_explicit(&pool->steal_wait, memory_order_relaxed);
    if (wait == 0)
        return true;
    atomic_store_explicit(&pool->steal_wait, wait - 1, memory_order_relaxed);
    return false;
}

static void steal_backoff(struct pool *pool, bool found)
{
    uint32_t backoff = atomic_load_explicit(&pool->steal_backoff, memory_order_relaxed);
    backoff = found ? 0 : backoff == 0 ? 1 : backoff * 2;
    if (backoff > STEAL_BACKOFF_MAX)
        backoff = STEAL_BACKOFF_MAX;
    atomic_store_explicit(&pool->steal_backoff, backoff, memory_order_relaxed);
    atomic_store_explicit(&pool->steal_wait, backoff, memory_order_relaxed);
}

/* The slot whose loaded magazine seems to hold most, NULL where none holds any. Magazines are freed
 * under the depot's lock only, so their words may be read under it. */
static struct slot *richest_slot(struct pool *pool, const struct slot *own)
{
    struct slot *richest = NULL;
    uint32_t most = 0;
    pthread_mutex_lock(&pool->depot.lock);
    for (uint32_t i = 0; i < slot_count; i++) {
        struct slot *slot = &pool->slots[i];
        uint32_t count = magazine_count(atomic_load_explicit(&slot->loaded, memory_order_acquire));
        if (slot != own && count > most) {
            most = count;
            richest = slot;
        }
    }
    pthread_mutex_unlock(&pool->depot.lock);
    return richest;
}

/* Steals another id's loaded magazine: swap it out, fence, and only then touch it. */
static void *steal_loaded(struct pool *pool, struct hand *hand)
{
    if (!steal_pays(pool))
        return NULL;
    struct slot *slot = richest_slot(pool, hand->slot);
    struct magazine *magazine = MAGAZINE_EMPTY;
    if (slot)
        magazine = atomic_exchange_explicit(&slot->loaded, MAGAZINE_EMPTY, memory_order_acq_rel);
    if (unlikely(magazine == MAGAZINE_CLOSED))
        reclaim_drain_closed(pool);
    if (magazine == MAGAZINE_EMPTY || magazine == MAGAZINE_CLOSED) {
        steal_backoff(pool, false);
        return NULL;
    }
    INJECT(8);
    uint64_t start_ns = clock_ns();
    rseq_fence((int)(slot - pool->slots));
    uint64_t took_ns = clock_ns() - start_ns;
    uint64_t mean_ns = atomic_load_explicit(&fence_ns, memory_order_relaxed);
    atomic_store_explicit(&fence_ns, mean_ns - mean_ns / 8 + took_ns / 8, memory_order_relaxed);

    void *item = NULL;
    if (magazine_count(magazine) != 0) {
        item = magazine_pop(magazine);
        atomic_fetch_add_explicit(&pool->steals, 1, memory_order_relaxed);
    }
    steal_backoff(pool, item);
    struct magazine *empty = hand->spare;
    hand->spare = hand->loaded;
    hand->spare_aged = false;
    hand->loaded = magazine;
    depot_give(pool, empty, false);
    return item;
}

/* Whether the id's own slot and the depot are bare, as far as one can see without taking anything.
 * With sections the loaded magazine is known to be empty: one has just said so. */
static bool seems_bare(struct pool *pool)
{
    if (!rseq_active || depot_has_filled(&pool->depot))
        return false;
    const struct slot *slot = slot_hint(pool->slots);
    return slot && !(atomic_load_explicit(&slot->spare, memory_order_relaxed) & SPARE_HAS_ITEMS);
}

static bool others_have_spares(struct pool *pool)
{
    for (uint32_t i = 0; i < slot_count; i++)
        if (atomic_load_explicit(&pool->slots[i].spare, memory_order_relaxed) & SPARE_HAS_ITEMS)
            return true;
    return false;
}

/*
 * 1. the loaded magazine, where it has filled meanwhile  2. the spare  3. the depot's stock, then
 * its victims  4. other ids' spares  5. another id's loaded magazine, where that pays.
 */
void *cache_get_slow(struct pool *pool)
{
    if (seems_bare(pool) && !others_have_spares(pool) && !steal_pays(pool))
        return NULL;
    struct hand hand;
    if (!hand_take_loaded(pool, &hand))
        return NULL;
    void *item = NULL;
    if (hand.loaded && magazine_count(hand.loaded) != 0) {
        item = magazine_pop(hand.loaded);
        hand_install(pool, &hand);
        return item;
    }
    hand_take_spare(&hand);
    if (hand.spare && magazine_count(hand.spare) != 0) {
        item = magazine_pop(hand.spare);
        if (!hand.spare_aged) {
            struct magazine *empty = hand.loaded;
            hand.loaded = hand.spare;
            hand.spare = empty;
        }
    } else {
        hand.spare_aged = false;
        item = get_from_depot(pool, &hand);
        if (!item)
            item = steal_spare(pool, &hand);
        if (!item)
            item = steal_loaded(pool, &hand);
    }
    hand_install(pool, &hand);
    return item;
}

/*
 * 1. the loaded magazine, where it has room meanwhile  2. the spare, the full one becoming the
 * spare
 * 3. an empty one from the depot, which gets the colder of the full two  4. none is to be had: the
 * item goes.
 */
void cache_put_slow(struct pool *pool, void *item)
{
    struct hand hand;
    if (!hand_take_loaded(pool, &hand)) {
        atomic_fetch_add_explicit(&pool->direct_puts, 1, memory_order_relaxed);
        item_destroy(pool, item, DESTROY_RECLAIM);
        return;
    }
    if (hand.loaded && magazine_has_room(hand.loaded)) {
        magazine_push(hand.loaded, item);
        hand_install(pool, &hand);
        return;
    }
    hand_take_spare(&hand);
    bool spare_holds_aged = hand.spare && hand.spare_aged && magazine_count(hand.spare) != 0;
    if (hand.spare && !spare_holds_aged && magazine_has_room(hand.spare)) {
        struct magazine *full = hand.loaded;
        hand.loaded = hand.spare;
        hand.spare = full;
        hand.spare_aged = false;
        magazine_push(hand.loaded, item);
        hand_install(pool, &hand);
        return;
    }
    struct magazine *empty = depot_take_empty(pool);
    if (!empty) {
        hand_install(pool, &hand);
        atomic_fetch_add_explicit(&pool->direct_puts, 1, memory_order_relaxed);
        item_destroy(pool, item, DESTROY_BOUND);
        return;
    }
    if (hand.loaded) {
        give(pool, hand.spare, hand.spare_aged);
        hand.spare = hand.loaded;
        hand.spare_aged = false;
    }
    hand.loaded = empty;
    magazine_push(empty, item);
    hand_install(pool, &hand);
}

size_t cache_get_bulk(struct pool *pool, void **ret_items, size_t count)
{
    size_t got = 0;
    while (got < count) {
        struct hand hand;
        if (!hand_take_loaded(pool, &hand))
            break;
        uint32_t held = hand.loaded ? magazine_count(hand.loaded) : 0;
        uint32_t moved = count - got < held ? (uint32_t)(count - got) : held;
        for (uint32_t i = 0; i < moved; i++)
            ret_items[got++] = magazine_pop(hand.loaded);
        hand_install(pool, &hand);
        if (got == count)
            break;
        void *item = cache_get_slow(pool);
        if (!item)
            break;
        ret_items[got++] = item;
    }
    return got;
}

void cache_put_bulk(struct pool *pool, void **items, size_t count)
{
    size_t given = 0;
    while (given < count) {
        struct hand hand;
        if (hand_take_loaded(pool, &hand)) {
            while (given < count && hand.loaded && magazine_has_room(hand.loaded))
                magazine_push(hand.loaded, items[given++]);
            hand_install(pool, &hand);
        }
        if (given < count)
            cache_put_slow(pool, items[given++]);
    }
}
