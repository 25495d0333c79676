/* SPDX-License-Identifier: MIT */
#include "homes.h"

#include <errno.h>
#include <stdio.h>

#include "next.h"
#include "pool_internal.h"
#include "range.h"
#include "runs.h"
#include "slab.h"

#define SLAB_ITEM_MOST 8192u /* of the library: larger items do not lie in slabs */
#define PAGE_BYTES     ((size_t)4096)
#define POWERS         21u /* of two, up to HOME_BYTES_MOST */

static size_t max_idle;
static _Atomic(struct home *) known; /* all homes; grows only */
/* Aligned blocks by powers of two, which are multiples of every alignment up to their size. */
static _Atomic(struct home *) aligned[POWERS];

static void *chunk_take(void *context)
{
    return range_take(context);
}

void homes_init(size_t max_idle_bytes)
{
    static const struct slab_source source = {chunk_take, range_give};
    slab_source = &source;
    max_idle = max_idle_bytes;
    /* No thread of ours in somebody else's program: it would make a single-threaded one pay for locks. */
    pwise_set_reclaim(PWISE_MANUAL, 0);
}

static void *large_create(void *context)
{
    return runs_take(((struct home *)context)->runs);
}

static void large_destroy(void *item, void *context)
{
    runs_give(((struct home *)context)->runs, item);
}

static struct home *home_create(size_t bytes, size_t align, struct group *group)
{
    struct home *home = next.calloc(1, sizeof *home);
    char name[32];
    snprintf(name, sizeof name, "trial/%zu", bytes);
    if (!home)
        return NULL;
    home->bytes = bytes;
    home->group = group;
    struct pwise_options options = {.name = name,
                                    .item_size = bytes,
                                    .item_align = align,
                                    .context = home,
                                    .max_idle_bytes = max_idle};
    if (bytes > SLAB_ITEM_MOST) {
        home->bytes = options.item_size = (bytes + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
        home->runs = runs_create(home, home->bytes);
        if (!home->runs) {
            next.free(home);
            return NULL;
        }
        options.create = large_create;
        options.destroy = large_destroy;
        options.item_align = 0;
    }
    home->pool = (pwise_pool)PWISE_POOL_INIT(0);
    home->pool.options = options;
    /* Made now, since the options name it by a string of ours. */
    void *first = pwise_get(&home->pool);
    if (!first) {
        next.free(home->runs);
        next.free(home);
        return NULL;
    }
    pwise_put(&home->pool, first);
    home->next_known = atomic_load_explicit(&known, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&known, &home->next_known, home,
                                                  memory_order_release, memory_order_relaxed))
        ;
    return home;
}

/* Two threads may make the same home at once: the second one's stays, unused, since blocks of it lie idle in it. */
struct home *home_get_slow(_Atomic(struct home *) *cell, size_t bytes, size_t align,
                           struct group *group)
{
    struct home *home = atomic_load_explicit(cell, memory_order_acquire);
    if (home)
        return home;
    int saved_errno = errno;
    struct home *made = home_create(bytes, align, group);
    if (made && atomic_compare_exchange_strong_explicit(cell, &home, made, memory_order_acq_rel,
                                                        memory_order_acquire))
        home = made;
    errno = saved_errno;
    return home;
}

struct home *group_home_slow(struct group *group, unsigned class)
{
    return home_get_slow(&group->homes[class], class_bytes(class), 0, group);
}

struct home *homes_aligned(size_t size, size_t align)
{
    size_t bytes = size > align ? size : align;
    if (bytes > HOME_BYTES_MOST || align > HOME_ALIGN_MOST)
        return NULL;
    unsigned power = bytes <= 16 ? 4 : 64u - (unsigned)__builtin_clzll(bytes - 1);
    bytes = (size_t)1 << power;
    return home_get_slow(&aligned[power], bytes, bytes < HOME_ALIGN_MOST ? bytes : HOME_ALIGN_MOST,
                         NULL);
}

/* What a program has freed in one size is of no use to it in the next: without this bound each of the sizes could
 * keep as much. */
void homes_relieve(void)
{
    static atomic_flag busy = ATOMIC_FLAG_INIT;
    uint64_t gets, hits, idle;
    if (atomic_flag_test_and_set_explicit(&busy, memory_order_acquire))
        return;
    homes_counts(&gets, &hits, &idle);
    if (idle > HOMES_IDLE_MOST)
        pwise_trim();
    atomic_flag_clear_explicit(&busy, memory_order_release);
}

void homes_counts(uint64_t *ret_gets, uint64_t *ret_hits, uint64_t *ret_idle_bytes)
{
    *ret_gets = *ret_hits = *ret_idle_bytes = 0;
    for (struct home *home = atomic_load_explicit(&known, memory_order_acquire); home;
         home = home->next_known) {
        struct pool *pool = pool_of_const(&home->pool);
        uint64_t gets, hits, idle;
        if (!pool)
            continue;
        stats_counts(pool, &gets, &hits, &idle);
        *ret_gets += gets - 1; /* home_create's own */
        *ret_hits += hits;
        *ret_idle_bytes += idle;
    }
}
