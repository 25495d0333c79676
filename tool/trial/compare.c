/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "trial.h"

#define RESAMPLES 4000u
#define SEED      UINT64_C(0x706f6f6c77697365)

int trial_compare(const double *before, const double *after, size_t count,
                  struct interval *ret_saving)
{
    double *savings = malloc((count ? count : 1) * sizeof *savings);
    if (!savings)
        return -ENOMEM;
    size_t used = 0;
    for (size_t i = 0; i < count; i++)
        if (before[i] > 0 && isfinite(before[i]) && isfinite(after[i]))
            savings[used++] = (before[i] - after[i]) / before[i];
    int status = bootstrap_median(savings, used, RESAMPLES, SEED, ret_saving);
    free(savings);
    return status;
}

void trial_order(unsigned round, size_t arm_count, size_t *ret_order)
{
    for (size_t i = 0; i < arm_count; i++)
        ret_order[i] = (i + round) % arm_count;
    /* Backwards every other time through all places, so that nobody always follows the same one. */
    if (round / arm_count % 2)
        for (size_t i = 0; i < arm_count / 2; i++) {
            size_t other = ret_order[i];
            ret_order[i] = ret_order[arm_count - 1 - i];
            ret_order[arm_count - 1 - i] = other;
        }
}
