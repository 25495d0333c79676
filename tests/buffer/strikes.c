/* SPDX-License-Identifier: MIT */
/* Property: a buffer over 4 KiB goes at the fourth use in a row of less than a quarter of it, at the
 * 120th where such uses come regularly; one good use clears the strikes, and small buffers always
 * stay. */
#include "fixture.h"

enum { LARGE = 40000 };

/* The one buffer of the pool, which all uses here share, has been made large. */
static pwise_buffer_pool *pool_with_large(void)
{
    pwise_buffer_pool *pool = pwise_buffer_pool_create(NULL);
    use_once(pool, LARGE);
    CHECK_INT(buffer_stats(pool).idle_bytes, >, LARGE);
    return pool;
}

static void fourth_ends_it(size_t used)
{
    pwise_buffer_pool *pool = pool_with_large();
    for (int strike = 1; strike <= 4; strike++) {
        CHECK_INT(buffer_stats(pool).destroys_unused, ==, 0);
        CHECK_INT(buffer_stats(pool).idle_items, ==, 1);
        use_once(pool, used);
    }
    CHECK_INT(buffer_stats(pool).destroys_unused, ==, 1);
    CHECK_INT(buffer_stats(pool).idle_items, ==, 0);
    CHECK_INT(buffer_stats(pool).idle_bytes, ==, 0);
    pwise_buffer_pool_destroy(pool);
}

static void good_use_clears(void)
{
    pwise_buffer_pool *pool = pool_with_large();
    struct pwise_buffer *buffer = pwise_buffer_pool_get(pool);
    size_t quarter = buffer->capacity / 4;
    pwise_buffer_pool_put(pool, buffer); /* a strike: nothing was used */
    for (int round = 0; round < 100; round++) {
        use_once(pool, quarter);
        for (int strike = 1; strike <= 3; strike++)
            use_once(pool, quarter / 8);
    }
    CHECK_INT(buffer_stats(pool).destroys_unused, ==, 0);
    CHECK_INT(buffer_stats(pool).creates, ==, 1);
    /* By now they are regular; three strikes are given above. */
    for (int strike = 4; strike <= 119; strike++)
        use_once(pool, quarter / 8);
    CHECK_INT(buffer_stats(pool).destroys_unused, ==, 0);
    use_once(pool, quarter / 8);
    CHECK_INT(buffer_stats(pool).destroys_unused, ==, 1);
    pwise_buffer_pool_destroy(pool);
}

/* One use in 20 is large: the buffer stays. When they have stopped for long, or are rare, it does not. */
static void regular_ones_stay(void)
{
    pwise_buffer_pool *pool = pwise_buffer_pool_create(NULL);
    for (int use = 0; use < 100000; use++)
        use_once(pool, use % 20 == 0 ? LARGE : 800);
    uint64_t early = buffer_stats(pool).destroys_unused;
    CHECK_INT(early, <, 100); /* until it was learned */
    for (int use = 0; use < 100000; use++)
        use_once(pool, use % 20 == 0 ? LARGE : 800);
    CHECK_INT(buffer_stats(pool).destroys_unused - early, <, 100);
    for (int use = 0; use < 200000; use++)
        use_once(pool, 800);
    CHECK_INT(buffer_stats(pool).idle_bytes, <=, 4096);
    uint64_t quiet = buffer_stats(pool).destroys_unused;
    for (int use = 1; use <= 100000; use++)
        use_once(pool, use % 1000 == 0 ? LARGE : 800);
    CHECK_INT(buffer_stats(pool).destroys_unused - quiet, >, 90); /* of 100 */
    pwise_buffer_pool_destroy(pool);
}

static void small_ones_stay(void)
{
    pwise_buffer_pool *pool = pwise_buffer_pool_create(NULL);
    use_once(pool, 4095);
    for (int use = 0; use < 1000; use++)
        use_once(pool, 1);
    CHECK_INT(buffer_stats(pool).creates, ==, 1);
    CHECK_INT(buffer_stats(pool).idle_bytes, ==, 4096);
    pwise_buffer_pool_destroy(pool);
}

/* Strikes are the buffer's own: they come along through other hands and other buffers' good uses. */
static void travel_with_the_buffer(void)
{
    enum { OTHERS = 20 };
    pwise_buffer_pool *pool = pool_with_large();
    struct pwise_buffer *large = pwise_buffer_pool_get(pool), *others[OTHERS];
    for (int round = 1; round <= 4; round++) {
        for (int i = 0; i < OTHERS; i++) {
            others[i] = pwise_buffer_pool_get(pool);
            CHECK_INT(pwise_buffer_reserve(others[i], LARGE), ==, 0);
            others[i]->length = LARGE;
        }
        pwise_buffer_pool_put(pool, large);
        for (int i = 0; i < OTHERS; i++)
            pwise_buffer_pool_put(pool, others[i]);
        CHECK_INT(buffer_stats(pool).destroys_unused, ==, round == 4);
        bool found = false;
        struct pwise_buffer *got[OTHERS + 1];
        for (int i = 0; i <= OTHERS && round < 4; i++) {
            got[i] = pwise_buffer_pool_get(pool);
            found = found || got[i] == large;
        }
        for (int i = 0; i <= OTHERS && round < 4; i++) {
            got[i]->length = LARGE;
            if (got[i] != large)
                pwise_buffer_pool_put(pool, got[i]);
        }
        CHECK_INT(found, ==, round < 4);
        large->length = round < 4 ? 0 : large->length;
    }
    pwise_buffer_pool_destroy(pool);
}

int main(void)
{
    check_on_one_cpu();
    pwise_set_reclaim(PWISE_MANUAL, 0);
    fourth_ends_it(0);
    fourth_ends_it(100);
    fourth_ends_it(LARGE / 5);
    good_use_clears();
    regular_ones_stay();
    small_ones_stay();
    travel_with_the_buffer();
    return 0;
}
