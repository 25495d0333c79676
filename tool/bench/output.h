/* SPDX-License-Identifier: MIT */
/* How results look: lines in Go's benchmark format, a table of ratios, JSON. */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "article.h"
#include "plan.h"

struct output {
    const struct plan_places *places;
    const struct plan *plan;
    const struct article_case *cases;
    int case_count;
    unsigned rounds;
};

void output_header(FILE *stream); /* goos, goarch, pkg, cpu */
void output_line(FILE *stream, const struct plan_entry *entry, const char *line);
void output_table(FILE *stream, const struct output *output);
int output_json(FILE *stream, const struct output *output); /* 0 or -ENOMEM */
