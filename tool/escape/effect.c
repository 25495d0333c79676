/* SPDX-License-Identifier: MIT */
/* A call whose callee is known by an effect: of the command line, or of libc's table. */
#include <string.h>

#include "solve.h"

static const struct hook *hook_find(const struct hook *hooks, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (!strcmp(hooks[i].name, name))
            return &hooks[i];
    return NULL;
}

const char *solve_rule(const struct rules *rules, const struct instruction *call,
                       const char *callee)
{
    const struct hook *hook = NULL;
    if (callee)
        hook = hook_find(rules->functions, rules->function_count, callee);
    else if (call->hook)
        hook = hook_find(rules->hooks, rules->hook_count, call->hook);
    return hook ? hook->effect : NULL;
}

static void result_add(struct solve *solve, uint32_t index, struct ref ref)
{
    struct set one = {&ref, 1, 1};
    solve_add(solve, result_value(solve, index), &one);
}

/* Argument `letter` of the call: its values, or none when there is no such argument. */
static const struct set *argument(struct solve *solve, uint32_t index, char letter,
                                  struct set *scratch, int32_t *ret_operand)
{
    const struct instruction *call = &solve->function->instructions[index];
    uint32_t number = (uint32_t)(letter - '0');
    *scratch = (struct set){0};
    if (ret_operand)
        *ret_operand = -1;
    if (letter < '0' || letter > '9' || number + 1 >= call->operand_count)
        return scratch;
    int32_t operand = operand_of(solve->function, call, number);
    if (ret_operand)
        *ret_operand = operand;
    return solve_value(solve, operand, scratch);
}

static void keep(struct solve *solve, uint32_t index, const struct set *set, const char *name)
{
    for (uint32_t i = 0; i < set->count; i++)
        points_escape(&solve->points, set->items[i].object,
                      (struct reason){.kind = REASON_KEPT, .instruction = index, .name = name});
}

static void effect_calls(struct solve *solve, uint32_t index, const char *numbers)
{
    struct set scratch, arguments[9], results = {0};
    uint32_t count = 0;
    struct set callee = *argument(solve, index, numbers[0], &scratch, NULL);
    for (const char *n = numbers + 1; *n && *n != ' ' && count < 9; n++) {
        struct set set = {0};
        const struct set *from = argument(solve, index, *n, &scratch, NULL);
        for (uint32_t k = 0; k < from->count; k++)
            set_add(&solve->points, &set, (struct ref){from->items[k].object, 0, 1});
        arguments[count++] = set;
    }
    apply_callees(solve, index, &callee, arguments, count, &results, NULL, false);
}

void apply_effect(struct solve *solve, uint32_t index, const char *effect, const char *name)
{
    struct points *points = &solve->points;
    struct entry by = {.instruction = index};
    struct set a, b, found = {0};
    for (const char *at = effect; *at;) {
        char letter = *at++;
        const char *numbers = at;
        int32_t operand;
        uint32_t made;
        while (*at && *at != ' ')
            at++;
        while (*at == ' ')
            at++;
        const struct set *first = argument(solve, index, numbers[0], &a, &operand);
        switch (letter) {
        case 'R':
            free_add(solve, index, first, operand, true, true);
            /* What the old block held, the new one does. */
            for (uint32_t i = 0; i < first->count; i++)
                points_copy(
                    points,
                    (struct ref){first->items[i].object, first->items[i].offset,
                                 first->items[i].stride},
                    (struct ref){object_find(points, OBJECT_HEAP, index, HEAP_RETURNED), 0, 0}, 0,
                    &by);
            /* fall through */
        case 'A':
        case 'C':
            made = object_find(points, OBJECT_HEAP, index, HEAP_RETURNED);
            points->objects.items[made].used_before |= effect != libc_effect(name);
            result_add(solve, index, (struct ref){made, 0, 0});
            break;
        case 'F':
            free_add(solve, index, first, operand, true, false);
            break;
        case 'O':
            set_add(points, &found,
                    (struct ref){object_find(points, OBJECT_HEAP, index,
                                             HEAP_OUT + (uint32_t)(numbers[0] - '0')),
                                 0, 0});
            solve_store(solve, first, &found, 8, by);
            break;
        case 'r':
            for (uint32_t i = 0; i < first->count; i++)
                result_add(solve, index, (struct ref){first->items[i].object, 0, 1});
            break;
        case 'l':
            for (uint32_t i = 0; i < first->count; i++)
                points_read(points, first->items[i], 8, &found);
            solve_add(solve, result_value(solve, index), &found);
            break;
        case 'u':
            result_add(solve, index, (struct ref){object_outside(points), 0, 1});
            break;
        case 'k':
            keep(solve, index, first, name);
            break;
        case 'K':
            for (uint32_t i = 0; i < first->count; i++)
                points_read(points, (struct ref){first->items[i].object, 0, 1}, 0, &found);
            keep(solve, index, &found, name);
            break;
        case 'U':
            set_add(points, &found, (struct ref){object_outside(points), 0, 1});
            for (uint32_t i = 0; i < first->count; i++) {
                by.value = found.items[0];
                by.size = 0;
                points_write(points, first->items[i], &by);
            }
            break;
        case 's': {
            const struct set *second =
                argument(solve, index, numbers[0] ? numbers[1] : '\0', &b, NULL);
            struct set inside = {0};
            for (uint32_t i = 0; i < second->count; i++)
                set_add(points, &inside, (struct ref){second->items[i].object, 0, 1});
            solve_store(solve, first, &inside, 8, by);
            break;
        }
        case 'c': {
            const struct set *second =
                argument(solve, index, numbers[0] ? numbers[1] : '\0', &b, NULL);
            for (uint32_t i = 0; i < first->count; i++)
                for (uint32_t k = 0; k < second->count; k++)
                    points_copy(points, second->items[k], first->items[i], 0, &by);
            break;
        }
        case 'x':
            effect_calls(solve, index, numbers);
            break;
        case 'J':
            solve_jumps(solve, index);
            break;
        default:
            break;
        }
        found = (struct set){0};
    }
}
