/* SPDX-License-Identifier: MIT */
/* The interval holds the median, is the same each time, covers the truth about as often as it says, and bad input is refused. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "bootstrap.h"
#include "trial.h"

static void medians(void **state)
{
    const double odd[] = {3, 1, 2}, even[] = {4, 1, 3, 2};
    assert_true(median_of(odd, 3) == 2);
    assert_true(odd[0] == 3);
    assert_true(median_of(even, 4) == 2.5);
    assert_true(median_of(odd, 0) == 0);
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

static void pairs(void **state)
{
    const double before[] = {10, 20, 40, 0}, after[] = {9, 18, 36, 5};
    struct interval saving;
    assert_int_equal(trial_compare(before, after, 4, &saving), 0); /* nothing can be saved of 0: that pair says nothing */
    assert_true(fabs(saving.median - 0.1) < 1e-12 && fabs(saving.low - 0.1) < 1e-12 && fabs(saving.high - 0.1) < 1e-12);
    assert_int_equal(trial_compare(before, after, 0, &saving), -EINVAL);
}

/* Each arm is in each place equally often, and each round has each arm once. */
static void orders(void **state)
{
    for (size_t arms = 1; arms <= 7; arms++) {
        unsigned places[7][7] = {{0}};
        for (unsigned round = 0; round < 2 * arms; round++) {
            size_t order[7];
            unsigned seen = 0;
            trial_order(round, arms, order);
            for (size_t i = 0; i < arms; i++) {
                assert_in_range(order[i], 0, arms - 1);
                seen |= 1u << order[i];
                places[order[i]][i]++;
            }
            assert_int_equal(seen, (1u << arms) - 1);
        }
        for (size_t arm = 0; arm < arms; arm++)
            for (size_t place = 0; place < arms; place++)
                assert_int_equal(places[arm][place], 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(medians), cmocka_unit_test(refused), cmocka_unit_test(repeatable),
        cmocka_unit_test(covers), cmocka_unit_test(pairs), cmocka_unit_test(orders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
