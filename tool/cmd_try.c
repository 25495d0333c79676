/* SPDX-License-Identifier: MIT */
/* poolwise try: the program as it is against the program with the advice applied. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
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
#include "try_report.h"
#include "try_runs.h"
#include "victim.h"

#define BUDGET_NAMED_S   30
#define BUDGET_FOUND_S   90
#define SINGLES_MOST     12u
#define WIN_SHARE        0.01
#define EVERYTHING_BYTES 1024u
#define SMALL_BYTES      512u
#define SMALL_BOUND                                                                                \
    0.01 /* of CPU time that all allocations cost at most: below, small blocks are not tried */
#define SITES_MOST 256u

struct
try {
    const struct command_globals *globals;
    const char *site_words[SITES_MOST]; /* ids of --site */
    size_t site_word_count;
    const char *as, *from, *output, *wrapper[16];
    size_t wrapper_count;
    bool all, json, higher, forced;
    uint64_t all_bytes;
    double require_pct; /* negative: not asked for */
    double time_s;
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

static void help(FILE *stream)
{
    fputs(
        "usage: poolwise try [OPTION...] -- PROGRAM [ARGUMENT...]\n\n"
        "Runs the program as it is, with the trial library serving nothing (the control), and with "
        "sites\n"
        "served from pools, in turn, and says what that saves. Without a site it asks poolwise "
        "advise\n"
        "first and tries what that finds, SLAB candidates among them, together and one by one.\n\n"
        "  --site ID[,ID]...   these sites, by their ids in the advice (more than once, too)\n"
        "  --as KIND           how --site's are tried: pool, classes, slab, presize (default: as "
        "advised)\n"
        "  --all[=BYTES]       every block of up to BYTES (1024), wherever it is asked for\n"
        "  --from FILE         the advice, from poolwise advise --json, or a trace; else it is "
        "made anew\n"
        "  -n PAIRS            this many rounds of all arms (default: by time)\n"
        "  --time SECONDS      for all rounds together (30; 90 when the sites are to be found)\n"
        "  --bench COMMAND     the program is a server: this shell command is the load, once it "
        "listens\n"
        "  --metric COMMAND    this number decides, not CPU time: a shell command that reads the "
        "standard\n"
        "                      output of --bench, or of the program, and prints it\n"
        "  --higher            more of --metric is better\n"
        "  --require PCT       status 1 unless at least this much is saved, by the lower end of "
        "the interval\n"
        "  --timeout SECONDS   for one run\n"
        "  --wrapper REGEX     as for advise\n"
        "  --json              a document instead of a page\n"
        "  -o FILE             where to write it\n"
        "  --help              this text\n",
        stream);
}

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

static int number_read(const char *option, const char *text, double low, double high,
                       double *ret_value)
{
    char *end;
    errno = 0;
    double value = strtod(text, &end);
    if (errno || end == text || *end || !(value >= low && value <= high))
        return command_error("%s %s: a number from %g to %g is wanted", option, text, low, high);
    *ret_value = value;
    return 0;
}

static int sites_add(struct try *try, char *list)
{
    for (char *rest = NULL, *id = strtok_r(list, ", ", &rest); id;
         id = strtok_r(NULL, ", ", &rest)) {
        if (try->site_word_count == SITES_MOST)
            return command_error("more than %u sites", SITES_MOST);
        if (strlen(id) < 4)
            return command_error("--site %s: at least the first four digits of an id are needed",
                                 id);
        try->site_words[try->site_word_count++] = id;
    }
    return 0;
}

enum {
    OPTION_SITE = 1,
    OPTION_AS,
    OPTION_ALL,
    OPTION_FROM,
    OPTION_TIME,
    OPTION_BENCH,
    OPTION_METRIC,
    OPTION_HIGHER,
    OPTION_REQUIRE,
    OPTION_TIMEOUT,
    OPTION_WRAPPER,
    OPTION_JSON,
};

static int option_take(struct try *try, int option, char *value, const char *word)
{
    double number = 0;
    int status = 0;
    switch (option) {
    case OPTION_SITE:
        return sites_add(try, value);
    case OPTION_AS:
        try->as = value;
        if (strcmp(value, "pool") && strcmp(value, "classes") && strcmp(value, "slab") &&
            strcmp(value, "presize"))
            return command_error("--as %s: it is pool, classes, slab or presize", value);
        return 0;
    case OPTION_ALL:
        try->all = true;
        if (value && (status = number_read("--all", value, 1, 1 << 20, &number)))
            return status;
        try->all_bytes = value ? (uint64_t)number : EVERYTHING_BYTES;
        return 0;
    case OPTION_FROM:
        try->from = value;
        return 0;
    case 'n':
        status = number_read("-n", value, 1, TRY_ROUNDS_MOST, &number);
        try->runs.rounds_wanted = (unsigned)number;
        return status;
    case OPTION_TIME:
        return number_read("--time", value, 1, 1e6, &try->time_s);
    case OPTION_BENCH:
        try->command.bench = value;
        return 0;
    case OPTION_METRIC:
        try->command.metric = value;
        return 0;
    case OPTION_HIGHER:
        try->higher = true;
        return 0;
    case OPTION_REQUIRE:
        return number_read("--require", value, 0, 100, &try->require_pct);
    case OPTION_TIMEOUT:
        return number_read("--timeout", value, 0.001, 1e9, &try->command.timeout_s);
    case OPTION_WRAPPER:
        if (try->wrapper_count == sizeof try->wrapper / sizeof *try->wrapper)
            return command_error("too many --wrapper");
        try->wrapper[try->wrapper_count++] = value;
        return 0;
    case OPTION_JSON:
        try->json = true;
        return 0;
    case 'o':
        try->output = value;
        return 0;
    default:
        if (optopt)
            return command_error("%s needs a value (see poolwise try --help)", word);
        return command_error("unknown option %s (see poolwise try --help)", word);
    }
}

/* 0, or an exit status: what was wrong was said. */
static int candidates_get(struct try *try)
{
    char message[512];
    int fd = -1, status = 0;
    const char *name = try->from ? try->from : "the advice";
    char first = '{';
    if (try->from) {
        fd = open(try->from, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            return command_error("%s: %s", try->from, strerror(errno));
        if (pread(fd, &first, 1, 0) != 1)
            first = '\0';
    }
    if (!try->from || first != '{') {
        const char *trace = try->from;
        if (fd >= 0)
            close(fd);
        fd = memfd_create("poolwise-advice", 0);
        if (fd < 0)
            return command_error("%s", strerror(errno));
        const struct try_advice wanted = {.globals = try->globals,
                                          .command = &try->command,
                                          .wrappers = try->wrapper,
                                          .wrapper_count = try->wrapper_count};
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
    for (size_t i = 0; i < try->site_word_count; i++) {
        const char *word = try->site_words[i];
        struct candidate *candidate = candidates_find(&try->candidates, word);
        if (!candidate)
            return command_error("there is no site %s in this program's advice (has it been "
                                 "rebuilt since? poolwise advise "
                                 "shows the ids as they are now)",
                                 word);
        if (!candidate->site.call_count)
            return command_error(
                "site %s cannot be found again in another run: its calls come from no file", word);
        if (try->as)
            candidate_as(candidate, try->as);
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
    int status =
        try->json ? try_report_json(result, try->stream) : try_report_text(result, try->stream);
    if (status)
        return command_error("%s: %s", try->output ? try->output : "standard output",
                             strerror(-status));
    struct interval saving;
    enum exit_code code = EXIT_DONE;
    for (size_t i = 1; i < try->runs.arm_count; i++)
        if (try->runs.arms[i].outcome != TRY_SAME)
            code = EXIT_BREACH;
    if (try->require_pct >= 0) {
        bool known = try_result_saving(result, result->together, false, &saving);
        if (!known || 100 * saving.low < try->require_pct) {
            fprintf(
                stderr,
                "poolwise: at least %g %% was required, and %s%.1f %% is what can be counted on\n",
                try->require_pct, known ? "" : "not even ", known ? 100 * saving.low : 0);
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
    runs->budget_s = try->time_s > 0 ? try->time_s : try->found ? BUDGET_FOUND_S : BUDGET_NAMED_S;
    runs->one_cpu = try->candidates.single_threaded && !try->command.bench;
    runs->progress = progress;
    runs->context = try;
    /* The control looks the sites up as well, and serves none: where they hide behind one wrapper, telling them apart
     * is a good part of what the library costs. */
    bool made = try_arm_add(runs, "plain", false, NULL, 0) &&
                try_arm_add(runs, "control", true, try->chosen, try->chosen_count);
    if (made) {
        runs->arms[1].arm.pass = true;
        runs->arms[1].arm.everything = try->all;
    }
    size_t together_at = runs->arm_count, small_at = 0;
    if (made && (try->chosen_count || try->all))
        made = try_arm_add(runs, "pooled", true, try->chosen, try->chosen_count);
    if (made && try->all) {
        runs->arms[together_at].arm.everything = true;
        runs->arms[together_at].arm.everything_bytes = try->all_bytes;
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
                                      .metric = try->command.metric ? TRIAL_CUSTOM : TRIAL_CPU,
                                      .higher_is_better = try->higher,
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
    if (try->json)
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
    return try->require_pct > 0 ? EXIT_BREACH : EXIT_DONE;
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
    try->found = !try->site_word_count && !try->all;
    if (try->found || try->site_word_count)
        status = candidates_get(try);
    if (!status && try->site_word_count)
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
    static const struct option options[] = {{"site", required_argument, NULL, OPTION_SITE},
                                            {"as", required_argument, NULL, OPTION_AS},
                                            {"all", optional_argument, NULL, OPTION_ALL},
                                            {"from", required_argument, NULL, OPTION_FROM},
                                            {"time", required_argument, NULL, OPTION_TIME},
                                            {"bench", required_argument, NULL, OPTION_BENCH},
                                            {"metric", required_argument, NULL, OPTION_METRIC},
                                            {"higher", no_argument, NULL, OPTION_HIGHER},
                                            {"require", required_argument, NULL, OPTION_REQUIRE},
                                            {"timeout", required_argument, NULL, OPTION_TIMEOUT},
                                            {"wrapper", required_argument, NULL, OPTION_WRAPPER},
                                            {"json", no_argument, NULL, OPTION_JSON},
                                            {"output", required_argument, NULL, 'o'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    struct try *try = calloc(1, sizeof *try);
    if (!try)
        return command_error("out of memory");
    *try = (struct try){.globals = globals, .require_pct = -1, .command.input = -1};
    int status = 0, option;
    opterr = 0;
    while (!status && (option = getopt_long(argc, argv, "+:ho:n:", options, NULL)) != -1) {
        if (option == 'h') {
            help(stdout);
            free(try);
            return EXIT_DONE;
        }
        status = option_take(try, option, optarg, argv[optind - 1]);
    }
    bool program = optind > 1 && !strcmp(argv[optind - 1], "--");
    if (!status && (optind == argc || !program))
        status = command_error("which program? poolwise try [OPTION...] -- PROGRAM [ARGUMENT...]");
    else if (!status && try->all && try->as)
        status = command_error("--as says how the sites of --site are tried; --all has none");
    else if (!status && try->as && !try->site_word_count)
        status = command_error("--as wants --site");
    else if (!status && try->higher && !try->command.metric)
        status = command_error("--higher is about --metric");
    else if (!status && !(try->stream = try->output ? fopen(try->output, "we") : stdout))
        status = command_error("%s: %s", try->output, strerror(errno));
    if (!status) {
        try->command.argv = argv + optind;
        status = run(try);
    }
    if (try->output && try->stream && fclose(try->stream) && !status)
        status = command_error("%s: %s", try->output, strerror(errno));
    free(try);
    return status;
}
