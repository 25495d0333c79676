/* SPDX-License-Identifier: MIT */
#include "live.h"

#include <errno.h>
#include <stdlib.h>

int live_map_init(struct live_map *map)
{
    *map = (struct live_map){.mask = 255};
    map->regions = calloc(map->mask + 1, sizeof *map->regions);
    map->last = map->regions;
    return map->regions ? 0 : -ENOMEM;
}

void live_map_done(struct live_map *map)
{
    for (uint64_t i = 0; map->regions && i <= map->mask; i++) {
        free(map->regions[i].blocks);
        free(map->regions[i].middle);
    }
    free(map->regions);
    *map = (struct live_map){0};
}

/* Makes the table anew: larger, or, when most regions are empty by now, without those. */
static int rebuild(struct live_map *map)
{
    uint64_t used = 0;
    for (uint64_t i = 0; i <= map->mask; i++)
        used += map->regions[i].count != 0;
    uint64_t mask = map->mask;
    if (used * 4 > mask)
        mask = mask * 2 + 1;
    struct live_region *regions = calloc(mask + 1, sizeof *regions);
    if (!regions)
        return -ENOMEM;
    map->region_count = 0;
    for (uint64_t i = 0; i <= map->mask; i++) {
        struct live_region *from = &map->regions[i];
        if (!from->count) {
            free(from->blocks);
            free(from->middle);
            continue;
        }
        uint64_t at = live_region_hash(from->key) & mask;
        while (regions[at].key)
            at = (at + 1) & mask;
        regions[at] = *from;
        map->region_count++;
    }
    free(map->regions);
    map->regions = regions;
    map->mask = mask;
    map->last = regions;
    return 0;
}

struct live_region *live_region_make(struct live_map *map, uint64_t address)
{
    if (map->region_count * 2 > map->mask && rebuild(map))
        return NULL;
    uint64_t key = (address >> LIVE_REGION_BITS) + 1;
    uint64_t at = live_region_hash(key) & map->mask;
    while (map->regions[at].key)
        at = (at + 1) & map->mask;
    uint32_t *blocks = calloc(LIVE_GRANULES, sizeof *blocks);
    if (!blocks)
        return NULL;
    map->regions[at] = (struct live_region){.key = key, .blocks = blocks};
    map->region_count++;
    return &map->regions[at];
}

int live_middle_make(struct live_region *region)
{
    region->middle = calloc(LIVE_GRANULES, sizeof *region->middle);
    return region->middle ? 0 : -ENOMEM;
}

int live_numbers_grow(struct live_numbers *numbers)
{
    size_t capacity = numbers->freed_capacity ? numbers->freed_capacity * 2 : 1024;
    uint32_t *freed = realloc(numbers->freed, capacity * sizeof *freed);
    if (!freed)
        return -ENOMEM;
    numbers->freed = freed;
    numbers->freed_capacity = capacity;
    return 0;
}

void live_numbers_done(struct live_numbers *numbers)
{
    free(numbers->freed);
    *numbers = (struct live_numbers){0};
}
