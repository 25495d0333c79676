/* SPDX-License-Identifier: MIT */
/* In which order functions are solved, and what of the program as a whole they have to know. */
#include <string.h>

#include "run.h"

/* The functions that a call may reach by name. */
static uint32_t callees_of(const struct function *function, const struct instruction *call,
                           struct function **ret_callees, uint32_t max)
{
    int32_t callee = operand_of(function, call, call->operand_count - 1);
    uint32_t count = 0;
    if (callee >= 0)
        return 0;
    const struct constant *constant = &function->unit->constants[~callee];
    for (uint32_t i = 0; i < constant->count; i++)
        for (struct symbol *at = function->unit->addresses[constant->first + i].symbol->resolved;
             at; at = at->same_name)
            if (at->function && count < max)
                ret_callees[count++] = at->function;
    return count;
}

struct frame {
    struct function *function;
    uint32_t next; /* instruction */
};

struct ordering {
    struct program *program;
    struct frame *stack;       /* the way from where the walk began */
    struct function **waiting; /* seen, but their cycle is not complete */
    uint32_t depth, waiting_count, seen_count;
};

static void enter(struct ordering *ordering, struct function *function)
{
    function->seen = function->lowest = ++ordering->seen_count;
    ordering->stack[ordering->depth++] = (struct frame){function, 0};
    ordering->waiting[ordering->waiting_count++] = function;
}

/* All that `function` calls has been seen. When nothing of it leads further up, its cycle is complete. */
static void leave(struct ordering *ordering, struct function *function)
{
    struct program *program = ordering->program;
    ordering->depth--;
    if (ordering->depth) {
        struct function *above = ordering->stack[ordering->depth - 1].function;
        if (function->lowest < above->lowest)
            above->lowest = function->lowest;
    }
    if (function->lowest != function->seen)
        return;
    /* Those that were entered last are nearest to the leaves. */
    uint32_t first = ordering->waiting_count, begin = program->function_count;
    while (ordering->waiting[--first] != function)
        ;
    for (uint32_t i = ordering->waiting_count; i-- > first;) {
        ordering->waiting[i]->order = program->function_count;
        ordering->waiting[i]->ordered = true;
        ordering->waiting[i]->component = begin;
        program->functions[program->function_count++] = ordering->waiting[i];
    }
    ordering->waiting_count = first;
}

/* Tarjan's strongly connected components, without recursion. */
static void functions_order(struct escape *escape)
{
    struct program *program = &escape->program;
    struct arena *arena = &program->arena;
    uint32_t total = 0;
    for (size_t u = 0; u < program->unit_count; u++)
        total += program->units[u]->function_count;
    program->functions = arena_alloc(arena, (total + 1) * sizeof *program->functions);
    struct ordering ordering = {.program = program,
                                .stack = arena_alloc(arena, (total + 1) * sizeof *ordering.stack),
                                .waiting =
                                    arena_alloc(arena, (total + 1) * sizeof *ordering.waiting)};
    for (size_t u = 0; u < program->unit_count; u++) {
        const struct unit *unit = program->units[u];
        for (uint32_t f = 0; f < unit->function_count; f++) {
            if (unit->functions[f]->seen)
                continue;
            enter(&ordering, unit->functions[f]);
            while (ordering.depth) {
                struct frame *top = &ordering.stack[ordering.depth - 1];
                struct function *function = top->function, *callees[8];
                if (top->next == function->instruction_count) {
                    leave(&ordering, function);
                    continue;
                }
                const struct instruction *instruction = &function->instructions[top->next];
                uint32_t count =
                    instruction->op == OP_CALL ? callees_of(function, instruction, callees, 8) : 0;
                bool entered = false;
                for (uint32_t i = 0; i < count && !entered; i++) {
                    program_caller_add(program, callees[i], function);
                    if (!callees[i]->seen) {
                        enter(&ordering, callees[i]); /* and then this call again */
                        entered = true;
                    } else if (!callees[i]->ordered && callees[i]->seen < function->lowest) {
                        function->lowest = callees[i]->seen;
                    }
                }
                if (!entered)
                    top->next++;
            }
        }
    }
}

/* Facts of the program as a whole: who is called through pointers, does anything longjmp. */
static void program_survey(struct escape *escape)
{
    struct program *program = &escape->program;
    struct {
        struct function **items;
        uint32_t count, capacity;
    } taken = {0};
    for (size_t u = 0; u < program->unit_count; u++) {
        const struct unit *unit = program->units[u];
        for (uint32_t i = 0; i < unit->symbol_count; i++) {
            const char *effect =
                unit->symbols[i]->function ? NULL : libc_effect(unit->symbols[i]->name);
            if (effect && effect[0] == 'J')
                escape->rules.uses_longjmp = true;
        }
    }
    for (uint32_t i = 0; i < program->function_count; i++) {
        struct function *function = program->functions[i];
        if (function->symbol->address_taken)
            ARENA_PUSH(&program->arena, &taken, function);
        bool alone = !function->symbol->address_taken &&
                     (function->symbol->internal || escape->rules.closed) && function->caller_count;
        if (alone)
            function->parameter_targets =
                arena_alloc(&program->arena,
                            (function->parameter_count + 1) * sizeof *function->parameter_targets);
    }
    escape->rules.taken = taken.items;
    escape->rules.taken_count = taken.count;
}

void run_order(struct escape *escape)
{
    functions_order(escape);
    program_survey(escape);
}
