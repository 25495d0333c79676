/* SPDX-License-Identifier: MIT */
/*
 * How many events of each kind there were, by the size of the block. A few large blocks may cost more than all small ones
 * together: who has seen a part of the events can tell by this what part it was.
 */
#pragma once

#include <stdint.h>

#define OP_SIZES 8u /* up to 128 bytes, then each four times as large; the last has no bound */

struct op_sizes {
    uint64_t made[OP_SIZES], resized[OP_SIZES], freed[OP_SIZES]; /* resized: by the size before */
};

static inline unsigned op_size_class(uint64_t bytes)
{
    if (bytes <= 128)
        return 0;
    unsigned class = (63u - (unsigned)__builtin_clzll(bytes - 1) - 7) / 2 + 1;
    return class < OP_SIZES ? class : OP_SIZES - 1;
}

static inline void op_sizes_add(struct op_sizes *sum, const struct op_sizes *more)
{
    for (unsigned i = 0; i < OP_SIZES; i++) {
        sum->made[i] += more->made[i];
        sum->resized[i] += more->resized[i];
        sum->freed[i] += more->freed[i];
    }
}
