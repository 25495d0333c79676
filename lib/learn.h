/* SPDX-License-Identifier: MIT */
/*
 * Learning how large a fresh buffer should be from what buffers were used for.
 *
 * A histogram of used bytes over the classes of classes.h, which forgets by halving. The answer is
 * a percentile by size, not the most frequent class: of two equally frequent sizes the larger one
 * is what fresh buffers must hold. Its counters are shared and dear, so it is told of samples
 * only, and of those in batches.
 */
#pragma once

#include <stdatomic.h>

#include "classes.h"

#define LEARN_LEAST_CLASS 3u /* 64 bytes: no less is ever answered */
#define LEARN_CLASSES     (CLASSES_UP_TO_1GIB - LEARN_LEAST_CLASS)

struct learner {
    size_t most_bytes; /* constant: larger uses are left out */
    /* Bytes a fresh buffer should have. Any thread reads; whoever decides writes. Relaxed. */
    _Atomic size_t answer_bytes;
    /* Sizes up to this one are no outliers: at least one use in 32 is as large. 0: not known yet. As
     * above. */
    _Atomic size_t regular_bytes;
    _Atomic uint32_t fresh_count; /* uses since the last decision; any thread, relaxed */
    _Atomic uint32_t step_count;  /* uses from one decision to the next; whoever decides writes */
    atomic_flag deciding;         /* held by the one thread that decides; acquire and release */
    /* Uses by class, from LEARN_LEAST_CLASS. Raised by any thread, halved by whoever decides;
     * relaxed. */
    _Atomic uint32_t counts[LEARN_CLASSES];
};

#pragma GCC visibility push(hidden)

void learner_init(struct learner *learner, size_t start_bytes, size_t most_bytes);

/* `weight` uses needed `bytes`, at least 1. Any thread. */
void learner_note(struct learner *learner, size_t bytes, uint32_t weight);

#pragma GCC visibility pop

static inline size_t learner_answer(const struct learner *learner)
{
    return atomic_load_explicit(&learner->answer_bytes, memory_order_relaxed);
}

static inline size_t learner_regular(const struct learner *learner)
{
    return atomic_load_explicit(&learner->regular_bytes, memory_order_relaxed);
}
