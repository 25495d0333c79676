/* SPDX-License-Identifier: MIT */
/* Property: every size from 1 byte to 1 MiB gets a block that holds it, is aligned, and wastes no
 * more than the header says; and the rest of the contract of pwise_blocks. */
#include <errno.h>
#include <stdalign.h>
#include <string.h>

#include "../pool/check.h"
#include "poolwise/buffer.h"

static struct pwise_stats stats_of(const pwise_blocks *blocks)
{
    struct pwise_stats stats = {.size = sizeof(stats)};
    CHECK_INT(pwise_blocks_stats(blocks, &stats), ==, 0);
    return stats;
}

static void waste_of_every_size(void)
{
    pwise_blocks *blocks = pwise_blocks_create(NULL);
    size_t last = 0;
    unsigned classes = 0;
    for (size_t size = 1; size <= (size_t)1 << 20; size++) {
        size_t capacity = 0;
        char *block = pwise_blocks_get(blocks, size, &capacity);
        CHECK_PTR(block, !=, NULL);
        CHECK_INT(capacity, >=, size);
        size_t waste = capacity - size;
        if (size <= 64)
            CHECK_INT(waste, <=, 15);
        else
            CHECK_INT(waste * 5, <, capacity);
        CHECK_INT((uintptr_t)block % alignof(max_align_t), ==, 0);
        CHECK_INT(capacity, >=, last);
        classes += capacity != last;
        last = capacity;
        block[0] = block[size - 1] = block[capacity - 1] = 1;
        pwise_blocks_put(blocks, block, size % 2 ? size : capacity);
    }
    CHECK_INT(last, ==, 1 << 20);
    CHECK_INT(classes, ==, 4 + (20 - 6) * 4);
    CHECK_INT(stats_of(blocks).creates, ==, classes);
    CHECK_INT(stats_of(blocks).gets, ==, 1 << 20);
    CHECK_INT(stats_of(blocks).puts, ==, 1 << 20);
    CHECK_INT(stats_of(blocks).idle_items, ==, classes);
    pwise_trim();
    CHECK_INT(stats_of(blocks).idle_bytes, ==, 0);
    CHECK_INT(stats_of(blocks).destroys_reclaim, ==, classes);
    pwise_blocks_destroy(blocks);
}

static void large_ones_go_straight(void)
{
    struct pwise_blocks_options options = {.max_block_bytes = 1000}; /* last class: 896 */
    pwise_blocks *blocks = pwise_blocks_create(&options);
    size_t capacity;
    void *block = pwise_blocks_get(blocks, 896, &capacity);
    pwise_blocks_put(blocks, block, capacity);
    CHECK_INT(stats_of(blocks).idle_items, ==, 1);
    block = pwise_blocks_get(blocks, 897, &capacity);
    CHECK_INT(capacity, ==, 897);
    pwise_blocks_put(blocks, block, capacity);
    CHECK_INT(stats_of(blocks).idle_items, ==, 1);
    CHECK_INT(stats_of(blocks).destroys_oversize, ==, 1);
    CHECK_INT(stats_of(blocks).gets, ==, 2);
    CHECK_INT(stats_of(blocks).puts, ==, 2);
    errno = 0;
    volatile size_t impossible = SIZE_MAX;
    if (!getenv("ASAN_OPTIONS")) /* which would abort */
        CHECK_PTR(pwise_blocks_get(blocks, impossible, &capacity), ==, NULL);
    CHECK_INT(capacity, ==, 897);
    pwise_blocks_destroy(blocks);
}

static void each_class_is_bounded(void)
{
    enum { BLOCKS = 200 };
    struct pwise_blocks_options options = {.max_idle_bytes = 10000, .per_cpu_items = 4};
    pwise_blocks *blocks = pwise_blocks_create(&options);
    void *held[BLOCKS];
    for (size_t size = 100; size <= 1600; size *= 4) {
        size_t before = stats_of(blocks).idle_bytes;
        for (int i = 0; i < BLOCKS; i++)
            held[i] = pwise_blocks_get(blocks, size, NULL);
        for (int i = 0; i < BLOCKS; i++)
            pwise_blocks_put(blocks, held[i], size);
        CHECK_INT(stats_of(blocks).idle_bytes - before, <=, 10000);
        CHECK_INT(stats_of(blocks).idle_bytes - before, >, 5000);
    }
    pwise_reclaim();
    pwise_reclaim();
    CHECK_INT(stats_of(blocks).idle_bytes, ==, 0);
    pwise_blocks_destroy(blocks);
}

static int find_class(const pwise_pool *pool, const struct pwise_stats *stats, void *context)
{
    *(int *)context += strcmp(stats->name, "frames/320") == 0;
    return 0;
}

static void named(void)
{
    struct pwise_blocks_options options = {.name = "frames"};
    pwise_blocks *blocks = pwise_blocks_create(&options);
    int found = 0;
    CHECK_INT(pwise_each_pool(find_class, &found), ==, 0);
    CHECK_INT(found, ==, 0);
    pwise_blocks_put(blocks, pwise_blocks_get(blocks, 300, NULL), 300);
    CHECK_INT(pwise_each_pool(find_class, &found), ==, 0);
    CHECK_INT(found, ==, 1);
    pwise_blocks_destroy(blocks);
}

/* Blocks that are out when all is destroyed stay valid; the checkers see whether all is freed. */
static void outlive(void)
{
    pwise_blocks *blocks = pwise_blocks_create(NULL);
    char *held[20];
    for (size_t i = 0; i < 20; i++)
        held[i] = pwise_blocks_get(blocks, i * 100, NULL);
    char *large = pwise_blocks_get(blocks, 3 << 20, NULL);
    pwise_blocks_destroy(blocks);
    errno = 0;
    CHECK_PTR(pwise_blocks_get(blocks, 100, NULL), ==, NULL);
    CHECK_INT(errno, ==, EINVAL);
    errno = 0;
    CHECK_PTR(pwise_blocks_get(blocks, 100000, NULL), ==, NULL);
    CHECK_INT(errno, ==, EINVAL);
    errno = 0;
    CHECK_PTR(pwise_blocks_get(blocks, 3 << 20, NULL), ==, NULL);
    CHECK_INT(errno, ==, EINVAL);
    struct pwise_stats stats = {.size = sizeof(stats)};
    CHECK_INT(pwise_blocks_stats(blocks, &stats), ==, -EINVAL);
    pwise_blocks_put(blocks, large, 3 << 20);
    for (size_t i = 0; i < 20; i++) {
        held[i][i] = 1;
        pwise_blocks_put(blocks, held[i], i * 100);
    }
}

static void arguments(void)
{
    struct pwise_blocks_options bad[] = {
        {.max_block_bytes = 15},
        {.max_block_bytes = ((size_t)1 << 30) + 1},
        {.per_cpu_items = 65535},
        {.flags = PWISE_ADAPTIVE},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        errno = 0;
        CHECK_PTR(pwise_blocks_create(&bad[i]), ==, NULL);
        CHECK_INT(errno, ==, EINVAL);
    }
    pwise_blocks *blocks = pwise_blocks_create(NULL);
    errno = 5;
    pwise_blocks_put(blocks, NULL, 77);
    size_t capacity;
    void *block = pwise_blocks_get(blocks, 0, &capacity);
    CHECK_INT(capacity, ==, 16);
    pwise_blocks_put(blocks, block, 0);
    CHECK_INT(stats_of(blocks).idle_items, ==, 1);
    CHECK_INT(errno, ==, 5);
    CHECK_INT(pwise_blocks_stats(NULL, NULL), ==, -EINVAL);
    pwise_blocks_destroy(blocks);
    pwise_blocks_destroy(NULL);
}

int main(void)
{
    check_on_one_cpu(); /* creates are counted */
    pwise_set_reclaim(PWISE_MANUAL, 0);
    waste_of_every_size();
    large_ones_go_straight();
    each_class_is_bounded();
    named();
    outlive();
    arguments();
    return 0;
}
