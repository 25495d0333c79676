/* SPDX-License-Identifier: MIT */
#include "stack_table.h"

#include <stddef.h>
#include <string.h>

#include "channel.h"
#include "trace.h"
#include "unwind.h"

/*
 * A stack deeper than STACK_DEPTH_MAX is cut to its innermost DEPTH_CUT frames; then the next frames
 * deeper extend it up to STACK_DEPTH_MAX before it is cut again, so a deep recursion pays for a cut
 * once in DEPTH_CUT frames. Entries of fewer than DEPTH_LEAST frames below a cut only link others.
 */
#define DEPTH_CUT   (STACK_DEPTH_MAX / 2)
#define DEPTH_LEAST (STACK_DEPTH_MAX / 4)

static void frame_begin(struct unwind_frame *frame, const struct stack_key *key)
{
    memset(frame, 0, sizeof *frame);
    frame->pc = key->ra;
    frame->sp = key->sp;
    frame->slot = key->sp - sizeof(uint64_t);
    frame->slot_value = key->ra;
    frame->saved[UNWIND_FRAME] = key->rbp;
    frame->lost = ((1u << UNWIND_SAVED) - 1) & ~(1u << UNWIND_FRAME);
}

/*
 * Where a frame's node says it lies. It has to follow from the state (sp, pc), by which entries are found: where
 * the callee saves the return address below its own locals (aarch64), the cell itself does not.
 */
static uint64_t node_slot(uint64_t sp, uint64_t slot)
{
#if defined(__x86_64__)
    (void)sp;
    return slot;
#else
    (void)slot;
    return sp - sizeof(uint64_t);
#endif
}

/* Steps frame to its caller and notes in *step what proves it. */
static enum unwind_end step_up(struct unwind_frame *frame, struct stack_step *step)
{
    struct unwind_rule scratch;
    const struct unwind_rule *rule = unwind_rule_find(frame->pc, frame->exact_pc, &scratch);
    *step = (struct stack_step){.sp = frame->sp, .pc = frame->pc, .slot = frame->slot,
                          .slot_value = frame->slot_value,
                          .rbp = frame->saved[UNWIND_FRAME], .rbp_at = frame->saved_at[UNWIND_FRAME],
                          .module = rule->module, .keeps = !frame->exact_pc && !rule->signal_frame};
    if (rule->end != UNWIND_STEP)
        return rule->end;
    switch (rule->cfa) {
    case UNWIND_CFA_SP:
        break;
    case UNWIND_CFA_REGISTER:
    case UNWIND_CFA_REGISTER_DEREF:
        if (rule->cfa_register == UNWIND_FRAME) {
            step->needs_rbp = true;
        } else {
            step->keeps = false; /* known at all only if an inner frame has saved it */
        }
        if (rule->cfa == UNWIND_CFA_REGISTER_DEREF)
            step->deref_at = frame->saved[rule->cfa_register] + (uint64_t)(int64_t)rule->deref_offset;
        break;
    case UNWIND_CFA_SP_DEREF:
        step->deref_at = frame->sp + (uint64_t)(int64_t)rule->deref_offset;
        break;
    default:
        step->keeps = false;
    }
    if (step->deref_at && !rule->signal_frame) {
        if (step->deref_at < frame->sp || step->deref_at % sizeof(uint64_t))
            return UNWIND_NO_RULE;
        step->deref = *(const uint64_t *)(uintptr_t)step->deref_at;
    }
    return unwind_step(frame, rule);
}

static struct stack_entry *entry_take(struct stack_table *table, uint64_t sp, uint64_t ra)
{
    uint64_t hash = stack_hash(table, sp, ra);
    struct stack_set *set = &table->sets[hash % STACK_SETS];
    unsigned way = set->next;
    set->next = (uint16_t)((way + 1) % STACK_WAYS);
    if (!set->tag[way])
        set->index[way] = (uint16_t)table->used++;
    set->tag[way] = stack_tag(hash);
    struct stack_entry *entry = &table->entries[set->index[way]];
    entry->stamp = ++table->stamp;
    return entry;
}

/* A cell of an entry under construction; false: it does not fit, or lies out of reach. */
static bool cell_add(struct stack_entry *entry, uint64_t address, uint64_t value)
{
    uint64_t offset = (address - entry->sp) / sizeof(uint64_t);
    if (offset > UINT16_MAX || address % sizeof(uint64_t) || entry->sp % sizeof(uint64_t) ||
        entry->cell_count == STACK_CELLS)
        return false;
    entry->offset[entry->cell_count] = (uint16_t)offset;
    entry->value[entry->cell_count++] = value;
    return true;
}

/* Notes where the caller of the entry's frame lies. */
static void frame_learn(struct stack_table *table, const struct stack_entry *entry, const struct stack_step *caller)
{
    struct stack_frame *frame = &table->frames[stack_frame_index(entry->ra)];
    uint64_t slot = caller->slot - entry->sp, rise = caller->sp - entry->sp;
    /* Never replaced: where a state is looked up must not change under it. */
    if (!frame->ra && slot <= UINT32_MAX && rise <= UINT32_MAX)
        *frame = (struct stack_frame){entry->ra, (uint32_t)slot, (uint32_t)rise};
}

/*
 * The entry for steps[0], whose caller is steps[1] (NULL: it has none), which `outer` proves from there
 * on (NULL only if there is no caller). Returns NULL when the step cannot be proven by cells.
 */
static struct stack_entry *entry_make(struct stack_table *table, const struct stack_step *step,
                                      const struct stack_step *caller, struct stack_entry *outer, uint32_t node,
                                      bool below_cut)
{
    if (!step->keeps || (caller && !outer))
        return NULL;
    struct stack_entry made = {.sp = step->sp, .ra = step->pc, .rbp = step->rbp, .node = node, .depth = 1,
                               .outer = STACK_NONE, .next = {STACK_NONE, STACK_NONE}};
    if (step->needs_rbp)
        made.rbp_mask = -1;
    if (step->deref_at && !cell_add(&made, step->deref_at, step->deref))
        return NULL;
    if (caller) {
        if (outer->rbp_mask) {
            if (caller->rbp_at == step->rbp_at)
                made.rbp_mask = -1; /* not saved by this frame: still the same register */
            else if (!cell_add(&made, caller->rbp_at, caller->rbp))
                return NULL;
        }
        if (!cell_add(&made, caller->slot, caller->slot_value))
            return NULL;
        made.depth = (uint16_t)(outer->depth + 1);
        uint64_t rise = (outer->sp - made.sp) / sizeof(uint64_t);
        uint32_t reach = 0;
        for (unsigned i = 0; i < outer->cell_count; i++)
            reach = outer->offset[i] > reach ? outer->offset[i] : reach;
        if (made.cell_count + outer->cell_count <= (int)STACK_CELLS && rise + reach <= UINT16_MAX) {
            for (unsigned i = 0; i < outer->cell_count; i++) {
                made.offset[made.cell_count] = (uint16_t)(outer->offset[i] + rise);
                made.value[made.cell_count++] = outer->value[i];
            }
            made.outer = outer->outer;
            made.outer_stamp = outer->outer_stamp;
        } else {
            made.outer = (uint16_t)(outer - table->entries);
            made.outer_stamp = outer->stamp;
        }
    }
    if (caller && !step->needs_rbp && !step->deref_at)
        frame_learn(table, &made, caller);
    struct stack_entry *entry = entry_take(table, made.sp, made.ra);
    if (below_cut && made.depth < DEPTH_LEAST)
        made.ra = 0; /* no state has this: only the entries inside it lead here */
    made.stamp = entry->stamp;
    *entry = made;
    return entry;
}

struct stack_entry *stack_table_find_slow(struct stack_table *table, const struct stack_key *key)
{
    struct stack_entry *entry = &table->entries[table->last->next[1]];
    if (!stack_entry_is(table, entry, key)) {
        entry = stack_table_find(table, key, UINT32_MAX);
        if (!entry)
            return NULL;
    }
    stack_table_follow(table, entry);
    return entry;
}

uint32_t stack_table_miss(struct stack_table *table, const struct stack_key *key,
                          const struct stack_node_out *out)
{
    struct stack_step *steps = table->steps;
    struct unwind_frame frame;
    frame_begin(&frame, key);
    struct stack_entry *outer = NULL;
    uint32_t count = 0, flags = 0;
    bool below_cut = false;
    uint32_t depth_max = STACK_DEPTH_MAX - 1;
    for (;;) {
        if (count && !frame.exact_pc) {
            /* A frame pointer that is not known must not pass for one that an entry wants. */
            bool lost = frame.lost >> UNWIND_FRAME & 1;
            const struct stack_key state = {frame.sp, frame.pc, lost ? UINT64_MAX : frame.saved[UNWIND_FRAME]};
            outer = stack_table_find(table, &state, STACK_DEPTH_MAX - count);
            if (outer) {
                /* Only what the cells of the inner entries rest on. */
                steps[count] = (struct stack_step){.sp = frame.sp, .pc = frame.pc, .slot = frame.slot,
                                             .slot_value = frame.slot_value,
                                             .rbp = frame.saved[UNWIND_FRAME],
                                             .rbp_at = frame.saved_at[UNWIND_FRAME]};
                break;
            }
            if (depth_max > DEPTH_CUT && stack_table_find(table, &state, UINT32_MAX))
                depth_max = DEPTH_CUT; /* known, but too deep to go on from */
        }
        if (count >= depth_max) {
            flags = TRACE_NODE_TRUNCATED;
            below_cut = true;
            break;
        }
        enum unwind_end end = step_up(&frame, &steps[count]);
        count++;
        if (end != UNWIND_STEP) {
            if (end == UNWIND_NO_RULE)
                flags = TRACE_NODE_TRUNCATED;
            break;
        }
    }
    uint32_t node = outer ? outer->node : 0;
    struct stack_entry *above = outer;
    const struct stack_step *caller = outer ? &steps[count] : NULL;
    for (uint32_t i = count; i-- > 0;) {
        uint32_t id = ++table->last_node;
        out->node(out->context, id, node, caller ? 0 : flags, steps[i].module,
                  node_slot(steps[i].sp, steps[i].slot), steps[i].pc);
        node = id;
        above = entry_make(table, &steps[i], caller, above, node, below_cut);
        caller = &steps[i];
    }
    if (above)
        stack_table_follow(table, above);
    return node;
}

uint32_t stack_table_site(struct stack_table *table, const struct stack_key *key,
                          const struct stack_node_out *out)
{
    struct unwind_rule scratch;
    uint32_t id = ++table->last_node;
    out->node(out->context, id, 0, TRACE_NODE_TRUNCATED, unwind_rule_find(key->ra, false, &scratch)->module, 0,
              key->ra);
    struct stack_entry *entry = entry_take(table, key->sp, key->ra);
    *entry = (struct stack_entry){.sp = key->sp, .ra = key->ra, .node = id, .depth = 1, .stamp = entry->stamp,
                                  .outer = STACK_NONE, .next = {STACK_NONE, STACK_NONE}};
    stack_table_follow(table, entry);
    return id;
}

uint32_t stack_unwind(const struct stack_key *key, uint64_t *ret_slots, uint64_t *ret_addresses, uint32_t max)
{
    struct unwind_frame frame;
    struct stack_step step;
    frame_begin(&frame, key);
    uint32_t depth = 0;
    while (depth < max) {
        ret_slots[depth] = node_slot(frame.sp, frame.slot);
        ret_addresses[depth++] = frame.pc;
        if (step_up(&frame, &step) != UNWIND_STEP)
            break;
    }
    return depth;
}

void stack_table_clear(struct stack_table *table)
{
    memset(table->sets, 0, sizeof table->sets);
    memset(table->frames, 0, sizeof table->frames);
    table->used = 0;
    table->entries[0].next[0] = table->entries[0].next[1] = STACK_NONE;
    table->last = &table->entries[0];
    table->coming = &table->entries[STACK_NONE];
    /* Entries keep their stamps, so none is mistaken for an old one. */
}
