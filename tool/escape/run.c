/* SPDX-License-Identifier: MIT */
/* The whole of it: bitcode, our form, summaries from the leaves of the call graph up, sites. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "run.h"

#define COARSE_AFTER                                                                               \
    10u /* rounds of one function in a cycle of calls; then it does without fields, */
#define ROUNDS_MAX 30u /* and then nothing is claimed about it */

static double now_s(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static bool targets_complete(const struct function *function)
{
    for (uint32_t k = 0; function->parameter_targets && k < function->parameter_count; k++)
        if (function->parameter_targets[k].count && !function->parameter_targets[k].others)
            return true;
    return false;
}

static void solve_begin(struct escape *escape, struct function *function, struct solve *ret_solve)
{
    *ret_solve = (struct solve){.arena = &escape->scratch,
                                .program = &escape->program,
                                .rules = &escape->rules,
                                .function = function};
    solve_function(ret_solve);
}

/* Solves one function anew, with what is known of its callees by now. Returns whether its summary changed. */
static bool solve_one(struct escape *escape, struct function *function)
{
    struct arena *scratch = &escape->scratch;
    struct solve *solve = arena_alloc(scratch, sizeof *solve);
    struct summary *summary = NULL;
    function->rounds++;
    function->coarse |= function->rounds > COARSE_AFTER;
    function->opaque |= function->rounds > ROUNDS_MAX;
    solve_begin(escape, function, solve);
    summary = summary_make(solve, &escape->program.arena);
    if (summary->too_large && !function->coarse && !function->opaque) {
        function->coarse = true;
        solve_begin(escape, function, solve);
        summary = summary_make(solve, &escape->program.arena);
    }
    bool changed = !function->summary || function->summary->hash != summary->hash;
    function->summary = summary; /* changed or not: its chains speak of the callees' present ones */
    judge_function(solve);
    if (scratch->bytes > escape->counts.peak_bytes)
        escape->counts.peak_bytes = scratch->bytes;
    arena_reset(scratch);
    return changed;
}

/* Returns the lowest place in the order that now waits; UINT32_MAX: none. */
static uint32_t queue_callers(const struct function *function)
{
    uint32_t lowest = UINT32_MAX;
    for (uint32_t i = 0; i < function->caller_count; i++) {
        function->callers[i]->queued = true;
        if (function->callers[i]->order < lowest)
            lowest = function->callers[i]->order;
    }
    return lowest;
}

/*
 * Until no summary changes any more, callees first: a cycle of calls comes to rest before its callers are
 * looked at. Who calls whom through a pointer is found on the way (apply.c), so one may have to go back.
 */
static void solve_program(struct escape *escape, const struct escape_options *options)
{
    struct program *program = &escape->program;
    uint32_t begin = 0, end, back;
    for (uint32_t i = 0; i < program->function_count; i++)
        program->functions[i]->queued = true;
    while (begin < program->function_count) {
        back = UINT32_MAX;
        for (end = begin; end < program->function_count && program->functions[end]->component ==
                                                               program->functions[begin]->component;
             end++) {
            struct function *function = program->functions[end];
            if (!function->queued)
                continue;
            function->queued = false;
            if (!solve_one(escape, function))
                continue;
            uint32_t lowest = queue_callers(function);
            back = lowest < back ? lowest : back;
        }
        if (options->progress && begin % 16 == 0)
            options->progress(options->context, begin, program->function_count,
                              "following pointers");
        begin = back < end ? program->functions[back]->component : end;
    }
}

/* What a callback's caller makes is judged by the callbacks that it can be given; its callers each know their own. */
static void judge_program(struct escape *escape)
{
    struct program *program = &escape->program;
    escape->rules.targets_known = true;
    for (uint32_t i = 0; i < program->function_count; i++) {
        if (!targets_complete(program->functions[i]))
            continue;
        struct solve *solve = arena_alloc(&escape->scratch, sizeof *solve);
        solve_begin(escape, program->functions[i], solve);
        judge_function(solve);
        arena_reset(&escape->scratch);
    }
    for (uint32_t i = 0; i < program->function_count; i++)
        judge_finish(program, program->functions[i], &escape->sites);
}

static int analyse(struct escape *escape, const struct escape_options *options)
{
    struct program *program = &escape->program;
    if (setjmp(escape->failed))
        return -ENOMEM;
    double begin = now_s();
    program_link(program);
    run_order(escape);
    solve_program(escape, options);
    judge_program(escape);
    run_sites(escape);
    escape->counts.solve_s = now_s() - begin;
    escape->counts.functions = program->function_count;
    for (uint32_t i = 0; i < program->function_count; i++) {
        escape->counts.coarse += program->functions[i]->coarse;
        escape->counts.opaque += program->functions[i]->opaque;
    }
    escape->counts.peak_bytes += program->arena.bytes;
    for (size_t u = 0; u < program->unit_count; u++) {
        escape->counts.instructions += program->units[u]->instruction_count;
        escape->counts.peak_bytes += program->units[u]->arena.bytes;
    }
    return 0;
}

int escape_run(const struct escape_input *inputs, size_t count,
               const struct escape_options *options, struct escape **ret_escape, char *ret_message,
               size_t message_size)
{
    char clang[4096];
    struct escape *escape = calloc(1, sizeof *escape);
    snprintf(ret_message, message_size, "out of memory");
    if (!escape)
        return -ENOMEM;
    escape->program.arena.failed = &escape->failed;
    escape->scratch.failed = &escape->failed;
    escape->rules.closed = options->closed;
    int status = setjmp(escape->failed)
                     ? -ENOMEM
                     : run_rules(escape, &options->user, ret_message, message_size);
    if (!status)
        status = llvm_open(&escape->llvm, clang, sizeof clang, ret_message, message_size);
    if (!status)
        status = run_read(escape, inputs, count, options, clang, ret_message, message_size);
    if (!status)
        status = analyse(escape, options);
    if (status) {
        escape_destroy(escape);
        return status;
    }
    *ret_escape = escape;
    return 0;
}

void escape_destroy(struct escape *escape)
{
    if (!escape)
        return;
    for (size_t u = 0; u < escape->program.unit_count; u++) {
        arena_done(&escape->program.units[u]->arena);
        free(escape->program.units[u]);
    }
    for (size_t i = 0; i < escape->note_count; i++)
        free(escape->notes[i]);
    free(escape->program.units);
    free(escape->rules.hooks);
    free(escape->rules.functions);
    arena_done(&escape->program.arena);
    arena_done(&escape->scratch);
    /* libLLVM stays loaded: taking it away again while its own threads' data is there is not safe. */
    free(escape);
}

size_t escape_sites(const struct escape *escape, const struct escape_site **ret_sites)
{
    *ret_sites = escape->sites.items;
    return escape->sites.count;
}

const struct escape_counts *escape_counts(const struct escape *escape)
{
    return &escape->counts;
}

const char *const *escape_notes(const struct escape *escape)
{
    return (const char *const *)escape->notes;
}
