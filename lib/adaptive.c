/* SPDX-License-Identifier: MIT */
#include "adaptive.h"

#include "memory.h"

/* Sets of a cache line each. */
#define SETS        64u
#define SET_SIZE    8u

/* Each put weighs 1/64 in the mean: four puts in a row of one outlier do not reach the quarter. */
#define MEAN_SHIFT  6

/* Sizes over ADAPTIVE_FREE_BYTES on a logarithmic scale, in 1/128 of a doubling. */
#define LEVELS_LOG  7

/* A use of more than the level raises it by 31, any other lowers it by 1: it comes to rest where one use
 * in 32 is larger. A doubling takes four large uses at least, so that none is regular by chance. */
#define LEVEL_UP    31u

#define STRIKE_BITS 7
#define STRIKE_MASK (((uint64_t)1 << STRIKE_BITS) - 1)

/*
 * entry = address << STRIKE_BITS | strikes, strikes > 0; or 0. Kernels give programs addresses of at most
 * 57 bits. Entered by compare-and-swap from 0 by any thread; changed and cleared by the one that has
 * the item of that address.
 */
struct strikes {
    _Alignas(CACHE_LINE_BYTES) _Atomic uint64_t entries[SETS][SET_SIZE];
    /* The running mean of the sizes that are put, in bytes; 0: none yet. Any thread, relaxed: one
     * of two updates at once may be lost. */
    _Atomic size_t mean_bytes;
    /* Where users say what they used: the level of 31 in 32 uses. As above. */
    _Atomic uint32_t level;
};
_Static_assert(ADAPTIVE_STRIKES_REGULAR <= STRIKE_MASK, "strikes have their bits in an entry");

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
    return (uint64_t)(uintptr_t)item << STRIKE_BITS;
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
        if (entry != 0 && (entry & ~STRIKE_MASK) == key_of(item))
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

static uint32_t level_of(size_t bytes)
{
    if (bytes <= ADAPTIVE_FREE_BYTES)
        return 0;
    unsigned doublings = 63u - (unsigned)__builtin_clzll(bytes / ADAPTIVE_FREE_BYTES);
    size_t rest = bytes - (ADAPTIVE_FREE_BYTES << doublings); /* less than another doubling */
    return (doublings << LEVELS_LOG) +
           (uint32_t)(rest / ((ADAPTIVE_FREE_BYTES << doublings) >> LEVELS_LOG));
}

static void learn_level(struct strikes *strikes, size_t used)
{
    uint32_t level = atomic_load_explicit(&strikes->level, memory_order_relaxed);
    if (level_of(used) > level)
        atomic_store_explicit(&strikes->level, level + LEVEL_UP, memory_order_relaxed);
    else if (level != 0)
        atomic_store_explicit(&strikes->level, level - 1, memory_order_relaxed);
}

static uint64_t strikes_allowed(const struct strikes *strikes, size_t bytes)
{
    uint32_t level = atomic_load_explicit(&strikes->level, memory_order_relaxed);
    uint32_t good = level_of(adaptive_good_bytes(bytes));
    return good != 0 && good <= level ? ADAPTIVE_STRIKES_REGULAR : ADAPTIVE_STRIKES;
}

bool strikes_note(struct strikes *strikes, const void *item, size_t bytes, size_t used, bool known)
{
    if (known)
        learn_level(strikes, used);
    else
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
    bool stays = (struck & STRIKE_MASK) < strikes_allowed(strikes, bytes);
    atomic_store_explicit(entry, stays ? struck : 0, memory_order_relaxed);
    return stays;
}

void strikes_forget(struct strikes *strikes, const void *item)
{
    _Atomic uint64_t *entry = find(strikes, item);
    if (entry)
        atomic_store_explicit(entry, 0, memory_order_relaxed);
}
