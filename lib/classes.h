/* SPDX-License-Identifier: MIT */
/*
 * Classes of sizes: 16, 32, 48, 64, then four to each doubling. The class of a size is the smallest
 * one that holds it; what it wastes is at most 15 bytes up to 64, and less than a fifth of the class
 * above.
 *
 *   class     0  1  2  3 |  4  5   6   7 |   8   9  10  11 | ...
 *   bytes    16 32 48 64 | 80 96 112 128 | 160 192 224 256 | ...
 */
#pragma once

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define CLASS_LEAST_BYTES  16u
#define CLASS_BYTES_MOST   ((size_t)1 << 62) /* class_of() takes sizes up to this */
#define CLASSES_UP_TO_1GIB 100               /* class_of(1 GiB) + 1 */

/* 1 <= bytes <= CLASS_BYTES_MOST. */
static inline unsigned class_of(size_t bytes)
{
    assert(bytes >= 1 && bytes <= CLASS_BYTES_MOST);
    size_t last = bytes - 1;
    /* The power of two below: at least 32, so that the first classes step by 16 like those up to
     * 128 do in quarters of 64. */
    unsigned power = 63u - (unsigned)__builtin_clzll((unsigned long long)(last | 32));
    if (power < 6)
        return (unsigned)(last >> 4);
    return (power - 6) * 4 + (unsigned)(last >> (power - 2));
}

static inline size_t class_bytes(unsigned class)
{
    if (class < 4)
        return (size_t)(class + 1) * CLASS_LEAST_BYTES;
    return (size_t)(4 + class % 4 + 1) << (class / 4 + 3);
}

/* `bytes` rounded up to the size of its class. */
static inline size_t class_round(size_t bytes)
{
    return class_bytes(class_of(bytes));
}
