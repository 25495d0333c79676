/* SPDX-License-Identifier: MIT */
/*
 * What `poolwise bench` measures: cases by peers or variants by numbers of threads, as far as the
 * peers are installed and the user's expression matches.
 */
#pragma once

#include <regex.h>
#include <stdbool.h>
#include <stddef.h>

#include "series.h"

#define PLAN_METRICS 8

struct plan_metric {
    char unit[32];
    struct series values;
};

enum plan_kind {
    PLAN_WORKER, /* bench-worker, with an allocator preloaded or none */
    PLAN_GO,     /* Go's test binary */
};

struct plan_peer {
    const char *name;
    const char *variant; /* of the worker's cases */
    const char *library; /* file name to preload; NULL: none */
    const char *worker;  /* program; NULL: Go */
    char path[512];      /* the library's; empty: none, or not found */
    bool found;
};

struct plan_entry {
    char name[96];  /* "Pair/peer=glibc-2", as Go would print it after "Benchmark" */
    char group[64]; /* "Pair-2": what the entry is compared within */
    const char *bench_case, *variant;
    const struct plan_peer *peer; /* NULL: an article's variant */
    enum plan_kind kind;
    int threads;
    bool counted;              /* B/op and allocs/op by the interposer */
    double bytes, allocations; /* per operation, when counted */
    bool failed;
    double iterations; /* of the last line */
    struct series ns;  /* per operation, one value a round */
    struct plan_metric metrics[PLAN_METRICS];
    size_t metric_count;
};

struct plan {
    struct plan_peer *peers;
    size_t peer_count;
    struct plan_entry *entries;
    size_t count;
    bool wants_go;
};

/* Where the programs and libraries are: beside this program in a build tree, or where installed. */
struct plan_places {
    char worker_folder[512], count_library[512], go_source[512], self[512];
};
int plan_places_find(struct plan_places *ret_places, char *message, size_t message_size);

/* `only` may be NULL. 0 or -ENOMEM; plan_done frees it in any case. */
int plan_make(const struct plan_places *places, const regex_t *only, struct plan *ret_plan);
void plan_done(struct plan *plan);

/* Files a measured line's figures. 0 or -ENOMEM. */
struct launch_line;
int plan_entry_add(struct plan_entry *entry, const struct launch_line *line);
