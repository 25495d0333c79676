/* SPDX-License-Identifier: MIT */
#include "learn.h"

#include "adaptive.h"

#define DECIDE_EVERY         4096u  /* uses; at first after 1, 2, 4, ... */
#define WINDOW               65536u /* uses after which all counts are halved */

/* A mode that makes up a twentieth of the uses must not fall to the noise of sampling: hence not
 * 95 % but 31/32. */
#define FIT_PARTS            31u
#define FIT_OF               32u

/* Fewer uses do not show what is regular: one large one in 32 may be chance. */
#define REGULAR_LEAST        256u

/* One class in a quarter of another lies two doublings below it. */
#define CLASSES_TO_A_QUARTER 8u

void learner_init(struct learner *learner, size_t start_bytes, size_t most_bytes)
{
    size_t limit = class_bytes(LEARN_LEAST_CLASS + LEARN_CLASSES - 1);
    learner->most_bytes = most_bytes < limit ? most_bytes : limit;
    atomic_init(&learner->answer_bytes, start_bytes);
    atomic_init(&learner->step_count, 1);
    atomic_flag_clear(&learner->deciding);
}

static uint32_t snapshot(struct learner *learner, uint32_t counts[LEARN_CLASSES])
{
    uint32_t total = 0;
    for (unsigned i = 0; i < LEARN_CLASSES; i++) {
        counts[i] = atomic_load_explicit(&learner->counts[i], memory_order_relaxed);
        total += counts[i];
    }
    return total;
}

static void halve(struct learner *learner, const uint32_t counts[LEARN_CLASSES])
{
    for (unsigned i = 0; i < LEARN_CLASSES; i++)
        if (counts[i])
            atomic_fetch_sub_explicit(&learner->counts[i], counts[i] - counts[i] / 2,
                                      memory_order_relaxed);
}

/* *ret_regular: the smallest class that fits 31 of 32 uses. Returned is the same, as far as three uses
 * in eight fill a quarter of it, or it is too small to be struck. Not one in two: of two modes alike
 * neither must win by chance. */
static unsigned choose(const uint32_t counts[LEARN_CLASSES], uint32_t total, unsigned *ret_regular)
{
    uint32_t below[LEARN_CLASSES + 1]; /* below[i]: uses in classes under i */
    below[0] = 0;
    for (unsigned i = 0; i < LEARN_CLASSES; i++)
        below[i + 1] = below[i] + counts[i];
    unsigned index = 0;
    while ((uint64_t)below[index + 1] * FIT_OF < (uint64_t)total * FIT_PARTS)
        index++;
    *ret_regular = LEARN_LEAST_CLASS + index;
    while (index >= CLASSES_TO_A_QUARTER &&
           class_bytes(LEARN_LEAST_CLASS + index) > ADAPTIVE_FREE_BYTES &&
           (uint64_t)below[index - CLASSES_TO_A_QUARTER + 1] * 8 > (uint64_t)total * 5)
        index--;
    return LEARN_LEAST_CLASS + index;
}

static void decide(struct learner *learner)
{
    uint32_t counts[LEARN_CLASSES];
    uint32_t total = snapshot(learner, counts);
    if (total == 0)
        return;
    unsigned regular;
    size_t bytes = class_bytes(choose(counts, total, &regular));
    if (bytes > learner->most_bytes)
        bytes = learner->most_bytes;
    atomic_store_explicit(&learner->answer_bytes, bytes, memory_order_relaxed);
    atomic_store_explicit(&learner->regular_bytes,
                          total >= REGULAR_LEAST ? class_bytes(regular) : 0, memory_order_relaxed);
    if (total >= WINDOW)
        halve(learner, counts);
}

void learner_note(struct learner *learner, size_t bytes, uint32_t weight)
{
    if (bytes > learner->most_bytes)
        return;
    unsigned class = class_of(bytes);
    unsigned index = class < LEARN_LEAST_CLASS ? 0 : class - LEARN_LEAST_CLASS;
    atomic_fetch_add_explicit(&learner->counts[index], weight, memory_order_relaxed);
    uint32_t fresh =
        atomic_fetch_add_explicit(&learner->fresh_count, weight, memory_order_relaxed) + weight;
    uint32_t step = atomic_load_explicit(&learner->step_count, memory_order_relaxed);
    if (fresh < step)
        return;
    if (atomic_flag_test_and_set_explicit(&learner->deciding, memory_order_acquire))
        return;
    atomic_store_explicit(&learner->fresh_count, 0, memory_order_relaxed);
    if (step < DECIDE_EVERY)
        atomic_store_explicit(&learner->step_count, step * 2, memory_order_relaxed);
    decide(learner);
    atomic_flag_clear_explicit(&learner->deciding, memory_order_release);
}
