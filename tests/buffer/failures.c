/* SPDX-License-Identifier: MIT */
/* Property: when memory runs out at any one allocation, the call says so, leaves everything as it
 * was, and works the next time; a put never fails. The linker routes the library's allocations
 * through the functions below. */
#include "fixture.h"

static long allocations_left = -1; /* -1: no limit; the one that takes it to 0 fails, once */

static bool fails(void)
{
    if (allocations_left < 0)
        return false;
    if (allocations_left-- > 0)
        return false;
    errno = ENOMEM;
    return true;
}

#pragma GCC diagnostic ignored "-Wmissing-prototypes"
void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *block, size_t bytes);
void *__real_aligned_alloc(size_t align, size_t bytes);

void *__wrap_malloc(size_t bytes)
{
    return fails() ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
    return fails() ? NULL : __real_calloc(count, bytes);
}

void *__wrap_realloc(void *block, size_t bytes)
{
    return fails() ? NULL : __real_realloc(block, bytes);
}

void *__wrap_aligned_alloc(size_t align, size_t bytes)
{
    return fails() ? NULL : __real_aligned_alloc(align, bytes);
}

/* Runs `attempt` with the first allocation failing, then the second, ... until none fails. */
static int with_each_failing(bool (*attempt)(void))
{
    for (long which = 0; which < 100; which++) {
        allocations_left = which;
        errno = 0;
        bool succeeded = attempt();
        bool reached = allocations_left < 0;
        int error = errno;
        allocations_left = -1;
        if (!reached) {
            CHECK_INT(succeeded, ==, true);
            return (int)which;
        }
        if (!succeeded)
            CHECK_INT(error, ==, ENOMEM);
    }
    abort();
}

static void buffers_fail(void)
{
    struct pwise_buffer buffer = PWISE_BUFFER_INIT;
    allocations_left = 0;
    CHECK_INT(pwise_buffer_append(&buffer, "abc", 3), ==, -ENOMEM);
    CHECK_PTR(buffer.data, ==, NULL);
    allocations_left = 0;
    CHECK_INT(pwise_buffer_printf(&buffer, "%d", 5), ==, -ENOMEM);
    CHECK_PTR(buffer.data, ==, NULL);
    CHECK_INT(pwise_buffer_append(&buffer, "abc", 3), ==, 0);
    char text[200];
    memset(text, 'x', sizeof(text));
    allocations_left = 0;
    errno = 7;
    CHECK_INT(pwise_buffer_append(&buffer, text, sizeof(text)), ==, -ENOMEM);
    allocations_left = 0;
    CHECK_INT(pwise_buffer_printf(&buffer, "%.*s", 200, text), ==, -ENOMEM);
    allocations_left = 0;
    CHECK_INT(pwise_buffer_printf(&buffer, "%200d", 1), ==, -ENOMEM);
    allocations_left = 0;
    CHECK_INT(pwise_buffer_reserve(&buffer, 1000), ==, -ENOMEM);
    CHECK_INT(errno, ==, 7);
    CHECK_INT(strcmp(buffer.data, "abc"), ==, 0);
    CHECK_INT(buffer.length, ==, 3);
    CHECK_INT(pwise_buffer_append(&buffer, text, sizeof(text)), ==, 0);
    pwise_buffer_done(&buffer);
}

static bool create_buffer_pool(void)
{
    pwise_buffer_pool *pool = pwise_buffer_pool_create(NULL);
    pwise_buffer_pool_destroy(pool);
    return pool;
}

static bool use_buffer_pool(void)
{
    long left = allocations_left;
    allocations_left = -1;
    pwise_buffer_pool *pool = pwise_buffer_pool_create(NULL);
    allocations_left = left;
    struct pwise_buffer *buffer = pwise_buffer_pool_get(pool);
    int error = errno;
    bool got = buffer;
    if (buffer)
        free(pwise_buffer_detach(buffer, NULL));
    pwise_buffer_pool_put(pool, buffer);
    pwise_buffer_pool_destroy(pool);
    errno = error;
    return got;
}

static bool create_blocks(void)
{
    pwise_blocks *blocks = pwise_blocks_create(NULL);
    pwise_blocks_destroy(blocks);
    return blocks;
}

static bool use_blocks(void)
{
    long left = allocations_left;
    allocations_left = -1;
    pwise_blocks *blocks = pwise_blocks_create(NULL);
    allocations_left = left;
    size_t capacity = 77;
    void *block = pwise_blocks_get(blocks, 500, &capacity);
    int error = errno;
    CHECK_INT(capacity, ==, block ? 512 : 77);
    pwise_blocks_put(blocks, block, capacity);
    void *large = pwise_blocks_get(blocks, 2 << 20, &capacity);
    error = block ? errno : error;
    pwise_blocks_put(blocks, large, 2 << 20);
    pwise_blocks_destroy(blocks);
    errno = error;
    return block && large;
}

static size_t one_size(const void *item, void *context)
{
    return 10;
}

static bool create_adaptive(void)
{
    struct pwise_options options = {.item_size = 10, .size_of = one_size, .flags = PWISE_ADAPTIVE};
    pwise_pool *pool = pwise_pool_create(&options);
    pwise_pool_destroy(pool);
    return pool;
}

int main(void)
{
    check_on_one_cpu();
    pwise_set_reclaim(PWISE_MANUAL, 0);
    buffers_fail();
    CHECK_INT(with_each_failing(create_buffer_pool), >=, 4);
    CHECK_INT(with_each_failing(use_buffer_pool), >=, 4);
    CHECK_INT(with_each_failing(create_blocks), >=, 1);
    CHECK_INT(with_each_failing(use_blocks), >=, 5);
    CHECK_INT(with_each_failing(create_adaptive), >=, 4);
    return 0;
}
