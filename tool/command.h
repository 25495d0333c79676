/* SPDX-License-Identifier: MIT */
/* What the commands share: global options, errors, the recording's own options and its progress line. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "record.h"

enum exit_code {
    EXIT_DONE = 0,
    EXIT_BREACH = 1,    /* a gate was breached, or a comparison failed its bound */
    EXIT_PROBLEM = 2,   /* usage, or a problem of ours */
    EXIT_TIMEOUT = 124, /* the traced program ran past --timeout */
};

struct command_globals {
    bool quiet;
    bool colour_out; /* colour on standard output */
};

/* argv[0] is the command's own name. They return the exit status. */
int cmd_advise(const struct command_globals *globals, int argc, char **argv);
int cmd_bench(const struct command_globals *globals, int argc, char **argv);
int cmd_escape(const struct command_globals *globals, int argc, char **argv);
int cmd_record(const struct command_globals *globals, int argc, char **argv);
int cmd_try(const struct command_globals *globals, int argc, char **argv);
int cmd_replay(const struct command_globals *globals, int argc, char **argv);

/* "poolwise: ..." on standard error; returns EXIT_PROBLEM. */
int command_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Options of every command that runs a program; the short ones are in COMMAND_RECORD_OPTIONS. */
enum command_option {
    COMMAND_OPTION_LOSSY = 1000,
    COMMAND_OPTION_CHILDREN,
    COMMAND_OPTION_STACK,
    COMMAND_OPTION_TIMEOUT,
    COMMAND_OPTION_PROPAGATE,
    COMMAND_OPTION_STATS,
    COMMAND_OPTION_ORACLE,
    COMMAND_OPTION_OWN, /* a command's own begin here */
};
#define COMMAND_RECORD_OPTIONS                                                                     \
    {"lossy", no_argument, NULL, COMMAND_OPTION_LOSSY},                                              \
        {"children", no_argument, NULL, COMMAND_OPTION_CHILDREN},                                    \
        {"stack", required_argument, NULL, COMMAND_OPTION_STACK},                                    \
        {"timeout", required_argument, NULL, COMMAND_OPTION_TIMEOUT},                                \
        {"propagate-exit", no_argument, NULL, COMMAND_OPTION_PROPAGATE},                             \
        {"stats", required_argument, NULL, COMMAND_OPTION_STATS},                                    \
        {"check-stacks", no_argument, NULL, COMMAND_OPTION_ORACLE}

struct command_recording {
    struct record_options options;
    bool propagate_exit;
    const char *stats_path; /* NULL: not wanted */
};

/* 1: it was one of COMMAND_RECORD_OPTIONS; 0: it is the command's own; -1: its value is bad, and that was said. */
int command_recording_option(struct command_recording *recording, int option, const char *value);

/* The help of those options, for usage texts. */
extern const char command_recording_help[];

/* Runs the program with a progress line on the terminal. 0 or -errno; what went wrong was said. */
int command_recording_run(const struct command_globals *globals, struct command_recording *recording,
                          const struct trace_sink *const *sinks, size_t sink_count, struct record_result *ret_result);

/* Writes --stats. `trace_bytes`: what was written to disk, 0 if nothing. EXIT_DONE or EXIT_PROBLEM, said. */
int command_recording_stats(const struct command_recording *recording, const struct record_result *result,
                            uint64_t trace_bytes);

/* The exit status after a recording that went well. */
int command_recording_exit(const struct command_recording *recording, const struct record_result *result);

/* A progress line on standard error, over itself; nothing when it is no terminal or quiet. */
void command_progress(const struct command_globals *globals, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void command_progress_done(const struct command_globals *globals);
