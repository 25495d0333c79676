/* SPDX-License-Identifier: MIT */
/* Open addressing, linear probing, at most half full. Also the growth of plain arrays. */
#include "analyse_internal.h"

#include <errno.h>
#include <string.h>

int array_reserve(void **array, uint32_t *capacity, uint32_t need, size_t item_size)
{
    if (need <= *capacity)
        return 0;
    uint64_t wanted = *capacity ? (uint64_t)*capacity * 2 : 16;
    if (wanted < need)
        wanted = need;
    if (wanted > UINT32_MAX)
        wanted = UINT32_MAX;
    void *grown = reallocarray(*array, wanted, item_size);
    if (!grown)
        return -ENOMEM;
    *array = grown;
    *capacity = (uint32_t)wanted;
    return 0;
}

uint32_t map_find(const struct map *map, uint64_t key)
{
    if (!map->entries)
        return ANALYSE_NONE;
    for (uint32_t at = (uint32_t)hash_u64(key) & map->mask;; at = (at + 1) & map->mask) {
        const struct map_entry *entry = &map->entries[at];
        if (!entry->value)
            return ANALYSE_NONE;
        if (entry->key == key)
            return entry->value - 1;
    }
}

static void map_put(struct map *map, uint64_t key, uint32_t value)
{
    uint32_t at = (uint32_t)hash_u64(key) & map->mask;
    while (map->entries[at].value)
        at = (at + 1) & map->mask;
    map->entries[at] = (struct map_entry){.key = key, .value = value};
}

int map_add(struct map *map, uint64_t key, uint32_t value)
{
    if (!map->entries || map->used > map->mask / 2) {
        uint64_t size = map->entries ? ((uint64_t)map->mask + 1) * 2 : 16;
        if (size > UINT32_MAX)
            return -ENOMEM;
        struct map grown = {.mask = (uint32_t)size - 1, .used = map->used};
        grown.entries = calloc(size, sizeof *grown.entries);
        if (!grown.entries)
            return -ENOMEM;
        for (uint32_t i = 0; map->entries && i <= map->mask; i++)
            if (map->entries[i].value)
                map_put(&grown, map->entries[i].key, map->entries[i].value);
        free(map->entries);
        *map = grown;
    }
    map_put(map, key, value + 1);
    map->used++;
    return 0;
}

void map_done(struct map *map)
{
    free(map->entries);
    *map = (struct map){0};
}
