/* SPDX-License-Identifier: MIT */
#include "sites.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "modules.h"
#include "next.h"
#include "unwind.h"

#define RULE_TABLE_ENTRIES  16384u
#define SPARSENESS          8u /* cells for each entry */
#define unlikely(condition) __builtin_expect(!!(condition), 0)
#define LOOKS_MOST          256u /* calls after a dlopen that look whether something has come */

/* A frame whose return address alone does not decide. */
struct site_node {
    /* What nearly every wrapper is: a frame of constant size. The caller's begins `rise` above, and the return address lies
     * at `ra_at` from there. */
    bool plain;
    int32_t rise, ra_at;
    struct site_table *callers;
    struct unwind_rule unwind; /* of that return address */
};

/* What a table is made from: return addresses as a tree, malloc's callers first. */
struct draft {
    uint64_t ra;
    struct rule *rule;
    struct draft *callers, *sibling;
};

/* A table without entries, which is in force until there is a plan: a struct site_table with its cells. */
static struct {
    unsigned shift;
    bool look_again;
    struct rule *otherwise;
    struct site_entry entries[3];
} nothing = {.shift = 63};
_Static_assert(offsetof(struct site_table, entries) == offsetof(__typeof__(nothing), entries),
               "laid out alike");
_Atomic(struct site_table *) sites_now = (struct site_table *)(void *)&nothing;
bool sites_presize;
uint64_t sites_own_start, sites_own_bytes;

static struct {
    pthread_mutex_t lock;
    /* Constant after sites_init: */
    struct plan *plan;
    struct rule rules[PLAN_SITES], everything;
    uint64_t linker_start, linker_end;
    /* Filled as pools are made: */
    struct group groups[PLAN_SITES], everything_group;
    _Atomic(struct home *) singles[PLAN_SITES];
    /* Written under the lock: */
    struct loaded loaded; /* that the table in force was built for */
    bool awaiting;        /* some module of the plan is not loaded */
    _Atomic uint32_t looks_left;
} state = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct draft *draft_add(struct draft **list, uint64_t ra)
{
    struct draft *draft = *list;
    while (draft && draft->ra != ra)
        draft = draft->sibling;
    if (draft)
        return draft;
    draft = next.calloc(1, sizeof *draft);
    if (draft) {
        draft->ra = ra;
        draft->sibling = *list;
        *list = draft;
    }
    return draft;
}

/* Depth is bounded by PLAN_DEPTH. */
static void drafts_free(struct draft *draft)
{
    while (draft) {
        struct draft *sibling = draft->sibling;
        drafts_free(draft->callers);
        next.free(draft);
        draft = sibling;
    }
}

/* The drafts of all sites whose modules are loaded. False: no memory. */
static bool drafts_make(struct draft **ret_roots)
{
    const struct plan *plan = state.plan;
    *ret_roots = NULL;
    for (uint32_t i = 0; i < plan->site_count; i++) {
        const struct plan_site *site = &plan->sites[i];
        const struct plan_call *calls = &plan->calls[site->first_call];
        bool here = true;
        for (uint32_t k = 0; k < site->call_count; k++)
            here &= state.loaded.here[calls[k].module];
        struct draft **list = ret_roots, *draft = NULL;
        for (uint32_t k = 0; here && k < site->call_count; k++) {
            draft = draft_add(list, state.loaded.bias[calls[k].module] + calls[k].offset);
            if (!draft)
                return false;
            list = &draft->callers;
        }
        if (draft)
            draft->rule = &state.rules[i];
    }
    return true;
}

/* NULL: no memory. What was made of it then stays: it happens once in a process' life. */
static struct site_table *table_make(const struct draft *drafts)
{
    size_t count = 0;
    unsigned bits = 1;
    for (const struct draft *draft = drafts; draft; draft = draft->sibling)
        count++;
    while (((size_t)1 << bits) < count * SPARSENESS)
        bits++;
    /* Room behind the last cell, and one that stays empty. */
    size_t cells = ((size_t)1 << bits) + count + 1;
    struct site_table *table = next.calloc(1, sizeof *table + cells * sizeof table->entries[0]);
    if (!table)
        return NULL;
    table->shift = 64 - bits;
    for (const struct draft *draft = drafts; draft; draft = draft->sibling) {
        struct site_entry *entry = &table->entries[sites_index(table, draft->ra)];
        while (entry->ra)
            entry++;
        *entry = (struct site_entry){.ra = draft->ra, .rule = draft->rule};
        if (!draft->callers)
            continue;
        struct site_node *node = next.calloc(1, sizeof *node);
        if (!node || !(node->callers = table_make(draft->callers)))
            return NULL;
        struct unwind_rule scratch;
        const struct unwind_rule *rule = unwind_rule_find(draft->ra, false, &scratch);
        node->unwind = *rule;
        node->plain = rule->end == UNWIND_STEP && rule->cfa == UNWIND_CFA_SP &&
                      !rule->signal_frame && !rule->from_base &&
                      rule->return_address != UNWIND_SAME &&
                      rule->return_address != UNWIND_UNKNOWN && !rule->return_signed;
        node->rise = rule->cfa_offset;
        node->ra_at = 8 * rule->return_address;
        entry->deeper = node;
    }
    return table;
}

/* Puts a table for what is loaded now in place. */
static int table_build_locked(void)
{
    struct draft *roots;
    bool made = drafts_make(&roots);
    struct site_table *table = made ? table_make(roots) : NULL;
    drafts_free(roots);
    if (!table)
        return -ENOMEM;
    table->otherwise = state.plan->everything ? &state.everything : NULL;
    state.awaiting = false;
    for (uint32_t i = 0; i < state.plan->module_count; i++)
        state.awaiting |= !state.loaded.here[i];
    /* Release: pairs with the acquire of who looks a call up. */
    atomic_store_explicit(&sites_now, table, memory_order_release);
    return 0;
}

static void rules_make(const struct plan *plan)
{
    for (uint32_t i = 0; i < plan->site_count; i++) {
        const struct plan_site *site = &plan->sites[i];
        struct group *group = &state.groups[site->group];
        size_t bytes = site->bytes < HOME_BYTES_MOST || site->rule == PLAN_PRESIZE
                           ? site->bytes
                           : HOME_BYTES_MOST;
        if (site->rule == PLAN_PASS)
            bytes = 0;
        state.rules[i] = (struct rule){.kind = site->rule,
                                       .site = i,
                                       .most_bytes = bytes,
                                       .group = group,
                                       .single = &state.singles[site->group]};
        if (group->most_bytes < bytes)
            group->most_bytes = bytes;
        sites_presize |= site->rule == PLAN_PRESIZE;
    }
    size_t most =
        plan->everything_bytes < HOME_BYTES_MOST ? plan->everything_bytes : HOME_BYTES_MOST;
    state.everything_group.most_bytes = most;
    state.everything = (struct rule){.kind = PLAN_CLASSES,
                                     .site = UINT32_MAX,
                                     .most_bytes = most,
                                     .group = &state.everything_group};
}

int sites_init(struct plan *plan)
{
    const void *unused;
    int status = unwind_init(modules_find, RULE_TABLE_ENTRIES);
    if (status)
        return status;
    state.plan = plan;
    uint64_t own_end;
    modules_find((uint64_t)(uintptr_t)sites_init, &unused, &sites_own_start, &own_end);
    sites_own_bytes = own_end - sites_own_start;
    /* The dynamic linker's own code: its debugger hook lies there. */
    extern struct r_debug _r_debug;
    modules_find((uint64_t)(uintptr_t)&_r_debug, &unused, &state.linker_start, &state.linker_end);
    rules_make(plan);
    modules_look(plan, &state.loaded);
    return table_build_locked();
}

static void rescan_locked(void)
{
    struct loaded loaded;
    modules_look(state.plan, &loaded);
    bool changed = memcmp(loaded.here, state.loaded.here, sizeof loaded.here) ||
                   memcmp(loaded.bias, state.loaded.bias, sizeof loaded.bias);
    state.loaded = loaded;
    struct site_table *table = atomic_load_explicit(&sites_now, memory_order_relaxed);
    if (changed || table->look_again)
        table_build_locked();
}

void sites_unloaded(void)
{
    if (!state.plan || !state.plan->site_count)
        return;
    unwind_forget();
    pthread_mutex_lock(&state.lock);
    rescan_locked();
    pthread_mutex_unlock(&state.lock);
}

void sites_loading(void)
{
    if (!state.plan)
        return;
    pthread_mutex_lock(&state.lock);
    struct site_table *table = atomic_load_explicit(&sites_now, memory_order_relaxed);
    if (state.awaiting && !table->look_again && !table_build_locked()) {
        table = atomic_load_explicit(&sites_now, memory_order_relaxed);
        /* Other threads may see the table already: they look again a moment later. */
        atomic_store_explicit(&state.looks_left, LOOKS_MOST, memory_order_relaxed);
        table->look_again = true;
        table->otherwise = &state.everything;
    }
    pthread_mutex_unlock(&state.lock);
}

/* A call while a module is being loaded. Inside the dynamic linker its lists are in flux, and its lock is ours. */
static void look_again(uint64_t ra)
{
    if (ra - state.linker_start < state.linker_end - state.linker_start)
        return;
    if (pthread_mutex_trylock(&state.lock))
        return;
    struct site_table *table = atomic_load_explicit(&sites_now, memory_order_relaxed);
    if (table->look_again) {
        uint32_t left = atomic_fetch_sub_explicit(&state.looks_left, 1, memory_order_relaxed);
        if (left <= 1 || modules_changes() != state.loaded.changes)
            rescan_locked();
    }
    pthread_mutex_unlock(&state.lock);
}

struct rule *sites_otherwise_slow(uint64_t ra)
{
    /* Of the pools' own making. */
    if (ra - sites_own_start < sites_own_bytes)
        return NULL;
    struct site_table *table = atomic_load_explicit(&sites_now, memory_order_acquire);
    if (table->look_again)
        look_again(ra);
    return state.plan->everything ? &state.everything : NULL;
}

void sites_seen_slow(struct site_entry *entry)
{
    atomic_store_explicit(&entry->seen, 1, memory_order_relaxed);
    atomic_store_explicit(&state.plan->sites[entry->rule->site].state, PLAN_SERVED,
                          memory_order_relaxed);
}

/* All sites above a frame that cannot be stepped over. */
static void mark_opaque(const struct site_table *table)
{
    size_t cells = (size_t)1 << (64 - table->shift);
    for (size_t i = 0; i < cells; i++) {
        const struct site_entry *entry = &table->entries[i];
        if (entry->ra && entry->rule)
            atomic_store_explicit(&state.plan->sites[entry->rule->site].state, PLAN_OPAQUE,
                                  memory_order_relaxed);
    }
}

/* The same for any frame, and from the beginning: what rare kinds of frames need was not kept on the way. */
static __attribute__((noinline)) struct site_entry *deeper_slow(struct site_entry *entry,
                                                                uint64_t sp, uint64_t fp)
{
    struct site_entry *best = entry->rule ? entry : NULL;
    struct unwind_frame frame = {.pc = entry->ra, .sp = sp};
    frame.saved[UNWIND_FRAME] = fp;
    frame.lost = ((1u << UNWIND_SAVED) - 1) & ~(1u << UNWIND_FRAME);
    while (entry && entry->deeper) {
        if (unwind_step(&frame, &entry->deeper->unwind) != UNWIND_STEP) {
            mark_opaque(entry->deeper->callers);
            break;
        }
        entry = sites_find(entry->deeper->callers, frame.pc);
        if (entry && entry->rule)
            best = entry;
    }
    return best;
}

struct site_entry *sites_deeper(struct site_entry *entry, uint64_t sp, uint64_t fp)
{
    struct site_entry *first = entry, *best = entry->rule ? entry : NULL;
    uint64_t sp_now = sp;
    do {
        const struct site_node *node = entry->deeper;
        if (unlikely(!node->plain))
            return deeper_slow(first, sp, fp);
        sp_now += (uint64_t)(int64_t)node->rise;
        entry = sites_find(node->callers,
                           *(const uint64_t *)(uintptr_t)(sp_now + (uint64_t)(int64_t)node->ra_at));
        if (!entry)
            break;
        if (entry->rule)
            best = entry;
    } while (entry->deeper);
    return best;
}

void sites_lock(void)
{
    pthread_mutex_lock(&state.lock);
}

void sites_unlock(void)
{
    pthread_mutex_unlock(&state.lock);
}
