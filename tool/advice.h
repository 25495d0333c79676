/* SPDX-License-Identifier: MIT */
/*
 * From events to a finished report: symbols and the analysis fed side by side, then names, prices and
 * verdicts per site. Used by every command that shows advice; prints nothing.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "join.h"
#include "appraise.h"
#include "report.h"
#include "trace.h"
#include "verdict.h"

struct advice;

struct advice_options {
    const char *const *wrappers; /* regular expressions; NULL-terminated, or NULL */
    const char *request;         /* function whose calls are requests; NULL: none */
    const struct join *join;     /* what the source says; NULL: nothing. Must outlive the advice */
    bool replay;                 /* keep what a replay needs: without it there is none */
};

/* How the candidates are measured. */
struct advice_replay {
    double seconds;
    bool all;              /* every backend there is, instead of those that verdicts need; and without candidates, too */
    bool quick;            /* with all: only those that verdicts need */
    const char *const *sites; /* ids, NULL-terminated: measure these instead of the candidates, and nothing if one of
                                 them is not there; NULL: the candidates */
    void (*progress)(void *context, double part);
    void *context;
};

/* 0; -EINVAL with *ret_message (caller frees) when a regular expression is bad; -ENOMEM. */
int advice_create(const struct advice_options *options, struct advice **ret_advice, char **ret_message);
void advice_destroy(struct advice *advice);

/* The sinks to feed, in this order. */
size_t advice_sinks(struct advice *advice, const struct trace_sink *const **ret_sinks);

/* After the last event. `replay`: NULL, or with advice_options.replay: measure before judging; what came of it is in
 * advice_measured, and when nothing did, a note says why. `command` (NULL-terminated; NULL: taken from the recording) and notes must outlive the report,
 * which belongs to advice. 0 or -errno. */
int advice_finish(struct advice *advice, const struct verdict_thresholds *thresholds, const struct advice_replay *replay,
                  const char *const *command, const char *const *notes, const struct report **ret_report);

/* After advice_finish: the measurements, and the places of the measured sites in report.sites, in the order of the
 * result's places. NULL: nothing was measured. */
const struct appraisal *advice_measured(const struct advice *advice, const size_t **ret_sites, size_t *ret_count);
