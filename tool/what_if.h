/* SPDX-License-Identifier: MIT */
/* The table of `poolwise replay`: each measured site by each backend. */
#pragma once

#include <stdio.h>

#include "appraise.h"

struct what_if {
    const struct report *report;
    const struct appraisal *measure;
    const size_t *sites; /* in report->sites, by place */
    size_t site_count;
};

/* 0 or -errno of the stream, -ENOMEM. */
int what_if_text(const struct what_if *table, FILE *stream);
int what_if_json(const struct what_if *table, FILE *stream);
