/* SPDX-License-Identifier: MIT */
/* What a handful of noisy measurements says: a median and an interval that it lies in. Pure. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct interval {
    double median;
    double low,
        high; /* 95 %: percentiles of the medians of resamples; equal to the median of one value */
};

/* The median of those that are numbers; 0 of none. Leaves `values` alone. */
double median_of(const double *values, size_t count);

/*
 * The median of the values and its interval by the percentile bootstrap: `resamples` times as many values are drawn with
 * replacement, from a generator started with `seed`, so that the same values give the same interval. 0, -EINVAL (no
 * values, or none drawn), -ENOMEM.
 */
int bootstrap_median(const double *values, size_t count, unsigned resamples, uint64_t seed,
                     struct interval *ret_interval);

/*
 * The 95 % interval of median(a) - median(b), where a[i] and b[i] were measured next to each other: pairs are drawn with
 * replacement, from a generator with a fixed start. Pairs with what is no number are left out. Of fewer than three the
 * interval is everything, from -HUGE_VAL to HUGE_VAL. 0, -EINVAL (no resamples), -ENOMEM: the interval is everything then, too.
 */
int bootstrap_difference(const double *a, const double *b, size_t count, unsigned resamples,
                         double ret_ci95[2]);
