/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <getopt.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "article.h"
#include "command.h"
#include "measure.h"
#include "output.h"
#include "plan.h"
#include "process.h"

#define ROUNDS_DEFAULT  5
#define ROUNDS_MAX      1000
#define SAMPLE_MS       10
#define SAMPLES_DEFAULT 7

static void help(FILE *stream)
{
    fprintf(stream,
            "usage: poolwise bench [OPTION...]\n\n"
            "Measures on this machine where pooling pays: three workloads that look alike, in the ways one would\n"
            "write them, with the verdict that 'poolwise advise' gives on the plainest; Go's own benchmarks of\n"
            "sync.Pool; and the pool beside the allocators that are installed (glibc, mimalloc, jemalloc, tcmalloc,\n"
            "TBB; Go when its compiler is). Lines on standard output are in Go's benchmark format, for benchstat;\n"
            "the table that sums them up comes on standard error.\n\n"
            "  --bench REGEX   only those whose name matches the POSIX extended expression\n"
            "  --list          print the names, measure nothing\n"
            "  --count N       rounds, each in another order (default %d: some minutes for everything)\n"
            "  --time MS       how long one line is measured (default %d)\n"
            "  --json          one JSON document instead of lines and table\n"
            "  --no-advise     without the verdicts\n",
            ROUNDS_DEFAULT, SAMPLE_MS * SAMPLES_DEFAULT);
}

struct bench {
    const struct command_globals *globals;
    bool json, list, no_advise;
    unsigned rounds, time_ms;
    regex_t only;
    bool has_only;
};

static int number_take(const char *option, const char *text, unsigned long most, unsigned *ret_number)
{
    char *end;
    unsigned long number = strtoul(text, &end, 10);
    if (end == text || *end || *text == '-' || !number || number > most)
        return command_error("%s %s: it takes a number from 1 to %lu", option, text, most);
    *ret_number = (unsigned)number;
    return EXIT_DONE;
}

static int regex_take(struct bench *bench, const char *text)
{
    char message[160];
    if (bench->has_only)
        return command_error("--bench is given twice: join the expressions with |");
    int status = regcomp(&bench->only, text, REG_EXTENDED | REG_NOSUB);
    if (status) {
        regerror(status, &bench->only, message, sizeof message);
        return command_error("--bench %s: %s", text, message);
    }
    bench->has_only = true;
    return EXIT_DONE;
}

static int options_take(struct bench *bench, int argc, char **argv, bool *ret_help)
{
    static const struct option options[] = {{"bench", required_argument, NULL, 'b'}, {"count", required_argument, NULL, 'n'},
                                            {"time", required_argument, NULL, 't'},  {"json", no_argument, NULL, 'j'},
                                            {"list", no_argument, NULL, 'l'},        {"no-advise", no_argument, NULL, 'a'},
                                            {"help", no_argument, NULL, 'h'},        {NULL, 0, NULL, 0}};
    int option, status = EXIT_DONE;
    opterr = 0;
    while (!status && (option = getopt_long(argc, argv, "+:h", options, NULL)) != -1) {
        switch (option) {
        case 'b':
            status = regex_take(bench, optarg);
            break;
        case 'n':
            status = number_take("--count", optarg, ROUNDS_MAX, &bench->rounds);
            break;
        case 't':
            status = number_take("--time", optarg, 10000, &bench->time_ms);
            break;
        case 'j':
            bench->json = true;
            break;
        case 'l':
            bench->list = true;
            break;
        case 'a':
            bench->no_advise = true;
            break;
        case 'h':
            *ret_help = true;
            return EXIT_DONE;
        case ':':
            return command_error("%s needs a value (see poolwise bench --help)", argv[optind - 1]);
        default:
            return command_error("unknown option %s (see poolwise bench --help)", argv[optind - 1]);
        }
    }
    if (!status && optind < argc)
        return command_error("bench takes no %s: it runs programs of its own (see poolwise bench --help)", argv[optind]);
    return status;
}

static void before(void *context, const struct plan_entry *entry, size_t done, size_t total)
{
    const struct bench *bench = context;
    command_progress(bench->globals, "%zu of %zu: %s", done + 1, total, entry->name);
}

static void after(void *context, const struct plan_entry *entry, const char *line)
{
    const struct bench *bench = context;
    if (bench->json)
        return;
    command_progress_done(bench->globals);
    output_line(stdout, entry, line);
}

static void left_out(void *context, const char *what, const char *why)
{
    const struct bench *bench = context;
    command_progress_done(bench->globals);
    command_error("%s is left out: %s", what, why);
}

static void advising(void *context, const char *group)
{
    const struct bench *bench = context;
    command_progress(bench->globals, "advising on %s", group);
}

static int measure(struct bench *bench, const struct plan_places *places, struct plan *plan)
{
    process_signals_catch(NULL);
    for (size_t i = 0; i < plan->peer_count; i++)
        if (!plan->peers[i].found && plan->peers[i].library && !bench->globals->quiet)
            command_error("%s is not installed (%s): left out", plan->peers[i].name, plan->peers[i].library);
    if (!bench->json)
        output_header(stdout);
    unsigned samples = bench->time_ms < SAMPLE_MS ? 1 : bench->time_ms / SAMPLE_MS;
    const struct measure_options options = {.rounds = bench->rounds, .samples = samples, .sample_ms = bench->time_ms / samples,
                                            .before = before, .after = after, .left_out = left_out, .context = bench};
    int status = measure_run(places, plan, &options);
    static struct article_case cases[ARTICLE_CASES];
    int case_count = 0;
    if (!status && !bench->no_advise)
        case_count = article_judge(places, plan, cases, advising, bench);
    command_progress_done(bench->globals);
    if (status == -ECANCELED || case_count == -ECANCELED)
        return command_error("interrupted");
    if (status)
        return command_error("%s", strerror(-status));
    const struct output output = {places, plan, cases, case_count, bench->rounds};
    if (bench->json)
        status = output_json(stdout, &output);
    else if (!bench->globals->quiet)
        output_table(stderr, &output);
    if (status || fflush(stdout))
        return command_error("standard output: %s", strerror(status ? -status : errno));
    size_t failed = 0;
    for (size_t i = 0; i < plan->count; i++)
        failed += plan->entries[i].failed;
    return failed == plan->count ? command_error("none of the benchmarks could be run") : EXIT_DONE;
}

int cmd_bench(const struct command_globals *globals, int argc, char **argv)
{
    struct bench bench = {.globals = globals, .rounds = ROUNDS_DEFAULT, .time_ms = SAMPLE_MS * SAMPLES_DEFAULT};
    struct plan_places places;
    struct plan plan = {0};
    char message[256] = "";
    bool wants_help = false;
    int status = options_take(&bench, argc, argv, &wants_help);
    if (!status && wants_help) {
        help(stdout);
    } else if (!status) {
        int found = plan_places_find(&places, message, sizeof message);
        if (found)
            status = command_error("%s", message[0] ? message : strerror(-found));
        else if (plan_make(&places, bench.has_only ? &bench.only : NULL, &plan))
            status = command_error("out of memory");
        else if (!plan.count)
            status = command_error("--bench matches none of the benchmarks (see poolwise bench --list)");
        else if (bench.list)
            for (size_t i = 0; i < plan.count; i++)
                printf("%s\n", plan.entries[i].name);
        else
            status = measure(&bench, &places, &plan);
    }
    plan_done(&plan);
    if (bench.has_only)
        regfree(&bench.only);
    return status;
}
