/* SPDX-License-Identifier: MIT */
/* Property: what a scope got is put when the scope ends, by whichever way, once, unless it was kept.
 * Compiled as C11 and as C++17. */
#include <poolwise/buffer.h>

#include "../pool/check.h"

static uint64_t puts_of(const pwise_pool *pool)
{
    struct pwise_stats stats;
    stats.size = sizeof(stats);
    CHECK_INT(pwise_pool_stats(pool, &stats), ==, 0);
    return stats.puts;
}

static int leave_early(pwise_pool *pool, int way)
{
    PWISE_SCOPED(pool, int, number);
    PWISE_SCOPED(pool, bytes);
    CHECK_PTR(number, !=, NULL);
    CHECK_PTR(bytes, !=, (void *)number);
    *number = way;
    if (way == 0)
        return 1;
    for (int i = 0; i < 3; i++) {
        PWISE_SCOPED(pool, inner);
        CHECK_PTR(inner, !=, NULL);
        if (way == 1)
            break;
        if (way == 2)
            continue;
        if (way == 3)
            goto out;
    }
out:
    return *number;
}

static int *keep(pwise_pool *pool)
{
    PWISE_SCOPED(pool, int, number);
    *number = 17;
    return PWISE_SCOPED_KEEP(number);
}

static void render(pwise_buffer_pool *pool, char *ret_text)
{
    PWISE_SCOPED_BUFFER(pool, text);
    CHECK_PTR(text, !=, NULL);
    CHECK_INT(pwise_buffer_append(text, "abc", 3), ==, 0);
    memcpy(ret_text, text->data, text->length + 1);
}

int main(void)
{
    struct pwise_options options;
    memset(&options, 0, sizeof(options));
    pwise_set_reclaim(PWISE_MANUAL, 0);
    pwise_pool *empty = pwise_pool_create(&options);
    options.item_size = 64;
    pwise_pool *pool = pwise_pool_create(&options);
    static const uint64_t expected[] = {2, 3, 5, 3};
    for (int way = 0; way < 4; way++) {
        uint64_t before = puts_of(pool);
        CHECK_INT(leave_early(pool, way), ==, way == 0 ? 1 : way);
        CHECK_INT(puts_of(pool) - before, ==, expected[way]);
    }
    uint64_t before = puts_of(pool);
    int *kept = keep(pool);
    CHECK_INT(*kept, ==, 17);
    CHECK_INT(puts_of(pool), ==, before);
    pwise_put(pool, kept);
    {
        PWISE_SCOPED(empty, nothing);
        CHECK_PTR(nothing, ==, NULL);
    }
    CHECK_INT(puts_of(empty), ==, 0);
    pwise_buffer_pool *buffers = pwise_buffer_pool_create(NULL);
    struct pwise_stats stats;
    for (int i = 0; i < 10; i++) {
        char text[16];
        render(buffers, text);
        CHECK_INT(strcmp(text, "abc"), ==, 0);
    }
    stats.size = sizeof(stats);
    CHECK_INT(pwise_buffer_pool_stats(buffers, &stats), ==, 0);
    CHECK_INT(stats.puts, ==, 10);
    CHECK_INT(stats.idle_items, ==, stats.creates);
    pwise_pool_destroy(pool);
    pwise_pool_destroy(empty);
    pwise_buffer_pool_destroy(buffers);
    return 0;
}
