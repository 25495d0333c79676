/* SPDX-License-Identifier: MIT */
/* Property: intervals hold the difference that is there, are as wide as the noise, and say so when there is too little to
 * go by. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "bootstrap.h"

static void medians(void **state)
{
    assert_float_equal(bootstrap_median((double[]){3, 1, 2}, 3), 2, 0);
    assert_float_equal(bootstrap_median((double[]){4, 1, 2, 3}, 4), 2.5, 0);
    assert_float_equal(bootstrap_median((double[]){NAN, 7, HUGE_VAL}, 3), 7, 0);
    assert_float_equal(bootstrap_median(NULL, 0), 0, 0);
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
        bootstrap_difference(a, b, 20, ci95);
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
    bootstrap_difference(a, b, 21, ci95);
    assert_true(ci95[0] > 1.5 && ci95[1] < 3);
}

static void too_few_say_nothing(void **state)
{
    double ci95[2];
    bootstrap_difference((double[]){1, 2}, (double[]){0, 0}, 2, ci95);
    assert_true(isinf(ci95[0]) && ci95[0] < 0 && isinf(ci95[1]) && ci95[1] > 0);
    bootstrap_difference((double[]){1, NAN, 2, 3}, (double[]){0, 0, NAN, 0}, 4, ci95);
    assert_true(isinf(ci95[0]));
    bootstrap_difference((double[]){5, 5, 5}, (double[]){1, 1, 1}, 3, ci95);
    assert_float_equal(ci95[0], 4, 0);
    assert_float_equal(ci95[1], 4, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(medians),
        cmocka_unit_test(intervals_hold_the_truth),
        cmocka_unit_test(outliers_do_not_decide),
        cmocka_unit_test(too_few_say_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
