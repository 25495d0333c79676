/* SPDX-License-Identifier: MIT */
/* Programs that measure: started with a preload, their output read, ended when they hang. */
#pragma once

#include <stddef.h>

#define LAUNCH_METRICS 16
#define LAUNCH_UNIT    32

/* One line of benchmark output: "N  value unit  value unit ...". */
struct launch_line {
    double iterations;
    size_t count;
    double values[LAUNCH_METRICS];
    char units[LAUNCH_METRICS][LAUNCH_UNIT];
};

struct launch {
    char *const *command; /* NULL-terminated; [0] is looked up in PATH */
    const char *preload;  /* before what LD_PRELOAD holds; NULL: nothing is preloaded at all */
    const char *folder;   /* to run in; NULL: here */
    const char *const *environment; /* "NAME=VALUE", added; NULL: none */
    unsigned timeout_s;
};

/*
 * Runs the command and keeps its standard output in *ret_output (the caller's to free), its first
 * line of standard error in `message`. 0; -ECANCELED: process_interrupted; -ETIMEDOUT; -ECHILD: it
 * failed, or could not be started.
 */
int launch_run(const struct launch *launch, char **ret_output, char *message, size_t message_size);

/* Parses the rest of a benchmark's line; -EINVAL when it is none. */
int launch_parse(const char *text, struct launch_line *ret_line);
