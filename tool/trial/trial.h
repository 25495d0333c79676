/* SPDX-License-Identifier: MIT */
/*
 * A program's runs, with and without chosen sites served from pools, side by side.
 *
 * arm      one way of running the program: as it is, with the preloaded library and no site, with these sites, ...
 * round    one run of every arm, in an order that changes from round to round
 * sample   what one run took
 *
 * The room starts processes and reads clocks; it prints nothing and knows nothing of advice.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "bootstrap.h"
#include "plan.h"

struct trial_call {
    const char *module;      /* path as loaded */
    const uint8_t *build_id; /* of build_id_size bytes */
    size_t build_id_size;    /* 0: the path alone decides */
    uint64_t offset;         /* from the module's load bias */
};

struct trial_site {
    const struct trial_call
        *calls; /* return addresses, malloc's caller first; at most PLAN_DEPTH */
    size_t call_count;
    enum plan_rule rule;
    uint64_t bytes;
};

enum trial_metric {
    TRIAL_CPU,      /* seconds of the program and what it waited for */
    TRIAL_WALL,     /* seconds */
    TRIAL_RSS,      /* peak resident bytes */
    TRIAL_FAULTS,   /* minor */
    TRIAL_SWITCHES, /* voluntary */
    TRIAL_CUSTOM,   /* the number that --metric's command printed */
    TRIAL_METRICS,
};

struct trial_sample {
    double value[TRIAL_METRICS];
    int exit_status; /* as from waitpid */
    bool timed_out;
    uint64_t output_hash, output_bytes; /* of standard output */
    bool attached;                      /* the plan was found and followed, where there was one */
    uint64_t served, reused; /* blocks; counted where the main process ended in the usual way */
    bool full;               /* the addresses for pools could not be had: nothing was served */
    uint8_t site_state[PLAN_SITES]; /* enum plan_site_state of the arm's sites */
    uint8_t module_state
        [PLAN_SITES]; /* the worst enum plan_module_state of the modules of a site's calls */
    char errors[400]; /* the end of standard error */
};

struct trial_arm {
    bool preload;
    const struct trial_site *const *sites;
    size_t site_count;
    bool pass; /* its sites are looked up and served by the program's own allocator: the control */
    bool everything; /* all other sites too, by size class */
    uint64_t everything_bytes;
};

struct trial_command {
    char *const *argv;   /* NULL-terminated */
    const char *preload; /* path of libpoolwise-trial.so */
    int input; /* the program's standard input, read from its start for each run; -1: empty */
    const char
        *bench; /* shell command that puts load on the server that argv is; NULL: it is none */
    const char *
        metric; /* shell command: reads the program's (or bench's) standard output, prints a number; NULL: none */
    double timeout_s; /* of one run; 0: none */
    bool keep_output; /* of the first run: copied to standard output. Not used with bench */
};

/* Opens `input` of a command: a regular file is read anew by each run, a pipe is kept. -1 for a terminal. -errno. */
int trial_input(int from, int *ret_input);

/* Finds the preloaded library. 0 or -ENOENT with a line. */
int trial_preload_find(char *ret_path, size_t size, char *message, size_t message_size);

/* One run, on processor `cpu` alone unless that is TRIAL_ANY_CPU. 0; or -errno with a line in message: it could not be started, a server never accepted, the bench or the
 * metric failed. A program that fails is no error: see exit_status. -EINTR: interrupted by a signal. */
#define TRIAL_ANY_CPU (-1)
int trial_run(const struct trial_command *command, const struct trial_arm *arm, int cpu,
              struct trial_sample *ret_sample, char *message, size_t message_size);

/* Set by SIGINT or SIGTERM while runs go on: nothing more is started. */
void trial_catch_signals(void);
bool trial_interrupted(void);

/* `after` against `before`, pairwise: the relative saving (before - after) / before, with its interval. */
int trial_compare(const double *before, const double *after, size_t count,
                  struct interval *ret_saving);

/* The order of arms in a round: every arm in every place equally often. */
void trial_order(unsigned round, size_t arm_count, size_t *ret_order);
