/* SPDX-License-Identifier: MIT */
/*
 * The table of rules that all threads share, and the step itself.
 */
#include "unwind.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>

#include "unwind_cfi.h"

#define RULE_WORDS   (sizeof(struct unwind_rule) / sizeof(uint64_t))
#define PROBES_MAX   16 /* slots looked at before the table counts as full */
#define ENTRIES_MAX  (UINT32_C(1) << 26)
#define STAMP_BUSY   1u
#define KEY_MULTIPLY UINT64_C(0x9e3779b97f4a7c15)

/*
 * One rule in one cache line.
 *
 * stamp: twice the generation in which the slot was filled; odd while it is being filled. Written
 * by the thread that claims the slot by compare-and-swap from an older, even stamp, and by it alone
 * until it stores the even stamp. Only grows. So within a generation a slot is filled once, and
 * what a key's rule is does not change. words: the rule. Written between the two stamps only. A
 * reader copies the words out, then looks whether the stamp is still the one it saw: if so the copy
 * is whole; if not, unwind_forget() ran meanwhile and another thread took the slot, and the reader
 * compiles the rule itself.
 */
struct slot {
    _Atomic uint64_t stamp;
    _Atomic uint64_t words[RULE_WORDS]; /* the first is the rule's key */
} __attribute__((aligned(64)));

_Static_assert(sizeof(struct slot) == 64, "a lookup touches one cache line");
_Static_assert(sizeof(struct unwind_rule) % sizeof(uint64_t) == 0, "a rule is copied by words");
_Static_assert(offsetof(struct unwind_rule, key) == 0, "a slot is known by its first word");

static struct {
    unwind_find_module find; /* these are set by unwind_init() and never change */
    struct slot *slots;
    uint64_t mask;
    unsigned shift;
    /* Any thread adds 1, in unwind_forget(). Starts at 1: memory from mmap reads as generation 0.
     */
    _Atomic uint64_t generation;
} table;

union rule_words {
    struct unwind_rule rule;
    uint64_t words[RULE_WORDS];
};

int unwind_init(unwind_find_module find, uint32_t table_entries)
{
    unsigned bits = 4;

    if (!find || table_entries == 0 || table_entries > ENTRIES_MAX) {
        return -EINVAL;
    }
    if (table.slots) {
        return -EALREADY;
    }
    while ((UINT64_C(1) << bits) < table_entries) {
        bits++;
    }
    void *memory = mmap(NULL, sizeof(struct slot) << bits, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        return -errno;
    }
    table.find = find;
    table.mask = (UINT64_C(1) << bits) - 1;
    table.shift = 64 - bits;
    atomic_store_explicit(&table.generation, 1, memory_order_relaxed);
    table.slots = memory;
    return 0;
}

/* Lookups that run at the same time either saw the old generation, and use a rule that was right
 * when they began (their module is being unloaded, and no thread may run in it or return to it), or
 * see the new one, to which every slot is empty. A rule compiled before and stored after carries
 * the old generation and is never found. The release pairs with the acquire in unwind_rule_find():
 * who sees the new generation also sees what the caller did to its list of modules before. */
void unwind_forget(void)
{
    atomic_fetch_add_explicit(&table.generation, 1, memory_order_release);
}

/* Padding too, so that equal rules are equal bytes. */
static void copy_words(struct unwind_rule *ret_rule, const union rule_words *rule)
{
    for (unsigned w = 0; w < RULE_WORDS; w++) {
        ((union rule_words *)ret_rule)->words[w] = rule->words[w];
    }
}

void unwind_rule_compile(uint64_t pc, bool exact, const void *eh_frame_hdr, uint64_t start,
                         uint64_t end, struct unwind_rule *ret_rule)
{
    struct unwind_fde fde;
    struct unwind_row row;
    /* A return address may lie just past its function: the call itself is before it. */
    uint64_t address = exact ? pc : pc - 1;
    union rule_words blank = {.words = {0}};
    union rule_words made = blank;

    made.rule.end = UNWIND_NO_RULE;
    if (!unwind_trampoline(pc, start, end, &made.rule) &&
        !(eh_frame_hdr && unwind_fde_find((uint64_t)eh_frame_hdr, start, end, address, &fde) &&
          unwind_row_find(&fde, address, pc, &row) && unwind_row_rule(&row, &fde, &made.rule))) {
        made = blank;
        made.rule.end = UNWIND_NO_RULE;
    }
    made.rule.key = pc * 2 + exact;
    copy_words(ret_rule, &made);
}

static void insert(const union rule_words *rule, uint64_t generation)
{
    uint64_t first = (rule->rule.key * KEY_MULTIPLY) >> table.shift;

    for (unsigned i = 0; i < PROBES_MAX; i++) {
        struct slot *slot = &table.slots[(first + i) & table.mask];
        uint64_t stamp = atomic_load_explicit(&slot->stamp, memory_order_relaxed);
        if ((stamp & STAMP_BUSY) || stamp >= generation * 2) {
            continue;
        }
        if (!atomic_compare_exchange_strong_explicit(&slot->stamp, &stamp,
                                                     generation * 2 + STAMP_BUSY,
                                                     memory_order_relaxed, memory_order_relaxed)) {
            continue;
        }
        /* The odd stamp is seen before any word is: pairs with the reader's acquire fence. */
        atomic_thread_fence(memory_order_release);
        for (unsigned w = 0; w < RULE_WORDS; w++) {
            atomic_store_explicit(&slot->words[w], rule->words[w], memory_order_relaxed);
        }
        /* Publishes: pairs with the reader's acquire of the stamp. */
        atomic_store_explicit(&slot->stamp, generation * 2, memory_order_release);
        return;
    }
}

static __attribute__((noinline)) void find_slow(uint64_t pc, bool exact, uint64_t generation,
                                                struct unwind_rule *ret_rule)
{
    union rule_words made;
    const void *eh_frame_hdr = NULL;
    uint64_t start = 0, end = 0;
    int module = table.find ? table.find(pc, &eh_frame_hdr, &start, &end) : -1;

    if (module < 0) {
        start = end = 0;
        eh_frame_hdr = NULL;
    }
    unwind_rule_compile(pc, exact, eh_frame_hdr, start, end, &made.rule);
    if (module >= 0) {
        made.rule.module = (uint16_t)module;
        insert(&made, generation);
    }
    copy_words(ret_rule, &made);
}

const struct unwind_rule *unwind_rule_find(uint64_t pc, bool exact, struct unwind_rule *scratch)
{
    uint64_t key = pc * 2 + exact;
    uint64_t generation = atomic_load_explicit(&table.generation, memory_order_acquire);
    uint64_t first = (key * KEY_MULTIPLY) >> (table.shift & 63);
    union rule_words *copy = (union rule_words *)scratch;

    for (unsigned i = 0; table.slots && i < PROBES_MAX; i++) {
        struct slot *slot = &table.slots[(first + i) & table.mask];
        uint64_t stamp = atomic_load_explicit(&slot->stamp, memory_order_acquire);
        if (stamp != generation * 2) {
            if (!(stamp & STAMP_BUSY) && stamp < generation * 2) {
                break; /* empty: keys are put into the first free slot */
            }
            continue;
        }
        if (atomic_load_explicit(&slot->words[0], memory_order_relaxed) != key) {
            continue;
        }
        for (unsigned w = 0; w < RULE_WORDS; w++) {
            copy->words[w] = atomic_load_explicit(&slot->words[w], memory_order_relaxed);
        }
        atomic_thread_fence(memory_order_acquire);
        if (atomic_load_explicit(&slot->stamp, memory_order_relaxed) == stamp &&
            copy->rule.key == key) {
            return scratch;
        }
        break;
    }
    find_slow(pc, exact, generation, scratch);
    return scratch;
}

/* A stack end of 0, not known, becomes the greatest address. */
static bool is_below_end(const struct unwind_frame *frame, uint64_t address)
{
    return address < UNWIND_ADDRESS_END && address <= frame->stack_end - 1;
}

static bool cell_is_readable(const struct unwind_frame *frame, uint64_t address)
{
    return address % 8 == 0 && address + UNWIND_RED_ZONE >= frame->sp &&
           is_below_end(frame, address);
}

/* Whether all cells of the rule are: they lie between the lowest and the CFA. */
static bool all_are_readable(const struct unwind_frame *frame, const struct unwind_rule *rule,
                             uint64_t cfa)
{
    return rule->lowest != UNWIND_UNKNOWN &&
           cfa + (uint64_t)((int64_t)rule->lowest * 8) + UNWIND_RED_ZONE >= frame->sp &&
           is_below_end(frame, cfa - 8);
}

/* Stack memory of other functions: the address sanitizer would call some of it poisoned. */
__attribute__((no_sanitize("address"))) static uint64_t read_cell(uint64_t address)
{
    return *(const uint64_t *)address;
}

/* Where the callee's CFA lies; 0 when it cannot be told or would lead down the stack. */
static uint64_t find_cfa(const struct unwind_frame *frame, const struct unwind_rule *rule,
                         uint64_t *ret_base)
{
    bool by_register = rule->cfa == UNWIND_CFA_REGISTER || rule->cfa == UNWIND_CFA_REGISTER_DEREF;

    if (by_register && (frame->lost >> rule->cfa_register & 1)) {
        return 0;
    }
    uint64_t base = by_register ? frame->saved[rule->cfa_register] : frame->sp;
    uint64_t cfa = base;
    *ret_base = base;
    if (rule->cfa == UNWIND_CFA_SP_DEREF || rule->cfa == UNWIND_CFA_REGISTER_DEREF) {
        uint64_t cell = base + (uint64_t)(int64_t)rule->deref_offset;
        if (!cell_is_readable(frame, cell)) {
            return 0;
        }
        cfa = read_cell(cell);
    }
    cfa += (uint64_t)(int64_t)rule->cfa_offset;
    if (cfa % 8 != 0 || cfa >= UNWIND_ADDRESS_END) {
        return 0;
    }
    if (rule->signal_frame || cfa > frame->sp) {
        return cfa;
    }
    /* An interrupted leaf function that has no frame: its return address is in a register yet. */
    return rule->return_address == UNWIND_SAME && frame->exact_pc && cfa == frame->sp ? cfa : 0;
}

static uint64_t place(const struct unwind_rule *rule, unsigned index, int16_t cells, uint64_t cfa,
                      uint64_t base)
{
    return (rule->from_base >> index & 1 ? base : cfa) + (uint64_t)((int64_t)cells * 8);
}

/* Reads the return address, unless it is in a register; false when the cell cannot be read. */
static bool read_return(const struct unwind_frame *frame, const struct unwind_rule *rule,
                        uint64_t cfa, uint64_t base, uint64_t *ret_slot, uint64_t *ret_value)
{
    if (rule->return_address == UNWIND_SAME) {
#if UNWIND_SIGNS_RETURNS
        if (frame->lost >> UNWIND_COLUMN_RETURN & 1) {
            return false;
        }
        *ret_slot = frame->saved_at[UNWIND_COLUMN_RETURN];
        *ret_value = frame->saved[UNWIND_COLUMN_RETURN];
#else
        return false;
#endif
    } else {
        *ret_slot = place(rule, UNWIND_SAVED, rule->return_address, cfa, base);
        if (!cell_is_readable(frame, *ret_slot)) {
            return false;
        }
        *ret_value = read_cell(*ret_slot);
    }
    return true;
}

/* A register whose cell cannot be read is lost. */
static void restore(struct unwind_frame *frame, const struct unwind_rule *rule, uint64_t cfa,
                    uint64_t base)
{
    bool readable = all_are_readable(frame, rule, cfa);

    for (uint32_t moved = rule->moved; moved != 0; moved &= moved - 1) {
        unsigned i = (unsigned)__builtin_ctz(moved);
        int16_t cells = rule->saved[i];
        uint64_t cell = place(rule, i, cells, cfa, base);
        if (!readable && (cells == UNWIND_UNKNOWN || !cell_is_readable(frame, cell))) {
            frame->lost |= 1u << i;
            continue;
        }
        frame->lost &= ~(1u << i);
        frame->saved[i] = read_cell(cell);
        frame->saved_at[i] = cell;
    }
}

enum unwind_end unwind_step(struct unwind_frame *frame, const struct unwind_rule *rule)
{
    uint64_t base, slot, slot_value;

    if (rule->end != UNWIND_STEP) {
        return rule->end;
    }
    uint64_t cfa = find_cfa(frame, rule, &base);
    if (cfa == 0 || !read_return(frame, rule, cfa, base, &slot, &slot_value)) {
        return UNWIND_NO_RULE;
    }
    uint64_t pc = rule->return_signed ? unwind_plain_return(slot_value) : slot_value;
    if (pc == 0) {
        return UNWIND_OUTERMOST;
    }
    restore(frame, rule, cfa, base);
    if (rule->signal_frame && (cfa <= frame->sp || cfa >= frame->stack_end)) {
        frame->stack_end = 0;
    }
    frame->pc = pc;
    frame->slot = slot;
    frame->slot_value = slot_value;
    frame->sp = cfa;
    frame->exact_pc = rule->signal_frame;
    return UNWIND_STEP;
}
