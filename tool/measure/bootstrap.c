/* SPDX-License-Identifier: MIT */
#include "bootstrap.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#define DIFFERENCE_SEED UINT64_C(3)
#define PAIRS_LEAST     3

static int by_value(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static double median_sorted(const double *sorted, size_t count)
{
    if (!count)
        return 0;
    return count % 2 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2;
}

double median_of(const double *values, size_t count)
{
    double *sorted = malloc((count ? count : 1) * sizeof *sorted);
    if (!sorted)
        return count ? values[0] : 0;
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (isfinite(values[i]))
            sorted[kept++] = values[i];
    qsort(sorted, kept, sizeof *sorted, by_value);
    double median = median_sorted(sorted, kept);
    free(sorted);
    return median;
}

/* xorshift64*: G. Marsaglia, "Xorshift RNGs", 2003; S. Vigna's multiplier. */
static uint64_t draw(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(0x2545f4914f6cdd1d);
}

/* Below `bound`, each number as likely as the next one but for 2^-32. */
static size_t draw_below(uint64_t *state, size_t bound)
{
    return (size_t)((draw(state) >> 32) * (uint64_t)bound >> 32);
}

int bootstrap_median(const double *values, size_t count, unsigned resamples, uint64_t seed,
                     struct interval *ret_interval)
{
    if (!count || count > UINT32_MAX || !resamples)
        return -EINVAL;
    double *drawn = malloc(count * sizeof *drawn), *medians = malloc(resamples * sizeof *medians);
    if (!drawn || !medians) {
        free(drawn);
        free(medians);
        return -ENOMEM;
    }
    uint64_t state = seed ? seed : 1; /* 0 is the one state that the generator never leaves */
    for (unsigned i = 0; i < resamples; i++) {
        for (size_t k = 0; k < count; k++)
            drawn[k] = values[draw_below(&state, count)];
        qsort(drawn, count, sizeof *drawn, by_value);
        medians[i] = median_sorted(drawn, count);
    }
    qsort(medians, resamples, sizeof *medians, by_value);
    size_t cut = (size_t)(0.025 * (double)resamples);
    *ret_interval =
        (struct interval){median_of(values, count), medians[cut], medians[resamples - 1 - cut]};
    free(drawn);
    free(medians);
    return 0;
}

static double median_sorting(double *values, size_t count)
{
    qsort(values, count, sizeof *values, by_value);
    return median_sorted(values, count);
}

/* `pairs` is two rows of `count` values; `drawn` has room for as much. */
static void resample_differences(const double *pairs, double *drawn, size_t count,
                                 double *differences, unsigned resamples)
{
    uint64_t state = DIFFERENCE_SEED;
    for (unsigned i = 0; i < resamples; i++) {
        for (size_t k = 0; k < count; k++) {
            size_t which = draw_below(&state, count);
            drawn[k] = pairs[which];
            drawn[count + k] = pairs[count + which];
        }
        differences[i] = median_sorting(drawn, count) - median_sorting(drawn + count, count);
    }
    qsort(differences, resamples, sizeof *differences, by_value);
}

int bootstrap_difference(const double *a, const double *b, size_t count, unsigned resamples,
                         double ret_ci95[2])
{
    ret_ci95[0] = -HUGE_VAL;
    ret_ci95[1] = HUGE_VAL;
    if (count > UINT32_MAX || !resamples)
        return -EINVAL;
    double *values = malloc((4 * count + resamples) * sizeof *values);
    if (!values)
        return -ENOMEM;
    size_t kept = 0, cut = (size_t)(0.025 * (double)resamples);
    for (size_t i = 0; i < count; i++)
        kept += isfinite(a[i]) && isfinite(b[i]);
    for (size_t i = 0, at = 0; i < count; i++)
        if (isfinite(a[i]) && isfinite(b[i])) {
            values[at] = a[i];
            values[kept + at++] = b[i];
        }
    double *differences = values + 4 * count;
    if (kept >= PAIRS_LEAST) {
        resample_differences(values, values + 2 * count, kept, differences, resamples);
        ret_ci95[0] = differences[cut];
        ret_ci95[1] = differences[resamples - 1 - cut];
    }
    free(values);
    return 0;
}
