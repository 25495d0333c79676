/* SPDX-License-Identifier: MIT */
#include "string_set.h"

#include <stdlib.h>
#include <string.h>

enum { BLOCK_BYTES = 64 * 1024 };

struct string_block {
    struct string_block *next;
    size_t used_bytes, size_bytes;
    char bytes[];
};

uint64_t hash_bytes(uint64_t seed, const void *bytes, size_t size)
{
    const unsigned char *byte = bytes;
    for (size_t i = 0; i < size; i++)
        seed = (seed ^ byte[i]) * UINT64_C(0x100000001b3);
    return seed;
}

uint64_t hash_mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

void string_set_done(struct string_set *set)
{
    for (struct string_block *block = set->blocks; block;) {
        struct string_block *next = block->next;
        free(block);
        block = next;
    }
    free(set->slots);
    *set = (struct string_set){0};
}

static char *store(struct string_set *set, const char *text, size_t length)
{
    struct string_block *block = set->blocks;
    if (!block || block->size_bytes - block->used_bytes < length + 1) {
        size_t size = length + 1 > BLOCK_BYTES ? length + 1 : BLOCK_BYTES;
        struct string_block *fresh = malloc(sizeof *fresh + size);
        if (!fresh)
            return NULL;
        *fresh = (struct string_block){.next = block, .size_bytes = size};
        set->blocks = block = fresh;
    }
    char *copy = block->bytes + block->used_bytes;
    memcpy(copy, text, length);
    copy[length] = '\0';
    block->used_bytes += length + 1;
    return copy;
}

/* Where text is, or the empty slot where it belongs. */
static size_t find_slot(const struct string_set *set, const char *text, size_t length)
{
    size_t mask = set->slot_count - 1;
    size_t i = hash_mix(hash_bytes(HASH_SEED, text, length)) & mask;
    while (set->slots[i] &&
           (strncmp(set->slots[i], text, length) != 0 || set->slots[i][length] != '\0'))
        i = (i + 1) & mask;
    return i;
}

static int grow(struct string_set *set)
{
    struct string_set larger = {.slot_count = set->slot_count ? set->slot_count * 2 : 256};
    larger.slots = calloc(larger.slot_count, sizeof *larger.slots);
    if (!larger.slots)
        return -1;
    for (size_t i = 0; i < set->slot_count; i++) {
        if (set->slots[i])
            larger.slots[find_slot(&larger, set->slots[i], strlen(set->slots[i]))] = set->slots[i];
    }
    free(set->slots);
    set->slots = larger.slots;
    set->slot_count = larger.slot_count;
    return 0;
}

const char *string_set_add(struct string_set *set, const char *text, size_t length)
{
    if (set->used_count * 4 >= set->slot_count * 3 && grow(set) != 0)
        return NULL;
    size_t i = find_slot(set, text, length);
    if (!set->slots[i]) {
        char *copy = store(set, text, length);
        if (!copy)
            return NULL;
        set->slots[i] = copy;
        set->used_count++;
    }
    return set->slots[i];
}
