/* SPDX-License-Identifier: MIT */
/* Property: fresh buffers become as large as nearly all uses need, and no larger. */
#include "fixture.h"

static uint32_t state = 12345;

static uint32_t random_below(uint32_t bound)
{
    state = state * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)state * bound) >> 32);
}

static pwise_buffer_pool *fresh_pool(void)
{
    pwise_buffer_pool *pool = pwise_buffer_pool_create(NULL);
    CHECK_PTR(pool, !=, NULL);
    CHECK_INT(pwise_buffer_pool_start_capacity(pool), ==, 256);
    return pool;
}

/* A fresh buffer is what the pool says. */
static size_t fresh_capacity(pwise_buffer_pool *pool)
{
    pwise_trim();
    struct pwise_buffer *buffer = pwise_buffer_pool_get(pool);
    size_t capacity = buffer->capacity;
    CHECK_INT(capacity, ==, pwise_buffer_pool_start_capacity(pool));
    pwise_buffer_pool_put(pool, buffer);
    return capacity;
}

static void unimodal(void)
{
    static const size_t lengths[] = {1, 63, 64, 500, 3000, 20000, 60000};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        pwise_buffer_pool *pool = fresh_pool();
        for (int use = 0; use < 1000; use++)
            use_once(pool, lengths[i]);
        size_t capacity = fresh_capacity(pool);
        CHECK_INT(capacity, >, lengths[i]);
        CHECK_INT(capacity, <=, lengths[i] < 64 ? 64 : (lengths[i] + 1) * 5 / 4);
        pwise_buffer_pool_destroy(pool);
    }
}

/* The first uses count at once. */
static void learns_early(void)
{
    pwise_buffer_pool *pool = fresh_pool();
    use_once(pool, 3000);
    CHECK_INT(fresh_capacity(pool), >, 3000);
    pwise_buffer_pool_destroy(pool);
}

/* `in_100` of a hundred uses are of the large size; returns what fresh buffers get. */
static size_t bimodal(size_t small, size_t large, uint32_t in_100)
{
    pwise_buffer_pool *pool = fresh_pool();
    for (int use = 0; use < 200000; use++)
        use_once(pool, random_below(100) < in_100 ? large : small);
    size_t capacity = fresh_capacity(pool);
    pwise_buffer_pool_destroy(pool);
    return capacity;
}

static void bimodal_loads(void)
{
    CHECK_INT(bimodal(100, 2000, 50), ==, 2048);
    CHECK_INT(bimodal(100, 2000, 5), ==, 2048);
    CHECK_INT(bimodal(100, 30000, 50), >, 30000);
    /* Nineteen in twenty would leave 30000 bytes unused: what is small enough to be kept is enough. */
    CHECK_INT(bimodal(100, 30000, 5), ==, 4096);
    /* A rare outlier teaches nothing. */
    CHECK_INT(bimodal(100, 30000, 1), ==, 112);
    CHECK_INT(bimodal(100, 2000, 95), ==, 2048);
}

/* A strict rhythm is not mistaken for one of its parts. */
static void rhythm(void)
{
    for (int period = 2; period <= 16; period *= 2) {
        pwise_buffer_pool *pool = fresh_pool();
        for (int use = 0; use < 200000; use++)
            use_once(pool, use % period == 0 ? 2000 : 100);
        CHECK_INT(fresh_capacity(pool), ==, 2048);
        pwise_buffer_pool_destroy(pool);
    }
}

static void shifting(void)
{
    pwise_buffer_pool *pool = fresh_pool();
    static const size_t lengths[] = {100, 12000, 50, 900};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        for (int use = 0; use < 500000; use++)
            use_once(pool, lengths[i]);
        size_t capacity = fresh_capacity(pool);
        CHECK_INT(capacity, >, lengths[i]);
        CHECK_INT(capacity, <=, lengths[i] < 64 ? 64 : (lengths[i] + 1) * 5 / 4);
    }
    pwise_buffer_pool_destroy(pool);
}

/* Uses over the cap and uses of nothing do not count. */
static void left_out(void)
{
    struct pwise_buffer_pool_options options = {.max_capacity = 8192};
    pwise_buffer_pool *pool = pwise_buffer_pool_create(&options);
    for (int use = 0; use < 5000; use++) {
        use_once(pool, 500);
        use_once(pool, 100000);
        use_once(pool, 0);
    }
    CHECK_INT(fresh_capacity(pool), ==, 512);
    pwise_buffer_pool_destroy(pool);
}

int main(void)
{
    check_on_one_cpu();
    pwise_set_reclaim(PWISE_MANUAL, 0);
    unimodal();
    learns_early();
    bimodal_loads();
    rhythm();
    shifting();
    left_out();
    return 0;
}
