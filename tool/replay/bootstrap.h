/* SPDX-License-Identifier: MIT */
/* Medians of repeated measurements, and how far they may be trusted. Pure, and the same each time. */
#pragma once

#include <stddef.h>

#define BOOTSTRAP_MAX 64 /* repetitions at most; more are not looked at */

/* 0 of none. Values that are no number are left out. */
double bootstrap_median(const double *values, size_t count);

/*
 * 95 % interval of median(a) - median(b), where a[i] and b[i] were measured next to each other: by resampling
 * the pairs. Pairs with what is no number are left out. With fewer than three pairs the interval is
 * everything, from -HUGE_VAL to HUGE_VAL.
 */
void bootstrap_difference(const double *a, const double *b, size_t count, double ret_ci95[2]);
