/* SPDX-License-Identifier: MIT */
#include "command.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int command_error(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("poolwise: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    return EXIT_PROBLEM;
}

const char command_recording_help[] =
    "  --children           record the programs that it starts, too (forks always are)\n"
    "  --stack=full|site    whole stacks (default), or the calling address alone: cheaper, but blind to\n"
    "                       whether a block outlives its frame\n"
    "  --lossy              a thread whose ring is full drops events and counts them, instead of waiting\n"
    "  --timeout SECONDS    end the program when it has run that long (exit status 124)\n"
    "  --propagate-exit     exit as the program did\n"
    "  --stats FILE         write what the recording itself cost, as JSON\n";

int command_recording_option(struct command_recording *recording, int option, const char *value)
{
    struct record_options *options = &recording->options;
    char *end;
    switch (option) {
    case COMMAND_OPTION_LOSSY:
        options->lossy = true;
        return 1;
    case COMMAND_OPTION_CHILDREN:
        options->children = true;
        return 1;
    case COMMAND_OPTION_STACK:
        options->site = !strcmp(value, "site");
        if (options->site || !strcmp(value, "full"))
            return 1;
        command_error("--stack=%s: it is 'full' or 'site'", value);
        return -1;
    case COMMAND_OPTION_TIMEOUT:
        options->timeout_s = strtod(value, &end);
        if (end != value && !*end && options->timeout_s > 0 && isfinite(options->timeout_s))
            return 1;
        command_error("--timeout %s: it takes a number of seconds above 0", value);
        return -1;
    case COMMAND_OPTION_PROPAGATE:
        recording->propagate_exit = true;
        return 1;
    case COMMAND_OPTION_STATS:
        recording->stats_path = value;
        return 1;
    case COMMAND_OPTION_ORACLE:
        options->oracle = true;
        return 1;
    default:
        return 0;
    }
}

static bool progress_wanted(const struct command_globals *globals)
{
    return !globals->quiet && isatty(STDERR_FILENO);
}

void command_progress(const struct command_globals *globals, const char *format, ...)
{
    if (!progress_wanted(globals))
        return;
    va_list arguments;
    va_start(arguments, format);
    fputs("\r\033[K", stderr);
    vfprintf(stderr, format, arguments);
    fflush(stderr);
    va_end(arguments);
}

void command_progress_done(const struct command_globals *globals)
{
    if (progress_wanted(globals))
        fputs("\r\033[K", stderr);
}

static void show_progress(void *context, const struct record_progress *progress)
{
    const struct command_globals *globals = context;
    double seconds = (double)progress->elapsed_ns * 1e-9, events = (double)progress->events;
    command_progress(globals, "recording: %.1f M events, %.1f M/s, %.1f s%s", events * 1e-6,
                     seconds > 0 ? events * 1e-6 / seconds : 0, seconds,
                     progress->main_ended ? "; the program has ended, its children still run (^C stops)" : "");
}

int command_recording_run(const struct command_globals *globals, struct command_recording *recording,
                          const struct trace_sink *const *sinks, size_t sink_count, struct record_result *ret_result)
{
    recording->options.progress = show_progress;
    recording->options.context = (void *)(uintptr_t)globals;
    int status = record_run(&recording->options, sinks, sink_count, ret_result);
    command_progress_done(globals);
    if (status)
        command_error("%s", ret_result->message[0] ? ret_result->message : strerror(-status));
    if (recording->options.oracle)
        fprintf(stderr, "stacks checked: %llu, wrong: %llu, incomplete: %llu\n",
                (unsigned long long)ret_result->oracle_checked, (unsigned long long)ret_result->oracle_wrong,
                (unsigned long long)ret_result->oracle_truncated);
    return status;
}

int command_recording_stats(const struct command_recording *recording, const struct record_result *result,
                            uint64_t trace_bytes)
{
    if (!recording->stats_path)
        return EXIT_DONE;
    FILE *file = fopen(recording->stats_path, "we");
    if (!file)
        return command_error("%s: %s", recording->stats_path, strerror(errno));
    const struct trace_end *end = &result->end;
    fprintf(file,
            "{\"program_cpu_ns\": %llu, \"collector_cpu_ns\": %llu, \"collector_peak_bytes\": %llu, \"wall_ns\": %llu, "
            "\"events\": %llu, \"allocations\": %llu, \"frees\": %llu, \"reallocs\": %llu, \"unknown_frees\": %llu, "
            "\"dropped\": %llu, \"threads\": %u, \"processes\": %u, \"stack_hits\": %llu, \"recording_ns\": %llu, "
            "\"bytes\": %llu, \"stacks_checked\": %llu, \"stacks_wrong\": %llu, \"stacks_incomplete\": %llu}\n",
            (unsigned long long)end->cpu_ns, (unsigned long long)result->collector_cpu_ns,
            (unsigned long long)result->collector_peak_bytes, (unsigned long long)end->wall_ns,
            (unsigned long long)end->events, (unsigned long long)end->allocations, (unsigned long long)end->frees,
            (unsigned long long)end->reallocs, (unsigned long long)end->unknown_frees,
            (unsigned long long)end->dropped, end->threads, end->processes, (unsigned long long)end->stack_hits,
            (unsigned long long)end->recording_ns, (unsigned long long)trace_bytes,
            (unsigned long long)result->oracle_checked, (unsigned long long)result->oracle_wrong,
            (unsigned long long)result->oracle_truncated);
    int failed = ferror(file);
    if (fclose(file) || failed)
        return command_error("%s: %s", recording->stats_path, strerror(errno));
    return EXIT_DONE;
}

int command_recording_exit(const struct command_recording *recording, const struct record_result *result)
{
    if (result->timed_out)
        return EXIT_TIMEOUT;
    if (!recording->propagate_exit)
        return EXIT_DONE;
    if (WIFSIGNALED(result->exit_status))
        return 128 + WTERMSIG(result->exit_status);
    return WIFEXITED(result->exit_status) ? WEXITSTATUS(result->exit_status) : EXIT_DONE;
}
