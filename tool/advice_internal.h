/* SPDX-License-Identifier: MIT */
/* What the parts of advice share: the feeding and the judgement, the sites' names, their replay. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "advice.h"
#include "analyse.h"
#include "symbols.h"

#define REQUESTS_MAX 16u /* addresses may lie in several functions of one name */
#define NOTES_MAX    32u

/* What a module is called and which build it is. */
struct known_module {
    char *path; /* NULL: no module of this number */
    uint8_t *build_id;
    size_t build_id_size;
};

struct advice {
    struct known_module *modules; /* by number */
    size_t module_count;
    struct symbols *symbols;
    struct analyse *analyse;
    struct trace_sink names_sink;
    const struct trace_sink *sinks[3];
    size_t sink_count;
    struct windows *windows; /* NULL: no replay */
    struct appraisal measure;
    bool measured;
    size_t measured_sites[APPRAISE_SITES]; /* in `sites`, by place */
    size_t measured_count;
    char *request;
    const struct join *join;
    uint64_t requests[REQUESTS_MAX];
    size_t request_count;
    char *program; /* the first process' executable */
    struct report report;
    struct report_site *sites;
    struct verdict *verdicts;
    size_t site_count;
    const char *command[2];
    char *own_notes[NOTES_MAX];
    const char *notes[NOTES_MAX + 1];
    size_t own_note_count;
};

/* advice.c: takes over a note that was allocated; NULL: none. Beyond half of NOTES_MAX they are dropped. */
void advice_note(struct advice *advice, char *note);

/* advice_site.c: id, names, stack and calls of a site; what they point to belongs to the advice. 0 or -ENOMEM. */
int advice_site_fill(struct advice *advice, const struct analyse_site *facts,
                     struct report_site *site);

/*
 * advice_replay.c: measures the candidates, or the named sites, and puts their prices into `inputs` and the sites; what came of it is
 * in advice->measure. Nothing is measured where a named site is not there. 0, also when a replay failed, which a note says; -ENOMEM.
 */
int advice_replay_sites(struct advice *advice, const struct verdict_thresholds *thresholds,
                        const struct advice_replay *replay, struct verdict_input *inputs,
                        size_t count, uint64_t cpu_ns);
