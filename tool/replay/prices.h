/* SPDX-License-Identifier: MIT */
/*
 * From the ticks of single ops to sums of a window. Each repetition does the same ops on the same heap, so an op that took far
 * longer this time than it mostly does was interrupted: it counts as what it mostly takes.
 */
#pragma once

#include <stdbool.h>

#include "image.h"
#include "op_sizes.h"

#define PRICES_FIRST 5u /* repetitions from which it is known what an op mostly takes */

struct prices_sum {
    uint64_t count;
    double weight, ns; /* sums by the windows' weights */
    double slow_ns; /* beyond what an op takes that finds its memory there, in windows that may trim: page faults, mostly */
};

struct prices_place { /* by op_size_class() */
    struct prices_sum make[OP_SIZES], resize[OP_SIZES], free[OP_SIZES];
};

/* One window by one variant. All zero at first. */
struct prices {
    uint16_t *first[PRICES_FIRST]; /* by op, all threads' behind each other */
    uint16_t *mostly;              /* their median */
    double ns_per_tick[PRICES_FIRST], own_ticks[PRICES_FIRST];
    uint32_t count; /* repetitions taken in */
};

void prices_done(struct prices *prices);

/* Takes the ticks of one more repetition, as they stand in the image. 0 or -ENOMEM. */
int prices_take(struct prices *prices, const struct image *image, const struct image_window *window,
                const struct image_result *result);

/* Adds `weight` times what repetition `which` took by place. Of the first PRICES_FIRST any, once they are in; of later ones only the last,
 * which is still in the image. */
void prices_add(const struct prices *prices, const struct image *image,
                const struct image_window *window, uint32_t which,
                const struct image_result *result, double weight, bool trims, struct prices_place *places);
