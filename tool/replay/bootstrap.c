/* SPDX-License-Identifier: MIT */
#include "bootstrap.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#define RESAMPLES 2000
#define PAIRS_LOW 3

static int by_value(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

/* Sorts the values. */
static double median_sorting(double *values, size_t count)
{
    if (!count)
        return 0;
    qsort(values, count, sizeof *values, by_value);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

double bootstrap_median(const double *values, size_t count)
{
    double kept[BOOTSTRAP_MAX];
    size_t left = 0;
    for (size_t i = 0; i < count && left < BOOTSTRAP_MAX; i++)
        if (isfinite(values[i]))
            kept[left++] = values[i];
    return median_sorting(kept, left);
}

static uint32_t random_below(uint64_t *state, uint32_t limit)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((*state >> 33) % limit);
}

void bootstrap_difference(const double *a, const double *b, size_t count, double ret_ci95[2])
{
    double left[BOOTSTRAP_MAX], right[BOOTSTRAP_MAX], differences[RESAMPLES];
    size_t pairs = 0;
    for (size_t i = 0; i < count && pairs < BOOTSTRAP_MAX; i++)
        if (isfinite(a[i]) && isfinite(b[i])) {
            left[pairs] = a[i];
            right[pairs++] = b[i];
        }
    ret_ci95[0] = -HUGE_VAL;
    ret_ci95[1] = HUGE_VAL;
    if (pairs < PAIRS_LOW)
        return;
    uint64_t state = 3;
    for (size_t i = 0; i < RESAMPLES; i++) {
        double drawn_left[BOOTSTRAP_MAX], drawn_right[BOOTSTRAP_MAX];
        for (size_t k = 0; k < pairs; k++) {
            size_t which = random_below(&state, (uint32_t)pairs);
            drawn_left[k] = left[which];
            drawn_right[k] = right[which];
        }
        differences[i] = median_sorting(drawn_left, pairs) - median_sorting(drawn_right, pairs);
    }
    qsort(differences, RESAMPLES, sizeof *differences, by_value);
    ret_ci95[0] = differences[RESAMPLES * 25 / 1000];
    ret_ci95[1] = differences[RESAMPLES - 1 - RESAMPLES * 25 / 1000];
}
