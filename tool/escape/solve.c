/* SPDX-License-Identifier: MIT */
#include "solve.h"

#include <string.h>

#define ROUNDS_MAX 200u /* far above what the height of the sets allows in practice */

struct set *solve_value(struct solve *solve, int32_t operand, struct set *scratch)
{
    if (operand >= 0)
        return &solve->points.values[operand];
    const struct unit *unit = solve->function->unit;
    const struct constant *constant = &unit->constants[~operand];
    *scratch = (struct set){0};
    if (constant->is_unknown)
        set_add(&solve->points, scratch, (struct ref){object_outside(&solve->points), 0, 1});
    for (uint32_t i = 0; i < constant->count; i++) {
        const struct address *address = &unit->addresses[constant->first + i];
        set_add(&solve->points, scratch,
                (struct ref){object_symbol(&solve->points, address->symbol), address->offset,
                             address->stride});
    }
    return scratch;
}

static bool value_add(struct solve *solve, int32_t value, struct ref ref)
{
    struct set one = {&ref, 1, 1};
    return solve_add(solve, value, &one);
}

bool solve_add(struct solve *solve, int32_t value, const struct set *set)
{
    struct points *points = &solve->points;
    bool grew = set_join(points, &points->values[value], set);
    if (grew) {
        points->changed = true;
        points->value_versions[value] = ++points->version;
    }
    return grew;
}

void solve_store(struct solve *solve, const struct set *to, const struct set *values, uint32_t size,
                 struct entry by)
{
    by.size = size;
    for (uint32_t i = 0; i < to->count; i++) {
        for (uint32_t k = 0; k < values->count; k++) {
            by.value = values->items[k];
            points_write(&solve->points, to->items[i], &by);
        }
    }
}

void free_add(struct solve *solve, uint32_t index, const struct set *freed, int32_t value,
              bool certain, bool resized)
{
    struct free_event *event = NULL;
    for (uint32_t i = 0; i < solve->frees.count && !event; i++)
        if (solve->frees.items[i].instruction == index && solve->frees.items[i].value == value)
            event = &solve->frees.items[i];
    if (!event) {
        const struct free_event fresh = {
            .instruction = index, .value = value, .certain = certain, .resized = resized};
        ARENA_PUSH(solve->arena, &solve->frees, fresh);
        event = &solve->frees.items[solve->frees.count - 1];
    }
    event->certain = certain;
    for (uint32_t i = 0; i < freed->count; i++)
        set_add(&solve->points, &event->freed, freed->items[i]);
}

static void copies(struct solve *solve, const struct instruction *instruction, int32_t value,
                   uint32_t first, uint32_t step, bool exact)
{
    for (uint32_t i = first; i < instruction->operand_count; i += step) {
        struct set scratch;
        const struct set *from =
            solve_value(solve, operand_of(solve->function, instruction, i), &scratch);
        for (uint32_t k = 0; k < from->count; k++) {
            struct ref ref = from->items[k];
            if (!exact)
                ref.offset = 0, ref.stride = 1;
            value_add(solve, value, ref);
        }
    }
}

static void opaque(struct solve *solve, uint32_t index, const struct instruction *instruction,
                   int32_t value)
{
    bool any = false;
    for (uint32_t i = 0; i < instruction->operand_count; i++) {
        struct set scratch;
        const struct set *from =
            solve_value(solve, operand_of(solve->function, instruction, i), &scratch);
        for (uint32_t k = 0; k < from->count; k++) {
            points_escape(&solve->points, from->items[k].object,
                          (struct reason){.kind = REASON_ASSEMBLY, .instruction = index});
            if (!instruction->no_value)
                value_add(solve, value, (struct ref){from->items[k].object, 0, 1});
            any = true;
        }
    }
    if (any && !instruction->no_value)
        value_add(solve, value, (struct ref){object_outside(&solve->points), 0, 1});
}

static void step(struct solve *solve, uint32_t index)
{
    struct function *function = solve->function;
    struct points *points = &solve->points;
    const struct instruction *instruction = &function->instructions[index];
    int32_t value = (int32_t)(function->parameter_count + index);
    struct entry by = {.instruction = index};
    struct set a, b, found = {0};
    const struct set *first, *second;
    switch (instruction->op) {
    case OP_COPY:
        copies(solve, instruction, value, 0, 1, instruction->exact);
        break;
    case OP_PHI:
        if (!instruction->no_value)
            copies(solve, instruction, value, 0, 2, true);
        break;
    case OP_SELECT:
        if (!instruction->no_value)
            copies(solve, instruction, value, 1, 1, true);
        break;
    case OP_OFFSET:
        first = solve_value(solve, operand_of(function, instruction, 0), &a);
        for (uint32_t i = 0; i < first->count; i++)
            value_add(solve, value,
                      ref_move(first->items[i], instruction->offset, instruction->stride));
        /* Arithmetic on a pointer stays in its object, as C demands; on null it makes a pointer of a number. */
        if (!first->count)
            copies(solve, instruction, value, 1, 1, false);
        break;
    case OP_ALLOCA:
        value_add(solve, value, (struct ref){object_find(points, OBJECT_STACK, index, 0), 0, 0});
        break;
    case OP_LOAD:
    case OP_EXCHANGE:
        first = solve_value(solve, operand_of(function, instruction, 0), &a);
        if (instruction->op == OP_EXCHANGE) {
            second = solve_value(solve, operand_of(function, instruction, 1), &b);
            solve_store(solve, first, second, instruction->size, by);
        }
        for (uint32_t i = 0; i < first->count; i++)
            points_read(points, first->items[i], instruction->size, &found);
        if (!instruction->no_value)
            solve_add(solve, value, &found);
        break;
    case OP_STORE:
        first = solve_value(solve, operand_of(function, instruction, 0), &a);
        second = solve_value(solve, operand_of(function, instruction, 1), &b);
        if (second->count)
            solve_store(solve, first, second, instruction->size, by);
        break;
    case OP_COPY_MEMORY:
        first = solve_value(solve, operand_of(function, instruction, 0), &a);
        second = solve_value(solve, operand_of(function, instruction, 1), &b);
        for (uint32_t i = 0; i < first->count; i++)
            for (uint32_t k = 0; k < second->count; k++)
                points_copy(points, second->items[k], first->items[i], instruction->size, &by);
        break;
    case OP_VA_START:
        first = solve_value(solve, operand_of(function, instruction, 0), &a);
        set_add(points, &found,
                (struct ref){object_find(points, OBJECT_PARAMETER, function->parameter_count, 0), 0,
                             1});
        for (uint32_t i = 0; i < first->count; i++) {
            by.value = found.items[0];
            points_write(points, (struct ref){first->items[i].object, 0, 1}, &by);
        }
        break;
    case OP_VA_ARG: {
        struct set reached = {0};
        points_reach(points, solve_value(solve, operand_of(function, instruction, 0), &a),
                     &reached);
        solve_add(solve, value, &reached);
        break;
    }
    case OP_OPAQUE:
        opaque(solve, index, instruction, value);
        break;
    case OP_CALL:
        solve_call(solve, index);
        break;
    case OP_RETURN:
        for (uint32_t i = 0; i < instruction->operand_count; i++) {
            first = solve_value(solve, operand_of(function, instruction, i), &a);
            for (uint32_t k = 0; k < first->count; k++)
                points->changed |= set_add(points, &solve->results, first->items[k]);
            if (first->count && !solve->return_instruction)
                solve->return_instruction = index;
        }
        break;
    default:
        break;
    }
}

/* Is the memory at all these places this function's own, with nothing in it that it did not put there? */
static bool is_all_own(const struct solve *solve, const struct set *places)
{
    for (uint32_t i = 0; i < places->count; i++) {
        const struct object *object = &solve->points.objects.items[places->items[i].object];
        if (object_is_handle(object))
            continue;
        if (!object_is_local(object) || object->escaped || object->may || object->exposed ||
            object->used_before)
            return false;
    }
    return places->count;
}

/*
 * A pointer that came from nowhere that is known may point to anything that has escaped: one that is cast from
 * a number, or given by code that is not here. Null is none, since nothing is stored through it. Nor is what is
 * found in memory of one's own where no pointer was put, or what a function that is here returns without one.
 */
static bool is_unknown(struct solve *solve, const struct instruction *instruction)
{
    const struct function *function = solve->function;
    struct set scratch;
    if (instruction->op == OP_VA_ARG)
        return true;
    if (instruction->op == OP_LOAD || instruction->op == OP_EXCHANGE)
        return !is_all_own(solve,
                           solve_value(solve, operand_of(function, instruction, 0), &scratch));
    if (instruction->op == OP_COPY) {
        int32_t from = instruction->from_number ? operand_of(function, instruction, 0) : 0;
        return instruction->from_number && !is_null(function, from) &&
               (from < 0 || !solve->points.values[from].count);
    }
    if (instruction->op != OP_CALL || solve->waits)
        return false;
    int32_t callee = operand_of(function, instruction, instruction->operand_count - 1);
    if (callee >= 0 || function->unit->constants[~callee].count != 1)
        return true;
    const struct symbol *symbol =
        function->unit->addresses[function->unit->constants[~callee].first].symbol->resolved;
    const char *effect = libc_effect(symbol->name);
    if (solve_rule(solve->rules, instruction, symbol->name))
        return true;
    return !symbol->function && !(effect && effect[0] == 'h');
}

static void unknown_fill(struct solve *solve)
{
    const struct function *function = solve->function;
    for (uint32_t i = 0; i < function->instruction_count; i++) {
        const struct instruction *instruction = &function->instructions[i];
        int32_t value = (int32_t)(function->parameter_count + i);
        if (instruction->pointer && !solve->points.values[value].count &&
            is_unknown(solve, instruction))
            value_add(solve, value, (struct ref){object_outside(&solve->points), 0, 1});
    }
}

/* When an instruction was followed, and what it then looked into. */
struct look {
    uint32_t version;
    bool any;
    struct {
        uint32_t *items;
        uint32_t count, capacity;
    } touched;
};

/* Has anything changed since that it depends on? */
static bool is_stale(const struct solve *solve, uint32_t index, const struct look *look)
{
    const struct points *points = &solve->points;
    const struct instruction *instruction = &solve->function->instructions[index];
    if (!look->any)
        return true;
    for (uint32_t i = 0; i < instruction->operand_count; i += instruction->op == OP_PHI ? 2 : 1) {
        int32_t operand = operand_of(solve->function, instruction, i);
        if (operand >= 0 && points->value_versions[operand] > look->version)
            return true;
    }
    for (uint32_t i = 0; i < look->touched.count; i++)
        if (points->objects.items[look->touched.items[i]].version > look->version)
            return true;
    return false;
}

static void look(struct solve *solve, uint32_t index, struct look *look)
{
    struct points *points = &solve->points;
    look->version = points->version;
    look->any = true;
    points->touched.count = 0;
    step(solve, index);
    look->touched.count = 0;
    for (uint32_t i = 0; i < points->touched.count; i++)
        points->objects.items[points->touched.items[i]].marked = false;
    for (uint32_t i = 0; i < points->touched.count; i++) {
        struct object *object = &points->objects.items[points->touched.items[i]];
        if (!object->marked)
            ARENA_PUSH(solve->arena, &look->touched, points->touched.items[i]);
        object->marked = true;
    }
}

void solve_function(struct solve *solve)
{
    struct function *function = solve->function;
    struct points *points = &solve->points;
    points->arena = solve->arena;
    points->function = function;
    points->coarse = function->coarse;
    points->values =
        arena_alloc(solve->arena, (function->value_count + 1) * sizeof *points->values);
    points->value_versions =
        arena_alloc(solve->arena, (function->value_count + 1) * sizeof *points->value_versions);
    solve->jumps = arena_alloc(solve->arena, function->instruction_count + 1);
    object_outside(points);
    for (uint32_t i = 0; i < function->parameter_count; i++) {
        const struct targets *targets =
            function->parameter_targets ? &function->parameter_targets[i] : NULL;
        if (solve->rules->targets_known && targets && targets->count && !targets->others)
            for (uint32_t k = 0; k < targets->count; k++)
                value_add(solve, (int32_t)i,
                          (struct ref){object_symbol(points, targets->symbols[k]), 0, 0});
        else
            value_add(solve, (int32_t)i,
                      (struct ref){object_find(points, OBJECT_PARAMETER, i, 0), 0, 0});
    }
    struct look *looks =
        arena_alloc(solve->arena, (function->instruction_count + 1) * sizeof *looks);
    for (uint32_t round = 0; round < ROUNDS_MAX; round++) {
        points->changed = false;
        for (uint32_t i = 0; i < function->instruction_count; i++)
            if (function->instructions[i].op != OP_NONE && is_stale(solve, i, &looks[i]))
                look(solve, i, &looks[i]);
        points_spread(points);
        if (points->changed)
            continue;
        unknown_fill(solve);
        if (!points->changed)
            return;
    }
    /* Not seen to happen; should it, nothing is claimed about what this function touches. */
    function->opaque = true;
}
