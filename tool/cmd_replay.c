/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "advice.h"
#include "command.h"
#include "figures.h"
#include "reader.h"
#include "what_if.h"

#define SECONDS   10.0
#define SITES_MAX APPRAISE_SITES

static void help(FILE *stream)
{
    fprintf(stream,
            "usage: poolwise replay [OPTION...] TRACE\n\n"
            "Replays a recording, with its sizes, threads and order, against libc's malloc, the other allocators\n"
            "that are installed, a pool as it would be advised, and what may be simpler; and prints for each of the\n"
            "costliest sites what one block costs by each of them, with the interval of what that saves.\n\n"
            "  --site ID          only this site, as advise names it; may be given more than once\n"
            "  --seconds S        how long to measure (default %g; more gives narrower intervals)\n"
            "  --wrapper REGEX    as for advise, so that sites are the same\n"
            "  --quick            malloc, the pool and what is simpler alone: more repetitions in the same time\n"
            "  --json             one JSON document instead of text\n",
            SECONDS);
}

struct replay_command {
    const struct command_globals *globals;
    double seconds;
    bool json, quick;
    const char *sites[SITES_MAX + 1], *wrappers[SITES_MAX + 1];
    int site_count, wrapper_count;
};

static void show_progress(void *context, double part)
{
    command_progress(context, "replaying: %.0f %%", part > 1 ? 100 : part * 100);
}

static int option_take(struct replay_command *command, int option, char **argv)
{
    char *end;
    switch (option) {
    case 's':
        if (command->site_count == SITES_MAX)
            return command_error("more than %d --site: replay them in two runs", (int)SITES_MAX);
        command->sites[command->site_count++] = optarg;
        return 0;
    case 'w':
        if (command->wrapper_count == SITES_MAX)
            return command_error("more than %d --wrapper: join them with |", (int)SITES_MAX);
        command->wrappers[command->wrapper_count++] = optarg;
        return 0;
    case 't':
        command->seconds = strtod(optarg, &end);
        if (end == optarg || *end || !(command->seconds > 0 && command->seconds <= 3600))
            return command_error("--seconds %s: it takes a number of seconds above 0, at most 3600", optarg);
        return 0;
    case 'q':
        command->quick = true;
        return 0;
    case 'j':
        command->json = true;
        return 0;
    case ':':
        return command_error("%s needs a value (see poolwise replay --help)", argv[optind - 1]);
    default:
        return command_error("unknown option %s (see poolwise replay --help)", argv[optind - 1]);
    }
}

/* Every site that was asked for has to be there. */
static int sites_check(const struct replay_command *command, const struct report *report)
{
    for (int i = 0; i < command->site_count; i++) {
        bool found = false;
        for (size_t k = 0; k < report->site_count; k++)
            found |= !strcmp(command->sites[i], report->sites[k].id);
        if (!found)
            return command_error("--site %s: the recording has no such site (advise prints the Id of each)",
                                 command->sites[i]);
    }
    return 0;
}

static int print(const struct replay_command *command, const struct advice *advice, const struct report *report)
{
    struct what_if table = {.report = report};
    table.measure = advice_measured(advice, &table.sites, &table.site_count);
    int status = sites_check(command, report);
    if (status)
        return status;
    if (!table.measure)
        return command_error("%s", report->notes[0] ? report->notes[0] : "there is no site to replay");
    status = command->json ? what_if_json(&table, stdout) : what_if_text(&table, stdout);
    if (status == -EPIPE)
        return EXIT_PROBLEM;
    return status ? command_error("standard output: %s", strerror(-status)) : EXIT_DONE;
}

static int replay_trace(const struct replay_command *command, const char *path)
{
    const struct advice_options wanted = {.wrappers = command->wrappers, .replay = true};
    struct verdict_thresholds *thresholds = verdict_thresholds_create();
    struct advice *advice = NULL;
    char *message = NULL;
    int status = thresholds ? advice_create(&wanted, &advice, &message) : -ENOMEM;
    if (status) {
        status = command_error("%s", message ? message : strerror(-status));
        free(message);
        verdict_thresholds_destroy(thresholds);
        return status;
    }
    const struct trace_sink *const *sinks;
    size_t sink_count = advice_sinks(advice, &sinks);
    struct reader_result result;
    command_progress(command->globals, "reading %s", path);
    status = reader_read(path, 0, UINT64_MAX, sinks, sink_count, &result);
    command_progress_done(command->globals);
    if (status) {
        status = command_error("%s", result.message);
    } else if (!result.events) {
        status = command_error("%s holds no events%s%s", path, result.message[0] ? ": " : "", result.message);
    } else {
        const char *notes[2] = {result.message[0] ? result.message : NULL, NULL};
        const struct advice_replay how = {.seconds = command->seconds, .all = true, .quick = command->quick,
                                          .sites = command->site_count ? command->sites : NULL,
                                          .progress = show_progress,
                                          .context = (void *)(uintptr_t)command->globals};
        const struct report *report;
        status = advice_finish(advice, thresholds, &how, NULL, notes, &report);
        command_progress_done(command->globals);
        status = status ? command_error("the analysis failed: %s", strerror(-status)) : print(command, advice, report);
    }
    advice_destroy(advice);
    verdict_thresholds_destroy(thresholds);
    return status;
}

int cmd_replay(const struct command_globals *globals, int argc, char **argv)
{
    static const struct option options[] = {{"site", required_argument, NULL, 's'},
                                            {"seconds", required_argument, NULL, 't'},
                                            {"replay-seconds", required_argument, NULL, 't'},
                                            {"wrapper", required_argument, NULL, 'w'},
                                            {"quick", no_argument, NULL, 'q'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    struct replay_command command = {.globals = globals, .seconds = SECONDS};
    int option;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
        if (option == 'h') {
            help(stdout);
            return EXIT_DONE;
        }
        int status = option_take(&command, option, argv);
        if (status)
            return status;
    }
    if (optind == argc)
        return command_error("which trace? poolwise replay [OPTION...] TRACE (poolwise record makes one)");
    if (optind + 1 < argc)
        return command_error("one trace, please (%s is the second); a program is recorded first: poolwise record -- ...",
                             argv[optind + 1]);
    return replay_trace(&command, argv[optind]);
}
