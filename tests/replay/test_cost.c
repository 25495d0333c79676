/* SPDX-License-Identifier: MIT */
/* Property: a measured table is whole and usable, prices between its sizes lie between its prices,
 * and measuring leaves nothing behind. Says nothing of how fast this machine is. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "cost.h"

static void measured_table_is_whole(void **state)
{
    struct cost_table table;
    assert_int_equal(cost_measure(20, &table), 0);
    assert_in_range(table.count, 2, COST_CLASSES);
    assert_int_equal(table.size[0], 16);
    assert_int_equal(table.size[table.count - 1], 4 << 20);
    for (size_t i = 0; i < table.count; i++) {
        assert_true(isfinite(table.malloc_pair_ns[i]) && table.malloc_pair_ns[i] > 0);
        assert_true(isfinite(table.pool_pair_ns[i]) && table.pool_pair_ns[i] > 0);
        if (i > 0)
            assert_true(table.size[i] > table.size[i - 1]);
    }
    /* No child is left, neither running nor to be waited for. */
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

static void prices_are_interpolated(void **state)
{
    const struct cost_table table = {.size = {16, 64, 1024},
                                     .malloc_pair_ns = {10, 20, 60},
                                     .pool_pair_ns = {2, 2, 6},
                                     .count = 3};
    assert_float_equal(cost_malloc_pair_ns(&table, 0), 10, 1e-9);
    assert_float_equal(cost_malloc_pair_ns(&table, 16), 10, 1e-9);
    assert_float_equal(cost_malloc_pair_ns(&table, 32), 15, 1e-9); /* halfway in the logarithm */
    assert_float_equal(cost_malloc_pair_ns(&table, 64), 20, 1e-9);
    assert_float_equal(cost_malloc_pair_ns(&table, 256), 40, 1e-9);
    assert_float_equal(cost_malloc_pair_ns(&table, 1024), 60, 1e-9);
    assert_float_equal(cost_malloc_pair_ns(&table, (size_t)-1), 60, 1e-9);
    assert_float_equal(cost_pool_pair_ns(&table, 30), 2, 1e-9);
    assert_float_equal(cost_pool_pair_ns(&table, 128), 3, 1e-9);
    double before = 0;
    for (size_t size = 1; size < 3000; size++) {
        double price = cost_malloc_pair_ns(&table, size);
        assert_true(price >= before);
        before = price;
    }
    const struct cost_table empty = {.count = 0};
    assert_float_equal(cost_malloc_pair_ns(&empty, 64), 0, 0);
}

/* With SIGCHLD ignored there is no status to collect; the table arrives all the same. */
static void works_where_children_are_ignored(void **state)
{
    struct cost_table table = {.count = 0};
    signal(SIGCHLD, SIG_IGN);
    int result = cost_measure(5, &table);
    signal(SIGCHLD, SIG_DFL);
    assert_int_equal(result, 0);
    assert_true(table.count > 0);
}

static void failures_leave_the_table_alone(void **state)
{
    struct rlimit old;
    struct cost_table table = {.count = 77};
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    int next = dup(0); /* the lowest free descriptor: forbid it and all above */
    close(next);
    struct rlimit none = {.rlim_cur = (rlim_t)next, .rlim_max = old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    int result = cost_measure(5, &table);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_int_equal(result, -EMFILE);
    assert_int_equal(table.count, 77);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(measured_table_is_whole),
        cmocka_unit_test(prices_are_interpolated),
        cmocka_unit_test(works_where_children_are_ignored),
        cmocka_unit_test(failures_leave_the_table_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
