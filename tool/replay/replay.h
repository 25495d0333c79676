/* SPDX-License-Identifier: MIT */
/*
 * The measuring: a schedule is replayed again and again, each time by every variant, until the time is up.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "op_sizes.h"
#include "schedule.h"

#define REPLAY_REPETITIONS 25u /* at most */
#define REPLAY_LEAST       5u /* repetitions before the time bound counts, up to three times that bound */

struct replay_variant {
    const char *preload; /* the allocator's library, before all; NULL: libc's */
    enum heap_mode heap;
    struct image_form forms[IMAGE_PLACES];
    uint32_t alone; /* the only place that is served otherwise than by the first variant; IMAGE_PLACES: there is none such */
};

struct replay_options {
    double seconds;
    const struct replay_variant *variants;
    uint32_t
        variant_count; /* 1 to IMAGE_VARIANTS; the first is what the others are compared with */
    const struct op_sizes *counts; /* by place: of the whole recording, which windows are a part of */
    bool refaults_known;
    uint64_t refaults; /* page faults of the recorded program on memory that it had before and gave back */
    void (*progress)(void *context, double part);
    void *context;
};

/* Each op counts as often as ops of its kind and size come in the whole recording. */
struct replay_price {
    double pair_ns; /* median over the repetitions; a whole block: made, resized, freed */
    double ci95[2]; /* of the first variant's pair_ns less this one's */
    uint64_t made;  /* blocks in one repetition; 0: nothing was measured */
};

/* What a variant saves at the blocks of all places but variant.alone, of which it serves none otherwise: the heap has
 * less to do. ns over the whole recording, by the median, and its 95 % interval. */
struct replay_others {
    double saved_ns, ci95[2];
};

struct replay_result {
    struct replay_price prices[IMAGE_VARIANTS][IMAGE_PLACES];
    struct replay_others others[IMAGE_VARIANTS]; /* 0 without variant.alone */
    double all_ns[IMAGE_VARIANTS];       /* as pair_ns, over all places */
    uint64_t peak_bytes[IMAGE_VARIANTS]; /* largest of any window */
    uint64_t faults[IMAGE_VARIANTS];     /* of one repetition, median */
    bool failed[IMAGE_VARIANTS];         /* this variant gave no answer: why is in status */
    enum worker_status status[IMAGE_VARIANTS];
    uint32_t repetitions, windows, windows_used;
    uint64_t events; /* in one repetition */
    double fault_part; /* of the first variant's page faults where the heap does not grow, as many as the program had itself */
    bool cut;        /* fewer windows or repetitions than wanted, for lack of time */
    double seconds;  /* spent */
};

/* 0; -ENOENT: the worker is not where it belongs; -EIO: the first variant could not be measured; -ENOMEM; -errno of
 * starting a process. */
int replay_run(const struct schedule *schedule, const struct replay_options *options,
               struct replay_result *ret_result);
