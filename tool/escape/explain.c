/* SPDX-License-Identifier: MIT */
/* Why: the steps by which a block comes to be kept, each at its line. */
#include <stdio.h>
#include <string.h>

#include "solve.h"

#define INSIDE_MAX 8u /* blocks in blocks that are followed */

static const char *text(struct solve *solve, const char *format, const char *name)
{
    char line[256];
    snprintf(line, sizeof line, format, name);
    return arena_copy(&solve->program->arena, line, strlen(line));
}

const char *solve_callee_name(const struct solve *solve, const struct instruction *call)
{
    const struct unit *unit = solve->function->unit;
    int32_t callee = operand_of(solve->function, call, call->operand_count - 1);
    if (callee < 0 && unit->constants[~callee].count)
        return unit->addresses[unit->constants[~callee].first].symbol->name;
    return call->hook ? call->hook : "a function pointer";
}

static void step_add(struct solve *solve, struct chain *chain, uint32_t instruction,
                     struct step step)
{
    const struct instruction *at = &solve->function->instructions[instruction];
    step.file = solve->function->unit->files[at->file];
    step.line = at->line;
    ARENA_PUSH(&solve->program->arena, chain, step);
}

/* "a local variable", "what parameter 'list' points to" */
static const char *object_text(struct solve *solve, uint32_t number)
{
    const struct points *points = &solve->points;
    const struct object *object = &points->objects.items[number];
    const struct function *function = solve->function;
    const char *deeper = "";
    char line[256];
    while (object->kind == OBJECT_CHILD || object->kind == OBJECT_DEEP) {
        object = &points->objects.items[object->parent];
        deeper = "what is reached from ";
    }
    switch (object->kind) {
    case OBJECT_STACK:
        return "a local variable";
    case OBJECT_ARGUMENTS:
        return "the variable arguments";
    case OBJECT_INNER:
        return "a called function's variable";
    case OBJECT_HEAP:
        snprintf(line, sizeof line, "%sthe block made at line %u", deeper,
                 function->instructions[object->index].line);
        break;
    case OBJECT_PARAMETER:
        if (object->index >= function->parameter_count)
            snprintf(line, sizeof line, "%sthe variable arguments", deeper);
        else if (object->index == 0 && function->struct_return)
            snprintf(line, sizeof line, "the structure that is returned");
        else if (function->parameter_names[object->index][0])
            snprintf(line, sizeof line, "%s*%.100s (caller's memory)", deeper,
                     function->parameter_names[object->index]);
        else
            snprintf(line, sizeof line, "%swhat parameter %u points to (caller's memory)", deeper,
                     object->index + 1);
        break;
    case OBJECT_RESULT:
        return "what a callback returned";
    default:
        return "memory of unknown origin";
    }
    return arena_copy(&solve->program->arena, line, strlen(line));
}

static const struct chain *chain_of(const struct function *callee, bool edge, uint32_t number)
{
    const struct summary *summary = callee->summary;
    if (!summary || summary->too_large ||
        number >= (edge ? summary->edge_count : summary->escape_count))
        return NULL;
    return edge ? &summary->edge_chains[number] : &summary->escape_chains[number];
}

static void may_add(struct solve *solve, const struct reason *reason, struct chain *chain)
{
    struct step step = {0};
    switch (reason->kind) {
    case REASON_EXTERNAL:
        step.text = text(solve, "reaches %s, whose body is not here", reason->name);
        break;
    case REASON_COMPLEX:
        step.text = text(solve, "reaches %s, which is too large to follow", reason->name);
        break;
    case REASON_ASSEMBLY:
        step.text = "reaches inline assembly";
        break;
    default:
        step.text = "reaches a function that is called through a pointer";
        break;
    }
    step_add(solve, chain, reason->instruction, step);
}

void explain_object(struct solve *solve, uint32_t number, const struct reason *may,
                    struct chain *chain)
{
    const struct points *points = &solve->points;
    if (may) {
        may_add(solve, may, chain);
        return;
    }
    for (uint32_t steps = 0; steps < INSIDE_MAX; steps++) {
        const struct object *object = &points->objects.items[number];
        const struct reason *reason = &object->reason;
        struct step step = {0};
        if (!object->escaped) {
            if (object->may_count)
                may_add(solve, &object->mays[0], chain);
            return;
        }
        switch (reason->kind) {
        case REASON_GLOBAL:
            step.text = text(solve, "stored to the global variable %s", reason->name);
            break;
        case REASON_OUTSIDE:
            step.text = "stored through a pointer of unknown origin";
            break;
        case REASON_KEPT:
            step.text = text(solve, "kept by %s", reason->name);
            break;
        case REASON_CALL:
            step.text = text(solve, "passed to %s", reason->callee->symbol->name);
            step.next = chain_of(reason->callee, false, reason->node);
            break;
        case REASON_INSIDE:
            step.text =
                text(solve, "stored in %s, which escapes:", object_text(solve, reason->object));
            break;
        default:
            return;
        }
        step_add(solve, chain, reason->instruction, step);
        if (reason->kind != REASON_INSIDE)
            return;
        number = reason->object;
    }
}

void explain_entry(struct solve *solve, uint32_t place, const struct entry *entry,
                   struct chain *chain)
{
    struct step step = {0};
    if (entry->callee) {
        step.text = text(solve, "passed to %s", entry->callee->symbol->name);
        step.next = chain_of(entry->callee, true, entry->edge);
    } else {
        step.text = text(solve, "stored in %s", object_text(solve, place));
    }
    step_add(solve, chain, entry->instruction, step);
}

static struct block_size argument_size(struct solve *solve, const struct instruction *call,
                                       const char *numbers, bool product)
{
    const struct function *function = solve->function;
    struct block_size size = {.kind = SIZE_CONSTANT, .bytes = 1};
    uint32_t parameters[2], count = 0;
    uint32_t first = (uint32_t)(numbers[0] - '0');
    for (uint32_t i = first; i <= first + product; i++) {
        if (i + 1 >= call->operand_count)
            return (struct block_size){0};
        int32_t operand = operand_of(function, call, i);
        if (operand < 0 && function->unit->constants[~operand].is_integer)
            size.bytes *= (uint64_t)function->unit->constants[~operand].integer;
        else if (operand >= 0 && (uint32_t)operand < function->parameter_count && count < 2)
            parameters[count++] = (uint32_t)operand;
        else
            return (struct block_size){0};
    }
    if (count == 1 && size.bytes == 1)
        return (struct block_size){.kind = SIZE_PARAMETER, .first = parameters[0]};
    if (count == 2)
        return (struct block_size){
            .kind = SIZE_PRODUCT, .first = parameters[0], .second = parameters[1]};
    return count ? (struct block_size){0} : size;
}

struct block_size solve_block_size(struct solve *solve, uint32_t number)
{
    const struct object *object = &solve->points.objects.items[number];
    const struct function *function = solve->function;
    const struct instruction *call = &function->instructions[object->index];
    int32_t callee = operand_of(function, call, call->operand_count - 1);
    const struct symbol *symbol = NULL;
    if (callee < 0 && function->unit->constants[~callee].count == 1)
        symbol = function->unit->addresses[function->unit->constants[~callee].first].symbol;
    const char *effect = solve_rule(solve->rules, call, symbol ? symbol->name : NULL);
    if (object->group != HEAP_RETURNED)
        return (struct block_size){0};
    if (!effect && symbol && symbol->resolved->function) {
        const struct summary *summary = symbol->resolved->function->summary;
        if (!summary || summary->size.kind == SIZE_UNKNOWN || summary->size.kind == SIZE_CONSTANT)
            return summary ? summary->size : (struct block_size){0};
        struct block_size size;
        char numbers[2] = {(char)('0' + summary->size.first), '\0'};
        if (summary->size.first > 8)
            return (struct block_size){0};
        if (summary->size.kind == SIZE_PRODUCT && summary->size.second != summary->size.first + 1)
            return (struct block_size){0};
        size = argument_size(solve, call, numbers, summary->size.kind == SIZE_PRODUCT);
        return size;
    }
    if (!effect && symbol)
        effect = libc_effect(symbol->name);
    if (!effect)
        return (struct block_size){0};
    if ((effect[0] == 'A' || effect[0] == 'C') && effect[1] >= '0' && effect[1] <= '9')
        return argument_size(solve, call, effect + 1, effect[0] == 'C');
    if (effect[0] == 'R' && effect[1] && effect[2] >= '0' && effect[2] <= '9')
        return argument_size(solve, call, effect + 2, false);
    return (struct block_size){0};
}
