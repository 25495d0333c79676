/* SPDX-License-Identifier: MIT */
/*
 * From events to a finished report: symbols and the analysis fed side by side, then names, prices and
 * verdicts per site. Used by every command that shows advice; prints nothing.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "join.h"
#include "report.h"
#include "trace.h"
#include "verdict.h"

struct advice;

struct advice_options {
    const char *const *wrappers; /* regular expressions; NULL-terminated, or NULL */
    const char *request;         /* function whose calls are requests; NULL: none */
    const struct join *join;     /* what the source says; NULL: nothing. Must outlive the advice */
};

/* 0; -EINVAL with *ret_message (caller frees) when a regular expression is bad; -ENOMEM. */
int advice_create(const struct advice_options *options, struct advice **ret_advice, char **ret_message);
void advice_destroy(struct advice *advice);

/* The sinks to feed, in this order. */
size_t advice_sinks(struct advice *advice, const struct trace_sink *const **ret_sinks);

/* After the last event. `command` (NULL-terminated; NULL: taken from the recording) and notes must outlive the report,
 * which belongs to advice. 0 or -errno. */
int advice_finish(struct advice *advice, const struct verdict_thresholds *thresholds, const char *const *command,
                  const char *const *notes, const struct report **ret_report);
