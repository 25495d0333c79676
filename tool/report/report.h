/* SPDX-License-Identifier: MIT */
/*
 * Forms of a report: one table of writers, one file each. A report is made of finished facts and
 * verdicts; writers only lay them out.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "analyse.h"
#include "symbols.h"
#include "verdict.h"

struct report_frame {
    const char *function, *file, *module; /* file may be NULL */
    unsigned line;
    uint64_t address;
    bool inlined, wrapper;
};

/* A return address that any run of the same binary can find again. */
struct report_call {
    const char *module;      /* path as loaded */
    const uint8_t *build_id; /* of build_id_size bytes; size 0: not known */
    size_t build_id_size;
    uint64_t offset;         /* from the module's load bias */
};

struct report_site {
    char id[20]; /* stable from run to run, hexadecimal */
    const struct analyse_site *facts;
    const struct verdict *verdict;
    struct verdict_names names;
    struct verdict_cost cost;
    const struct report_frame *stack; /* of its commonest path, innermost first */
    size_t stack_count;
    const struct report_call *calls; /* what tells the site from others: malloc's caller first, the site's own last */
    size_t call_count;
};

struct report {
    const char *version;
    const char *const *command; /* NULL-terminated */
    const struct analyse_totals *totals;
    uint64_t program_cpu_ns;             /* without the recording's own; 0: unknown */
    double recording_ns_per_event;       /* CPU added in the program */
    double malloc_pair_ns, pool_pair_ns; /* at 64 bytes */
    const struct report_site *sites;     /* by allocations, most first */
    size_t site_count;
    const char *const *notes; /* losses and problems, one sentence each; NULL-terminated */
};

struct report_style {
    unsigned width; /* columns; 0: no limit */
    bool colour;
    unsigned top; /* sites in the table and paragraphs at most, the costliest; 0: all */
};

/* 0 or -errno of the stream (ENOSPC, EPIPE, ...). */
int report_text(const struct report *report, const struct report_style *style, FILE *stream);
int report_json(const struct report *report, FILE *stream);

typedef int (*report_writer)(const struct report *report, FILE *stream);
/* By suffix of the file name, longest first; NULL when no form has it. */
report_writer report_writer_find(const char *file_name);
