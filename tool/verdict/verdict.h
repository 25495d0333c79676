/* SPDX-License-Identifier: MIT */
/*
 * Facts, and measurements where there are any, to a verdict: the ladder. Pure: no files, no clock,
 * no printing. The ladder is described in docs/how-to-read-a-verdict.md, rung by rung.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "analyse.h"

enum verdict_kind {
    VERDICT_STACK,   /* never outlives its frame, small and bounded: a local variable */
    VERDICT_TAIL,    /* too few, or too little CPU time: leave it */
    VERDICT_CAP,     /* poolable, but rare outliers would inflate a pool: drop items above a size */
    VERDICT_CLASSES, /* poolable, by size classes */
    VERDICT_PRESIZE, /* grows by realloc: ask for the final size at once */
    VERDICT_HOIST,   /* made and freed once per iteration: one block outside the loop does */
    VERDICT_ARENA,   /* many blocks die together: free them together */
    VERDICT_SLAB,    /* many small ones alive at once: packing may pay; only a trial can tell */
    VERDICT_RETAINED, /* lives long or to the end: state, not material for reuse */
    VERDICT_POOL,     /* a pool wins */
    VERDICT_LOSES,    /* measured: a pool does not win */
    VERDICT_COUNT,
};

const char *verdict_name(enum verdict_kind kind);    /* "POOL" */
const char *verdict_meaning(enum verdict_kind kind); /* one sentence */

/* Cost of one malloc+free pair and of one pool get+put pair of about this size on this machine. The
 * estimate comes from replay's calibration; a replay of the site's own events replaces it. */
struct verdict_cost {
    /* Measured: of a whole block, the steps by which it grows included. Estimated: without them. */
    double malloc_pair_ns, pool_pair_ns;
    bool measured;        /* false: an estimate from the machine's calibration, and labelled so */
    double saved_ci95[2]; /* share of the program's CPU time, ns a block when that is unknown; only when measured */
    /* What the pool saves at other sites' blocks, as the heap has less to do. ns over the run, and share of the program's CPU
     * time. Of several pools it is not the sum. 0: not measured, or not to be told from 0. */
    double others_ns, others_ci95[2];
    double page_ns;       /* the first touch of a page of new memory; 0: memory counts as free */
    double grow_step_ns;  /* estimated: of one step, at the sizes that it grows through; 0: as a pair */
    /* What would do without a pool, if that was replayed as well. */
    struct {
        bool measured;
        enum verdict_kind kind;
        double pair_ns;
        double saved_ci95[2]; /* share of the program's CPU time */
    } simpler;
    uint32_t repetitions;
};

/* How a pool for the site is to be set up. */
enum verdict_pool_kind {
    VERDICT_POOL_PLAIN,   /* items of one size; what is larger comes from malloc */
    VERDICT_POOL_CAPPED,  /* items that hold a block, dropped at put when it is over the cap */
    VERDICT_POOL_CLASSES, /* a pool for each power of two */
    VERDICT_POOL_BUFFERS, /* a pool of growable buffers */
};

struct verdict_pool {
    enum verdict_pool_kind kind;
    uint64_t low, bytes; /* CLASSES: the smallest and the largest. Else bytes: the item, or the cap */
};

const char *verdict_pool_name(enum verdict_pool_kind kind); /* "plain" */

/* Every threshold of the ladder: one table, printed by --thresholds, each overridable by
 * name=value. */
struct verdict_threshold {
    const char *name; /* "tail-rank" */
    double value, preset;
    double low, high; /* accepted range */
    const char *unit; /* "share", "bytes", "ns", "count", "ratio" */
    const char *meaning;
};
struct verdict_thresholds;
struct verdict_thresholds *verdict_thresholds_create(void); /* NULL: ENOMEM */
void verdict_thresholds_destroy(struct verdict_thresholds *thresholds);
/* "name=value"; 0, -EINVAL (not of that form, not a number), -ENOENT (no such name), -ERANGE */
int verdict_thresholds_set(struct verdict_thresholds *thresholds, const char *assignment);
size_t verdict_thresholds_list(const struct verdict_thresholds *thresholds,
                               const struct verdict_threshold **ret_table);

/* What the ladder needs to know of names; filled by the command from symbols. */
struct verdict_names {
    const char *function, *file, *module; /* file may be NULL */
    unsigned line;
    const char *caller_function, *caller_file; /* nearest frame that is the user's own, when the
                                                  site is in a system library; else NULL */
    unsigned caller_line;
    const char *grow_function, *grow_file; /* where it is resized; NULL: never */
    unsigned grow_line;
    bool system;                /* the site lies in libc or the like: not the user's to change */
    const char *death_function; /* innermost frame that outlived most blocks: where an arena would
                                   live; NULL: unknown */
};

struct verdict {
    enum verdict_kind kind;
    /* Of the program's CPU time: blocks and growth steps x malloc+free pair, and the bytes that
     * growth moves; 0 when that time is unknown. */
    double upper_bound_share;
    double saved_share; /* predicted saving of what is advised; 0 for TAIL, RETAINED, LOSES */
    double pool_share, pool_ci95[2]; /* what a pool would save, at its own blocks and at others'; ci95 only when measured */
    uint64_t bytes; /* the size the advice names: cap, item size, presize-to, stack size; 0: none */
    bool estimated; /* rests on the calibration, not on a replay of this site */
    struct verdict_pool pool; /* what a pool for it would look like, whatever the verdict */
    uint64_t simpler_bytes;   /* the size that goes with what is simpler: as bytes, if that is the verdict */
    enum verdict_kind simpler; /* STACK, HOIST, PRESIZE or ARENA when the facts allow it; else TAIL */
    bool slab_hint; /* facts that hint at SLAB; only a trial gives that verdict */
    char *reason;   /* one line: the number that decided; never NULL */
    char *evidence; /* a paragraph: each rung and its number */
    char *snippet;  /* paste-ready C, or NULL when there is nothing to write */
};

struct verdict_input {
    const struct analyse_site *site;
    size_t rank; /* 0: most allocations */
    struct verdict_names names;
    struct verdict_cost cost;
};

/* Judges all sites of a program together (ARENA and rank need the others). ret_verdicts has `count`
 * entries; free each with verdict_done. program_cpu_ns: without the recording's own; 0: unknown. 0
 * or -ENOMEM. */
int verdict_judge(const struct verdict_thresholds *thresholds, const struct verdict_input *inputs,
                  size_t count, const struct analyse_totals *totals, uint64_t program_cpu_ns,
                  struct verdict *ret_verdicts);
void verdict_done(struct verdict *verdict);
