/* SPDX-License-Identifier: MIT */
/* Advice, as a document in JSON, turned into sites that a trial can try. Prints nothing. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "trial.h"
#include "verdict.h"

struct candidate {
    char id[24];
    char *function, *place; /* place: "file:line", or the module */
    enum verdict_kind verdict;
    bool slab_hint, system;
    uint64_t allocations, live_peak, size_max, advised_bytes;
    double upper_bound,
        predicted; /* shares of the program's CPU time; predicted: from a replay, else what advise expects */
    double predicted_ci[2];
    bool replayed;
    struct trial_site site; /* how it is tried; call_count 0: it cannot be */
    bool as_slab;           /* tried for where its blocks lie */
};

struct candidates {
    struct candidate *sites; /* by allocations, most first */
    size_t count;
    double program_cpu_ns;
    uint64_t allocations;
    bool single_threaded; /* one process, one thread */
    double malloc_pair_ns, pool_pair_ns;
};

/* 0; or -errno with a line in message: the file cannot be read, or is no advice. */
int candidates_read(int fd, const char *name, struct candidates *ret_candidates, char *message,
                    size_t message_size);
void candidates_done(struct candidates *candidates);

/* NULL: there is none. `id` may be any beginning of an id that only one site has. */
struct candidate *candidates_find(const struct candidates *candidates, const char *id);

/* Sets how the site is tried: as its verdict says, or by a pool where the verdict is something else. */
void candidate_as_advised(struct candidate *candidate);
/* By the word of --as: pool, classes, slab, presize. 0 or -EINVAL. */
int candidate_as(struct candidate *candidate, const char *word);

/* Whether the advice is to change how its blocks are made, in a way that a trial can imitate. */
bool candidate_is_pooled(const struct candidate *candidate);
/* Whether where its blocks lie may matter: many small ones alive at once. */
bool candidate_is_slab(const struct candidate *candidate);
