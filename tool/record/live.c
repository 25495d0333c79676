/* SPDX-License-Identifier: MIT */
#include "live.h"

#include <errno.h>

int live_map_init(struct live_map *map)
{
    *map = (struct live_map){.mask = 1023};
    map->cells = calloc(map->mask + 1, sizeof *map->cells);
    return map->cells ? 0 : -ENOMEM;
}

void live_map_done(struct live_map *map)
{
    free(map->cells);
    *map = (struct live_map){0};
}

int live_map_grow(struct live_map *map)
{
    struct live_map grown = {.mask = map->mask * 2 + 1};
    grown.cells = calloc(grown.mask + 1, sizeof *grown.cells);
    if (!grown.cells)
        return -ENOMEM;
    for (uint64_t i = 0; i <= map->mask; i++) {
        if (!map->cells[i].address)
            continue;
        uint64_t at = live_hash(map->cells[i].address) & grown.mask;
        while (grown.cells[at].address)
            at = (at + 1) & grown.mask;
        grown.cells[at] = map->cells[i];
    }
    grown.count = map->count;
    free(map->cells);
    *map = grown;
    return 0;
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
