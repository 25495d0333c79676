/* SPDX-License-Identifier: MIT */
/*
 * A region is one mapping of 2 MiB, aligned to that, so that a large page may back it; it is divided
 * into slabs of 64 KiB. A slab begins with its header; its blocks follow. Slabs are put into use in
 * address order, and so are blocks: a list that is built from a pool walks forward in memory.
 */
#include "slab.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>

#include "inject.h"
#include "memory.h"

#define SLAB_BYTES        ((size_t)64 << 10)
#define REGION_SLABS      32u
#define REGION_BYTES      (SLAB_BYTES * REGION_SLABS)
#define SLAB_BLOCKS_LEAST 8u
#define STRIDE_MAX        (SLAB_BYTES / SLAB_BLOCKS_LEAST)
/* Slabs without used blocks that stay, so that a put and a get at the edge move no memory. */
#define SLABS_KEPT        1u
_Static_assert(REGION_BYTES == SLAB_SOURCE_BYTES, "a source gives whole regions");

const struct slab_source *slab_source;

/*
 * used + (blocks marked in free_map) = fresh <= block_count
 * In `unused` while used = 0, in `partial` while 0 < used < block_count.
 */
struct slab {
    struct slab *next, *previous; /* in the list */
    struct region *region;
    uint32_t used;       /* blocks handed out, in whatever state their items are */
    uint32_t fresh;      /* blocks from here on have never been handed out, and are zero */
    uint32_t lowest;     /* no word of free_map below this one has a bit set */
    uint64_t free_map[]; /* of the blocks below `fresh`: given back */
};

struct region {
    struct region *next;
    char *base;
    uint32_t in_use;  /* a bit for each slab; of those that are leaving as well */
    uint32_t leaving; /* being given back; ALL_SLABS: the whole region is */
    struct region *next_leaving;
};
#define ALL_SLABS UINT32_MAX
_Static_assert(REGION_SLABS == 32, "a region's slabs are the bits of a word");

static bool wants_slabs(const struct pool *pool)
{
    const struct pwise_options *options = &pool->options;
    return options->item_size != 0 && !options->create && !options->destroy && !checkers_watch() &&
           options->item_size <= STRIDE_MAX && options->item_align <= STRIDE_MAX;
}

static size_t round_up(size_t value, size_t align)
{
    return (value + align - 1) & ~(align - 1);
}

void slabs_init(struct pool *pool)
{
    struct slabs *slabs = &pool->slabs;
    lock_init(&slabs->lock);
    if (!wants_slabs(pool))
        return;
    size_t align = pool->options.item_align;
    size_t stride = round_up(pool->options.item_size, align);
    if (stride > STRIDE_MAX)
        return;
    size_t most = SLAB_BYTES / stride;
    size_t header = sizeof(struct slab) + (most + 63) / 64 * sizeof(uint64_t);
    slabs->first_at = (uint32_t)round_up(header, align);
    slabs->block_count = (uint32_t)((SLAB_BYTES - slabs->first_at) / stride);
    slabs->map_words = (slabs->block_count + 63) / 64;
    slabs->stride = (uint32_t)stride;
}

static struct slab *slab_of(void *block)
{
    return (struct slab *)((uintptr_t)block & ~(SLAB_BYTES - 1));
}

/* An aligned mapping: one that is too large, less its ends. NULL: no memory. */
static char *map_region(struct pool *pool)
{
    if (!INJECT_MEMORY(true))
        return NULL;
    if (slab_source) {
        char *taken = slab_source->take(pool->options.context);
        if (!taken)
            (void)INJECT_MEMORY(false);
        return taken;
    }
    int protection = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    char *mapping = mmap(NULL, 2 * REGION_BYTES, protection, flags, -1, 0);
    if (mapping == MAP_FAILED) {
        (void)INJECT_MEMORY(false);
        return NULL;
    }
    char *base = (char *)round_up((uintptr_t)mapping, REGION_BYTES);
    if (base != mapping)
        munmap(mapping, (size_t)(base - mapping));
    char *end = base + REGION_BYTES, *mapping_end = mapping + 2 * REGION_BYTES;
    if (end != mapping_end)
        munmap(end, (size_t)(mapping_end - end));
    return base;
}

static void unmap_region(char *base)
{
    (void)INJECT_MEMORY(false);
    if (slab_source)
        slab_source->give(base);
    else
        munmap(base, REGION_BYTES);
}

static struct region *add_region_locked(struct pool *pool)
{
    struct slabs *slabs = &pool->slabs;
    struct region *region = memory_take(sizeof(*region), _Alignof(struct region));
    char *base = region ? map_region(pool) : NULL;
    if (!base) {
        memory_give(region);
        return NULL;
    }
    /* A small pool must not take a large page. */
    if (!slabs->regions)
        madvise(base, REGION_BYTES, MADV_NOHUGEPAGE);
    region->base = base;
    region->next = slabs->regions;
    slabs->regions = region;
    return region;
}

static void list_add(struct slab **list, struct slab *slab)
{
    slab->previous = NULL;
    slab->next = *list;
    if (*list)
        (*list)->previous = slab;
    *list = slab;
}

static void list_remove(struct slab **list, struct slab *slab)
{
    if (slab->previous)
        slab->previous->next = slab->next;
    else
        *list = slab->next;
    if (slab->next)
        slab->next->previous = slab->previous;
}

/* A slab without used blocks, in no list; its memory reads as zero but for what is set here. */
static struct slab *add_slab_locked(struct pool *pool)
{
    struct slabs *slabs = &pool->slabs;
    struct region *region = slabs->regions;
    while (region && region->in_use == ALL_SLABS)
        region = region->next;
    if (!region && !(region = add_region_locked(pool)))
        return NULL;
    uint32_t index = (uint32_t)__builtin_ctz(~region->in_use);
    struct slab *slab = (struct slab *)(region->base + index * SLAB_BYTES);
    region->in_use |= (uint32_t)1 << index;
    slab->region = region;
    slabs->slab_count++;
    return slab;
}

/*
 * Giving slabs back: 1. under the lock they are taken out of use  2. without it the system gets them,
 * since a get waits for the lock meanwhile  3. under the lock their
 * places are free again. One thread at a time: `leaving` is the chain of regions that it works on.
 */
static void retire_unused_locked(struct slabs *slabs)
{
    for (struct slab *slab = slabs->unused, *next; slab; slab = next) {
        struct region *region = slab->region;
        next = slab->next;
        if (region->leaving == 0) {
            region->next_leaving = slabs->leaving;
            slabs->leaving = region;
        }
        region->leaving |= (uint32_t)1 << (uint32_t)(((char *)slab - region->base) / SLAB_BYTES);
    }
    slabs->slab_count -= slabs->unused_count;
    slabs->unused_count = 0;
    slabs->unused = NULL;
    for (struct region *region = slabs->leaving; region; region = region->next_leaving)
        if (region->leaving == region->in_use)
            region->leaving = region->in_use = ALL_SLABS;
}

/* Neighbours go in one call. */
static void return_slabs(const struct region *region)
{
    uint32_t left = region->leaving;
    while (left != 0 && left != ALL_SLABS) {
        unsigned first = (unsigned)__builtin_ctz(left);
        unsigned count = (unsigned)__builtin_ctz(~(left >> first));
        madvise(region->base + first * SLAB_BYTES, count * SLAB_BYTES, MADV_DONTNEED);
        left &= ~((((uint32_t)1 << count) - 1) << first);
    }
}

/* The chain of what is still to be unmapped. */
static struct region *vacate_locked(struct slabs *slabs)
{
    struct region *unused = NULL;
    for (struct region *region = slabs->leaving, *next; region; region = next) {
        next = region->next_leaving;
        if (region->leaving == ALL_SLABS) {
            struct region **link = &slabs->regions;
            while (*link != region)
                link = &(*link)->next;
            *link = region->next;
            region->next_leaving = unused;
            unused = region;
        } else {
            region->in_use &= ~region->leaving;
            region->leaving = 0;
        }
    }
    slabs->leaving = NULL;
    return unused;
}

static void unmap_chain(struct region *unused)
{
    while (unused) {
        struct region *region = unused;
        unused = region->next_leaving;
        unmap_region(region->base);
        memory_give(region);
    }
}

/* With the lock held, which it gives up. */
static void return_unused_unlock(struct slabs *slabs)
{
    bool mine = !slabs->leaving && slabs->unused;
    if (mine)
        retire_unused_locked(slabs);
    pthread_mutex_unlock(&slabs->lock);
    if (!mine)
        return;
    /* The chain is this thread's. */
    for (const struct region *region = slabs->leaving; region; region = region->next_leaving)
        return_slabs(region);
    pthread_mutex_lock(&slabs->lock);
    struct region *unused = vacate_locked(slabs);
    pthread_mutex_unlock(&slabs->lock);
    unmap_chain(unused);
}

void slabs_forked(struct pool *pool)
{
    struct slabs *slabs = &pool->slabs;
    for (const struct region *region = slabs->leaving; region; region = region->next_leaving)
        return_slabs(region);
    unmap_chain(vacate_locked(slabs));
    /* Who held or waited is not here. */
    slabs->holds = 0;
    atomic_store_explicit(&slabs->wanted, 0, memory_order_relaxed);
}

static bool slab_is_valid(const struct slabs *slabs, const struct slab *slab)
{
    uint32_t marked = 0;
    for (uint32_t i = 0; i < slabs->map_words; i++)
        marked += (uint32_t)__builtin_popcountll(slab->free_map[i]);
    return slab->used + marked == slab->fresh && slab->fresh <= slabs->block_count;
}

/* The slab has a free block. *ret_used_before: it must be zeroed. */
static uint32_t pick_block(const struct slabs *slabs, struct slab *slab, bool *ret_used_before)
{
    for (uint32_t i = slab->lowest; i < slabs->map_words; i++) {
        if (slab->free_map[i] == 0)
            continue;
        uint32_t bit = (uint32_t)__builtin_ctzll(slab->free_map[i]);
        slab->free_map[i] &= slab->free_map[i] - 1;
        slab->lowest = i;
        *ret_used_before = true;
        return i * 64 + bit;
    }
    slab->lowest = slabs->map_words;
    *ret_used_before = false;
    return slab->fresh++;
}

/* For a get: who destroys many items in a row sees that it is waited for. */
static void lock_first(struct slabs *slabs)
{
    if (pthread_mutex_trylock(&slabs->lock) == 0)
        return;
    atomic_fetch_add_explicit(&slabs->wanted, 1, memory_order_relaxed);
    pthread_mutex_lock(&slabs->lock);
    atomic_fetch_sub_explicit(&slabs->wanted, 1, memory_order_relaxed);
}

/* Whoever is woken finds the lock taken again by who has just released it, time after time, unless
 * that one waits. Not for ever: the thread may have been stopped. */
#define GIVE_WAY_TURNS 1000

bool slabs_give_way(struct pool *pool)
{
    const struct slabs *slabs = &pool->slabs;
    for (int turn = 0; turn < GIVE_WAY_TURNS; turn++) {
        if (atomic_load_explicit(&slabs->wanted, memory_order_relaxed) == 0)
            return true;
        sched_yield();
    }
    return false;
}

void *slabs_take(struct pool *pool)
{
    struct slabs *slabs = &pool->slabs;
    lock_first(slabs);
    struct slab *slab = slabs->partial;
    if (!slab && (slab = slabs->unused)) {
        list_remove(&slabs->unused, slab);
        slabs->unused_count--;
        list_add(&slabs->partial, slab);
    } else if (!slab && (slab = add_slab_locked(pool))) {
        list_add(&slabs->partial, slab);
    }
    char *block = NULL;
    bool used_before = false;
    if (slab) {
        block = (char *)slab + slabs->first_at +
                (size_t)slabs->stride * pick_block(slabs, slab, &used_before);
        if (++slab->used == slabs->block_count)
            list_remove(&slabs->partial, slab);
    }
    pthread_mutex_unlock(&slabs->lock);
    if (!block)
        errno = ENOMEM;
    else if (used_before)
        memset(block, 0, pool->options.item_size);
    return block;
}

void slabs_give(struct pool *pool, void *block)
{
    struct slabs *slabs = &pool->slabs;
    struct slab *slab = slab_of(block);
    uint32_t index =
        (uint32_t)((size_t)((char *)block - (char *)slab) - slabs->first_at) / slabs->stride;
    pthread_mutex_lock(&slabs->lock);
    slab->free_map[index / 64] |= (uint64_t)1 << index % 64;
    if (index / 64 < slab->lowest)
        slab->lowest = index / 64;
    if (slab->used == slabs->block_count)
        list_add(&slabs->partial, slab);
    if (--slab->used == 0) {
        assert(slab_is_valid(slabs, slab));
        list_remove(&slabs->partial, slab);
        list_add(&slabs->unused, slab);
        if (++slabs->unused_count > SLABS_KEPT && slabs->holds == 0) {
            return_unused_unlock(slabs);
            return;
        }
    }
    pthread_mutex_unlock(&slabs->lock);
}

void slabs_hold(struct pool *pool)
{
    pthread_mutex_lock(&pool->slabs.lock);
    pool->slabs.holds++;
    pthread_mutex_unlock(&pool->slabs.lock);
}

void slabs_trim(struct pool *pool)
{
    pthread_mutex_lock(&pool->slabs.lock);
    pool->slabs.holds--;
    return_unused_unlock(&pool->slabs);
}

size_t slabs_bytes(struct pool *pool)
{
    pthread_mutex_lock(&pool->slabs.lock);
    size_t bytes = pool->slabs.slab_count * SLAB_BYTES;
    pthread_mutex_unlock(&pool->slabs.lock);
    return bytes;
}

void slabs_done(struct pool *pool)
{
    for (struct region *region = pool->slabs.regions, *next; region; region = next) {
        next = region->next;
        unmap_region(region->base);
        memory_give(region);
    }
    pthread_mutex_destroy(&pool->slabs.lock);
}
