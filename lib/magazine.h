/* SPDX-License-Identifier: MIT */
/*
 * Magazines in plain C. All but magazine_count_hint: only by the one thread that has the magazine
 * private. The word is read by stats meanwhile, hence the relaxed atomics.
 */
#pragma once

#include <assert.h>

#include "pool_internal.h"

static inline uint64_t magazine_word(const struct magazine *magazine)
{
    return atomic_load_explicit(&magazine->word, memory_order_relaxed);
}

static inline uint32_t magazine_count(const struct magazine *magazine)
{
    return (uint32_t)(magazine_word(magazine) & 0xffff);
}

static inline void magazine_set_word(struct magazine *magazine, uint64_t word)
{
    atomic_store_explicit(&magazine->word, word, memory_order_relaxed);
}

static inline bool magazine_has_room(const struct magazine *magazine)
{
    return magazine_count(magazine) < magazine->capacity;
}

static inline bool magazine_is_valid(const struct magazine *magazine)
{
    return magazine_count(magazine) <= magazine->capacity && magazine->base <= magazine->capacity;
}

/* Takes the item laid in last. The count must not be 0. */
static inline void *magazine_pop(struct magazine *magazine)
{
    uint64_t word = magazine_word(magazine);
    assert((word & 0xffff) != 0);
    void *item = magazine->items[(word & 0xffff) - 1];
    magazine_set_word(magazine, word + WORD_GET);
    return item;
}

/* Takes an item that is to be destroyed: not a get. The magazine has just been folded. */
static inline void *magazine_discard(struct magazine *magazine)
{
    uint32_t count = magazine_count(magazine);
    assert(count != 0 && magazine_word(magazine) >> 16 == 0 && magazine->base == count);
    magazine->base = count - 1;
    magazine_set_word(magazine, count - 1);
    return magazine->items[count - 1];
}

/* There must be room. */
static inline void magazine_push(struct magazine *magazine, void *item)
{
    uint64_t word = magazine_word(magazine);
    assert((word & 0xffff) < magazine->capacity);
    magazine->items[word & 0xffff] = item;
    magazine_set_word(magazine, word + 1);
}

/* What a spare cell holds for this magazine; NULL gives 0. */
static inline uintptr_t spare_of(struct magazine *magazine, bool aged)
{
    if (!magazine)
        return 0;
    if (magazine_count(magazine) == 0)
        return (uintptr_t)magazine;
    return (uintptr_t)magazine | SPARE_HAS_ITEMS | (aged ? SPARE_AGED : 0);
}

static inline struct magazine *spare_magazine(uintptr_t spare)
{
    return (struct magazine *)(spare & ~SPARE_BITS);
}
