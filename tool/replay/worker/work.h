/* SPDX-License-Identifier: MIT */
/*
 * What a program does between two calls of the allocator, as far as the allocator feels it: other data
 * in the caches, other branches in the predictors. Without it a replay finds them as warm as no program
 * leaves them.
 */
#pragma once

#include <stdint.h>

#include "image.h"
#include "window.h"

#define WORK_LINE      64u
#define WORK_NS        16u  /* of the program's time for each line touched */
#define WORK_LINES_MAX 512u /* more would not make it any colder */

struct work {
    unsigned char *bytes; /* image_window.work_bytes of them, a power of two */
    uint64_t line_mask;
    uint64_t state;
    uint64_t sum; /* so that nothing is left out */
};

static inline void work_do(struct work *work, uint16_t gap)
{
    uint32_t lines = gap * WINDOW_GAP_NS / WORK_NS;
    if (lines > WORK_LINES_MAX)
        lines = WORK_LINES_MAX;
    uint64_t state = work->state, sum = work->sum;
    for (uint32_t i = 0; i < lines; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        unsigned char *line = work->bytes + (state >> 40 & work->line_mask) * WORK_LINE;
        sum += *line;
        if (i % 4 == 0 && (state >> 33 & 7) == 0)
            *line = (unsigned char)sum;
    }
    work->state = state;
    work->sum = sum;
}
