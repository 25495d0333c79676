/* SPDX-License-Identifier: MIT */
#include "judge.h"

#include <stdio.h>
#include <string.h>

#define CHAIN_DEPTH_MAX 12u
#define STEPS_MAX       24u

struct steps {
    struct escape_step *items;
    uint32_t count, capacity;
};

/* A recursion is shown once. */
static bool is_shown(const struct steps *steps, const struct escape_step *step)
{
    for (uint32_t i = 0; i < steps->count; i++)
        if (steps->items[i].line == step->line && !strcmp(steps->items[i].text, step->text) &&
            !strcmp(steps->items[i].file, step->file))
            return true;
    return false;
}

/* Writes a chain out, down through the callees' own. */
static void steps_add(struct program *program, struct steps *steps, const struct chain *chain)
{
    unsigned depth = 0;
    for (unsigned calls = 0; chain && calls < CHAIN_DEPTH_MAX; calls++) {
        const struct chain *next = NULL;
        bool again = false;
        for (uint32_t i = 0; i < chain->count && steps->count < STEPS_MAX; i++) {
            const struct step *step = &chain->items[i];
            const struct escape_step shown = {step->file, step->text, step->line, depth};
            next = step->next ? step->next : next;
            if (!is_shown(steps, &shown))
                ARENA_PUSH(&program->arena, steps, shown);
            else
                again = true;
        }
        depth += !again;
        chain = next;
    }
}

static const char *keep(struct solve *solve, const char *text)
{
    return arena_copy(&solve->program->arena, text, strlen(text));
}

/* Who stored it where the caller can see it? */
static void seen_explain(struct solve *solve, uint32_t number, const uint8_t *seen, uint8_t how,
                         struct chain *chain)
{
    const struct points *points = &solve->points;
    for (uint32_t i = 0; i < points->objects.count; i++) {
        const struct object *object = &points->objects.items[i];
        if (!(seen[i] & how) || object->kind <= OBJECT_GLOBAL)
            continue;
        for (uint32_t k = 0; k < object->contents.count; k++)
            if (object->contents.items[k].value.object == number) {
                explain_entry(solve, i, &object->contents.items[k], chain);
                return;
            }
    }
}

static void freed_judge(struct solve *solve, uint32_t number, struct escape_site *site)
{
    const struct object *object = &solve->points.objects.items[number];
    const struct function *function = solve->function;
    uint32_t index = object->index;
    struct freed_paths paths = {.freed = FREED_NEVER, .leak_instruction = UINT32_MAX};
    if (object->group == HEAP_RETURNED)
        paths = flow_freed(solve, (int32_t)(function->parameter_count + index), (int64_t)index);
    site->in_loop = flow_in_loop(solve, index);
    /* Frees of it that the walk cannot be sure of: through memory, by a callee in part. */
    uint32_t other = 0;
    for (uint32_t i = 0; i < solve->frees.count && !other; i++)
        for (uint32_t k = 0; k < solve->frees.items[i].freed.count && !other; k++)
            if (solve->frees.items[i].freed.items[k].object == number)
                other = function->instructions[solve->frees.items[i].instruction].line;
    if (paths.freed == FREED_ALWAYS || paths.freed == FREED_SOMETIMES)
        site->free_line = function->instructions[paths.free_instruction].line;
    if (paths.freed == FREED_ALWAYS && !paths.jumps) {
        site->freed = site->in_loop ? ESCAPE_FREED_EACH : ESCAPE_FREED_ALWAYS;
        return;
    }
    bool uncertain = false;
    for (uint32_t i = 0; i < solve->frees.count; i++) {
        const struct free_event *event = &solve->frees.items[i];
        for (uint32_t k = 0; k < event->freed.count; k++)
            if (event->freed.items[k].object == number &&
                (!event->certain || event->freed.count > 1 || event->resized))
                uncertain = true;
    }
    if (paths.freed == FREED_SOMETIMES && !uncertain && !paths.jumps && !paths.comes_back) {
        site->freed = ESCAPE_FREED_LEAK;
        site->leak_line = function->instructions[paths.leak_instruction].line;
    } else if (other || paths.freed == FREED_UNKNOWN || paths.freed == FREED_ALWAYS) {
        site->freed = ESCAPE_FREED_UNKNOWN;
        site->free_line = site->free_line ? site->free_line : other;
    } else {
        site->freed = ESCAPE_FREED_NEVER;
    }
}

static void class_judge(struct solve *solve, uint32_t number, const uint8_t *seen,
                        struct site_draft *draft)
{
    const struct object *object = &solve->points.objects.items[number];
    struct escape_site *site = &draft->site;
    struct chain chain = {0};
    if (object->escaped) {
        site->kind = ESCAPE_GLOBAL;
        explain_object(solve, number, NULL, &chain);
    } else if (seen[number] & SEEN_RETURNED) {
        const struct instruction *at = &solve->function->instructions[solve->return_instruction];
        const struct step step = {
            .file = solve->function->unit->files[at->file], .line = at->line, .text = "returned"};
        site->kind = ESCAPE_RETURNED;
        ARENA_PUSH(&solve->program->arena, &chain, step);
    } else if (seen[number] & SEEN_IN_RETURNED) {
        site->kind = ESCAPE_INSIDE;
        seen_explain(solve, number, seen, SEEN_RETURNED | SEEN_IN_RETURNED, &chain);
    } else if ((seen[number] & SEEN_IN_CALLER) || object->exposed) {
        site->kind = ESCAPE_CALLER;
        seen_explain(solve, number, seen, SEEN_IN_CALLER, &chain);
    } else if (solve->function->opaque) {
        site->kind = ESCAPE_MAY;
    } else if (object->may) {
        const char **keepers =
            arena_alloc(&solve->program->arena, (MAYS_MAX + 1) * sizeof *keepers);
        site->kind = ESCAPE_MAY;
        for (uint32_t i = 0; i < object->may_count; i++) {
            const struct reason *may = &object->mays[i];
            char name[160];
            if (may->kind == REASON_INDIRECT)
                snprintf(name, sizeof name, "a function called through a pointer (line %u)",
                         solve->function->instructions[may->instruction].line);
            else if (may->kind == REASON_ASSEMBLY)
                snprintf(name, sizeof name, "inline assembly (line %u)",
                         solve->function->instructions[may->instruction].line);
            else
                snprintf(name, sizeof name, "%s", may->name);
            keepers[i] = keep(solve, name);
            explain_object(solve, number, may, &chain);
        }
        site->keepers = keepers;
    }
    draft->chain = chain;
}

void judge_function(struct solve *solve)
{
    struct {
        struct site_draft *items;
        uint32_t count, capacity;
    } drafts = {0};
    const struct function *function = solve->function;
    const uint8_t *seen = solve_seen(solve);
    for (uint32_t i = 0; i < solve->points.objects.count; i++) {
        const struct object *object = &solve->points.objects.items[i];
        if (object->kind != OBJECT_HEAP || object->group == HEAP_INNER)
            continue;
        const struct instruction *call = &function->instructions[object->index];
        struct site_draft draft = {.site = {.file = function->unit->files[call->file],
                                            .line = call->line,
                                            .column = call->column,
                                            .function = function->symbol->name,
                                            .callee = solve_callee_name(solve, call)}};
        struct escape_site *site = &draft.site;
        int32_t callee = operand_of(function, call, call->operand_count - 1);
        if (callee < 0 && function->unit->constants[~callee].count) {
            const struct symbol *symbol =
                function->unit->addresses[function->unit->constants[~callee].first]
                    .symbol->resolved;
            site->through = symbol->function && !solve_rule(solve->rules, call, symbol->name);
        }
        struct block_size size = solve_block_size(solve, i);
        site->has_size = size.kind == SIZE_CONSTANT;
        site->size = size.bytes;
        class_judge(solve, i, seen, &draft);
        if (site->kind <= ESCAPE_MAY)
            freed_judge(solve, i, site);
        else
            site->freed = ESCAPE_FREED_NEVER;
        /* What a callee stores for its caller is a site where it ends, not at each call on the way up. */
        if (site->through && object->group != HEAP_RETURNED && site->kind > ESCAPE_MAY)
            continue;
        ARENA_PUSH(&solve->program->arena, &drafts, draft);
    }
    solve->function->drafts = drafts.items;
    solve->function->draft_count = drafts.count;
}

void judge_finish(struct program *program, const struct function *function, struct site_list *sites)
{
    for (uint32_t i = 0; i < function->draft_count; i++) {
        struct escape_site site = function->drafts[i].site;
        struct steps steps = {0};
        char why[256];
        steps_add(program, &steps, &function->drafts[i].chain);
        site.steps = steps.items;
        site.step_count = steps.count;
        /* The end of the chain says what keeps it; its beginning is where to look. */
        const char *last = steps.count ? steps.items[steps.count - 1].text : "kept";
        if (site.kind == ESCAPE_INSIDE)
            snprintf(why, sizeof why, "inside a returned block");
        else if (site.kind == ESCAPE_GLOBAL && steps.count && strncmp(last, "stored", 6) &&
                 strncmp(last, "kept", 4))
            snprintf(why, sizeof why, "kept by what %s", last);
        else
            snprintf(why, sizeof why, "%s", last);
        if (site.kind > ESCAPE_MAY)
            site.why = arena_copy(&program->arena, why, strlen(why));
        ARENA_PUSH(&program->arena, sites, site);
    }
}
