/* SPDX-License-Identifier: MIT */
/* The rungs, in order. docs/how-to-read-a-verdict.md describes them to users. */
#pragma once

#include <stdio.h>

#include "weigh.h"

struct decision {
    enum verdict_kind kind;
    uint64_t bytes;  /* as verdict.bytes */
    double saved_ns; /* over the whole run, by what is advised */
    unsigned level;  /* HOIST: 0 the site's own function holds the loop, 1 its caller does */
};

/* Stops at the first rung that decides, and writes its reason, one line without a newline. */
struct decision ladder_climb(const struct verdict_thresholds *thresholds, const struct weighed *w,
                             double cpu_ns, FILE *reason);

/* A name as it may stand in one line of text or in a C comment: no control characters, no end of a
 * comment, cut in the middle beyond 60 bytes. NULL is written as "?". */
void say_name(FILE *stream, const char *name);

/* The paragraph: one line for each rung with its number. */
void evidence_write(const struct verdict_thresholds *thresholds, const struct weighed *w,
                    const struct decision *decision, double cpu_ns, FILE *stream);

/* Paste-ready C; writes nothing when the verdict asks for none. */
void snippet_write(const struct weighed *w, const struct decision *decision, const char *reason,
                   double cpu_ns, FILE *stream);
