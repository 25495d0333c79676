/* SPDX-License-Identifier: MIT */
/* Property: what is compared are runs of one round, and each arm is in each place equally often. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "trial.h"

static void pairs(void **state)
{
    const double before[] = {10, 20, 40, 0}, after[] = {9, 18, 36, 5};
    struct interval saving;
    assert_int_equal(trial_compare(before, after, 4, &saving),
                     0); /* nothing can be saved of 0: that pair says nothing */
    assert_true(fabs(saving.median - 0.1) < 1e-12 && fabs(saving.low - 0.1) < 1e-12 &&
                fabs(saving.high - 0.1) < 1e-12);
    assert_int_equal(trial_compare(before, after, 0, &saving), -EINVAL);
    const double some[] = {8, NAN, 32}; /* it sat a round out */
    assert_int_equal(trial_compare(before, some, 3, &saving), 0);
    assert_true(fabs(saving.median - 0.2) < 1e-12 && fabs(saving.low - 0.2) < 1e-12);
    assert_int_equal(trial_compare(some, before, 3, &saving), 0);
    assert_true(fabs(saving.median + 0.25) < 1e-12);
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
        cmocka_unit_test(pairs),
        cmocka_unit_test(orders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
