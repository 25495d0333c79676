/* SPDX-License-Identifier: MIT */
/*
 * Is a block freed on every path? A walk over the control flow from where it is made, with the set of values that
 * hold its address on the way there. Paths on which it is null, and those that end the program, do not count.
 */
#include <string.h>

#include "solve.h"

#define CANDIDATES_MAX 64u
#define STATES_MAX     512u /* beyond, nothing is claimed */
#define CONDITIONS_MAX 16u

struct state {
    uint32_t block;
    uint64_t held;  /* candidates that hold the address now */
    uint64_t prior; /* those that would, had the last realloc failed; 0: none is pending */
    bool known;     /* the conditions at the start still hold */
    bool used;
};

struct walk {
    struct solve *solve;
    const struct function *function;
    int32_t candidates[CANDIDATES_MAX];
    uint32_t candidate_count;
    struct {
        int32_t condition;
        bool holds;
    } conditions[CONDITIONS_MAX];
    uint32_t condition_count;
    struct state *seen;
    struct state *pending;
    uint32_t seen_count, pending_count;
    int64_t from;
    bool too_much, freed, leaked;
    struct freed_paths result;
};

static int candidate(const struct walk *walk, int32_t value)
{
    for (uint32_t i = 0; i < walk->candidate_count; i++)
        if (walk->candidates[i] == value)
            return (int)i;
    return -1;
}

static bool holds(const struct walk *walk, uint64_t held, int32_t value)
{
    int at = candidate(walk, value);
    return at >= 0 && (held >> at & 1);
}

/* Is the instruction's result its operand's address, unchanged? */
static bool is_copy(const struct instruction *instruction)
{
    return (instruction->op == OP_COPY && instruction->exact && instruction->operand_count == 1) ||
           (instruction->op == OP_OFFSET && !instruction->offset && !instruction->stride);
}

static const struct free_event *free_at(const struct walk *walk, uint32_t index, uint64_t held)
{
    for (uint32_t i = 0; i < walk->solve->frees.count; i++) {
        const struct free_event *event = &walk->solve->frees.items[i];
        if (event->instruction == index && event->certain && event->value >= 0 &&
            holds(walk, held, event->value))
            return event;
    }
    return NULL;
}

static void candidates_find(struct walk *walk)
{
    const struct function *function = walk->function;
    for (bool grew = true; grew && !walk->too_much;) {
        grew = false;
        for (uint32_t i = 0; i < function->instruction_count; i++) {
            const struct instruction *instruction = &function->instructions[i];
            int32_t value = (int32_t)(function->parameter_count + i);
            bool follows = false;
            if (is_copy(instruction))
                follows = candidate(walk, operand_of(function, instruction, 0)) >= 0;
            for (uint32_t k = 0; instruction->op == OP_PHI && k < instruction->operand_count;
                 k += 2)
                follows |= candidate(walk, operand_of(function, instruction, k)) >= 0;
            if (instruction->op == OP_CALL) {
                const struct free_event *event = free_at(walk, i, UINT64_MAX);
                follows = event && event->resized;
            }
            if (!follows || candidate(walk, value) >= 0)
                continue;
            if (walk->candidate_count == CANDIDATES_MAX) {
                walk->too_much = true;
                return;
            }
            walk->candidates[walk->candidate_count++] = value;
            grew = true;
        }
    }
}

/* What had to hold for control to get to `block`. */
static void conditions_find(struct walk *walk, uint32_t block)
{
    const struct function *function = walk->function;
    for (uint32_t steps = 0; steps < 64 && walk->condition_count < CONDITIONS_MAX; steps++) {
        if (!block || function->blocks[block].predecessor_count != 1)
            return;
        uint32_t from = function->blocks[block].predecessor;
        const struct basic_block *before = &function->blocks[from];
        const struct instruction *last = &function->instructions[before->first + before->count - 1];
        if (last->op == OP_BRANCH && last->operand_count == 1 && before->successor_count == 2 &&
            function->successors[before->successors] !=
                function->successors[before->successors + 1]) {
            walk->conditions[walk->condition_count].condition = operand_of(function, last, 0);
            walk->conditions[walk->condition_count++].holds =
                function->successors[before->successors] == block;
        }
        block = from;
    }
}

static void push(struct walk *walk, struct state state)
{
    uint64_t hash = (state.block * UINT64_C(0x9e3779b97f4a7c15)) ^
                    (state.held * UINT64_C(0xff51afd7ed558ccd)) ^
                    (state.prior * UINT64_C(0xc4ceb9fe1a85ec53)) ^ state.known;
    uint32_t at = (uint32_t)((hash ^ (hash >> 32)) % (2 * STATES_MAX));
    for (; walk->seen[at].used; at = (at + 1) % (2 * STATES_MAX))
        if (walk->seen[at].block == state.block && walk->seen[at].held == state.held &&
            walk->seen[at].prior == state.prior && walk->seen[at].known == state.known)
            return;
    if (walk->seen_count == STATES_MAX) {
        walk->too_much = true;
        return;
    }
    state.used = true;
    walk->seen[at] = state;
    walk->seen_count++;
    walk->pending[walk->pending_count++] = state;
}

static void edge(struct walk *walk, struct state state, uint32_t to)
{
    const struct function *function = walk->function;
    const struct basic_block *block = &function->blocks[to];
    uint64_t held = state.held, prior = state.prior;
    for (uint32_t i = block->first; i < block->first + block->count; i++) {
        const struct instruction *phi = &function->instructions[i];
        int at = candidate(walk, (int32_t)(function->parameter_count + i));
        if (phi->op != OP_PHI)
            break;
        if (at < 0)
            continue;
        held &= ~(UINT64_C(1) << at);
        prior &= ~(UINT64_C(1) << at);
        for (uint32_t k = 0; k < phi->operand_count; k += 2) {
            if ((uint32_t)operand_of(function, phi, k + 1) != state.block)
                continue;
            int32_t from = operand_of(function, phi, k);
            if (holds(walk, state.held, from))
                held |= UINT64_C(1) << at;
            if (holds(walk, state.prior, from))
                prior |= UINT64_C(1) << at;
        }
    }
    push(walk, (struct state){.block = to, .held = held, .prior = prior, .known = state.known});
}

static void leak(struct walk *walk, uint32_t index)
{
    if (!walk->leaked)
        walk->result.leak_instruction = index;
    walk->leaked = true;
}

/* On which side of a test of the address against null does the block exist? 0 or 1; -1: it is no such test. */
static int null_side(const struct walk *walk, const struct state *state, int32_t condition)
{
    const struct instruction *test =
        condition < 0 ? NULL : instruction_of(walk->function, condition);
    if (!test || test->op != OP_COMPARE || (!test->equal && !test->differs))
        return -1;
    int32_t a = operand_of(walk->function, test, 0), b = operand_of(walk->function, test, 1);
    if (!(is_null(walk->function, b) && holds(walk, state->held, a)) &&
        !(is_null(walk->function, a) && holds(walk, state->held, b)))
        return -1;
    return test->equal ? 0 : 1;
}

static void branch(struct walk *walk, struct state state, const struct basic_block *block,
                   const struct instruction *last)
{
    const uint32_t *successors = &walk->function->successors[block->successors];
    if (last->operand_count != 1 || block->successor_count != 2) {
        for (uint32_t i = 0; i < block->successor_count; i++)
            edge(walk, state, successors[i]);
        return;
    }
    int32_t condition = operand_of(walk->function, last, 0);
    int null = null_side(walk, &state, condition);
    for (uint32_t side = 0; side < 2; side++) {
        struct state next = state;
        bool possible = true;
        for (uint32_t i = 0; state.known && i < walk->condition_count; i++)
            if (walk->conditions[i].condition == condition &&
                walk->conditions[i].holds != (side == 0))
                possible = false;
        if (null >= 0 && (uint32_t)null == side) {
            if (!state.prior)
                continue; /* malloc failed: there is no block */
            next.held = state.prior;
            next.prior = 0;
        } else if (null >= 0) {
            next.prior = 0;
        }
        if (possible)
            edge(walk, next, successors[side]);
    }
}

/* Follows one block of code from instruction `at` on. */
static void follow(struct walk *walk, struct state state, uint32_t at)
{
    const struct function *function = walk->function;
    const struct basic_block *block = &function->blocks[state.block];
    for (; at < block->first + block->count; at++) {
        const struct instruction *instruction = &function->instructions[at];
        int32_t value = (int32_t)(function->parameter_count + at);
        if ((int64_t)at == walk->from) {
            walk->result.comes_back = true;
            return;
        }
        if (instruction->op == OP_PHI)
            continue;
        for (uint32_t i = 0; state.known && i < walk->condition_count; i++)
            if (walk->conditions[i].condition == value)
                state.known = false; /* computed anew */
        int number = candidate(walk, value);
        if (instruction->op == OP_CALL) {
            const struct free_event *event = free_at(walk, at, state.held);
            if (event && !event->resized) {
                if (!walk->freed)
                    walk->result.free_instruction = at;
                walk->freed = true;
                return;
            }
            if (event && number >= 0) {
                state.prior = state.held;
                state.held = UINT64_C(1) << number;
                if (!walk->freed)
                    walk->result.free_instruction = at;
                continue;
            }
            if (walk->solve->jumps[at]) {
                if (instruction->noreturn)
                    leak(walk, at);
                else
                    walk->result.jumps = true;
            }
            if (instruction->noreturn)
                return;
        }
        if (number >= 0) {
            bool copies = is_copy(instruction);
            uint64_t bit = UINT64_C(1) << number;
            state.held &= ~bit;
            state.prior &= ~bit;
            if (copies && holds(walk, state.held, operand_of(function, instruction, 0)))
                state.held |= bit;
            if (copies && holds(walk, state.prior, operand_of(function, instruction, 0)))
                state.prior |= bit;
        }
        if (instruction->op == OP_RETURN)
            leak(walk, at);
        if (instruction->op == OP_END || instruction->op == OP_RETURN)
            return;
        if (at + 1 == block->first + block->count)
            branch(walk, state, block, instruction);
    }
}

struct freed_paths flow_freed(struct solve *solve, int32_t value, int64_t from)
{
    const struct function *function = solve->function;
    struct walk *walk = arena_alloc(solve->arena, sizeof *walk);
    walk->solve = solve;
    walk->function = function;
    walk->from = from;
    walk->candidates[walk->candidate_count++] = value;
    candidates_find(walk);
    bool any = false;
    for (uint32_t i = 0; i < solve->frees.count; i++)
        any |= solve->frees.items[i].certain && candidate(walk, solve->frees.items[i].value) >= 0;
    if (!any && from < 0) { /* a parameter that nothing here frees: most are */
        walk->result.freed = FREED_NEVER;
        return walk->result;
    }
    walk->seen = arena_alloc(solve->arena, 2 * STATES_MAX * sizeof *walk->seen);
    walk->pending = arena_alloc(solve->arena, STATES_MAX * sizeof *walk->pending);
    struct state start = {
        .block = from < 0 ? 0 : function->block_of[from], .held = 1, .known = true};
    conditions_find(walk, start.block);
    follow(walk, start, from < 0 ? function->blocks[0].first : (uint32_t)from + 1);
    while (walk->pending_count && !walk->too_much) {
        struct state state = walk->pending[--walk->pending_count];
        follow(walk, state, function->blocks[state.block].first);
    }
    if (walk->too_much)
        walk->result.freed = FREED_UNKNOWN;
    else if (walk->leaked)
        walk->result.freed = walk->freed ? FREED_SOMETIMES : FREED_NEVER;
    else if (walk->result.comes_back || !walk->freed)
        walk->result.freed = walk->freed ? FREED_SOMETIMES : FREED_NEVER;
    else
        walk->result.freed = FREED_ALWAYS;
    return walk->result;
}

bool flow_in_loop(struct solve *solve, uint32_t index)
{
    const struct function *function = solve->function;
    uint32_t start = function->block_of[index], count = 1;
    bool *seen = arena_alloc(solve->arena, function->block_count + 1);
    uint32_t *pending = arena_alloc(solve->arena, (function->block_count + 1) * sizeof *pending);
    pending[0] = start;
    while (count) {
        const struct basic_block *block = &function->blocks[pending[--count]];
        for (uint32_t i = 0; i < block->successor_count; i++) {
            uint32_t to = function->successors[block->successors + i];
            if (to == start)
                return true;
            if (!seen[to])
                pending[count++] = to;
            seen[to] = true;
        }
    }
    return false;
}
