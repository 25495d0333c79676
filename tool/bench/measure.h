/* SPDX-License-Identifier: MIT */
/* Runs the entries of a plan: Go's binary is built first, then rounds in alternating order. */
#pragma once

#include "plan.h"

struct measure_options {
    unsigned rounds;
    unsigned sample_ms, samples; /* of a worker's run */
    /* Called before each run, and after it with its line. Either may be NULL. */
    void (*before)(void *context, const struct plan_entry *entry, size_t done, size_t total);
    void (*after)(void *context, const struct plan_entry *entry, const char *line);
    void (*left_out)(void *context, const char *what, const char *why);
    void *context;
};

/* Entries that fail are marked, reported by left_out, and not tried again. 0, -ECANCELED, -ENOMEM. */
int measure_run(const struct plan_places *places, struct plan *plan,
                const struct measure_options *options);
