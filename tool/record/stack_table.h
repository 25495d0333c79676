/* SPDX-License-Identifier: MIT */
/*
 * The stack table: which stack a call of the allocator comes from, without unwinding it each time.
 *
 * state    (sp, return address[, rbp]) at one frame: what unwinding goes on from
 * cell     a stack address and the value that was there when the stack was unwound
 * entry    a state, the node of its stack, the cells that prove the frames above it, and perhaps an
 *          outer entry that goes on from where the cells end
 * node     see trace.h; numbered by the thread that finds it
 *
 * An entry is the same stack again when its state is equal and every cell still holds its value. Why
 * that is sound: at a return address the unwind rule fixes where the caller's frame lies: sp + a
 * constant, or rbp + a constant, or one word read at such a place. If sp (and rbp, where the rule uses
 * it) are as before, then the caller's return address lies in the same cell; if that cell holds the
 * same value, the caller's state is the same but for rbp; rbp is the caller's own when the frame did
 * not save it, else it is in the cell where the frame saved it, which is one of the entry's cells if any
 * outer rule uses rbp. So, by induction from the innermost frame, all frames are the same. Cells are
 * compared innermost first and the comparison stops at the first difference, so no address is read
 * that is not inside a frame just proven to exist: a coroutine's stack that was unmapped is never touched.
 * Frames that cannot be proven that way (another base register, a signal frame) are not kept, but unwound each time.
 *
 * One table per thread: owner only, no locks. The owner may be interrupted by a signal handler that
 * allocates; the recorder keeps such nested calls out of the table.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define STACK_WAYS      8u
#define STACK_SETS      1024u
#define STACK_CELLS     20u
#define STACK_DEPTH_MAX 256u /* frames kept; deeper stacks are cut at the outer end */

struct stack_entry {
    _Alignas(64) uint64_t sp;
    uint64_t ra;
    uint64_t rbp;
    uint32_t node;
    uint32_t stamp;         /* changes when the entry is filled anew; 0: never filled */
    uint32_t outer_stamp;
    uint16_t outer;         /* STACK_NONE: the cells reach the outermost frame */
    uint16_t next[2];       /* the entries that came after this one, the last first; STACK_NONE: none yet */
    uint16_t depth;         /* frames from here to the outermost kept */
    uint8_t cell_count;
    int8_t rbp_mask;        /* -1: rbp is compared; 0: nothing rests on it */
    uint16_t offset[STACK_CELLS]; /* cells' addresses above sp, in units of 8 bytes */
    uint64_t value[STACK_CELLS];
};
_Static_assert(sizeof(struct stack_entry) == 256, "an entry is four cache lines");

#define STACK_ENTRIES (STACK_SETS * STACK_WAYS)
#define STACK_NONE    STACK_ENTRIES /* the number of an entry that is never filled, and so equals no state */

struct stack_set {
    uint32_t tag[STACK_WAYS]; /* 0: empty */
    uint16_t index[STACK_WAYS];
    uint16_t next; /* way to fill next */
    uint16_t pad[7];
};
_Static_assert(sizeof(struct stack_set) == 64, "a set is one cache line");

/* One frame of an unwind, and how its caller was found. */
struct stack_step {
    uint64_t sp, pc, slot;
    uint64_t slot_value;       /* what the slot holds: pc, or pc with an authentication code */
    uint64_t rbp, rbp_at;      /* value in this frame, and the cell it came from (0: a register still) */
    uint64_t deref_at, deref;  /* a word that the CFA was read from; 0: none */
    uint16_t module;
    bool needs_rbp;            /* the caller's CFA was computed from this frame's rbp */
    bool keeps;                /* the step to the caller can be proven by cells */
};

#define STACK_FRAMES      8192u
#define STACK_HASH_LEVELS 3u

/* How far above sp the caller's return address and its sp lie, at return addresses where that is constant. */
struct stack_frame {
    uint64_t ra; /* 0: empty */
    uint32_t slot, rise;
};

struct stack_table {
    struct stack_set sets[STACK_SETS];
    struct stack_frame frames[STACK_FRAMES];
    struct stack_entry *last;   /* of the last event */
    struct stack_entry *coming; /* what is expected of the next one */
    uint32_t used;  /* entries handed out so far */
    uint32_t stamp;
    uint32_t last_node; /* ids given so far */
    struct stack_entry entries[STACK_ENTRIES + 1];
    struct stack_step steps[STACK_DEPTH_MAX]; /* of the unwind in progress: the program's stack may be small */
};

struct stack_key {
    uint64_t sp, ra, rbp;
};

static inline uint32_t stack_frame_index(uint64_t ra)
{
    return (uint32_t)(ra * 0x9e3779b97f4a7c15ULL >> 51);
}
_Static_assert(STACK_FRAMES == 1u << 13, "the index takes the upper thirteen bits");

/*
 * Where to look a state up. A wrapper of malloc has one return address and often one depth for hundreds
 * of callers, so the callers' return addresses count too, as far as they can be had for a load each.
 */
static inline uint64_t stack_hash(const struct stack_table *table, uint64_t sp, uint64_t ra)
{
    uint64_t hash = (sp + ra * 0x9e3779b97f4a7c15ULL) * 0xbf58476d1ce4e5b9ULL;
    for (unsigned level = 0; level < STACK_HASH_LEVELS; level++) {
        const struct stack_frame *frame = &table->frames[stack_frame_index(ra)];
        if (frame->ra != ra)
            break;
        ra = *(const uint64_t *)(uintptr_t)(sp + frame->slot);
        sp += frame->rise;
        hash = (hash ^ hash >> 32 ^ ra) * 0xbf58476d1ce4e5b9ULL;
    }
    return hash ^ hash >> 29;
}

/* A bit for each way whose tag is this one. */
static inline unsigned stack_set_match(const struct stack_set *set, uint32_t tag)
{
#if defined(__SSE2__)
    __m128i want = _mm_set1_epi32((int)tag);
    __m128i low = _mm_cmpeq_epi32(_mm_load_si128((const __m128i *)set->tag), want);
    __m128i high = _mm_cmpeq_epi32(_mm_load_si128((const __m128i *)set->tag + 1), want);
    return (unsigned)_mm_movemask_epi8(_mm_packs_epi16(_mm_packs_epi32(low, high), _mm_setzero_si128()));
#else
    unsigned ways = 0;
    for (unsigned way = 0; way < STACK_WAYS; way++)
        ways |= (unsigned)(set->tag[way] == tag) << way;
    return ways;
#endif
}

static inline uint32_t stack_tag(uint64_t hash)
{
    return (uint32_t)(hash >> 32) | 1;
}

/* Whether the frames above the entry's state are still the ones it was made from. */
static inline __attribute__((always_inline)) bool stack_entry_holds(const struct stack_table *table,
                                                                    const struct stack_entry *entry)
{
    for (;;) {
        const uint64_t *sp = (const uint64_t *)(uintptr_t)entry->sp;
        const uint16_t *offset = entry->offset;
        const uint64_t *value = entry->value, *end = value + entry->cell_count;
        for (; end - value >= 4; value += 4, offset += 4)
            if (sp[offset[0]] != value[0] || sp[offset[1]] != value[1] || sp[offset[2]] != value[2] ||
                sp[offset[3]] != value[3])
                return false;
        for (; value < end; value++, offset++)
            if (sp[*offset] != *value)
                return false;
        if (entry->outer == STACK_NONE)
            return true;
        const struct stack_entry *outer = &table->entries[entry->outer];
        if (__builtin_expect(outer->stamp != entry->outer_stamp, 0))
            return false;
        entry = outer;
    }
}

/* Whether the entry is for this state and its frames hold. */
static inline __attribute__((always_inline)) bool stack_entry_is(const struct stack_table *table,
                                                                 const struct stack_entry *entry,
                                                                 const struct stack_key *key)
{
    return entry->sp == key->sp && entry->ra == key->ra &&
           !((entry->rbp ^ key->rbp) & (uint64_t)(int64_t)entry->rbp_mask) && stack_entry_holds(table, entry);
}

/* The entry for this state whose frames hold and that has at most `depth_max` frames, or NULL. */
static inline struct stack_entry *stack_table_find(struct stack_table *table, const struct stack_key *key,
                                                   uint32_t depth_max)
{
    uint64_t hash = stack_hash(table, key->sp, key->ra);
    const struct stack_set *set = &table->sets[hash % STACK_SETS];
    unsigned ways = stack_set_match(set, stack_tag(hash));
    while (ways) {
        struct stack_entry *entry = &table->entries[set->index[__builtin_ctz(ways)]];
        ways &= ways - 1;
        if (entry->depth <= depth_max && stack_entry_is(table, entry, key))
            return entry;
    }
    return NULL;
}

/* The entry came after the last one. */
static inline void stack_table_follow(struct stack_table *table, struct stack_entry *entry)
{
    uint16_t number = (uint16_t)(entry - table->entries);
    struct stack_entry *last = table->last;
    if (last->next[0] != number) {
        last->next[1] = last->next[0];
        last->next[0] = number;
    }
    table->last = entry;
    table->coming = &table->entries[entry->next[0]];
}

/* As stack_table_find, when the entry that was expected is not it. */
struct stack_entry *stack_table_find_slow(struct stack_table *table, const struct stack_key *key);

/*
 * The same for the state of an event, which mostly comes after the same event as one of the last times:
 * those entries are tried first, and the likeliest was fetched into the processor's cache while the program ran.
 */
static inline __attribute__((always_inline)) struct stack_entry *stack_table_next(struct stack_table *table,
                                                                                  const struct stack_key *key)
{
    struct stack_entry *entry = table->coming;
    if (__builtin_expect(!stack_entry_is(table, entry, key), 0)) {
        entry = stack_table_find_slow(table, key);
        if (!entry)
            return NULL;
    } else {
        table->last = entry;
        table->coming = &table->entries[entry->next[0]];
    }
    const char *coming = (const char *)table->coming;
    __builtin_prefetch(coming);
    __builtin_prefetch(coming + 64);
    __builtin_prefetch(coming + 128);
    __builtin_prefetch(coming + 192);
    __builtin_prefetch(&table->entries[entry->next[1]]);
    return entry;
}

/* Says where new nodes go. `module` is the recorder's module number or CHANNEL_NO_MODULE. */
struct stack_node_out {
    void (*node)(void *context, uint32_t id, uint32_t parent, uint32_t flags, uint32_t module,
                 uint64_t slot, uint64_t address);
    void *context;
};

/* Unwinds from the state, makes the nodes it lacks and keeps entries for what it found. Returns the
 * node of the stack. For the owner, when stack_table_find found nothing. */
uint32_t stack_table_miss(struct stack_table *table, const struct stack_key *key,
                          const struct stack_node_out *out);

/* The same for a table of return addresses alone: keys have sp 0, every node is a root. */
uint32_t stack_table_site(struct stack_table *table, const struct stack_key *key,
                          const struct stack_node_out *out);

/* A full unwind into addresses, without the table: the oracle of the tests. Returns the depth. */
uint32_t stack_unwind(const struct stack_key *key, uint64_t *ret_slots, uint64_t *ret_addresses, uint32_t max);

/* Drops every entry; node ids go on. */
void stack_table_clear(struct stack_table *table);
