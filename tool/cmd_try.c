/* SPDX-License-Identifier: MIT */
/* poolwise try: the program as it is against the program with the advice applied. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "candidates.h"
#include "command.h"
#include "target.h"
#include "try_advice.h"
#include "try_options.h"
#include "try_report.h"
#include "try_runs.h"
#include "victim.h"

#define BUDGET_NAMED_S 30
#define BUDGET_FOUND_S 90
#define SINGLES_MOST   12u
#define WIN_SHARE      0.01
#define SMALL_BYTES    512u
#define SMALL_BOUND    0.01 /* of CPU time, all allocations at most: below, small ones are not tried */

struct
try {
    const struct command_globals *globals;
    struct try_options options;
    struct trial_command command;
    struct try_runs runs;
    struct candidates candidates;
    struct candidate *chosen[PLAN_SITES];
    size_t chosen_count;
    bool found; /* by us: no site was named */
    FILE *stream;
    const char *notes[8];
    size_t note_count;
    char note_text[8][256];
};

static void note(struct try *try, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void note(struct try *try, const char *format, ...)
{
    if (try->note_count + 1 == sizeof try->notes / sizeof *try->notes)
        return;
    char *text = try->note_text[try->note_count];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof try->note_text[0], format, arguments);
    va_end(arguments);
    try->notes[try->note_count++] = text;
}

/* 0, or an exit status: what was wrong was said. */
static int candidates_get(struct try *try)
{
    char message[512];
    int fd = -1, status = 0;
    const char *name = try->options.from ? try->options.from : "the advice";
    char first = '{';
    if (try->options.from) {
        fd = open(try->options.from, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            return command_error("%s: %s", try->options.from, strerror(errno));
        if (pread(fd, &first, 1, 0) != 1)
            first = '\0';
    }
    if (!try->options.from || first != '{') {
        const char *trace = try->options.from;
        if (fd >= 0)
            close(fd);
        fd = memfd_create("poolwise-advice", 0);
        if (fd < 0)
            return command_error("%s", strerror(errno));
        const struct try_advice wanted = {.globals = try->globals,
                                          .command = &try->command,
                                          .wrappers = try->options.wrapper,
                                          .wrapper_count = try->options.wrapper_count};
        status = try_advice_make(&wanted, fd, trace);
        fcntl(fd, F_SETFD, FD_CLOEXEC);
    }
    if (!status && candidates_read(fd, name, &try->candidates, message, sizeof message))
        status = command_error("%s", message);
    close(fd);
    return status;
}

static void choose(struct try *try, struct candidate *candidate)
{
    if (try->chosen_count < PLAN_SITES && candidate->site.call_count)
        try->chosen[try->chosen_count++] = candidate;
}

static int choose_named(struct try *try)
{
    for (size_t i = 0; i < try->options.site_word_count; i++) {
        const char *word = try->options.site_words[i];
        struct candidate *candidate = candidates_find(&try->candidates, word);
        if (!candidate)
            return command_error("there is no site %s in this program's advice (has it been "
                                 "rebuilt since? poolwise advise "
                                 "shows the ids as they are now)",
                                 word);
        if (!candidate->site.call_count)
            return command_error(
                "site %s cannot be found again in another run: its calls come from no file", word);
        if (try->options.as)
            candidate_as(candidate, try->options.as);
        choose(try, candidate);
    }
    return 0;
}

/* What may be worth trying: all that the advice wants pooled, and where small blocks crowd. */
static int by_weight(const void *left, const void *right)
{
    const struct candidate *a = *(struct candidate *const *)left,
                           *b = *(struct candidate *const *)right;
    double weight_a =
        a->as_slab ? (double)a->live_peak * 1e-7 + a->upper_bound : a->upper_bound + 1;
    double weight_b =
        b->as_slab ? (double)b->live_peak * 1e-7 + b->upper_bound : b->upper_bound + 1;
    return (weight_a < weight_b) - (weight_a > weight_b);
}

static void choose_found(struct try *try)
{
    for (size_t i = 0; i < try->candidates.count; i++) {
        struct candidate *candidate = &try->candidates.sites[i];
        if (candidate_is_pooled(candidate) || candidate_is_slab(candidate))
            choose(try, candidate);
    }
    qsort(try->chosen, try->chosen_count, sizeof *try->chosen, by_weight);
}

static void progress(void *context, const struct try_runs *runs, const char *arm, size_t round,
                     double left_s)
{
    const struct try *try = context;
    if (!round)
        command_progress(try->globals, "running %s once, as it is", runs->command->argv[0]);
    else
        command_progress(try->globals, "round %zu, %s; about %.0f s left", round, arm, left_s);
}

/* What is to be said about an arm that broke. */
static void explain_break(struct try *try, const struct try_arm *arm)
{
    static const char *const words[] = {
        [TRY_OUTPUT] = "standard output differs",
        [TRY_STATUS] = "the program ends otherwise",
        [TRY_TIMED_OUT] = "the program ran past --timeout",
    };
    char how[64] = "";
    if (arm->outcome == TRY_STATUS && WIFSIGNALED(arm->last.exit_status))
        snprintf(how, sizeof how, " (signal %d, %s)", WTERMSIG(arm->last.exit_status),
                 strsignal(WTERMSIG(arm->last.exit_status)));
    else if (arm->outcome == TRY_STATUS)
        snprintf(how, sizeof how, " (status %d)", WEXITSTATUS(arm->last.exit_status));
    if (arm->arm.pass) {
        note(try,
             "With the trial library alone, and no block from a pool, %s%s: it cannot be tried.",
             words[arm->outcome], how);
        return;
    }
    command_progress(try->globals, "looking for the site that does it");
    const struct candidate *culprit = arm->arm.site_count > 1 ? try_runs_bisect(&try->runs, arm)
                                      : arm->arm.site_count   ? arm->sites[0]
                                                              : NULL;
    command_progress_done(try->globals);
    if (culprit)
        note(try, "When blocks of site %s (%s, %.60s) come from a pool, %s%s.", culprit->id,
             culprit->function, culprit->place, words[arm->outcome], how);
    else
        note(try, "When blocks come from pools, %s%s; no one site alone does it.",
             words[arm->outcome], how);
    if (*arm->last.errors)
        note(try, "Its last words: %.200s", arm->last.errors);
}

static int report(struct try *try, const struct try_result *result)
{
    int status = try->options.json ? try_report_json(result, try->stream)
                                   : try_report_text(result, try->stream);
    if (status)
        return command_error("%s: %s",
                             try->options.output ? try->options.output : "standard output",
                             strerror(-status));
    struct interval saving;
    enum exit_code code = EXIT_DONE;
    for (size_t i = 1; i < try->runs.arm_count; i++)
        if (try->runs.arms[i].outcome != TRY_SAME)
            code = EXIT_BREACH;
    if (try->options.require_pct >= 0) {
        bool known = try_result_saving(result, result->together, false, &saving);
        if (!known || 100 * saving.low < try->options.require_pct) {
            fprintf(
                stderr,
                "poolwise: at least %g %% was required, and %s%.1f %% is what can be counted on\n",
                try->options.require_pct, known ? "" : "not even ", known ? 100 * saving.low : 0);
            code = EXIT_BREACH;
        }
    }
    return code;
}

/* Named sites that were never served: nothing is passed over in silence. */
static int unserved(const struct try *try, const struct try_arm *together)
{
    size_t served = 0;
    for (size_t i = 0; i < together->arm.site_count; i++) {
        const char *problem = try_site_problem(together, i);
        served += !problem;
        if (problem && !try->found)
            command_error("site %s (%s): %s", together->sites[i]->id, together->sites[i]->function,
                          problem);
    }
    return served || !together->arm.site_count || together->outcome != TRY_SAME;
}

/* All that allocating costs at most, as a share of CPU time. */
static double bound_of_all(const struct candidates *candidates)
{
    double bound = 0;
    for (size_t i = 0; i < candidates->count; i++)
        bound += candidates->sites[i].upper_bound;
    return bound;
}

static bool small_tried(const struct try *try)
{
    for (size_t i = 0; i < try->chosen_count; i++)
        if (try->chosen[i]->as_slab)
            return true;
    return bound_of_all(&try->candidates) >= SMALL_BOUND;
}

/* How many sites there is time to try one by one as well, once it is known how long a run takes. */
static size_t singles_wanted(const struct try *try)
{
    if (try->chosen_count < 2)
        return 0;
    size_t most = try->chosen_count < SINGLES_MOST ? try->chosen_count : SINGLES_MOST;
    double run_s = try->runs.first.value[TRIAL_WALL] + 0.01;
    if (try->command.bench)
        run_s += 0.5; /* to start, and to stop */
    if (!try->found)
        return most; /* they were asked for */
    /* Half of the time is for what is tried together, so that its interval is narrow. */
    double runs = try->runs.budget_s / run_s / 2 / TRY_ROUNDS_LEAST;
    return try->runs.rounds_wanted || runs > (double)most ? most : runs > 0 ? (size_t)runs : 0;
}

static int measure(struct try *try)
{
    struct try_runs *runs = &try->runs;
    runs->command = &try->command;
    runs->budget_s = try->options.time_s > 0 ? try->options.time_s
                     : try->found            ? BUDGET_FOUND_S
                                             : BUDGET_NAMED_S;
    runs->within = try->options.within_pct / 100;
    runs->metric = try->command.metric ? TRIAL_CUSTOM : TRIAL_CPU;
    runs->one_cpu = try->candidates.single_threaded && !try->command.bench;
    runs->progress = progress;
    runs->context = try;
    /* The control looks the sites up as well, and serves none: where they hide behind one wrapper, telling them apart
     * is a good part of what the library costs. */
    bool made = try_arm_add(runs, "plain", false, NULL, 0) &&
                try_arm_add(runs, "control", true, try->chosen, try->chosen_count);
    if (made) {
        runs->arms[1].arm.pass = true;
        runs->arms[1].arm.everything = try->options.all;
    }
    size_t together_at = runs->arm_count, small_at = 0;
    if (made && (try->chosen_count || try->options.all))
        made = try_arm_add(runs, "pooled", true, try->chosen, try->chosen_count);
    if (made && try->options.all) {
        runs->arms[together_at].arm.everything = true;
        runs->arms[together_at].arm.everything_bytes = try->options.all_bytes;
    }
    /* What no single site shows: blocks of many sites that lie better side by side, each too few to matter. */
    if (made && try->found && small_tried(try)) {
        size_t control_at = 1;
        if (try->chosen_count) {
            control_at = runs->arm_count;
            made = try_arm_add(runs, "small control", true, NULL, 0);
        }
        small_at = runs->arm_count;
        made = made && try_arm_add(runs, "small", true, NULL, 0);
        if (made) {
            runs->arms[control_at].arm.pass = runs->arms[control_at].arm.everything = true;
            runs->arms[small_at].arm.everything = true;
            runs->arms[small_at].arm.everything_bytes = SMALL_BYTES;
            runs->arms[small_at].control = control_at;
        }
    }
    size_t singles_at = runs->arm_count;
    int status = made ? try_runs_first(runs) : 0;
    size_t singles = status ? 0 : singles_wanted(try);
    size_t shared_count = runs->arm_count;
    for (size_t i = 0; made && i < singles; i++)
        if ((made = try_arm_add(runs, try->chosen[i]->id, true, &try->chosen[i], 1)) &&
            try->found && !runs->rounds_wanted)
            runs->arms[shared_count + i].every = (singles + shared_count - 1) / shared_count;
    if (!made)
        return command_error("out of memory");
    if (!status)
        status = try_runs_measure(runs);
    command_progress_done(try->globals);
    if (status)
        return command_error("%s", runs->message);
    const struct try_arm *together = &runs->arms[together_at];
    if (together->last.full)
        return command_error("no address space for pools in %s: a limit (ulimit -v) leaves none; "
                             "they want 64 GiB of addresses, "
                             "not of memory",
                             try->command.argv[0]);
    if (!unserved(try, together) && !together->arm.everything)
        return command_error("none of the sites was served: nothing was tried");
    const struct try_arm *single_arms[SINGLES_MOST + 1];
    size_t single_count = 0;
    for (size_t i = 0; i < singles; i++)
        single_arms[single_count++] = &runs->arms[singles_at + i];
    if (!singles && together->arm.site_count == 1)
        single_arms[single_count++] = together;
    if (try->chosen_count > singles && singles)
        note(try, "%zu further sites were tried only together with the others.",
             try->chosen_count - singles);
    bool explained = false;
    for (size_t i = 1; i < runs->arm_count && !explained; i++)
        if (runs->arms[i].outcome != TRY_SAME) {
            explain_break(try, &runs->arms[i]);
            explained = true;
        }
    const struct try_result result = {.runs = runs,
                                      .metric = try->runs.metric,
                                      .higher_is_better = try->options.higher,
                                      .metric_name = try->command.metric,
                                      .together = together,
                                      .small = small_at ? &runs->arms[small_at] : NULL,
                                      .singles = single_arms,
                                      .single_count = single_count,
                                      .win_share = WIN_SHARE,
                                      .guessed = try->found,
                                      .notes = try->notes};
    return report(try, &result);
}

static int nothing_to_try(struct try *try)
{
    double bound = bound_of_all(&try->candidates);
    if (try->options.json)
        fprintf(try->stream,
                "{\"poolwise\": \"%s\", \"result\": \"NOTHING_TO_TRY\", \"sites\": []}\n",
                POOLWISE_VERSION);
    else
        fprintf(try->stream,
                "There is nothing to try: no site of %s is worth a pool by the advice, and none "
                "has many small "
                "blocks alive at once.\nAll its allocations together cost at most %.1f %% of its "
                "CPU time. "
                "poolwise try --all, or --site, tries one regardless.\n",
                try->command.argv[0], 100 * bound);
    return try->options.require_pct > 0 ? EXIT_BREACH : EXIT_DONE;
}

static int run(struct try *try)
{
    struct target target;
    char message[512], preload[PATH_MAX];
    if (target_check(try->command.argv[0], &target, message, sizeof message) ||
        trial_preload_find(preload, sizeof preload, message, sizeof message))
        return command_error("%s", message);
    const char *checker =
        victim_checker(*target.interpreted_by ? target.interpreted_by : target.path);
    if (checker)
        return command_error("%s is built with %s, which brings an allocator of its own and has to "
                             "come first: try a build "
                             "without it",
                             target.path, checker);
    try->command.preload = preload;
    int status = trial_input(STDIN_FILENO, &try->command.input);
    if (status)
        return command_error("standard input: %s", strerror(-status));
    trial_catch_signals();
    try->found = !try->options.site_word_count && !try->options.all;
    if (try->found || try->options.site_word_count)
        status = candidates_get(try);
    if (!status && try->options.site_word_count)
        status = choose_named(try);
    if (!status && try->found)
        choose_found(try);
    if (!status)
        status = try->found && !try->chosen_count && !small_tried(try) ? nothing_to_try(try)
                                                                       : measure(try);
    candidates_done(&try->candidates);
    try_runs_done(&try->runs);
    return status;
}

int cmd_try(const struct command_globals *globals, int argc, char **argv)
{
    struct try *try = calloc(1, sizeof *try);
    if (!try)
        return command_error("out of memory");
    struct try_options *options = &try->options;
    try->globals = globals;
    int status = try_options_take(argc, argv, options);
    if (!status && options->help) {
        try_options_help(stdout);
    } else if (!status) {
        try->command = options->command;
        try->runs.rounds_wanted = options->rounds;
        try->stream = options->output ? fopen(options->output, "we") : stdout;
        status = try->stream ? run(try) : command_error("%s: %s", options->output, strerror(errno));
        if (options->output && try->stream && fclose(try->stream) && !status)
            status = command_error("%s: %s", options->output, strerror(errno));
    }
    free(try);
    return status;
}
