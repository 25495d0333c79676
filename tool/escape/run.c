/* SPDX-License-Identifier: MIT */
/* The whole of it: bitcode, our form, summaries from the leaves of the call graph up, sites. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "escape.h"
#include "front.h"
#include "judge.h"
#include "lift.h"
#include "solve.h"

#define ROUNDS_MAX   30u /* of one function in a cycle of calls; then nothing is claimed about it */
#define COARSE_AFTER 10u
#define NOTES_MAX    64u
#define JOBS_MAX     64u

struct escape {
    struct program program;
    struct rules rules;
    struct llvm llvm;
    struct site_list sites;
    struct escape_counts counts;
    char *notes[NOTES_MAX + 1];
    size_t note_count;
    jmp_buf failed;
    struct arena scratch; /* of the function that is solved */
};

static double now_s(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* Reading: each thread takes the next input. */
struct reading {
    const struct escape_input *inputs;
    size_t count;
    const struct escape_options *options;
    struct front front;
    const struct llvm *llvm;
    struct unit **units;
    char **messages;      /* by input; NULL: it went well */
    atomic_size_t next;   /* any thread: the first input that none has taken */
    pthread_mutex_t lock; /* of what follows */
    size_t done, cached;
    double compile_s, read_s;
    bool no_memory;
};

static void *read_inputs(void *context)
{
    struct reading *reading = context;
    for (;;) {
        size_t number = atomic_fetch_add_explicit(&reading->next, 1, memory_order_relaxed);
        if (number >= reading->count)
            return NULL;
        const struct escape_input *input = &reading->inputs[number];
        char message[1024] = "", *path = NULL;
        bool cached = false;
        double begin = now_s();
        int status =
            front_bitcode(&reading->front, input, number, &path, &cached, message, sizeof message);
        double compiled = now_s();
        struct unit *unit = status ? NULL : calloc(1, sizeof *unit);
        if (unit)
            status = lift_file(reading->llvm, path, unit, message, sizeof message);
        if (unit && status) {
            arena_done(&unit->arena);
            free(unit);
            unit = NULL;
        }
        if (unit)
            unit->name = input->file;
        free(path);
        double read = now_s();
        pthread_mutex_lock(&reading->lock);
        reading->units[number] = unit;
        reading->cached += cached;
        reading->compile_s += compiled - begin;
        reading->read_s += read - compiled;
        if (status && asprintf(&reading->messages[number], "%s",
                               message[0] ? message : strerror(-status)) < 0)
            reading->messages[number] = NULL;
        if (status == -ENOMEM)
            reading->no_memory = true;
        reading->done++;
        if (reading->options->progress)
            reading->options->progress(reading->options->context, reading->done, reading->count,
                                       "reading");
        pthread_mutex_unlock(&reading->lock);
    }
}

static int inputs_read(struct escape *escape, struct reading *reading, unsigned jobs)
{
    pthread_t threads[JOBS_MAX];
    unsigned started = 0;
    for (; started + 1 < jobs && started + 1 < JOBS_MAX && started + 1 < reading->count; started++)
        if (pthread_create(&threads[started], NULL, read_inputs, reading))
            break;
    read_inputs(reading);
    while (started)
        pthread_join(threads[--started], NULL);
    escape->counts.cached = reading->cached;
    escape->counts.compile_s = reading->compile_s;
    escape->counts.read_s = reading->read_s;
    return reading->no_memory ? -ENOMEM : 0;
}

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
    uint32_t next;
};

/* Callees first: depth first, without recursion. */
static void functions_order(struct escape *escape)
{
    struct program *program = &escape->program;
    struct arena *arena = &program->arena;
    uint32_t total = 0;
    for (size_t u = 0; u < program->unit_count; u++)
        total += program->units[u]->function_count;
    program->functions = arena_alloc(arena, (total + 1) * sizeof *program->functions);
    struct frame *stack = arena_alloc(arena, (total + 1) * sizeof *stack);
    for (size_t u = 0; u < program->unit_count; u++) {
        struct unit *unit = program->units[u];
        for (uint32_t f = 0; f < unit->function_count; f++) {
            uint32_t depth = 0;
            if (unit->functions[f]->order)
                continue;
            unit->functions[f]->order = UINT32_MAX; /* on the way */
            stack[depth++] = (struct frame){unit->functions[f], 0};
            while (depth) {
                struct frame *top = &stack[depth - 1];
                struct function *function = top->function;
                if (top->next == function->instruction_count) {
                    program->functions[program->function_count++] = function;
                    function->order = program->function_count;
                    depth--;
                    continue;
                }
                const struct instruction *instruction = &function->instructions[top->next++];
                struct function *callees[8];
                uint32_t count =
                    instruction->op == OP_CALL ? callees_of(function, instruction, callees, 8) : 0;
                for (uint32_t i = 0; i < count; i++) {
                    struct function *callee = callees[i];
                    bool known = false;
                    for (uint32_t k = callee->caller_count; k-- > 0 && !known;)
                        known = callee->callers[k] == function;
                    if (!known) {
                        struct {
                            struct function **items;
                            uint32_t count, capacity;
                        } list = {callee->callers, callee->caller_count, callee->caller_capacity};
                        ARENA_PUSH(arena, &list, function);
                        callee->callers = list.items;
                        callee->caller_count = list.count;
                        callee->caller_capacity = list.capacity;
                    }
                    if (!callee->order) {
                        callee->order = UINT32_MAX;
                        stack[depth++] = (struct frame){callee, 0};
                    }
                }
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

static bool targets_complete(const struct function *function)
{
    for (uint32_t k = 0; function->parameter_targets && k < function->parameter_count; k++)
        if (function->parameter_targets[k].count && !function->parameter_targets[k].others)
            return true;
    return false;
}

/* Solves one function anew. Returns whether its summary changed. */
static bool solve_one(struct escape *escape, struct function *function, bool last)
{
    struct arena *scratch = &escape->scratch;
    struct program *program = &escape->program;
    struct solve *solve = arena_alloc(scratch, sizeof *solve);
    solve->arena = scratch;
    solve->program = program;
    solve->rules = &escape->rules;
    solve->function = function;
    if (function->rounds++ > ROUNDS_MAX && !last)
        function->opaque = true;
    if (function->rounds > COARSE_AFTER)
        function->coarse = true;
    solve_function(solve);
    struct summary *summary = summary_make(solve, &program->arena, last);
    if (summary->too_large && !function->coarse && !function->opaque) {
        function->coarse = true;
        arena_reset(scratch);
        return solve_one(escape, function, last);
    }
    bool changed = !function->summary || function->summary->hash != summary->hash;
    if (last && !targets_complete(function)) {
        judge_function(solve, &escape->sites);
    } else if (last) {
        /* Its own blocks are judged by the callbacks that it can be given; its callers each know their own. */
        struct solve *closer = arena_alloc(scratch, sizeof *closer);
        *closer = (struct solve){
            .arena = scratch, .program = program, .rules = &escape->rules, .function = function};
        escape->rules.targets_known = true;
        solve_function(closer);
        escape->rules.targets_known = false;
        judge_function(closer, &escape->sites);
    }
    if (changed || last)
        function->summary = summary;
    if (scratch->bytes > escape->counts.peak_bytes)
        escape->counts.peak_bytes = scratch->bytes;
    arena_reset(scratch);
    return changed;
}

static void queue_callers(struct escape *escape, const struct function *function)
{
    for (uint32_t i = 0; i < function->caller_count; i++)
        function->callers[i]->queued = true;
}

/* Until no summary changes any more. What waits is taken in order, callees first. */
static void solve_queued(struct escape *escape, const struct escape_options *options)
{
    struct program *program = &escape->program;
    for (bool any = true; any;) {
        any = false;
        for (uint32_t i = 0; i < program->function_count; i++) {
            struct function *function = program->functions[i];
            if (!function->queued)
                continue;
            function->queued = false;
            any = true;
            if (solve_one(escape, function, false) ||
                function->opaque != (function->summary && function->summary->too_large))
                queue_callers(escape, function);
            if (options->progress && i % 16 == 0)
                options->progress(options->context, i, program->function_count,
                                  "following pointers");
        }
    }
}

static void solve_program(struct escape *escape, const struct escape_options *options)
{
    struct program *program = &escape->program;
    for (uint32_t i = 0; i < program->function_count; i++)
        program->functions[i]->queued = true;
    solve_queued(escape, options);
    for (uint32_t i = 0; i < program->function_count; i++) {
        solve_one(escape, program->functions[i], true);
        if (options->progress && i % 16 == 0)
            options->progress(options->context, i, program->function_count, "judging");
    }
}

static int rules_read(struct escape *escape, const struct libc_user *user, char *ret_message,
                      size_t message_size)
{
    const char *const *lists[] = {user->allocators, user->frees, user->keepless, user->hooks};
    static const char *const options[] = {"-w", "-f", "-n", "--hook"};
    static const char *const presets[] = {"malloc", "free", "keeps-not", NULL};
    for (size_t i = 0; i < 4; i++) {
        for (const char *const *at = lists[i]; at && *at; at++) {
            char *name = arena_copy(&escape->program.arena, *at, strlen(*at));
            char *split = strchr(name, i == 3 ? '=' : ':');
            char text[64];
            struct hook hook = {.name = name};
            if (split)
                *split++ = '\0';
            if (i == 3 && (!split || !strchr(name, ':'))) {
                snprintf(ret_message, message_size,
                         "--hook %s: it takes STRUCT:OFFSET=KIND or VARIABLE:OFFSET=KIND, with "
                         "malloc, calloc, realloc, strdup or free",
                         *at);
                return -EINVAL;
            }
            if (!split)
                snprintf(text, sizeof text, "%s", presets[i]);
            else if (split[0] >= '0' && split[0] <= '9')
                snprintf(text, sizeof text, "%s:%s", presets[i], split);
            else
                snprintf(text, sizeof text, "%s", split);
            if (libc_option_effect(text, hook.effect, sizeof hook.effect)) {
                snprintf(ret_message, message_size,
                         "%s %s: '%s' is none of malloc[:N], calloc[:N], realloc[:P,N], strdup, "
                         "free[:N]",
                         options[i], *at, text);
                return -EINVAL;
            }
            struct hook **list = i == 3 ? &escape->rules.hooks : &escape->rules.functions;
            size_t *count = i == 3 ? &escape->rules.hook_count : &escape->rules.function_count;
            struct hook *grown = realloc(*list, (*count + 1) * sizeof *grown);
            if (!grown)
                return -ENOMEM;
            *list = grown;
            grown[(*count)++] = hook;
        }
    }
    return 0;
}

static int compare_sites(const void *a, const void *b)
{
    const struct escape_site *left = a, *right = b;
    int order = strcmp(left->file, right->file);
    if (!order)
        order = (left->line > right->line) - (left->line < right->line);
    if (!order)
        order = (left->column > right->column) - (left->column < right->column);
    if (!order)
        order = strcmp(left->callee, right->callee);
    if (!order) /* the worse verdict first: it is the one that stays */
        order = (left->kind < right->kind) - (left->kind > right->kind);
    if (!order)
        order = (left->freed < right->freed) - (left->freed > right->freed);
    return order;
}

/* Paths as the user would write them here. */
static const char *path_short(struct escape *escape, const char *path)
{
    char here[4096], clean[4096];
    size_t used = 0;
    /* a/./b and a//b first, for prefixes to be alike */
    for (const char *at = path; *at && used + 1 < sizeof clean; at++) {
        if (*at == '/' && (at[1] == '/' || (at[1] == '.' && at[2] == '/'))) {
            if (at[1] == '.')
                at++;
            continue;
        }
        clean[used++] = *at;
    }
    clean[used] = '\0';
    const char *shown = clean;
    if (getcwd(here, sizeof here)) {
        size_t length = strlen(here);
        if (!strncmp(clean, here, length) && clean[length] == '/')
            shown = clean + length + 1;
    }
    return arena_copy(&escape->program.arena, shown, strlen(shown));
}

static void sites_finish(struct escape *escape)
{
    for (uint32_t i = 0; i < escape->sites.count; i++) {
        struct escape_site *site = &escape->sites.items[i];
        site->file = path_short(escape, site->file);
        for (size_t k = 0; k < site->step_count; k++) {
            struct escape_step *step = (struct escape_step *)(uintptr_t)&site->steps[k];
            step->file = path_short(escape, step->file);
        }
    }
    if (escape->sites.count)
        qsort(escape->sites.items, escape->sites.count, sizeof *escape->sites.items, compare_sites);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < escape->sites.count; i++) {
        const struct escape_site *site = &escape->sites.items[i];
        const struct escape_site *before = kept ? &escape->sites.items[kept - 1] : NULL;
        if (before && site->line && !strcmp(before->file, site->file) &&
            before->line == site->line && before->column == site->column &&
            !strcmp(before->callee, site->callee))
            continue;
        escape->sites.items[kept++] = *site;
    }
    escape->sites.count = kept;
    for (uint32_t i = 0; i < kept; i++)
        escape->counts.by_class[escape->sites.items[i].kind]++;
    escape->counts.sites = kept;
}

static int analyse(struct escape *escape, const struct escape_options *options)
{
    struct program *program = &escape->program;
    if (setjmp(escape->failed))
        return -ENOMEM;
    double begin = now_s();
    program_link(program);
    functions_order(escape);
    program_survey(escape);
    solve_program(escape, options);
    sites_finish(escape);
    escape->counts.solve_s = now_s() - begin;
    escape->counts.functions = program->function_count;
    escape->counts.peak_bytes += program->arena.bytes;
    for (size_t u = 0; u < program->unit_count; u++) {
        escape->counts.instructions += program->units[u]->instruction_count;
        escape->counts.peak_bytes += program->units[u]->arena.bytes;
    }
    return 0;
}

static int read_all(struct escape *escape, const struct escape_input *inputs, size_t count,
                    const struct escape_options *options, char *clang, char *ret_message,
                    size_t message_size)
{
    bool cache = options->cache;
    char *folder = front_folder(cache);
    if (!folder && cache) {
        cache = false;
        folder = front_folder(false);
    }
    struct reading reading = {.inputs = inputs,
                              .count = count,
                              .options = options,
                              .front = {clang, folder, cache},
                              .llvm = &escape->llvm};
    reading.units = calloc(count + 1, sizeof *reading.units);
    reading.messages = calloc(count + 1, sizeof *reading.messages);
    pthread_mutex_init(&reading.lock, NULL);
    int status = folder && reading.units && reading.messages ? 0 : -ENOMEM;
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    if (!status)
        status = inputs_read(escape, &reading,
                             options->jobs ? options->jobs
                             : cpus > 0    ? (unsigned)cpus
                                           : 1);
    for (size_t i = 0; i < count && reading.messages; i++) {
        if (!reading.messages[i])
            continue;
        if (escape->note_count < NOTES_MAX)
            escape->notes[escape->note_count++] = reading.messages[i];
        else
            free(reading.messages[i]);
    }
    if (folder && !cache)
        front_folder_drop(folder);
    free(folder);
    free(reading.messages);
    pthread_mutex_destroy(&reading.lock);
    escape->program.units = reading.units;
    for (size_t i = 0; reading.units && i < count; i++)
        if (reading.units[i])
            escape->program.units[escape->program.unit_count++] = reading.units[i];
    escape->counts.units = escape->program.unit_count;
    if (status)
        snprintf(ret_message, message_size, "%s", strerror(-status));
    else if (!escape->program.unit_count) {
        status = -EINVAL;
        snprintf(ret_message, message_size, "%s",
                 escape->note_count ? escape->notes[0] : "there is nothing to analyse");
    }
    return status;
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
                     : rules_read(escape, &options->user, ret_message, message_size);
    if (!status)
        status = llvm_open(&escape->llvm, clang, sizeof clang, ret_message, message_size);
    if (!status)
        status = read_all(escape, inputs, count, options, clang, ret_message, message_size);
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
