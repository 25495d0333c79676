/* SPDX-License-Identifier: MIT */
/* What a trial found, as a page for people and as a document. */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "try_runs.h"

struct try_result {
    const struct try_runs *runs;
    enum trial_metric metric;       /* that decides */
    bool higher_is_better;          /* TRIAL_CUSTOM: the number is a rate */
    const char *metric_name;        /* the command of --metric */
    const struct try_arm *together; /* all the chosen sites at once */
    const struct try_arm *small;    /* every small block, whatever its site; NULL: not tried */
    const struct try_arm *const *singles; /* one site each */
    size_t single_count;
    double win_share;         /* a saving below this is none */
    bool guessed;             /* the sites were found by the tool */
    const char *const *notes; /* NULL-terminated */
};

enum try_verdict { TRY_WINS, TRY_NO_GAIN, TRY_LOSES, TRY_BREAKS };

/* Of an arm against plain and control: it wins when it beats both, so neither noise of the one nor what the preload costs
 * passes for a saving. */
enum try_verdict try_verdict_of(const struct try_result *result, const struct try_arm *arm);
const char *try_verdict_name(enum try_verdict verdict, const struct candidate *site);

/* The saving against the plain program, or against the control; of the metric that decides. False: not measured. */
bool try_result_saving(const struct try_result *result, const struct try_arm *arm,
                       bool against_control, struct interval *ret_saving);

/* 0 or -errno of the stream. */
int try_report_text(const struct try_result *result, FILE *stream);
int try_report_json(const struct try_result *result, FILE *stream);

/* The verdict word that a site is tried under: "POOL", "SLAB", ... */
const char *try_rule_name(const struct candidate *site);
