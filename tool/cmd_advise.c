/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "advice.h"
#include "command.h"
#include "reader.h"

#define TOP_DEFAULT  12u
#define WRAPPERS_MAX 64
#define REPLAY_SECONDS 8.0

static void help(FILE *stream)
{
    fprintf(stream,
            "usage: poolwise advise [OPTION...] -- PROGRAM [ARGUMENT...]\n"
            "       poolwise advise [OPTION...] TRACE\n\n"
            "Runs an unmodified program, records its allocations, and says for each place that allocates\n"
            "whether a pool would pay, or what would do better, with the number that decided.\n"
            "The program's own output goes where it always goes; the advice comes after it.\n\n"
            "  --json               one JSON document instead of text; what the program writes to standard output\n"
            "                       then goes to standard error\n"
            "  -o FILE              the advice into a file, as text or, when it ends in .json, as JSON\n"
            "  --top N              sites to show in the text (default %u)\n"
            "  --wrapper REGEX      functions whose whole name matches only pass allocations on: judge their\n"
            "                       callers instead (many are known already; may be given more than once)\n"
            "  --request FUNCTION   each call of it is a request: count what outlives its own\n"
            "  --static PATH        what the source says beside it: output of poolwise escape --json, or a folder with\n"
            "                       compile_commands.json or bitcode\n"
            "  --replay-seconds S   how long the costliest sites are replayed against malloc and what would replace it\n"
            "                       (default %g; more gives narrower intervals)\n"
            "  --no-replay          judge by calibrated prices alone: estimates, not measured\n"
            "  --thresholds         print every limit of the judgement and what it means\n"
            "  --threshold N=V      set one of them; may be given more than once\n%s\n"
            "How to read a verdict: docs/how-to-read-a-verdict.md\n",
            TOP_DEFAULT, REPLAY_SECONDS, command_recording_help);
}

struct advise {
    struct command_recording recording;
    const struct command_globals *globals;
    bool json, show_thresholds, no_replay;
    double replay_seconds;
    unsigned top;
    const char *request, *output, *source;
    struct join *join; /* what the source says; NULL: it was not asked */
    FILE *stream; /* the report's */
    const char *wrappers[WRAPPERS_MAX + 1];
    int wrapper_count;
    struct verdict_thresholds *thresholds;
};

static int threshold_set(struct advise *advise, const char *assignment)
{
    switch (verdict_thresholds_set(advise->thresholds, assignment)) {
    case 0:
        return 0;
    case -ENOENT:
        return command_error("--threshold %s: there is no threshold of that name (see --thresholds)", assignment);
    case -ERANGE:
        return command_error("--threshold %s: out of range (see --thresholds)", assignment);
    default:
        return command_error("--threshold %s: it takes NAME=NUMBER (see --thresholds)", assignment);
    }
}

static int option_take(struct advise *advise, int option, char **argv)
{
    enum { OWN = COMMAND_OPTION_OWN };
    char *end;
    switch (option) {
    case OWN:
        advise->json = true;
        return 0;
    case OWN + 1:
        advise->top = (unsigned)strtoul(optarg, &end, 10);
        if (end == optarg || *end || *optarg == '-')
            return command_error("--top %s: it takes a number of sites", optarg);
        return 0;
    case OWN + 2:
        if (advise->wrapper_count == WRAPPERS_MAX)
            return command_error("more than %d --wrapper: join them with |", WRAPPERS_MAX);
        advise->wrappers[advise->wrapper_count++] = optarg;
        return 0;
    case OWN + 3:
        advise->request = optarg;
        return 0;
    case OWN + 4:
        advise->no_replay = true;
        return 0;
    case OWN + 5:
        advise->show_thresholds = true;
        return 0;
    case OWN + 6:
        return threshold_set(advise, optarg);
    case OWN + 7:
        advise->source = optarg;
        return 0;
    case OWN + 8:
        advise->replay_seconds = strtod(optarg, &end);
        if (end == optarg || *end || !(advise->replay_seconds > 0 && advise->replay_seconds <= 3600))
            return command_error("--replay-seconds %s: it takes a number of seconds above 0, at most 3600", optarg);
        return 0;
    case 'o':
        advise->output = optarg;
        return 0;
    case ':':
        return command_error("%s needs a value (see poolwise advise --help)", argv[optind - 1]);
    default:
        return command_error("unknown option %s (see poolwise advise --help)", argv[optind - 1]);
    }
}

static void thresholds_print(const struct verdict_thresholds *thresholds)
{
    const struct verdict_threshold *table;
    size_t count = verdict_thresholds_list(thresholds, &table);
    for (size_t i = 0; i < count; i++)
        printf("%-24s %10g %-6s %s%s\n", table[i].name, table[i].value, table[i].unit, table[i].meaning,
               table[i].value != table[i].preset ? " (set here)" : "");
}

static unsigned terminal_width(void)
{
    const char *columns = getenv("COLUMNS");
    struct winsize size;
    if (columns && atoi(columns) > 20)
        return (unsigned)atoi(columns);
    if (isatty(STDOUT_FILENO) && !ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_col > 20)
        return size.ws_col;
    return 100;
}

static int report_print(const struct advise *advise, const struct report *report)
{
    const struct report_style style = {terminal_width(), advise->globals->colour_out && !advise->output, advise->top};
    const char *name = advise->output ? advise->output : "standard output";
    FILE *stream = advise->stream;
    int status = advise->json ? report_json(report, stream) : report_text(report, &style, stream);
    if (!status && fflush(stream))
        status = -errno;
    if (status == -EPIPE)
        return EXIT_PROBLEM; /* whoever reads has read enough, and needs no words */
    return status ? command_error("%s: %s", name, strerror(-status)) : EXIT_DONE;
}

static uint64_t own_cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* --stats of a trace: what reading and analysing it took; names, prices and verdicts are not in it. */
static int trace_stats(const struct advise *advise, uint64_t events, uint64_t cpu_ns)
{
    if (!advise->recording.stats_path)
        return EXIT_DONE;
    FILE *file = fopen(advise->recording.stats_path, "we");
    if (file)
        fprintf(file, "{\"events\": %" PRIu64 ", \"analysis_cpu_ns\": %" PRIu64 "}\n", events, cpu_ns);
    if (!file || fclose(file))
        return command_error("%s: %s", advise->recording.stats_path, strerror(errno));
    return EXIT_DONE;
}

static void replay_progress(void *context, double part)
{
    command_progress(context, "replaying: %.0f %%", part > 1 ? 100 : part * 100);
}

static int judge(const struct advise *advise, struct advice *advice, const char *const *command, const char *const *notes)
{
    const struct report *report;
    command_progress(advise->globals, "judging");
    const struct advice_replay replay = {.seconds = advise->replay_seconds,
                                         .progress = replay_progress,
                                         .context = (void *)(uintptr_t)advise->globals};
    int status = advice_finish(advice, advise->thresholds, advise->no_replay ? NULL : &replay, command, notes, &report);
    command_progress_done(advise->globals);
    if (status)
        return command_error("the analysis failed: %s", strerror(-status));
    return report_print(advise, report);
}

static int advise_program(struct advise *advise, struct advice *advice, char **command)
{
    const struct trace_sink *const *sinks;
    size_t sink_count = advice_sinks(advice, &sinks);
    struct record_result result;
    advise->recording.options.command = command;
    advise->recording.options.stdout_to_stderr = advise->json && !advise->output;
    if (command_recording_run(advise->globals, &advise->recording, sinks, sink_count, &result))
        return EXIT_PROBLEM;
    if (!result.end.events)
        return command_error("%s allocated nothing: there is nothing to judge (if it starts other programs, try --children)",
                             command[0]);
    char ended[96] = "";
    const char *notes[3] = {NULL};
    if (result.timed_out)
        snprintf(ended, sizeof ended, "The program was ended at its time limit; this is what it did until then.");
    else if (result.interrupted)
        snprintf(ended, sizeof ended, "The recording was interrupted; this is what the program did until then.");
    else if (WIFSIGNALED(result.exit_status))
        snprintf(ended, sizeof ended, "The program was killed by signal %d (%s).", WTERMSIG(result.exit_status),
                 strsignal(WTERMSIG(result.exit_status)));
    else if (WEXITSTATUS(result.exit_status))
        snprintf(ended, sizeof ended, "The program ended with status %d.", WEXITSTATUS(result.exit_status));
    if (ended[0])
        notes[0] = ended;
    int status = judge(advise, advice, (const char *const *)command, notes);
    if (!status)
        status = command_recording_stats(&advise->recording, &result, 0);
    return status ? status : command_recording_exit(&advise->recording, &result);
}

static int advise_trace(struct advise *advise, struct advice *advice, const char *path)
{
    const struct trace_sink *const *sinks;
    size_t sink_count = advice_sinks(advice, &sinks);
    struct reader_result result;
    command_progress(advise->globals, "reading %s", path);
    uint64_t begin_ns = own_cpu_ns();
    int status = reader_read(path, 0, UINT64_MAX, sinks, sink_count, &result);
    command_progress_done(advise->globals);
    if (status)
        return command_error("%s", result.message);
    if (!result.events)
        return command_error("%s holds no events%s%s", path, result.message[0] ? ": " : "", result.message);
    uint64_t cpu_ns = own_cpu_ns() - begin_ns;
    const char *notes[2] = {result.message[0] ? result.message : NULL, NULL};
    status = judge(advise, advice, NULL, notes);
    return status ? status : trace_stats(advise, result.events, cpu_ns);
}

int cmd_advise(const struct command_globals *globals, int argc, char **argv)
{
    static const struct option options[] = {
        COMMAND_RECORD_OPTIONS,
        {"json", no_argument, NULL, COMMAND_OPTION_OWN},
        {"top", required_argument, NULL, COMMAND_OPTION_OWN + 1},
        {"wrapper", required_argument, NULL, COMMAND_OPTION_OWN + 2},
        {"request", required_argument, NULL, COMMAND_OPTION_OWN + 3},
        {"no-replay", no_argument, NULL, COMMAND_OPTION_OWN + 4},
        {"thresholds", no_argument, NULL, COMMAND_OPTION_OWN + 5},
        {"threshold", required_argument, NULL, COMMAND_OPTION_OWN + 6},
        {"static", required_argument, NULL, COMMAND_OPTION_OWN + 7},
        {"replay-seconds", required_argument, NULL, COMMAND_OPTION_OWN + 8},
        {"output", required_argument, NULL, 'o'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0}};
    struct advise advise = {.globals = globals, .top = TOP_DEFAULT, .replay_seconds = REPLAY_SECONDS,
                            .thresholds = verdict_thresholds_create()};
    if (!advise.thresholds)
        return command_error("out of memory");
    int status = 0, option;
    opterr = 0;
    while (!status && (option = getopt_long(argc, argv, "+:ho:", options, NULL)) != -1) {
        if (option == 'h') {
            help(stdout);
            verdict_thresholds_destroy(advise.thresholds);
            return EXIT_DONE;
        }
        int taken = command_recording_option(&advise.recording, option, optarg);
        if (taken <= 0)
            status = taken < 0 ? EXIT_PROBLEM : option_take(&advise, option, argv);
    }
    size_t length = advise.output ? strlen(advise.output) : 0;
    advise.json |= length > 5 && !strcmp(advise.output + length - 5, ".json");
    bool program = optind > 1 && !strcmp(argv[optind - 1], "--");
    struct advice *advice = NULL;
    char reason[2048];
    if (!status && advise.show_thresholds) {
        thresholds_print(advise.thresholds);
    } else if (!status && optind == argc) {
        status = command_error("which program? poolwise advise [OPTION...] -- PROGRAM [ARGUMENT...], or a trace");
    } else if (!status && !program && optind + 1 < argc) {
        status = command_error("one trace, please; a program comes after --: poolwise advise -- %s ...", argv[optind]);
    } else if (!status && !(advise.stream = advise.output ? fopen(advise.output, "we") : stdout)) {
        /* Before the program runs: its minutes are not to be lost for a misspelt name. */
        status = command_error("%s: %s", advise.output, strerror(errno));
    } else if (!status && advise.source && join_open(advise.source, &advise.join, reason, sizeof reason)) {
        status = command_error("%s", reason);
    } else if (!status) {
        const struct advice_options wanted = {advise.wrappers, advise.request, advise.join, !advise.no_replay};
        char *message = NULL;
        int failed = advice_create(&wanted, &advice, &message);
        if (failed)
            status = command_error("%s", message ? message : strerror(-failed));
        else if (program)
            status = advise_program(&advise, advice, argv + optind);
        else
            status = advise_trace(&advise, advice, argv[optind]);
        free(message);
    }
    advice_destroy(advice);
    join_close(advise.join);
    verdict_thresholds_destroy(advise.thresholds);
    if (advise.output && advise.stream && fclose(advise.stream) && !status)
        status = command_error("%s: %s", advise.output, strerror(errno));
    return status;
}
