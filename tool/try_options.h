/* SPDX-License-Identifier: MIT */
/* What poolwise try is asked for. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "trial.h"

#define TRY_SITES_MOST    256u
#define TRY_WRAPPERS_MOST 16u

struct try_options {
    const char *site_words[TRY_SITES_MOST]; /* ids of --site */
    size_t site_word_count;
    const char *as, *from, *output; /* NULL: not given */
    const char *wrapper[TRY_WRAPPERS_MOST];
    size_t wrapper_count;
    bool all, json, higher, help;
    uint64_t all_bytes;
    double require_pct;           /* negative: not asked for */
    double time_s;                /* 0: not given */
    unsigned rounds;              /* 0: by time */
    double within_pct;            /* 0: not given */
    struct trial_command command; /* argv, bench, metric and timeout_s of it; no input */
};

void try_options_help(FILE *stream);

/* Reads the words, which the options go on pointing to. 0, also when help is wanted; or an exit status: what is wrong
 * was said. */
int try_options_take(int argc, char **argv, struct try_options *ret_options);
