/* SPDX-License-Identifier: MIT */
/*
 * Between the report and the replay: which sites are worth measuring, against what, and what comes of it.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "analyse.h"
#include "replay.h"
#include "report.h"
#include "verdict.h"
#include "window.h"

#define APPRAISE_SITES (IMAGE_PLACES - 1)

/* A site to be measured, and how it would be served. */
struct appraise_site {
    const struct analyse_site *facts;
    struct verdict_pool pool;
    enum verdict_kind simpler; /* STACK, HOIST, PRESIZE, ARENA; TAIL: there is nothing simpler */
    uint64_t simpler_bytes;
};

/* A backend of the table: how all chosen sites are served in it. */
enum appraise_backend {
    APPRAISE_MALLOC,  /* libc, on the heap as recorded; always the first */
    APPRAISE_POOL,    /* as advised */
    APPRAISE_SIMPLER, /* as advised; sites without are served by malloc */
    APPRAISE_FRESH,   /* libc, on an empty heap */
    APPRAISE_LITTERED,
    APPRAISE_LIBRARY, /* another allocator; up to IMAGE_VARIANTS in all */
    APPRAISE_ALONE,   /* one site as advised, the others by malloc: what that spares these */
};

struct appraise_row {
    enum appraise_backend backend;
    char name[64];      /* "malloc", "jemalloc", ... */
    char library[256];  /* APPRAISE_LIBRARY only */
    uint32_t alone;     /* place of the only site that is not served by malloc; IMAGE_PLACES: several may be */
};

struct appraise_options {
    double seconds;
    void (*progress)(void *context, double part);
    void *context;
};

struct appraisal {
    struct appraise_row rows[IMAGE_VARIANTS];
    uint32_t row_count;
    struct replay_result result;
    uint64_t unknown, too_large; /* events left out for want of their block; blocks left out for their size */
};

/* The rows that `advise` needs, or, all: every one that this machine has. */
void appraise_rows(struct appraisal *measure, bool all);

/* Sites at most APPRAISE_SITES. Fills measure->result: its places are the sites in this order, then all others.
 * 0 or -errno of schedule_create and replay_run. */
int appraise_run(struct appraisal *measure, const struct windows *windows, struct analyse *analyse,
                const struct appraise_site *sites, size_t site_count, const struct appraise_options *options);

/* What a site's cost becomes by the result; untouched where nothing was measured. */
void appraise_cost(const struct appraisal *measure, const struct appraise_site *site, size_t place, double program_cpu_ns,
                  struct verdict_cost *cost);
