/* SPDX-License-Identifier: MIT */
/* A figure measured several times: its median and an interval for it that assumes no distribution. */
#pragma once

#include <stddef.h>

struct series {
    double *values;
    size_t count, room;
};

struct series_summary {
    double median, low, high; /* the interval lies between two of the values */
    double coverage;          /* that it holds the true median; least and most value below 0.95 */
};

int series_add(struct series *series, double value); /* 0 or -ENOMEM */
void series_done(struct series *series);

/* Of at least one value. */
void series_summarise(const struct series *series, struct series_summary *ret_summary);

/* Of a[i] / b[i]: both of a pair were measured in the same stretch of noise. Uses what both have. */
int series_ratio(const struct series *a, const struct series *b,
                 struct series_summary *ret_summary);
