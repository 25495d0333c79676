/* SPDX-License-Identifier: MIT */
/* Property: medians and intervals are the order statistics that the coverage claims. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "series.h"

/* 1 to `count`, in an order that is none. */
static struct series shuffled(size_t count)
{
    struct series series = {0};
    for (size_t i = 0; i < count; i++)
        assert_int_equal(series_add(&series, (double)(i * 7 % count + 1)), 0);
    return series;
}

static void few_values_give_least_and_most(void **state)
{
    struct series series = shuffled(5);
    struct series_summary found;
    series_summarise(&series, &found);
    assert_float_equal(found.median, 3, 0);
    assert_float_equal(found.low, 1, 0);
    assert_float_equal(found.high, 5, 0);
    assert_float_equal(found.coverage, 1 - 2 * (1.0 / 32), 1e-12); /* five coins alike */
    series_done(&series);
}

static void one_value_has_no_spread(void **state)
{
    struct series series = shuffled(1);
    struct series_summary found;
    series_summarise(&series, &found);
    assert_float_equal(found.median, 1, 0);
    assert_float_equal(found.low, 1, 0);
    assert_float_equal(found.high, 1, 0);
    assert_float_equal(found.coverage, 0, 0);
    series_done(&series);
}

/* From tables of the sign test: n = 10 keeps the 2nd to the 9th (97.9 %), n = 20 the 6th to the 15th. */
static void intervals_are_those_of_the_sign_test(void **state)
{
    struct series ten = shuffled(10), twenty = shuffled(20);
    struct series_summary found;
    series_summarise(&ten, &found);
    assert_float_equal(found.median, 5.5, 0);
    assert_float_equal(found.low, 2, 0);
    assert_float_equal(found.high, 9, 0);
    assert_float_equal(found.coverage, 1 - 2 * 11.0 / 1024, 1e-9);
    series_summarise(&twenty, &found);
    assert_float_equal(found.low, 6, 0);
    assert_float_equal(found.high, 15, 0);
    series_done(&ten);
    series_done(&twenty);
}

static void ratios_are_paired(void **state)
{
    /* Each of b is twice its a, though both vary tenfold: the ratio has no spread. */
    struct series a = {0}, b = {0}, none = {0};
    struct series_summary found;
    for (int i = 1; i <= 10; i++) {
        assert_int_equal(series_add(&a, i), 0);
        assert_int_equal(series_add(&b, 2 * i), 0);
    }
    assert_int_equal(series_ratio(&b, &a, &found), 0);
    assert_float_equal(found.median, 2, 0);
    assert_float_equal(found.low, 2, 0);
    assert_float_equal(found.high, 2, 0);
    assert_true(series_ratio(&b, &none, &found) < 0);
    series_done(&a);
    series_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(few_values_give_least_and_most),
        cmocka_unit_test(one_value_has_no_spread),
        cmocka_unit_test(intervals_are_those_of_the_sign_test),
        cmocka_unit_test(ratios_are_paired),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
