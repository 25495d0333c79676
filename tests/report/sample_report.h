/* SPDX-License-Identifier: MIT */
/* A report made by hand: one site for each verdict, judged by the ladder, with awkward names among
 * them. */
#pragma once

#include "facts.h"
#include "report.h"

#define SAMPLE_SITES 11

struct sample_report {
    struct facts facts[SAMPLE_SITES];
    struct verdict verdicts[SAMPLE_SITES];
    struct report_site sites[SAMPLE_SITES];
    struct report report;
};

void sample_report_fill(struct sample_report *sample);
void sample_report_done(struct sample_report *sample);
