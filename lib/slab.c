/* SPDX-License-Identifier: MIT */
/*
 * A region is one mapping of 2 MiB, aligned to that, so that a large page may back it; it is divided
 * into slabs of 64 KiB. A slab begins with its header; its blocks follow. Slabs are put into use in
 * address order, and so are blocks: a list that is built from a pool walks forward in memory.
 */
#include "slab.h"

#include <assert.h>
#include <errno.h>
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
 * In `partial` exactly while used < block_count.
 */
struct slab {
    struct slab *next, *previous; /* in slabs.partial */
    struct region *region;
    uint32_t used;       /* blocks handed out, in whatever state their items are */
    uint32_t fresh;      /* blocks from here on have never been handed out, and are zero */
    uint32_t lowest;     /* no word of free_map below this one has a bit set */
    uint64_t free_map[]; /* of the blocks below `fresh`: given back */
};

struct region {
    struct region *next;
    char *base;
    uint32_t in_use; /* a bit for each slab */
};

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
    pthread_mutex_init(&slabs->lock, NULL);
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

static void partial_add(struct slabs *slabs, struct slab *slab)
{
    slab->previous = NULL;
    slab->next = slabs->partial;
    if (slabs->partial)
        slabs->partial->previous = slab;
    slabs->partial = slab;
}

static void partial_remove(struct slabs *slabs, struct slab *slab)
{
    if (slab->previous)
        slab->previous->next = slab->next;
    else
        slabs->partial = slab->next;
    if (slab->next)
        slab->next->previous = slab->previous;
}

/* A slab without used blocks, in `partial`; its memory reads as zero but for what is set here. */
static struct slab *add_slab_locked(struct pool *pool)
{
    struct slabs *slabs = &pool->slabs;
    struct region *region = slabs->regions;
    while (region && region->in_use == UINT32_MAX)
        region = region->next;
    if (!region && !(region = add_region_locked(pool)))
        return NULL;
    uint32_t index = (uint32_t)__builtin_ctz(~region->in_use);
    struct slab *slab = (struct slab *)(region->base + index * SLAB_BYTES);
    region->in_use |= (uint32_t)1 << index;
    slab->region = region;
    slabs->slab_count++;
    slabs->unused_count++;
    partial_add(slabs, slab);
    return slab;
}

static void remove_region_locked(struct slabs *slabs, struct region *region)
{
    struct region **link = &slabs->regions;
    while (*link != region)
        link = &(*link)->next;
    *link = region->next;
    unmap_region(region->base);
    memory_give(region);
}

/* The slab has no used blocks. */
static void remove_slab_locked(struct slabs *slabs, struct slab *slab)
{
    struct region *region = slab->region;
    partial_remove(slabs, slab);
    slabs->slab_count--;
    slabs->unused_count--;
    region->in_use &= ~((uint32_t)1 << (uint32_t)(((char *)slab - region->base) / SLAB_BYTES));
    if (region->in_use == 0)
        remove_region_locked(slabs, region);
    else
        madvise(slab, SLAB_BYTES, MADV_DONTNEED);
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

void *slabs_take(struct pool *pool)
{
    struct slabs *slabs = &pool->slabs;
    pthread_mutex_lock(&slabs->lock);
    struct slab *slab = slabs->partial;
    if (!slab)
        slab = add_slab_locked(pool);
    char *block = NULL;
    bool used_before = false;
    if (slab) {
        block = (char *)slab + slabs->first_at +
                (size_t)slabs->stride * pick_block(slabs, slab, &used_before);
        if (slab->used++ == 0)
            slabs->unused_count--;
        if (slab->used == slabs->block_count)
            partial_remove(slabs, slab);
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
        partial_add(slabs, slab);
    if (--slab->used == 0) {
        assert(slab_is_valid(slabs, slab));
        if (slabs->unused_count++ >= SLABS_KEPT)
            remove_slab_locked(slabs, slab);
    }
    pthread_mutex_unlock(&slabs->lock);
}

void slabs_trim(struct pool *pool)
{
    struct slabs *slabs = &pool->slabs;
    pthread_mutex_lock(&slabs->lock);
    for (struct slab *slab = slabs->partial; slab && slabs->unused_count != 0;) {
        struct slab *next = slab->next;
        if (slab->used == 0)
            remove_slab_locked(slabs, slab);
        slab = next;
    }
    pthread_mutex_unlock(&slabs->lock);
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
