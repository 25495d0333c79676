/* SPDX-License-Identifier: MIT */
#include "adaptive.h"

#include "memory.h"

/* Sets of a cache line each. */
#define SETS       64u
#define SET_SIZE   8u

/* Each put weighs 1/64 in the mean: four puts in a row of one outlier do not reach the quarter. */
#define MEAN_SHIFT 6

/*
 * entry = address << 3 | strikes, 0 < strikes < 4; or 0. Kernels give programs addresses of at most
 * 57 bits. Entered by compare-and-swap from 0 by any thread; changed and cleared by the one that has
 * the item of that address.
 */
struct strikes {
    _Alignas(CACHE_LINE_BYTES) _Atomic uint64_t entries[SETS][SET_SIZE];
    /* The running mean of the sizes that are put, in bytes; 0: none yet. Any thread, relaxed: one
     * of two updates at once may be lost. */
    _Atomic size_t mean_bytes;
};
_Static_assert(ADAPTIVE_STRIKES <= 8, "strikes are counted in three bits");

struct strikes *strikes_create(void)
{
    return memory_take(sizeof(struct strikes), _Alignof(struct strikes));
}

void strikes_destroy(struct strikes *strikes)
{
    memory_give(strikes);
}

static uint64_t key_of(const void *item)
{
    return (uint64_t)(uintptr_t)item << 3;
}

static _Atomic uint64_t *set_of(struct strikes *strikes, const void *item)
{
    uint64_t hash = (uint64_t)(uintptr_t)item * 0x9e3779b97f4a7c15u;
    return strikes->entries[hash >> 58];
}
_Static_assert(SETS == 1u << (64 - 58), "the hash's top bits number the sets");

static _Atomic uint64_t *find(struct strikes *strikes, const void *item)
{
    _Atomic uint64_t *set = set_of(strikes, item);
    for (unsigned i = 0; i < SET_SIZE; i++) {
        uint64_t entry = atomic_load_explicit(&set[i], memory_order_relaxed);
        if (entry != 0 && (entry & ~(uint64_t)7) == key_of(item))
            return &set[i];
    }
    return NULL;
}

static bool enter(struct strikes *strikes, const void *item)
{
    _Atomic uint64_t *set = set_of(strikes, item);
    for (unsigned i = 0; i < SET_SIZE; i++) {
        uint64_t free_entry = 0;
        if (atomic_compare_exchange_strong_explicit(&set[i], &free_entry, key_of(item) | 1,
                                                    memory_order_relaxed, memory_order_relaxed))
            return true;
    }
    return false;
}

/* What counts as used where nobody says: all of an item that is not much larger than most. */
static size_t used_by_mean(struct strikes *strikes, size_t bytes)
{
    size_t mean = atomic_load_explicit(&strikes->mean_bytes, memory_order_relaxed);
    size_t next = mean == 0 ? bytes : mean - (mean >> MEAN_SHIFT) + (bytes >> MEAN_SHIFT);
    if (next != mean)
        atomic_store_explicit(&strikes->mean_bytes, next, memory_order_relaxed);
    return bytes / ADAPTIVE_SHARE > next ? 0 : bytes;
}

bool strikes_note(struct strikes *strikes, const void *item, size_t bytes, size_t used, bool known)
{
    if (!known)
        used = used_by_mean(strikes, bytes);
    if (bytes <= ADAPTIVE_FREE_BYTES) {
        strikes_forget(strikes, item);
        return true;
    }
    _Atomic uint64_t *entry = find(strikes, item);
    if (adaptive_use_is_good(bytes, used)) {
        if (entry)
            atomic_store_explicit(entry, 0, memory_order_relaxed);
        return true;
    }
    if (!entry)
        return enter(strikes, item);
    uint64_t struck = atomic_load_explicit(entry, memory_order_relaxed) + 1;
    bool stays = (struck & 7) < ADAPTIVE_STRIKES;
    atomic_store_explicit(entry, stays ? struck : 0, memory_order_relaxed);
    return stays;
}

void strikes_forget(struct strikes *strikes, const void *item)
{
    _Atomic uint64_t *entry = find(strikes, item);
    if (entry)
        atomic_store_explicit(entry, 0, memory_order_relaxed);
}
