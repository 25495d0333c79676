/* SPDX-License-Identifier: MIT */
/* All runs of one `poolwise try`: rounds over its arms until there are enough, and what came of them. Prints nothing. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "candidates.h"
#include "trial.h"

#define TRY_ROUNDS_LEAST  5u
#define TRY_ROUNDS_FEWEST 3u /* where even five take longer than there is time for */
#define TRY_ROUNDS_MOST   200u
#define TRY_ROUNDS_WITHIN 10u /* from which an interval is believed that it is narrow enough */

enum try_outcome {
    TRY_SAME,      /* as the plain program */
    TRY_OUTPUT,    /* other standard output */
    TRY_STATUS,    /* another exit status, or killed by a signal */
    TRY_TIMED_OUT, /* ran past the limit, where the plain program did not */
};

struct try_arm {
    size_t control;   /* number of the arm that does all that this one does but serve blocks */
    const char *name; /* "plain", "control", "pooled", or a site's id */
    struct trial_arm arm;
    struct candidate **sites; /* of arm.sites, in that order */
    const struct trial_site **trial_sites;
    size_t every;                  /* it runs in one round of so many, the first among them */
    double *values[TRIAL_METRICS]; /* one a round; NAN of those that it did not run in */
    size_t rounds;                 /* of these */
    enum try_outcome outcome; /* the first that was not TRY_SAME; such an arm is not run again */
    struct trial_sample last;
};

struct try_runs {
    const struct trial_command *command;
    struct try_arm *arms; /* arms[0] is plain, arms[1] the control of most */
    size_t arm_count, arm_room;
    unsigned rounds_wanted; /* 0: by time */
    /* The program has one thread: all runs of a round are on one processor, those of the next one on another. Processors
     * that share a core with somebody else's work differ by more than most pools save. */
    bool one_cpu;
    double budget_s;
    double within; /* 0: no; else it is enough when the intervals of what is saved reach so far to either side at most */
    enum trial_metric metric; /* of those savings */
    /* Before each run; NULL: not wanted. `left_s`: an estimate. */
    void (*progress)(void *context, const struct try_runs *runs, const char *arm, size_t round,
                     double left_s);
    void *context;
    /* Found out: */
    struct trial_sample first; /* of the plain program */
    bool output_varies;        /* from run to run of the plain program: then it is not compared */
    size_t rounds;
    double elapsed_s;
    char message[600];
};

/* Adds an arm. `sites` is copied. NULL: no memory. */
struct try_arm *try_arm_add(struct try_runs *runs, const char *name, bool preload,
                            struct candidate *const *sites, size_t site_count);
void try_runs_done(struct try_runs *runs);

/* The plain program once, which is not counted: it warms caches up, and says what a run is like. Before the rest. As below. */
int try_runs_first(struct try_runs *runs);

/* 0; or -errno with a line in message. -EINTR: interrupted; what was measured until then counts. */
int try_runs_measure(struct try_runs *runs);

/* The site alone with which the arm's outcome appears, or NULL: it takes several, or it does not come again. */
struct candidate *try_runs_bisect(struct try_runs *runs, const struct try_arm *arm);

/* The saving of `after` against `before` over the rounds in which both ran. False: there are none. */
bool try_saving(const struct try_arm *before, const struct try_arm *after, enum trial_metric metric,
                struct interval *ret_saving);

/* What became of a site in the arm's last run, in words, when it was not served; NULL: it was. */
const char *try_site_problem(const struct try_arm *arm, size_t site);
