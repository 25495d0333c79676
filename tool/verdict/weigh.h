/* SPDX-License-Identifier: MIT */
/*
 * A site's facts boiled down to the numbers that the rungs compare: shares, costs, ranks. All
 * finite.
 */
#pragma once

#include "thresholds.h"

struct weighed {
    const struct verdict_input *input;
    const struct analyse_site *facts;

    double malloc_ns, pool_pair_ns; /* of input->cost; 0 when that is not a positive number */
    double growth_ns;  /* its growth steps, and what they copy; measured: part of malloc_ns */
    double cost_ns;    /* all its pairs at the price of malloc+free, and growth_ns */
    double others_ns;  /* saved by a pool at other sites' blocks; 0: unknown, or none */
    double saved_ci95[2]; /* by a pool at all blocks, as input->cost has it of its own; measured only */
    double simpler_ns; /* saved by what input->cost.simpler is; 0: not measured */
    struct verdict_pool pool; /* how a pool would have to be set up */
    double share;             /* of the program's CPU time; 0 when that is unknown */
    size_t best_rank;         /* the better of its places by allocations and by cost_ns; 0: first */

    uint64_t placed;    /* blocks whose end is known: which frame, another thread, or never */
    bool frames_known;  /* enough of them to decide by */
    double in_frame;    /* share of `placed` that died in the frame that made them */
    double in_caller;   /* there, or in its caller */
    double never_freed; /* share of all blocks */
    double cross_thread;

    uint64_t largest; /* bytes, growth included */
    double outlier;   /* largest block at allocation / top of the densest window */
    bool one_size;
    bool wide;       /* a plain pool would be inflated by its largest items */
    uint64_t cap;    /* bytes; a power of two that covers nearly all */
    bool cap_covers; /* p99 is within it, and it is no larger than a pool should keep */

    bool grows;
    double grow_share, grow_steps;
    bool retained;
    double life; /* median lifetime as a share of the run; 0: unknown */

    bool hides_callers; /* looks like a wrapper that was not recognised */

    bool bursts;        /* candidate for an arena */
    size_t arena_sites; /* sites like it, this one among them, whose blocks die under the same
                           function */

    double hit_rate;   /* expected of a pool */
    double pool_ns;    /* saved by a pool over the whole run; negative: lost */
    double pool_share; /* of the program's CPU time; 0 when that is unknown */
    bool pool_cheap;   /* by so much that the replay's own error does not decide */
    bool pool_wins;
    bool slab_hint;
};

/* Fills `count` entries of ret_weighed. 0 or -ENOMEM. */
int weigh(const struct verdict_thresholds *thresholds, const struct verdict_input *inputs,
          size_t count, const struct analyse_totals *totals, uint64_t program_cpu_ns,
          struct weighed *ret_weighed);

/* part / whole; 0 when the whole is 0. */
double share_of(double part, double whole);
/* A whole number that is safe to show, whatever the real one. */
uint64_t count_of(double value);
/* The power of two that is at least `bytes`; at least 16. */
uint64_t round_to_class(uint64_t bytes);
/* Blocks of one size get items of that size; others the size class that holds all, or nearly all. */
uint64_t pool_item_bytes(const struct weighed *w);
