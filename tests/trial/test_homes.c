/* SPDX-License-Identifier: MIT */
/*
 * The pools' side of a trial without a program around it: blocks lie in the range and lead back to their home, chunks are
 * given out once and come back empty, the next allocator's blocks are never taken for ours.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "homes.h"
#include "next.h"
#include "presize.h"
#include "range.h"
#include "runs.h"

void next_ready(void)
{
}

static int set_up(void **state)
{
    next_look_up();
    homes_init(1 << 20);
    assert_false(range_holds(state));
    return range_init();
}

static void chunks(void **state)
{
    struct home *owner = (struct home *)(void *)"owner";
    char *first = range_take(owner), *second = range_take(owner);
    assert_non_null(first);
    assert_true(second == first + RANGE_CHUNK_BYTES);
    assert_true(range_holds(first) && range_holds(second + RANGE_CHUNK_BYTES - 1));
    assert_false(range_holds((char *)range_base - 1));
    assert_false(range_holds((char *)range_base + RANGE_BYTES));
    assert_ptr_equal(range_owner(first + 12345), owner);
    memset(first, 0xff, RANGE_CHUNK_BYTES);
    range_give(first);
    assert_null(range_owner(first));
    char *again = range_take(owner);
    assert_ptr_equal(again, first);
    for (size_t i = 0; i < RANGE_CHUNK_BYTES; i += 4096)
        assert_int_equal(again[i], 0);
    range_give(first);
    range_give(second);
}

static void every_class(void **state)
{
    static struct group group = {.most_bytes = HOME_BYTES_MOST};
    for (size_t size = 1; size <= HOME_BYTES_MOST; size += 1 + size / 7) {
        struct home *home = group_home(&group, size);
        assert_non_null(home);
        assert_true(home->bytes >= size);
        char *block = pwise_get(&home->pool), *other = pwise_get(&home->pool);
        assert_non_null(block);
        assert_non_null(other);
        assert_true(range_holds(block) && range_owner(block) == home &&
                    range_owner(block + home->bytes - 1) == home);
        assert_true(block + home->bytes <= other || other + home->bytes <= block);
        assert_int_equal((uintptr_t)block % 16, 0);
        memset(block, 1, home->bytes);
        memset(other, 2, home->bytes);
        assert_int_equal(block[0] + block[home->bytes - 1], 2);
        pwise_put(&home->pool, block);
        pwise_put(&home->pool, other);
    }
}

static void aligned(void **state)
{
    for (size_t align = 32; align <= HOME_ALIGN_MOST; align *= 2)
        for (size_t size = 1; size < 100000; size = size * 3 + 1) {
            struct home *home = homes_aligned(size, align);
            assert_non_null(home);
            assert_true(home->bytes >= size);
            void *block = pwise_get(&home->pool);
            assert_non_null(block);
            assert_int_equal((uintptr_t)block % align, 0);
            assert_ptr_equal(range_owner(block), home);
            pwise_put(&home->pool, block);
        }
    assert_null(homes_aligned(1, 2 * HOME_ALIGN_MOST));
    assert_null(homes_aligned(HOME_BYTES_MOST + 1, 32));
}

/* Blocks larger than slabs hold: what is given back over the bound gives its pages back. */
static void large(void **state)
{
    static struct group group = {.most_bytes = HOME_BYTES_MOST};
    struct home *home = group_home(&group, 300000);
    char *blocks[64];
    for (int i = 0; i < 64; i++) {
        blocks[i] = pwise_get(&home->pool);
        assert_non_null(blocks[i]);
        memset(blocks[i], i, home->bytes);
    }
    uint64_t made, hit, idle;
    homes_counts(&made, &hit, &idle);
    for (int i = 0; i < 64; i++) {
        assert_int_equal(blocks[i][0], i);
        assert_int_equal(blocks[i][home->bytes - 1], i);
        pwise_put(&home->pool, blocks[i]);
    }
    uint64_t gets, hits, idle_after;
    homes_counts(&gets, &hits, &idle_after);
    assert_true(gets >= 64);
    assert_true(idle_after <= idle + (1u << 20));
    assert_true(idle_after >= idle + 300000);
}

static void presized(void **state)
{
    char *block = presize_malloc(10, 1000);
    assert_non_null(block);
    assert_true(presize_fits(block, 1000));
    assert_true(presize_fits(block, 1));
    assert_false(presize_fits(block, 0));
    assert_false(presize_fits(block, 5000));
    /* A program that uses all it may overwrites the mark. */
    memset(block, 0, next.usable_size(block));
    assert_false(presize_fits(block, 1000));
    free(block);
    char *plain = malloc(1000);
    memset(plain, 0, next.usable_size(plain));
    assert_false(presize_fits(plain, 10));
    free(plain);
    char *zeroed = presize_calloc(10, 4000);
    for (int i = 0; i < 10; i++)
        assert_int_equal(zeroed[i], 0);
    free(zeroed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks), cmocka_unit_test(every_class), cmocka_unit_test(aligned),
        cmocka_unit_test(large),  cmocka_unit_test(presized),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
