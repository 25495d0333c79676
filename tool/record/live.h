/* SPDX-License-Identifier: MIT */
/*
 * Live blocks: address -> block number, one map per process; numbers are dense over all processes and
 * the last one freed is the first one reused.
 *
 * region   64 KiB of the program's address space
 * granule  16 bytes of a region: at most one block begins at its start, and one in its middle
 *
 * A map is a hash table of regions, each with an array of block numbers by granule: a quarter of the
 * heap's bytes at worst. Programs free what lies side by side at about one time, and then the arrays'
 * lines and pages serve many calls, where a hash table of addresses would miss the cache each time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LIVE_NONE        UINT32_MAX
#define LIVE_REGION_BITS 16u
#define LIVE_GRANULES    4096u

struct live_region {
    uint64_t key;     /* address >> LIVE_REGION_BITS, plus 1; 0: empty cell */
    uint32_t *blocks; /* block number + 1 by granule; 0: none. Blocks at 16-byte boundaries */
    uint32_t *middle; /* likewise for blocks at odd multiples of 8, which few allocators give out; NULL: none yet */
    uint32_t count;   /* blocks in both */
};

struct live_map {
    struct live_region *regions; /* linear probing, at most half full; emptied regions stay */
    uint64_t mask;
    uint64_t region_count;
    struct live_region *last; /* the region found last; never NULL */
};

struct live_numbers {
    uint32_t *freed; /* stack of numbers to reuse */
    size_t freed_count, freed_capacity;
    uint32_t next;
};

int live_map_init(struct live_map *map);
void live_map_done(struct live_map *map);

/* The region of the address, made if need be; NULL: out of memory. */
struct live_region *live_region_make(struct live_map *map, uint64_t address);

/* Its array for odd multiples of 8. 0 or -ENOMEM. */
int live_middle_make(struct live_region *region);

int live_numbers_grow(struct live_numbers *numbers);
void live_numbers_done(struct live_numbers *numbers);

static inline uint64_t live_region_hash(uint64_t key)
{
    return key * 0x9e3779b97f4a7c15ULL >> 32;
}

static inline struct live_region *live_region_find(const struct live_map *map, uint64_t address)
{
    uint64_t key = (address >> LIVE_REGION_BITS) + 1;
    if (map->last->key == key)
        return map->last;
    for (uint64_t i = live_region_hash(key) & map->mask;; i = (i + 1) & map->mask) {
        struct live_region *region = &map->regions[i];
        if (region->key == key)
            return region;
        if (!region->key)
            return NULL;
    }
}

/* The array's element for the address; NULL: there is none, so no block either. */
static inline uint32_t *live_element(const struct live_region *region, uint64_t address)
{
    uint32_t *array = address & 8 ? region->middle : region->blocks;
    return array ? &array[address >> 4 & (LIVE_GRANULES - 1)] : NULL;
}

/* The block at the address, or LIVE_NONE. */
static inline uint32_t live_find(struct live_map *map, uint64_t address)
{
    struct live_region *region = live_region_find(map, address);
    if (!region)
        return LIVE_NONE;
    map->last = region;
    const uint32_t *element = live_element(region, address);
    return element ? *element - 1 : LIVE_NONE;
}

/* Fetches what live_find will read. */
static inline void live_prefetch(const struct live_map *map, uint64_t address)
{
    const struct live_region *region = live_region_find(map, address);
    const uint32_t *element = region ? live_element(region, address) : NULL;
    if (element)
        __builtin_prefetch(element, 1);
}

/* No block is at the address. 0 or -ENOMEM. */
static inline int live_insert(struct live_map *map, uint64_t address, uint32_t block)
{
    struct live_region *region = live_region_find(map, address);
    if (__builtin_expect(!region, 0)) {
        region = live_region_make(map, address);
        if (!region)
            return -1;
    }
    uint32_t *element = live_element(region, address);
    if (__builtin_expect(!element, 0)) {
        if (live_middle_make(region))
            return -1;
        element = live_element(region, address);
    }
    map->last = region;
    *element = block + 1;
    region->count++;
    return 0;
}

/* A block is at the address. */
static inline void live_remove(struct live_map *map, uint64_t address)
{
    struct live_region *region = live_region_find(map, address);
    *live_element(region, address) = 0;
    region->count--;
}

static inline uint32_t live_number_take(struct live_numbers *numbers)
{
    return numbers->freed_count ? numbers->freed[--numbers->freed_count] : numbers->next++;
}

/* 0 or -ENOMEM. */
static inline int live_number_free(struct live_numbers *numbers, uint32_t block)
{
    if (__builtin_expect(numbers->freed_count == numbers->freed_capacity, 0)) {
        int status = live_numbers_grow(numbers);
        if (status)
            return status;
    }
    numbers->freed[numbers->freed_count++] = block;
    return 0;
}
