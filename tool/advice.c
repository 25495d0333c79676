/* SPDX-License-Identifier: MIT */
#include "advice.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyse.h"
#include "cost.h"
#include "symbols.h"

#define PRICES_MS     150u /* CPU time spent on measuring what a pair costs here */
#define LINES_MAX     16u  /* inlined calls shown for one address */
#define STACK_MAX     40u  /* frames shown of a site's commonest path */
#define REQUESTS_MAX  16u  /* addresses may lie in several functions of one name */
#define NOTES_MAX     32u
#define REPLAY_SITES  12u   /* measured at most, unless they are named: the costliest */
/* What a block may cost beyond the estimate, which is a warm loop's: lines that another processor has, locks that
 * threads wait for, pages touched for the first time. Sites that reach TAIL's bound with it are measured. */
#define REPLAY_DEARER_NS 500.0

/* What a module is called and which build it is. */
struct known_module {
    char *path; /* NULL: no module of this number */
    uint8_t *build_id;
    size_t build_id_size;
};

struct advice {
    struct known_module *modules; /* by number */
    size_t module_count;
    struct symbols *symbols;
    struct analyse *analyse;
    struct trace_sink names_sink;
    const struct trace_sink *sinks[3];
    size_t sink_count;
    struct windows *windows; /* NULL: no replay */
    struct appraisal measure;
    bool measured;
    size_t measured_sites[APPRAISE_SITES]; /* in `sites`, by place */
    size_t measured_count;
    char *request;
    const struct join *join;
    uint64_t requests[REQUESTS_MAX];
    size_t request_count;
    char *program; /* the first process' executable */
    struct report report;
    struct report_site *sites;
    struct verdict *verdicts;
    size_t site_count;
    const char *command[2];
    char *own_notes[NOTES_MAX];
    const char *notes[NOTES_MAX + 1];
    size_t own_note_count;
};

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
    *known = (struct known_module){strdup(module->path), malloc(module->build_id_size + 1), module->build_id_size};
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
    const struct symbols_module known = {.id = module->id, .bias = module->bias, .start = module->start, .end = module->end,
                                         .path = module->path, .build_id = module->build_id,
                                         .build_id_size = module->build_id_size};
    return symbols_module_add(advice->symbols, &known);
}

static void resolve(void *context, uint32_t module, uint64_t address, struct analyse_frame *ret_frame)
{
    struct advice *advice = context;
    struct symbols_function function;
    symbols_function(advice->symbols, module, address, &function);
    *ret_frame = (struct analyse_frame){function.id, function.wrapper, function.system, function.named};
    if (!advice->request || strcmp(function.name, advice->request) || advice->request_count == REQUESTS_MAX)
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

int advice_create(const struct advice_options *options, struct advice **ret_advice, char **ret_message)
{
    struct advice *advice = calloc(1, sizeof *advice);
    int status = -ENOMEM;
    if (!advice)
        return status;
    advice->join = options->join;
    advice->symbols = symbols_create();
    const struct analyse_options analysis = {.context = advice, .resolve = resolve,
                                             .is_request = options->request ? is_request : NULL};
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
    advice->names_sink = (struct trace_sink){.context = advice, .process = on_process, .module = on_module};
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

/* Appends the source-level frames of one address. */
static size_t frames_add(struct advice *advice, uint32_t module, uint64_t address, struct report_frame *frames, size_t count,
                         size_t max)
{
    struct symbols_line lines[LINES_MAX];
    struct symbols_function function;
    symbols_function(advice->symbols, module, address, &function);
    size_t line_count = symbols_lines(advice->symbols, module, address, lines, LINES_MAX);
    for (size_t i = 0; i < line_count && count < max; i++)
        frames[count++] = (struct report_frame){.function = lines[i].function, .file = lines[i].file,
                                                .module = function.module_name, .line = lines[i].line,
                                                .address = address, .inlined = lines[i].inlined,
                                                .wrapper = function.wrapper};
    return count;
}

/* Headers that come with the compiler or the system: inlined calls of theirs are not the user's lines. */
static bool system_header(const char *file)
{
    return file && (!strncmp(file, "/usr/include/", 13) || !strncmp(file, "/usr/lib/gcc", 12) ||
                    !strncmp(file, "/usr/lib/llvm", 13));
}

/* The line to show for an address: of the function itself, seen through calls of wrappers that were inlined. */
static void line_of(struct advice *advice, uint32_t module, uint64_t address, const char **ret_function, const char **ret_file,
                    unsigned *ret_line)
{
    struct symbols_line lines[LINES_MAX];
    size_t count = symbols_lines(advice->symbols, module, address, lines, LINES_MAX);
    size_t shown = 0;
    while (shown + 1 < count && lines[shown].inlined &&
           (system_header(lines[shown].file) || symbols_name_is_wrapper(advice->symbols, lines[shown].function)))
        shown++;
    *ret_function = lines[shown].function;
    *ret_file = lines[shown].file;
    *ret_line = lines[shown].line;
}

static void names_fill(struct advice *advice, const struct analyse_site *site, struct verdict_names *names)
{
    struct symbols_function function;
    symbols_function(advice->symbols, site->module, site->address, &function);
    line_of(advice, site->module, site->address, &names->function, &names->file, &names->line);
    names->module = function.module_name;
    names->system = function.system;
    if (site->grow.chains)
        line_of(advice, site->grow.module, site->grow.address, &names->grow_function, &names->grow_file, &names->grow_line);
    if (!site->path_count)
        return;
    const struct analyse_path *path = &site->paths[0];
    for (uint32_t i = site->wrappers + 1; names->system && i < path->depth; i++) {
        symbols_function(advice->symbols, path->modules[i], path->addresses[i], &function);
        if (!function.system && !function.wrapper) {
            line_of(advice, path->modules[i], path->addresses[i], &names->caller_function, &names->caller_file,
                    &names->caller_line);
            break;
        }
    }
    /* Level k: the k inner functions had returned when most blocks died, the next one had not. */
    uint32_t level = 0;
    for (uint32_t k = 1; k < ANALYSE_LEVELS; k++)
        if (site->outlived[k] > site->outlived[level])
            level = k;
    if (level && site->outlived[level] * 2 > site->outlived_known && site->wrappers + level < path->depth) {
        symbols_function(advice->symbols, path->modules[site->wrappers + level], path->addresses[site->wrappers + level],
                         &function);
        names->death_function = function.name;
    }
}

static void id_fill(const struct advice *advice, const struct analyse_site *site, char *ret_id, size_t size)
{
    uint64_t hash = 0xcbf29ce484222325ULL;
    const struct analyse_path *path = &site->paths[0];
    for (uint32_t i = 0; site->path_count && i <= site->wrappers && i < path->depth; i++) {
        hash = (hash ^ symbols_module_hash(advice->symbols, path->modules[i])) * 0x9e3779b97f4a7c15ULL;
        hash ^= hash >> 32;
        hash = (hash ^ symbols_offset(advice->symbols, path->modules[i], path->addresses[i])) * 0x9e3779b97f4a7c15ULL;
        hash ^= hash >> 29;
    }
    snprintf(ret_id, size, "%012" PRIx64, hash & UINT64_C(0xffffffffffff));
}

/* None where one of the calls lies in no module: no other run could find it. */
static int calls_fill(const struct advice *advice, const struct analyse_site *facts, struct report_site *site)
{
    if (!facts->path_count || facts->wrappers >= facts->paths[0].depth)
        return 0;
    const struct analyse_path *path = &facts->paths[0];
    struct report_call *calls = calloc(facts->wrappers + 1, sizeof *calls);
    if (!calls)
        return -ENOMEM;
    site->calls = calls;
    for (uint32_t i = 0; i <= facts->wrappers; i++) {
        uint32_t number = path->modules[i];
        if (number >= advice->module_count || !advice->modules[number].path)
            return 0;
        const struct known_module *module = &advice->modules[number];
        calls[i] = (struct report_call){module->path, module->build_id, module->build_id_size,
                                        symbols_offset(advice->symbols, number, path->addresses[i])};
    }
    site->call_count = facts->wrappers + 1;
    return 0;
}

static int site_fill(struct advice *advice, const struct analyse_site *facts, struct report_site *site)
{
    *site = (struct report_site){.facts = facts};
    id_fill(advice, facts, site->id, sizeof site->id);
    names_fill(advice, facts, &site->names);
    struct report_frame *frames = calloc(STACK_MAX, sizeof *frames);
    if (!frames)
        return -ENOMEM;
    site->stack = frames;
    for (uint32_t i = 0; facts->path_count && i < facts->paths[0].depth && site->stack_count < STACK_MAX; i++)
        site->stack_count = frames_add(advice, facts->paths[0].modules[i], facts->paths[0].addresses[i], frames,
                                       site->stack_count, STACK_MAX);
    return calls_fill(advice, facts, site);
}

static void note_add(struct advice *advice, char *note)
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
        note_add(context, note);
}

static void notes_fill(struct advice *advice, const char *const *notes)
{
    const struct analyse_totals *totals = analyse_totals(advice->analyse);
    char *note;
    symbols_each_problem(advice->symbols, on_problem, advice);
    if (totals->has_end && totals->end.dropped &&
        asprintf(&note, "%" PRIu64 " events were dropped: the counts are lower bounds.", totals->end.dropped) > 0)
        note_add(advice, note);
    if (totals->unknown_frees &&
        asprintf(&note, "%" PRIu64 " frees were of blocks made before the recording or before a fork.", totals->unknown_frees) > 0)
        note_add(advice, note);
    size_t count = 0;
    for (; notes && *notes && count < NOTES_MAX / 2; notes++)
        advice->notes[count++] = *notes;
    for (size_t i = 0; i < advice->own_note_count; i++)
        advice->notes[count++] = advice->own_notes[i];
    advice->notes[count] = NULL;
    advice->report.notes = advice->notes;
}

static bool all_known(const struct advice *advice, const char *const *ids)
{
    for (; ids && *ids; ids++) {
        bool known = false;
        for (size_t i = 0; i < advice->site_count; i++)
            known |= !strcmp(*ids, advice->sites[i].id);
        if (!known)
            return false;
    }
    return true;
}

/* What the site's blocks cost at most, were each of them as dear as blocks get. */
static double dearest_ns(const struct verdict_input *input)
{
    return (double)input->site->allocations * (input->cost.malloc_pair_ns + REPLAY_DEARER_NS);
}

/* The sites that may be the costliest and that TAIL might not hold for, or those named. */
static size_t candidates(const struct advice *advice, const struct verdict_thresholds *thresholds,
                         const struct advice_replay *replay, const struct verdict_input *inputs, double cpu_ns,
                         size_t *ret_sites)
{
    const struct verdict_threshold *table;
    double least_ns = 0;
    size_t count = 0, most = replay->sites ? APPRAISE_SITES : REPLAY_SITES;
    for (size_t i = verdict_thresholds_list(thresholds, &table); i--;)
        if (!strcmp(table[i].name, "tail-share"))
            least_ns = table[i].value * cpu_ns;
    for (size_t i = 0; i < advice->site_count; i++) {
        bool wanted = !replay->sites && dearest_ns(&inputs[i]) >= least_ns;
        for (const char *const *id = replay->sites; id && *id; id++)
            wanted |= !strcmp(*id, advice->sites[i].id);
        if (!wanted)
            continue;
        /* By insertion: there are a dozen. */
        size_t at = count < most ? count++ : most;
        for (; at && dearest_ns(&inputs[ret_sites[at - 1]]) < dearest_ns(&inputs[i]); at--)
            if (at < most)
                ret_sites[at] = ret_sites[at - 1];
        if (at < most)
            ret_sites[at] = i;
    }
    return count;
}

/* A first judgement, in which nothing is too little to matter, says how each site would be served. */
static int survey(struct advice *advice, const struct verdict_input *inputs, size_t count,
                  const struct analyse_totals *totals, uint64_t cpu_ns, struct verdict *ret_verdicts)
{
    struct verdict_thresholds *all = verdict_thresholds_create();
    if (!all)
        return -ENOMEM;
    verdict_thresholds_set(all, "tail-share=0");
    verdict_thresholds_set(all, "tail-rank=1e9");
    int status = verdict_judge(all, inputs, count, totals, cpu_ns, ret_verdicts);
    verdict_thresholds_destroy(all);
    return status;
}

static void replay_note(struct advice *advice, int status)
{
    const struct replay_result *result = &advice->measure.result;
    char *note = NULL;
    int made = 0;
    if (status == -ENODATA || windows_failed(advice->windows))
        made = asprintf(&note, "Nothing was replayed: %s. Prices are estimates, not measured.",
                        status == -ENODATA ? "no events were kept" : "memory ran out while events were kept");
    else if (status == -ENOENT)
        made = asprintf(&note, "Nothing was replayed: replay-worker was not found beside the program nor where it is "
                               "installed (reinstall poolwise). Prices are estimates, not measured.");
    else if (status == -EIO)
        made = asprintf(&note, "Nothing was replayed: %s. Prices are estimates, not measured.",
                        result->status[0] == WORKER_NO_MEMORY ? "the blocks did not fit into memory"
                        : result->status[0] == WORKER_LATE    ? "one window took too long"
                                                              : "the replay ended unexpectedly");
    else if (status)
        made = asprintf(&note, "Nothing was replayed: %s. Prices are estimates, not measured.", strerror(-status));
    if (made > 0)
        note_add(advice, note);
    if (!status && result->cut &&
        asprintf(&note, "The replay was cut by its time bound: %u of %u windows, %u repetitions in %.1f s; "
                        "--replay-seconds gives it more.", result->windows_used, result->windows, result->repetitions,
                 result->seconds) > 0)
        note_add(advice, note);
    if (!status && advice->measure.too_large &&
        asprintf(&note, "%" PRIu64 " blocks were left out of the replay: they would not fit into its memory.",
                 advice->measure.too_large) > 0)
        note_add(advice, note);
}

/* Measures the candidates and puts their prices into `inputs` and the sites. */
static int replay_sites(struct advice *advice, const struct verdict_thresholds *thresholds,
                        const struct advice_replay *replay, struct verdict_input *inputs, size_t count, uint64_t cpu_ns)
{
    struct verdict *verdicts = calloc(count ? count : 1, sizeof *verdicts);
    if (!verdicts)
        return -ENOMEM;
    int status = survey(advice, inputs, count, analyse_totals(advice->analyse), cpu_ns, verdicts);
    if (status) {
        free(verdicts);
        return status;
    }
    struct appraise_site chosen[APPRAISE_SITES];
    advice->measured_count = candidates(advice, thresholds, replay, inputs, (double)cpu_ns, advice->measured_sites);
    for (size_t i = 0; i < advice->measured_count; i++) {
        size_t site = advice->measured_sites[i];
        chosen[i] = (struct appraise_site){inputs[site].site, verdicts[site].pool, verdicts[site].simpler,
                                          verdicts[site].simpler_bytes};
    }
    for (size_t i = 0; i < count; i++)
        verdict_done(&verdicts[i]);
    free(verdicts);
    if (!advice->measured_count && !replay->all)
        return 0;
    appraise_rows(&advice->measure, replay->all && !replay->quick);
    const struct appraise_options options = {replay->seconds, replay->progress, replay->context};
    status = appraise_run(&advice->measure, advice->windows, advice->analyse, chosen, advice->measured_count, &options);
    replay_note(advice, status);
    advice->measured = !status;
    for (size_t i = 0; !status && i < advice->measured_count; i++) {
        size_t site = advice->measured_sites[i];
        appraise_cost(&advice->measure, &chosen[i], i, (double)cpu_ns, &inputs[site].cost);
        advice->sites[site].cost = inputs[site].cost;
    }
    return status == -ENOMEM ? status : 0;
}

const struct appraisal *advice_measured(const struct advice *advice, const size_t **ret_sites, size_t *ret_count)
{
    *ret_sites = advice->measured_sites;
    *ret_count = advice->measured ? advice->measured_count : 0;
    return advice->measured ? &advice->measure : NULL;
}

int advice_finish(struct advice *advice, const struct verdict_thresholds *thresholds, const struct advice_replay *replay,
                  const char *const *command, const char *const *notes, const struct report **ret_report)
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
        uint64_t added = totals->end.recording_ns;
        cpu_ns = added < totals->end.cpu_ns ? totals->end.cpu_ns - added : totals->end.cpu_ns;
        recording_ns = totals->end.events ? (double)added / (double)totals->end.events : 0;
    }
    advice->sites = calloc(count ? count : 1, sizeof *advice->sites);
    advice->verdicts = calloc(count ? count : 1, sizeof *advice->verdicts);
    struct verdict_input *inputs = calloc(count ? count : 1, sizeof *inputs);
    status = advice->sites && advice->verdicts && inputs ? 0 : -ENOMEM;
    for (size_t i = 0; i < count && !status; i++) {
        struct report_site *site = &advice->sites[i];
        status = site_fill(advice, facts[i], site);
        advice->site_count = i + 1;
        size_t size = (size_t)facts[i]->size.p50;
        site->cost = (struct verdict_cost){.malloc_pair_ns = cost_malloc_live_ns(&prices, size, facts[i]->live_peak),
                                           .pool_pair_ns = cost_pool_pair_ns(&prices, size),
                                           .page_ns = prices.page_ns};
        if (facts[i]->grow.steps)
            site->cost.grow_step_ns = cost_grow_step_ns(&prices, (size_t)facts[i]->grow.first.p50,
                                                        (size_t)facts[i]->grow.final.p50);
        site->verdict = &advice->verdicts[i];
        inputs[i] = (struct verdict_input){facts[i], i, site->names, site->cost};
    }
    if (!status && replay && advice->windows && all_known(advice, replay->sites))
        status = replay_sites(advice, thresholds, replay, inputs, count, cpu_ns);
    if (!status)
        status = verdict_judge(thresholds, inputs, count, totals, cpu_ns, advice->verdicts);
    free(inputs);
    for (size_t i = 0; i < count && !status && advice->join; i++)
        status = join_apply(advice->join, &advice->sites[i], &advice->verdicts[i]);
    if (status)
        return status;
    advice->command[0] = advice->program ? advice->program : "?";
    advice->report = (struct report){.version = POOLWISE_VERSION, .command = command ? command : advice->command,
                                     .totals = totals, .program_cpu_ns = cpu_ns, .recording_ns_per_event = recording_ns,
                                     .malloc_pair_ns = cost_malloc_pair_ns(&prices, 64),
                                     .pool_pair_ns = cost_pool_pair_ns(&prices, 64), .sites = advice->sites,
                                     .site_count = count};
    notes_fill(advice, notes);
    *ret_report = &advice->report;
    return 0;
}
