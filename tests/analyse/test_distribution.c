/* SPDX-License-Identifier: MIT */
/* Distributions against sorting and brute force, over random data of several shapes, fixed seeds. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "analyse_internal.h"

static uint64_t random_state;

static uint64_t random_next(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static int compare(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

enum shape { FEW, WIDE, POWERS, LOGARITHMIC, EXTREME, SHAPES };

static uint64_t random_value(enum shape shape)
{
    switch (shape) {
    case FEW:
        return random_next() % 400;
    case WIDE:
        return random_next() % 100000;
    case POWERS:
        return (UINT64_C(1) << random_next() % 40) + (random_next() % 3 ? 0 : random_next() % 999);
    case LOGARITHMIC:
        return random_next() >> (random_next() % 64);
    default:
        return random_next() % 2 ? UINT64_MAX - random_next() % 3000 : random_next() % 3000;
    }
}

/*
 * Most values in a window [s, 2s], s each value. With narrow, in [s + s/32, 2s) instead: what is
 * left of it when only whole buckets count.
 */
static uint64_t brute_window(const uint64_t *sorted, size_t count, bool narrow)
{
    uint64_t best = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t low = sorted[i], high = low > UINT64_MAX / 2 ? UINT64_MAX : 2 * low, inside = 0;
        low += narrow && low <= UINT64_MAX - low / 32 ? low / 32 : 0;
        for (size_t k = i; k < count; k++)
            inside += sorted[k] >= low && (narrow ? sorted[k] < high : sorted[k] <= high);
        best = inside > best ? inside : best;
    }
    return best;
}

static uint64_t brute_rank(const uint64_t *sorted, size_t count, uint64_t per_mille)
{
    size_t rank = (count * per_mille + 999) / 1000;
    return sorted[rank ? rank - 1 : 0];
}

static uint64_t brute_classes(const uint64_t *sorted, size_t count)
{
    uint64_t classes[65] = {0}, held = 0, used = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t rank = 0;
        while (rank < 64 && sorted[i] > UINT64_C(1) << rank)
            rank++;
        classes[rank]++;
    }
    qsort(classes, 65, sizeof *classes, compare);
    while (held * 1000 < count * 999)
        held += classes[64 - used++];
    return used;
}

static void near_above(uint64_t got, uint64_t wanted, bool exact)
{
    if (exact) {
        assert_int_equal(got, wanted);
        return;
    }
    if (got < wanted || (double)got > (double)wanted * (1 + 1.0 / 32) + 1)
        print_error("got %lu for %lu\n", (unsigned long)got, (unsigned long)wanted);
    assert_true(got >= wanted);
    assert_true((double)got <= (double)wanted * (1 + 1.0 / 32) + 1);
}

static void check(const uint64_t *values, size_t count)
{
    struct distribution d = {0};
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(distribution_add(&d, values[i]), 0);
        sum += (double)values[i];
    }
    uint64_t *sorted = malloc(count * sizeof *sorted);
    assert_non_null(sorted);
    for (size_t i = 0; i < count; i++)
        sorted[i] = values[i];
    qsort(sorted, count, sizeof *sorted, compare);
    size_t distinct = 1;
    for (size_t i = 1; i < count; i++)
        distinct += sorted[i] != sorted[i - 1];
    bool exact = distinct <= DISTRIBUTION_EXACT;
    assert_int_equal(exact, d.exact != NULL);

    struct distribution_range *ranges = NULL;
    size_t range_count = 0;
    assert_int_equal(distribution_ranges(&d, &ranges, &range_count), 0);
    uint64_t in_ranges = 0;
    for (size_t i = 0; i < range_count; i++) {
        in_ranges += ranges[i].count;
        assert_true(ranges[i].low <= ranges[i].high);
        if (i)
            assert_true(ranges[i - 1].high < ranges[i].low);
    }
    assert_int_equal(in_ranges, count);

    struct analyse_distribution got;
    distribution_summary(&d, ranges, range_count, &got);
    assert_int_equal(got.count, count);
    assert_int_equal(got.min, sorted[0]);
    assert_int_equal(got.max, sorted[count - 1]);
    assert_true(fabs(got.sum - sum) <= sum * 1e-9);
    near_above(got.p1, brute_rank(sorted, count, 10), exact);
    near_above(got.p50, brute_rank(sorted, count, 500), exact);
    near_above(got.p95, brute_rank(sorted, count, 950), exact);
    near_above(got.p99, brute_rank(sorted, count, 990), exact);
    near_above(got.p999, brute_rank(sorted, count, 999), exact);

    uint64_t low = 0;
    double share = distribution_window(&d, ranges, range_count, &low);
    uint64_t inside = (uint64_t)llround(share * (double)count);
    uint64_t most = brute_window(sorted, count, false);
    if (exact) {
        assert_int_equal(inside, most);
    } else {
        uint64_t least = brute_window(sorted, count, true);
        if (inside > most || inside < least)
            print_error("window %lu, not in [%lu, %lu]\n", (unsigned long)inside,
                        (unsigned long)least, (unsigned long)most);
        assert_in_range(inside, least, most);
    }
    uint64_t at_low = 0; /* the window it names holds what it says */
    for (size_t i = 0; i < count; i++)
        at_low += sorted[i] >= low && (low > UINT64_MAX / 2 || sorted[i] <= 2 * low);
    assert_true(at_low >= inside);
    assert_int_equal(distribution_classes(&d, ranges, range_count), brute_classes(sorted, count));
    free(ranges);
    free(sorted);
    distribution_done(&d);
}

static void random_data(void **state)
{
    (void)state;
    static uint64_t values[3000];
    for (uint64_t seed = 1; seed <= 60; seed++) {
        random_state = seed * 0x9e3779b97f4a7c15u;
        enum shape shape = (enum shape)(seed % SHAPES);
        size_t count = seed % 7 == 0 ? seed : 200 + random_next() % 2800;
        for (size_t i = 0; i < count; i++)
            values[i] = random_value(shape);
        check(values, count);
    }
}

static void edges(void **state)
{
    (void)state;
    check((uint64_t[]){0}, 1);
    check((uint64_t[]){0, 0, 0, 1}, 4);
    check((uint64_t[]){UINT64_MAX}, 1);
    check((uint64_t[]){UINT64_MAX, 0, UINT64_MAX / 2, UINT64_MAX / 2 + 1}, 4);
    check((uint64_t[]){64, 128, 129, 63}, 4);
}

/* Exactly as many distinct values as are kept exactly, and one more. */
static void at_the_edge_of_exactness(void **state)
{
    (void)state;
    static uint64_t values[DISTRIBUTION_EXACT + 1];
    for (size_t i = 0; i <= DISTRIBUTION_EXACT; i++)
        values[i] = 1000 + i * 37;
    check(values, DISTRIBUTION_EXACT);
    check(values, DISTRIBUTION_EXACT + 1);
}

static void nothing_at_all(void **state)
{
    (void)state;
    struct distribution d = {0};
    struct distribution_range *ranges = NULL;
    size_t count = 9;
    assert_int_equal(distribution_ranges(&d, &ranges, &count), 0);
    assert_int_equal(count, 0);
    struct analyse_distribution got;
    distribution_summary(&d, ranges, count, &got);
    assert_int_equal(got.count, 0);
    assert_int_equal(got.p50, 0);
    uint64_t low = 0;
    assert_true(distribution_window(&d, ranges, count, &low) == 0);
    assert_int_equal(distribution_classes(&d, ranges, count), 0);
}

static void pages_against_counting(void **state)
{
    (void)state;
    struct pages pages = {0};
    static uint32_t counts[16][64];
    random_state = 99;
    uint32_t used = 0;
    for (int i = 0; i < 200000; i++) {
        uint32_t site = random_next() % 16;
        uint64_t page = random_next() % 64;
        if (random_next() % 2) {
            bool fresh = false;
            assert_int_equal(pages_add(&pages, site, page, &fresh), 0);
            assert_int_equal(fresh, counts[site][page] == 0);
            used += counts[site][page]++ == 0;
        } else if (counts[site][page]) {
            bool last = pages_remove(&pages, site, page);
            assert_int_equal(last, --counts[site][page] == 0);
            used -= last;
        } else {
            assert_false(pages_remove(&pages, site, page));
        }
        assert_int_equal(pages.used, used);
    }
    pages_done(&pages);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_data),
        cmocka_unit_test(edges),
        cmocka_unit_test(at_the_edge_of_exactness),
        cmocka_unit_test(nothing_at_all),
        cmocka_unit_test(pages_against_counting),
    };
    return cmocka_run_group_tests_name("analyse distribution", tests, NULL, NULL);
}
