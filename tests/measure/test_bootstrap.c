/* SPDX-License-Identifier: MIT */
/* Property: intervals hold the median, are the same each time, cover the truth about as often as they say, and say so when there
 * is too little to go by; bad input is refused. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "bootstrap.h"

#define RESAMPLES 1000u

static void medians(void **state)
{
    const double odd[] = {3, 1, 2}, even[] = {4, 1, 3, 2};
    assert_true(median_of(odd, 3) == 2);
    assert_true(odd[0] == 3);
    assert_true(median_of(even, 4) == 2.5);
    assert_true(median_of(odd, 0) == 0);
    assert_true(median_of((double[]){NAN, 7, HUGE_VAL}, 3) == 7);
}

static void refused(void **state)
{
    struct interval interval;
    const double one = 7;
    assert_int_equal(bootstrap_median(&one, 0, 100, 1, &interval), -EINVAL);
    assert_int_equal(bootstrap_median(&one, 1, 0, 1, &interval), -EINVAL);
    assert_int_equal(bootstrap_median(&one, 1, 100, 1, &interval), 0);
    assert_true(interval.median == 7 && interval.low == 7 && interval.high == 7);
}

static void repeatable(void **state)
{
    double values[25];
    struct interval first, again, other;
    srand(5);
    for (int i = 0; i < 25; i++)
        values[i] = rand() % 1000;
    assert_int_equal(bootstrap_median(values, 25, 1000, 42, &first), 0);
    assert_int_equal(bootstrap_median(values, 25, 1000, 42, &again), 0);
    assert_int_equal(bootstrap_median(values, 25, 1000, 0, &other), 0);
    assert_true(first.low == again.low && first.high == again.high);
    assert_true(first.low <= first.median && first.median <= first.high);
    assert_true(other.low <= other.median && other.median <= other.high);
}

/* Samples of a known median, skewed as run times are. */
static void covers(void **state)
{
    int covered = 0, tries = 1000;
    srand(11);
    for (int i = 0; i < tries; i++) {
        double values[21];
        struct interval interval;
        for (int k = 0; k < 21; k++)
            values[k] = -log(1.0 - (rand() + 0.5) / (RAND_MAX + 1.0)); /* median ln 2 */
        assert_int_equal(bootstrap_median(values, 21, 400, (uint64_t)i + 1, &interval), 0);
        covered += interval.low <= log(2.0) && log(2.0) <= interval.high;
    }
    assert_in_range(covered, 920, 985);
}

static double noise(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (double)(*seed >> 40) / (double)(1 << 24) - 0.5;
}

static void intervals_hold_the_truth(void **state)
{
    uint64_t seed = 5;
    int held = 0;
    const int trials = 200;
    for (int trial = 0; trial < trials; trial++) {
        double a[20], b[20], ci95[2];
        for (int i = 0; i < 20; i++) {
            double drift = 3 * noise(&seed); /* hits both alike */
            a[i] = 12 + drift + noise(&seed);
            b[i] = 10 + drift + noise(&seed);
        }
        bootstrap_difference(a, b, 20, RESAMPLES, ci95);
        assert_true(ci95[0] <= ci95[1]);
        held += ci95[0] <= 2 && 2 <= ci95[1];
    }
    /* Nine in ten at least; the generator is ours, so this is no matter of luck. */
    assert_in_range(held, trials * 9 / 10, trials);
}

static void outliers_do_not_decide(void **state)
{
    double a[21], b[21], ci95[2];
    for (int i = 0; i < 21; i++) {
        a[i] = i % 7 ? 10 + i * 0.01 : 1e6;
        b[i] = 8 + i * 0.01;
    }
    bootstrap_difference(a, b, 21, RESAMPLES, ci95);
    assert_true(ci95[0] > 1.5 && ci95[1] < 3);
}

static void too_few_say_nothing(void **state)
{
    double ci95[2];
    bootstrap_difference((double[]){1, 2}, (double[]){0, 0}, 2, RESAMPLES, ci95);
    assert_true(isinf(ci95[0]) && ci95[0] < 0 && isinf(ci95[1]) && ci95[1] > 0);
    bootstrap_difference((double[]){1, NAN, 2, 3}, (double[]){0, 0, NAN, 0}, 4, RESAMPLES, ci95);
    assert_true(isinf(ci95[0]));
    bootstrap_difference((double[]){5, 5, 5}, (double[]){1, 1, 1}, 3, RESAMPLES, ci95);
    assert_float_equal(ci95[0], 4, 0);
    assert_float_equal(ci95[1], 4, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(medians),
        cmocka_unit_test(refused),
        cmocka_unit_test(repeatable),
        cmocka_unit_test(covers),
        cmocka_unit_test(intervals_hold_the_truth),
        cmocka_unit_test(outliers_do_not_decide),
        cmocka_unit_test(too_few_say_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
