/* SPDX-License-Identifier: MIT */
/* What the tests of buffer pools share: uses of a given length, and what stats say. */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "../pool/check.h"
#include "poolwise/buffer.h"

static inline struct pwise_stats buffer_stats(const pwise_buffer_pool *pool)
{
    struct pwise_stats stats = {.size = sizeof(stats)};
    CHECK_INT(pwise_buffer_pool_stats(pool, &stats), ==, 0);
    return stats;
}

/* Gets a buffer, grows it to `length` bytes at once, and puts it. */
static inline void use_once(pwise_buffer_pool *pool, size_t length)
{
    struct pwise_buffer *buffer = pwise_buffer_pool_get(pool);
    CHECK_PTR(buffer, !=, NULL);
    CHECK_INT(buffer->length, ==, 0);
    CHECK_INT(buffer->data[0], ==, '\0');
    CHECK_INT(pwise_buffer_reserve(buffer, length), ==, 0);
    memset(buffer->data, 'x', length);
    buffer->data[length] = '\0';
    buffer->length = length;
    pwise_buffer_pool_put(pool, buffer);
}
