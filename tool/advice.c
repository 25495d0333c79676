/* SPDX-License-Identifier: MIT */
#include "advice.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "advice_internal.h"
#include "cost.h"

/* Samples say what recording costs within a third: so at least this part is the program's, 1 / RECORDING_MOST. */
#define RECORDING_MOST 3
#define PRICES_MS 150u /* CPU time spent on measuring what a pair costs here */

static int on_process(void *context, const struct trace_process *process)
{
    struct advice *advice = context;
    if (!advice->program)
        advice->program = strdup(process->program);
    return advice->program ? 0 : -ENOMEM;
}

static int module_keep(struct advice *advice, const struct trace_module *module)
{
    if (module->id >= advice->module_count) {
        size_t count = (size_t)module->id + 64;
        struct known_module *grown = realloc(advice->modules, count * sizeof *grown);
        if (!grown)
            return -ENOMEM;
        memset(grown + advice->module_count, 0, (count - advice->module_count) * sizeof *grown);
        advice->modules = grown;
        advice->module_count = count;
    }
    struct known_module *known = &advice->modules[module->id];
    free(known->path);
    free(known->build_id);
    *known = (struct known_module){strdup(module->path), malloc(module->build_id_size + 1),
                                   module->build_id_size};
    if (!known->path || !known->build_id)
        return -ENOMEM;
    if (module->build_id_size)
        memcpy(known->build_id, module->build_id, module->build_id_size);
    return 0;
}

static int on_module(void *context, const struct trace_module *module)
{
    struct advice *advice = context;
    /* A number of 2^20 or more is damage, which symbols says. */
    int kept = module->id >> 20 ? 0 : module_keep(advice, module);
    if (kept)
        return kept;
    const struct symbols_module known = {.id = module->id,
                                         .bias = module->bias,
                                         .start = module->start,
                                         .end = module->end,
                                         .path = module->path,
                                         .build_id = module->build_id,
                                         .build_id_size = module->build_id_size};
    return symbols_module_add(advice->symbols, &known);
}

static void resolve(void *context, uint32_t module, uint64_t address,
                    struct analyse_frame *ret_frame)
{
    struct advice *advice = context;
    struct symbols_function function;
    symbols_function(advice->symbols, module, address, &function);
    *ret_frame =
        (struct analyse_frame){function.id, function.wrapper, function.system, function.named};
    if (!advice->request || strcmp(function.name, advice->request) ||
        advice->request_count == REQUESTS_MAX)
        return;
    for (size_t i = 0; i < advice->request_count; i++)
        if (advice->requests[i] == function.id)
            return;
    advice->requests[advice->request_count++] = function.id;
}

static bool is_request(void *context, uint64_t function)
{
    const struct advice *advice = context;
    for (size_t i = 0; i < advice->request_count; i++)
        if (advice->requests[i] == function)
            return true;
    return false;
}

int advice_create(const struct advice_options *options, struct advice **ret_advice,
                  char **ret_message)
{
    struct advice *advice = calloc(1, sizeof *advice);
    int status = -ENOMEM;
    if (!advice)
        return status;
    advice->join = options->join;
    advice->symbols = symbols_create();
    const struct analyse_options analysis = {
        .context = advice, .resolve = resolve, .is_request = options->request ? is_request : NULL};
    advice->analyse = analyse_create(&analysis);
    if (options->request)
        advice->request = strdup(options->request);
    if (advice->symbols && advice->analyse && (!options->request || advice->request))
        status = 0;
    for (const char *const *regex = options->wrappers; !status && regex && *regex; regex++)
        status = symbols_wrapper_add(advice->symbols, *regex, ret_message);
    if (status) {
        advice_destroy(advice);
        return status;
    }
    /* Names first: the analysis asks for them as soon as it sees an address. */
    advice->names_sink =
        (struct trace_sink){.context = advice, .process = on_process, .module = on_module};
    advice->sinks[0] = &advice->names_sink;
    advice->sinks[1] = analyse_sink(advice->analyse);
    advice->sink_count = 2;
    if (options->replay) {
        advice->windows = windows_create(NULL);
        if (!advice->windows) {
            advice_destroy(advice);
            return -ENOMEM;
        }
        advice->sinks[advice->sink_count++] = windows_sink(advice->windows);
    }
    *ret_advice = advice;
    return 0;
}

void advice_destroy(struct advice *advice)
{
    if (!advice)
        return;
    for (size_t i = 0; i < advice->site_count; i++) {
        if (advice->verdicts)
            verdict_done(&advice->verdicts[i]);
        free((struct report_frame *)(uintptr_t)advice->sites[i].stack);
        free((struct report_call *)(uintptr_t)advice->sites[i].calls);
    }
    for (size_t i = 0; i < advice->own_note_count; i++)
        free(advice->own_notes[i]);
    for (size_t i = 0; i < advice->module_count; i++) {
        free(advice->modules[i].path);
        free(advice->modules[i].build_id);
    }
    free(advice->modules);
    free(advice->sites);
    free(advice->verdicts);
    free(advice->program);
    free(advice->request);
    windows_destroy(advice->windows);
    analyse_destroy(advice->analyse);
    symbols_destroy(advice->symbols);
    free(advice);
}

size_t advice_sinks(struct advice *advice, const struct trace_sink *const **ret_sinks)
{
    *ret_sinks = advice->sinks;
    return advice->sink_count;
}

void advice_note(struct advice *advice, char *note)
{
    if (!note || advice->own_note_count == NOTES_MAX / 2) {
        free(note);
        return;
    }
    advice->own_notes[advice->own_note_count++] = note;
}

static void on_problem(void *context, const char *path, const char *reason)
{
    char *note;
    if (asprintf(&note, "%s: %s", path, reason) > 0)
        advice_note(context, note);
}

static void notes_fill(struct advice *advice, const char *const *notes)
{
    const struct analyse_totals *totals = analyse_totals(advice->analyse);
    char *note;
    symbols_each_problem(advice->symbols, on_problem, advice);
    if (totals->has_end && totals->end.dropped &&
        asprintf(&note, "%" PRIu64 " events were dropped: the counts are lower bounds.",
                 totals->end.dropped) > 0)
        advice_note(advice, note);
    if (totals->unknown_frees &&
        asprintf(&note,
                 "%" PRIu64 " frees were of blocks made before the recording or before a fork.",
                 totals->unknown_frees) > 0)
        advice_note(advice, note);
    size_t count = 0;
    for (; notes && *notes && count < NOTES_MAX / 2; notes++)
        advice->notes[count++] = *notes;
    for (size_t i = 0; i < advice->own_note_count; i++)
        advice->notes[count++] = advice->own_notes[i];
    advice->notes[count] = NULL;
    advice->report.notes = advice->notes;
}

const struct appraisal *advice_measured(const struct advice *advice, const size_t **ret_sites,
                                        size_t *ret_count)
{
    *ret_sites = advice->measured_sites;
    *ret_count = advice->measured ? advice->measured_count : 0;
    return advice->measured ? &advice->measure : NULL;
}

int advice_finish(struct advice *advice, const struct verdict_thresholds *thresholds,
                  const struct advice_replay *replay, const char *const *command,
                  const char *const *notes, const struct report **ret_report)
{
    int status = analyse_finish(advice->analyse);
    if (status)
        return status;
    const struct analyse_site *const *facts;
    size_t count = analyse_sites(advice->analyse, &facts);
    const struct analyse_totals *totals = analyse_totals(advice->analyse);
    struct cost_table prices;
    status = cost_measure(PRICES_MS, &prices);
    if (status)
        return status;
    uint64_t cpu_ns = 0;
    double recording_ns = 0;
    if (totals->has_end && totals->end.cpu_ns) {
        /* What the recording added is not the program's. */
        uint64_t added = totals->end.recording_ns, whole = totals->end.cpu_ns;
        cpu_ns = added < whole - whole / RECORDING_MOST ? whole - added : whole / RECORDING_MOST;
        if (cpu_ns < added)
            advice_note(advice, strdup("Recording took more CPU time than the program itself, which is only known within a third or so "
                                       "then; shares of it are no surer."));
        recording_ns = totals->end.events ? (double)added / (double)totals->end.events : 0;
    }
    advice->sites = calloc(count ? count : 1, sizeof *advice->sites);
    advice->verdicts = calloc(count ? count : 1, sizeof *advice->verdicts);
    struct verdict_input *inputs = calloc(count ? count : 1, sizeof *inputs);
    status = advice->sites && advice->verdicts && inputs ? 0 : -ENOMEM;
    for (size_t i = 0; i < count && !status; i++) {
        struct report_site *site = &advice->sites[i];
        status = advice_site_fill(advice, facts[i], site);
        advice->site_count = i + 1;
        size_t size = (size_t)facts[i]->size.p50;
        site->cost = (struct verdict_cost){
            .malloc_pair_ns = cost_malloc_live_ns(&prices, size, facts[i]->live_peak),
            .pool_pair_ns = cost_pool_pair_ns(&prices, size),
            .page_ns = prices.page_ns};
        if (facts[i]->grow.steps)
            site->cost.grow_step_ns = cost_grow_step_ns(&prices, (size_t)facts[i]->grow.first.p50,
                                                        (size_t)facts[i]->grow.final.p50);
        site->verdict = &advice->verdicts[i];
        inputs[i] = (struct verdict_input){facts[i], i, site->names, site->cost};
    }
    if (!status && replay && advice->windows)
        status = advice_replay_sites(advice, thresholds, replay, inputs, count, cpu_ns);
    if (!status)
        status = verdict_judge(thresholds, inputs, count, totals, cpu_ns, advice->verdicts);
    free(inputs);
    for (size_t i = 0; i < count && !status && advice->join; i++)
        status = join_apply(advice->join, &advice->sites[i], &advice->verdicts[i]);
    if (status)
        return status;
    advice->command[0] = advice->program ? advice->program : "?";
    advice->report = (struct report){.version = POOLWISE_VERSION,
                                     .command = command ? command : advice->command,
                                     .totals = totals,
                                     .program_cpu_ns = cpu_ns,
                                     .recording_ns_per_event = recording_ns,
                                     .malloc_pair_ns = cost_malloc_pair_ns(&prices, 64),
                                     .pool_pair_ns = cost_pool_pair_ns(&prices, 64),
                                     .sites = advice->sites,
                                     .site_count = count};
    notes_fill(advice, notes);
    *ret_report = &advice->report;
    return 0;
}
