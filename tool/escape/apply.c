/* SPDX-License-Identifier: MIT */
/* What a call does, by what is known of the callee: a rule, libc's table, a summary, or nothing. */
#include <string.h>

#include "solve.h"

#define DEFERRED_MAX       40u /* of one function, those of its callees included */
#define CALLBACK_DEPTH_MAX 3u

/* The call may leave for where setjmp returned. */
void solve_jumps(struct solve *solve, uint32_t index)
{
    solve->may_longjmp = true;
    solve->jumps[index] = true;
}

/* Code that is not here: it may keep all that it can reach, and return any of it. */
static void apply_unknown(struct solve *solve, uint32_t index, const struct set *arguments,
                          uint32_t count, enum reason_kind kind, const char *name,
                          uint64_t nocapture, struct set *results)
{
    struct set nothing = {0};
    uint32_t size = solve->function->instructions[index].size;
    if (size &&
        size < 8) /* a number: what it tells of a pointer, unknown code could as well keep */
        results = &nothing;
    for (uint32_t i = 0; i < count; i++) {
        bool kept_out = i < 64 && (nocapture >> i & 1);
        struct set inside = {0};
        if (kept_out) /* of the pointer itself that is promised, of what it points to nothing is */
            for (uint32_t k = 0; k < arguments[i].count; k++)
                points_read(&solve->points, (struct ref){arguments[i].items[k].object, 0, 1}, 0,
                            &inside);
        const struct set *set = kept_out ? &inside : &arguments[i];
        for (uint32_t k = 0; k < set->count; k++) {
            points_escape(&solve->points, set->items[k].object,
                          (struct reason){.kind = kind, .instruction = index, .name = name});
            set_add(&solve->points, results, (struct ref){set->items[k].object, 0, 1});
        }
        if (kept_out && inside.count) { /* it may put there what it likes */
            struct entry by = {.instruction = index,
                               .value = {object_outside(&solve->points), 0, 1}};
            for (uint32_t k = 0; k < arguments[i].count; k++)
                points_write(&solve->points, (struct ref){arguments[i].items[k].object, 0, 1}, &by);
        }
    }
    set_add(&solve->points, results, (struct ref){object_outside(&solve->points), 0, 1});
    if (solve->rules->uses_longjmp && kind == REASON_INDIRECT)
        solve_jumps(solve, index);
}

static uint32_t node_object(struct solve *solve, uint32_t index, const struct summary_node *node)
{
    struct points *points = &solve->points;
    switch (node->kind) {
    case OBJECT_HEAP: {
        uint32_t number = object_find(points, OBJECT_HEAP, index, node->group);
        points->objects.items[number].used_before |= node->used_before;
        return number;
    }
    case OBJECT_INNER:
        return object_find(points, OBJECT_INNER, index, 0);
    case OBJECT_GLOBAL:
    case OBJECT_FUNCTION:
        return object_symbol(points, node->symbol);
    default:
        return object_outside(points);
    }
}

/* A callback whose target only our own caller may know. */
static void defer(struct solve *solve, uint32_t index, uint32_t callee, const struct set *arguments,
                  uint32_t count, struct set *results)
{
    struct summary_call *call = NULL;
    uint32_t number = 0;
    for (; number < solve->deferred.count && !call; number++)
        if (solve->deferred.items[number].callee.items[0].object == callee &&
            solve->deferred.items[number].argument_count == count)
            call = &solve->deferred.items[number];
    if (call)
        number--;
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t k = 0; k < arguments[i].count; k++)
            points_escape(&solve->points, arguments[i].items[k].object,
                          (struct reason){
                              .kind = REASON_INDIRECT, .instruction = index, .node = REASON_OURS});
    if (!call && solve->deferred.count == DEFERRED_MAX) {
        solve->function->opaque = true;
        return;
    }
    if (!call) {
        struct summary_call fresh = {.argument_count = count};
        fresh.arguments = arena_alloc(solve->arena, (count + 1) * sizeof *fresh.arguments);
        set_add(&solve->points, &fresh.callee, (struct ref){callee, 0, 0});
        ARENA_PUSH(solve->arena, &solve->deferred, fresh);
        call = &solve->deferred.items[number];
        solve->points.changed = true;
    }
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t k = 0; k < arguments[i].count; k++)
            solve->points.changed |=
                set_add(&solve->points, &call->arguments[i], arguments[i].items[k]);
    set_add(&solve->points, results,
            (struct ref){object_find(&solve->points, OBJECT_RESULT, number, 0), 0, 0});
    if (solve->rules->uses_longjmp)
        solve->jumps[index] = true; /* whether it really may, our caller finds out */
}

void apply_summary(struct solve *solve, uint32_t index, struct function *callee,
                   const struct set *arguments, uint32_t count, const struct set *variable,
                   struct set *results)
{
    struct points *points = &solve->points;
    const struct summary *summary = callee->summary;
    if (!summary) {
        solve->waits = true; /* recursion: nothing yet; it comes back when there is something */
        return;
    }
    if (summary->too_large) {
        apply_unknown(solve, index, arguments, count, REASON_COMPLEX, callee->symbol->name, 0,
                      results);
        for (uint32_t k = 0; variable && k < variable->count; k++)
            points_escape(points, variable->items[k].object,
                          (struct reason){.kind = REASON_COMPLEX,
                                          .instruction = index,
                                          .name = callee->symbol->name});
        return;
    }
    if (summary->may_longjmp)
        solve_jumps(solve, index);
    struct set *map = arena_alloc(solve->arena, (summary->node_count + 1) * sizeof *map);
    struct whole *wholes = arena_alloc(solve->arena, (summary->node_count + 1) * sizeof *wholes);
    struct set returned[DEFERRED_MAX] = {{0}};
    for (uint32_t round = 0; round < 2;
         round++) { /* a second time only for what callbacks return */
        for (uint32_t i = 0; i < summary->node_count; i++) {
            const struct summary_node *node = &summary->nodes[i];
            switch (node->kind) {
            case OBJECT_PARAMETER: {
                const struct set *from = node->index < count ? &arguments[node->index] : NULL;
                if (node->index == callee->parameter_count && callee->variadic)
                    from = variable;
                for (uint32_t k = 0; from && k < from->count; k++)
                    set_add(points, &map[i], from->items[k]);
                break;
            }
            case OBJECT_CHILD: {
                const struct set *from = &map[node->parent];
                for (uint32_t k = 0; k < from->count; k++)
                    points_read(points, ref_move(from->items[k], node->offset, node->stride),
                                node->size, &map[i]);
                break;
            }
            case OBJECT_DEEP:
                points_reach(points, &map[node->parent], &map[i]);
                break;
            case OBJECT_RESULT:
                if (node->index < DEFERRED_MAX)
                    for (uint32_t k = 0; k < returned[node->index].count; k++)
                        set_add(points, &map[i], returned[node->index].items[k]);
                break;
            case OBJECT_BAG:
                for (uint32_t m = node->first; m < node->first + node->count; m++) {
                    const struct set *from = &map[summary->members[m]];
                    for (uint32_t k = 0; k < from->count; k++)
                        set_add(points, &map[i], (struct ref){from->items[k].object, 0, 1});
                }
                break;
            default:
                set_add(points, &map[i], (struct ref){node_object(solve, index, node), 0, 0});
                break;
            }
        }
        if (!summary->call_count || round)
            break;
        for (uint32_t i = 0; i < summary->call_count; i++) {
            const struct summary_call *call = &summary->calls[i];
            struct set callees = {0};
            struct set *inner =
                arena_alloc(solve->arena, (call->argument_count + 1) * sizeof *inner);
            for (uint32_t a = 0; a < call->argument_count; a++)
                for (uint32_t k = 0; k < call->arguments[a].count; k++) {
                    struct ref ref = call->arguments[a].items[k];
                    for (uint32_t m = 0; m < map[ref.object].count; m++)
                        set_add(points, &inner[a],
                                ref_move(map[ref.object].items[m], ref.offset, ref.stride));
                }
            for (uint32_t k = 0; k < map[call->callee.items[0].object].count; k++)
                set_add(points, &callees, map[call->callee.items[0].object].items[k]);
            if (solve->callback_depth == CALLBACK_DEPTH_MAX) {
                apply_unknown(solve, index, inner, call->argument_count, REASON_INDIRECT, NULL, 0,
                              &returned[i]);
                continue;
            }
            solve->callback_depth++;
            apply_callees(solve, index, &callees, inner, call->argument_count, &returned[i], NULL,
                          false);
            solve->callback_depth--;
        }
    }
    for (uint32_t i = 0; i < summary->edge_count; i++) {
        const struct summary_edge *edge = &summary->edges[i];
        struct entry by = {.instruction = index, .callee = callee, .edge = i, .size = edge->size};
        const struct set *places = &map[edge->place.object], *values = &map[edge->value.object];
        if (!wholes[edge->value.object].words && values->count >= 4)
            wholes[edge->value.object] = points_whole(points, values);
        for (uint32_t p = 0; p < places->count; p++) {
            if (points_holds(points, places->items[p].object, &wholes[edge->value.object]))
                continue;
            for (uint32_t v = 0; v < values->count; v++) {
                by.value = ref_move(values->items[v], edge->value.offset, edge->value.stride);
                points_write(points,
                             ref_move(places->items[p], edge->place.offset, edge->place.stride),
                             &by);
            }
        }
    }
    for (uint32_t i = 0; i < summary->escape_count; i++) {
        const struct summary_escape *escape = &summary->escapes[i];
        for (uint32_t k = 0; k < map[escape->node].count; k++) {
            uint32_t object = map[escape->node].items[k].object;
            struct reason reason = {
                .kind = REASON_CALL, .instruction = index, .callee = callee, .node = i};
            if (escape->certain)
                points_escape(points, object, reason);
            reason.node = 0;
            for (uint32_t m = 0; m < escape->may_count; m++) {
                reason.kind = escape->may_kinds[m];
                reason.name = escape->mays[m];
                points_escape(points, object, reason);
            }
        }
    }
    for (uint32_t i = 0; i < summary->results.count; i++) {
        struct ref ref = summary->results.items[i];
        for (uint32_t k = 0; k < map[ref.object].count; k++)
            set_add(points, results, ref_move(map[ref.object].items[k], ref.offset, ref.stride));
    }
    for (uint32_t i = 0; i < summary->freed_count; i++)
        free_add(solve, index, &map[summary->freed[i]], -1, false, false);
    /* Frees: of arguments, which may be certain, and of what is inside, which is not. */
    const struct instruction *call = &solve->function->instructions[index];
    for (uint32_t i = 0; i < count && i < 64; i++) {
        if (!(summary->may_free >> i & 1))
            continue;
        bool same = i + 1 < call->operand_count;
        int32_t operand = same ? operand_of(solve->function, call, i) : -1;
        free_add(solve, index, &arguments[i], operand, same && (summary->must_free >> i & 1),
                 false);
    }
}

/* In a whole program, how many functions of its type a call through a pointer may reach before it
 * counts as one that reaches anything: the more there are, the less they say, and the more of the
 * program they join into one cycle of calls (redis' commands are all of one type). */
enum { FITTING_MAX = 8 };

static bool signature_fits(const char *a, const char *b)
{
    return !a || !b || a[0] == '?' || b[0] == '?' || !strcmp(a, b);
}

/* What the parameters of a function that only this file calls may be: where that is functions alone, it is
 * solved anew with them. */
static void targets_add(struct solve *solve, struct function *callee, const struct set *arguments,
                        uint32_t count, bool direct)
{
    for (uint32_t i = 0; callee->parameter_targets && i < callee->parameter_count; i++) {
        struct targets *targets = &callee->parameter_targets[i];
        if (!direct || i >= count || !arguments[i].count)
            targets->others = true;
        for (uint32_t k = 0; i < count && k < arguments[i].count; k++) {
            const struct object *object =
                &solve->points.objects.items[arguments[i].items[k].object];
            uint32_t at = 0;
            while (at < targets->count && targets->symbols[at] != object->symbol)
                at++;
            if (object->kind != OBJECT_FUNCTION || at == TARGETS_MAX)
                targets->others = true;
            else if (at == targets->count)
                targets->symbols[targets->count++] = object->symbol;
        }
    }
}

static void apply_function(struct solve *solve, uint32_t index, struct symbol *symbol,
                           const struct set *arguments, uint32_t count, struct set *results,
                           bool direct)
{
    const struct instruction *call = &solve->function->instructions[index];
    const char *rule = solve_rule(solve->rules, call, symbol->name);
    if (rule && direct) {
        apply_effect(solve, index, rule, symbol->name);
        return;
    }
    bool any = false;
    for (struct symbol *at = symbol->resolved; at; at = at->same_name) {
        struct function *callee = at->function;
        if (!callee)
            continue;
        any = true;
        if (!direct || operand_of(solve->function, call, call->operand_count - 1) >= 0)
            program_caller_add(solve->program, callee, solve->function);
        struct set variable = {0};
        const struct set *others = NULL;
        if (callee->variadic) {
            /* The arguments beyond the named ones lie in memory of the call's own, in an order that is not kept. */
            uint32_t area = object_find(&solve->points, OBJECT_ARGUMENTS, index, 0);
            set_add(&solve->points, &variable, (struct ref){area, 0, 1});
            for (uint32_t i = callee->parameter_count; i < count; i++) {
                struct entry by = {.instruction = index};
                struct set place = {0};
                set_add(&solve->points, &place, (struct ref){area, 0, 1});
                solve_store(solve, &place, &arguments[i], 8, by);
            }
            others = &variable;
        }
        apply_summary(solve, index, callee, arguments, count, others, results);
        targets_add(solve, callee, arguments, count, direct);
    }
    if (any)
        return;
    const char *effect =
        symbol->is_function && !symbol->internal ? libc_effect(symbol->name) : NULL;
    if (effect && direct) {
        apply_effect(solve, index, effect, symbol->name);
        return;
    }
    if (effect && !*effect)
        return;
    if (effect && effect[0] == 'F') { /* free() handed over as a callback */
        for (uint32_t i = 0; i < count; i++)
            free_add(solve, index, &arguments[i], -1, false, false);
        return;
    }
    apply_unknown(solve, index, arguments, count, REASON_EXTERNAL, symbol->name,
                  direct ? call->nocapture : 0, results);
}

void apply_callees(struct solve *solve, uint32_t index, const struct set *callees,
                   const struct set *arguments, uint32_t count, struct set *results,
                   const char *signature, bool direct)
{
    bool unknown = !callees->count;
    for (uint32_t i = 0; i < callees->count; i++) {
        const struct object object = solve->points.objects.items[callees->items[i].object];
        if (object.kind == OBJECT_FUNCTION)
            apply_function(solve, index, object.symbol, arguments, count, results,
                           direct && callees->count == 1);
        else if (object_is_stand_in(&object) && object.kind != OBJECT_DEEP && !solve->rules->closed)
            defer(solve, index, callees->items[i].object, arguments, count, results);
        else
            unknown = true;
    }
    if (!unknown)
        return;
    if (!solve->rules->closed || !signature) {
        apply_unknown(solve, index, arguments, count, REASON_INDIRECT, NULL, 0, results);
        return;
    }
    struct function *fitting[FITTING_MAX];
    uint32_t fitting_count = 0;
    for (uint32_t i = 0; i < solve->rules->taken_count && fitting_count <= FITTING_MAX; i++) {
        struct function *function = solve->rules->taken[i];
        if (!signature_fits(signature, function->symbol->signature))
            continue;
        if (fitting_count < FITTING_MAX)
            fitting[fitting_count] = function;
        fitting_count++;
    }
    bool few = fitting_count && fitting_count <= FITTING_MAX;
    for (uint32_t i = 0; few && i < fitting_count; i++)
        apply_function(solve, index, fitting[i]->symbol, arguments, count, results, false);
    /* The functions of libraries whose address is taken are not among them. */
    apply_unknown(solve, index, arguments, few ? 0 : count, REASON_INDIRECT, NULL, 0, results);
}

void solve_call(struct solve *solve, uint32_t index)
{
    struct function *function = solve->function;
    const struct instruction *call = &function->instructions[index];
    uint32_t count = call->operand_count - 1;
    struct set scratch, results = {0};
    struct set *arguments = arena_alloc(solve->arena, (count + 1) * sizeof *arguments);
    for (uint32_t i = 0; i < count; i++) {
        struct set one = {0};
        const struct set *from = solve_value(solve, operand_of(function, call, i), &scratch);
        for (uint32_t k = 0; k < from->count; k++)
            set_add(&solve->points, &one, from->items[k]);
        arguments[i] = one;
    }
    if (call->hook) {
        const char *rule = solve_rule(solve->rules, call, NULL);
        if (rule) {
            apply_effect(solve, index, rule, call->hook);
            return;
        }
    }
    struct set callees = *solve_value(solve, operand_of(function, call, count), &scratch);
    apply_callees(solve, index, &callees, arguments, count, &results, call->signature, true);
    if (!call->no_value)
        solve_add(solve, result_value(solve, index), &results);
}
