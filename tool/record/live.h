/* SPDX-License-Identifier: MIT */
/*
 * Live blocks: address -> block number, one map per process; numbers are dense over all processes and
 * the last one freed is the first one reused.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "trace.h"

struct live_cell {
    uint64_t address; /* 0: empty */
    uint32_t block;
    uint32_t unused;
};

struct live_map {
    struct live_cell *cells; /* linear probing, at most half full */
    uint64_t mask;
    uint64_t count;
};

struct live_numbers {
    uint32_t *freed; /* stack of numbers to reuse */
    size_t freed_count, freed_capacity;
    uint32_t next;
};

int live_map_init(struct live_map *map);
void live_map_done(struct live_map *map);
int live_map_grow(struct live_map *map);

int live_numbers_grow(struct live_numbers *numbers);
void live_numbers_done(struct live_numbers *numbers);

static inline uint64_t live_hash(uint64_t address)
{
    uint64_t hash = address * 0x9e3779b97f4a7c15ULL;
    return hash >> 20;
}

static inline void live_prefetch(const struct live_map *map, uint64_t address)
{
    __builtin_prefetch(&map->cells[live_hash(address) & map->mask]);
}

static inline struct live_cell *live_find(const struct live_map *map, uint64_t address)
{
    for (uint64_t i = live_hash(address) & map->mask;; i = (i + 1) & map->mask) {
        struct live_cell *cell = &map->cells[i];
        if (cell->address == address)
            return cell;
        if (!cell->address)
            return NULL;
    }
}

/* The address is not in the map. 0 or -ENOMEM. */
static inline int live_insert(struct live_map *map, uint64_t address, uint32_t block)
{
    if (__builtin_expect(map->count * 2 > map->mask, 0)) {
        int status = live_map_grow(map);
        if (status)
            return status;
    }
    uint64_t i = live_hash(address) & map->mask;
    while (map->cells[i].address)
        i = (i + 1) & map->mask;
    map->cells[i].address = address;
    map->cells[i].block = block;
    map->count++;
    return 0;
}

/* Closes the gap so that probing needs no markers of what was removed. */
static inline void live_remove(struct live_map *map, struct live_cell *cell)
{
    uint64_t hole = (uint64_t)(cell - map->cells);
    for (uint64_t i = hole;;) {
        i = (i + 1) & map->mask;
        if (!map->cells[i].address)
            break;
        uint64_t home = live_hash(map->cells[i].address) & map->mask;
        /* May move only if its home is not between the hole and where it stands. */
        if (((i - home) & map->mask) >= ((i - hole) & map->mask)) {
            map->cells[hole] = map->cells[i];
            hole = i;
        }
    }
    map->cells[hole].address = 0;
    map->count--;
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
