/* SPDX-License-Identifier: MIT */
/* Property: what a buffer pool keeps stays within max_capacity and max_idle_bytes, ages by the
 * cycles, and is freed once, by whichever way it leaves. */
#include "fixture.h"

static void capped(void)
{
    static const size_t caps[] = {64, 4096, 65536, 1 << 20};
    for (size_t i = 0; i < sizeof(caps) / sizeof(caps[0]); i++) {
        struct pwise_buffer_pool_options options = {.max_capacity = caps[i]};
        pwise_buffer_pool *pool = pwise_buffer_pool_create(&options);
        use_once(pool, caps[i] - 1);
        CHECK_INT(buffer_stats(pool).destroys_oversize, ==, 0);
        CHECK_INT(buffer_stats(pool).idle_bytes, ==, caps[i]);
        use_once(pool, caps[i]);
        CHECK_INT(buffer_stats(pool).destroys_oversize, ==, 1);
        CHECK_INT(buffer_stats(pool).idle_bytes, ==, 0);
        pwise_buffer_pool_destroy(pool);
    }
    pwise_buffer_pool *pool = pwise_buffer_pool_create(NULL);
    use_once(pool, 70000);
    CHECK_INT(buffer_stats(pool).destroys_oversize, ==, 1);
    pwise_buffer_pool_destroy(pool);
    struct pwise_buffer_pool_options unbounded = {.max_capacity = SIZE_MAX};
    pool = pwise_buffer_pool_create(&unbounded);
    use_once(pool, 3000000);
    CHECK_INT(buffer_stats(pool).idle_bytes, >, 3000000);
    pwise_buffer_pool_destroy(pool);
}

static void bounded_in_all(void)
{
    enum { BUFFERS = 100, BOUND = 50000 };
    struct pwise_buffer_pool_options options = {.max_idle_bytes = BOUND, .per_cpu_items = 2};
    pwise_buffer_pool *pool = pwise_buffer_pool_create(&options);
    struct pwise_buffer *buffers[BUFFERS];
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < BUFFERS; i++) {
            buffers[i] = pwise_buffer_pool_get(pool);
            CHECK_INT(pwise_buffer_reserve(buffers[i], (size_t)(i * round * 10)), ==, 0);
            buffers[i]->length = (size_t)(i * round * 10);
        }
        for (int i = 0; i < BUFFERS; i++) {
            pwise_buffer_pool_put(pool, buffers[i]);
            CHECK_INT(buffer_stats(pool).idle_bytes, <=, BOUND);
        }
        CHECK_INT(buffer_stats(pool).idle_bytes, >, BOUND / 4);
    }
    CHECK_INT(buffer_stats(pool).destroys_bound, >, 0);
    pwise_reclaim();
    CHECK_INT(buffer_stats(pool).idle_items, >, 0);
    pwise_reclaim();
    CHECK_INT(buffer_stats(pool).idle_items, ==, 0);
    CHECK_INT(buffer_stats(pool).idle_bytes, ==, 0);
    pwise_buffer_pool_destroy(pool);
}

/* Detached and done buffers may be put; the next user finds memory again. */
static void emptied_buffers(void)
{
    pwise_buffer_pool *pool = pwise_buffer_pool_create(NULL);
    for (int i = 0; i < 1000; i++) {
        struct pwise_buffer *buffer = pwise_buffer_pool_get(pool);
        CHECK_PTR(buffer->data, !=, NULL);
        CHECK_INT(pwise_buffer_printf(buffer, "%d", i), ==, 0);
        if (i % 3 == 0)
            free(pwise_buffer_detach(buffer, NULL));
        else if (i % 3 == 1)
            pwise_buffer_done(buffer);
        pwise_buffer_pool_put(pool, buffer);
    }
    CHECK_INT(buffer_stats(pool).creates, ==, 1);
    CHECK_INT(buffer_stats(pool).idle_bytes, >, 0);
    pwise_trim();
    CHECK_INT(buffer_stats(pool).idle_bytes, ==, 0);
    pwise_buffer_pool_destroy(pool);
}

/* Buffers that are out when the pool goes stay valid; the checkers see whether all is freed. */
static void outlive_the_pool(void)
{
    pwise_buffer_pool *pool = pwise_buffer_pool_create(NULL);
    struct pwise_buffer *buffers[10];
    for (int i = 0; i < 10; i++)
        buffers[i] = pwise_buffer_pool_get(pool);
    for (int i = 5; i < 10; i++)
        pwise_buffer_pool_put(pool, buffers[i]);
    pwise_buffer_pool_destroy(pool);
    errno = 0;
    CHECK_PTR(pwise_buffer_pool_get(pool), ==, NULL);
    CHECK_INT(errno, ==, EINVAL);
    struct pwise_stats stats = {.size = sizeof(stats)};
    CHECK_INT(pwise_buffer_pool_stats(pool, &stats), ==, -EINVAL);
    for (int i = 0; i < 5; i++) {
        CHECK_INT(pwise_buffer_printf(buffers[i], "%0*d", 100000 * (i & 1), i), ==, 0);
        pwise_buffer_pool_put(pool, buffers[i]);
    }
}

static void arguments(void)
{
    struct pwise_buffer_pool_options bad[] = {
        {.start_capacity = 1000, .max_capacity = 999},
        {.start_capacity = 70000},
        {.per_cpu_items = 65535},
        {.flags = 1u << 30},
        {.flags = PWISE_ADAPTIVE},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        errno = 0;
        CHECK_PTR(pwise_buffer_pool_create(&bad[i]), ==, NULL);
        CHECK_INT(errno, ==, EINVAL);
    }
    struct pwise_buffer_pool_options tiny = {.name = "tiny", .max_capacity = 1};
    pwise_buffer_pool *pool = pwise_buffer_pool_create(&tiny);
    CHECK_INT(strcmp(buffer_stats(pool).name, "tiny"), ==, 0);
    for (int i = 0; i < 100; i++)
        use_once(pool, 0);
    errno = 5;
    pwise_buffer_pool_put(pool, NULL);
    use_once(pool, 10);
    CHECK_INT(errno, ==, 5);
    CHECK_INT(pwise_buffer_pool_stats(NULL, NULL), ==, -EINVAL);
    CHECK_INT(pwise_buffer_pool_stats(pool, NULL), ==, -EINVAL);
    pwise_buffer_pool_destroy(pool);
    pwise_buffer_pool_destroy(NULL);
}

int main(void)
{
    check_on_one_cpu();
    pwise_set_reclaim(PWISE_MANUAL, 0);
    capped();
    bounded_in_all();
    emptied_buffers();
    outlive_the_pool();
    arguments();
    return 0;
}
