/* SPDX-License-Identifier: MIT */
#include "series.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COVERAGE 0.95

int series_add(struct series *series, double value)
{
    if (series->count == series->room) {
        size_t room = series->room ? series->room * 2 : 8;
        double *values = realloc(series->values, room * sizeof *values);
        if (!values)
            return -ENOMEM;
        series->values = values;
        series->room = room;
    }
    series->values[series->count++] = value;
    return 0;
}

void series_done(struct series *series)
{
    free(series->values);
    *series = (struct series){0};
}

static int by_value(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

/* That at most `k` of `n` fair coins fall one way. */
static double tail_share(size_t k, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i <= k; i++)
        sum += exp(lgamma((double)n + 1) - lgamma((double)i + 1) - lgamma((double)(n - i) + 1) -
                   (double)n * log(2));
    return sum;
}

static void summarise_sorted(const double *sorted, size_t n, struct series_summary *ret_summary)
{
    /* The k-th value from either end: the median lies outside when k or fewer fall on one side. */
    size_t k = 0;
    while (k + 1 < n / 2 && 1 - 2 * tail_share(k + 1, n) >= COVERAGE)
        k++;
    double middle = n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
    *ret_summary = (struct series_summary){middle, sorted[k], sorted[n - 1 - k],
                                           n > 1 ? 1 - 2 * tail_share(k, n) : 0};
}

void series_summarise(const struct series *series, struct series_summary *ret_summary)
{
    double *sorted = malloc(series->count * sizeof *sorted);
    if (!sorted) {
        double first = series->values[0];
        *ret_summary = (struct series_summary){first, first, first, 0};
        return;
    }
    memcpy(sorted, series->values, series->count * sizeof *sorted);
    qsort(sorted, series->count, sizeof *sorted, by_value);
    summarise_sorted(sorted, series->count, ret_summary);
    free(sorted);
}

int series_ratio(const struct series *a, const struct series *b, struct series_summary *ret_summary)
{
    size_t count = a->count < b->count ? a->count : b->count;
    double *ratios = malloc(count * sizeof *ratios + 1);
    if (!ratios || !count) {
        free(ratios);
        return ratios ? -ENODATA : -ENOMEM;
    }
    for (size_t i = 0; i < count; i++)
        ratios[i] = a->values[i] / b->values[i];
    qsort(ratios, count, sizeof *ratios, by_value);
    summarise_sorted(ratios, count, ret_summary);
    free(ratios);
    return 0;
}
