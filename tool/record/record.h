/* SPDX-License-Identifier: MIT */
/* Runs a command with the recorder in it and pushes what happens into sinks. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "trace.h"

struct record_progress {
    uint64_t events, elapsed_ns;
    bool main_ended; /* only other processes that the command started still run */
};

struct record_options {
    char *const *command; /* NULL-terminated */
    bool lossy, site, children;
    bool stdout_to_stderr; /* the program's standard output goes to standard error: ours is for a document */
    bool oracle;          /* tests: every stack compared with a full unwind */
    double timeout_s;     /* 0: none */
    /* About ten times a second; NULL: not wanted. */
    void (*progress)(void *context, const struct record_progress *progress);
    void *context;
};

struct record_result {
    int exit_status;      /* as from waitpid */
    bool timed_out, interrupted;
    uint64_t collector_cpu_ns, collector_peak_bytes;
    struct trace_end end;
    uint64_t implied_frees; /* frees in `end` that no call reported: of blocks whose address was given out again */
    uint64_t oracle_checked, oracle_wrong, oracle_truncated;
    char message[512];    /* on failure: one line that says what is wrong and the way out */
};

/* 0, or -errno with result->message: the command cannot be recorded or started, the channel cannot be made,
 * nothing was recorded (-ENODATA), or a sink failed. Forks; handles SIGINT, SIGTERM and SIGCHLD while it runs. */
int record_run(const struct record_options *options, const struct trace_sink *const *sinks, size_t sink_count,
               struct record_result *ret_result);
