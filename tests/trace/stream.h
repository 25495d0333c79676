/* SPDX-License-Identifier: MIT */
/* A made-up recording: random, always the same for a seed, and valid by the rules of trace.h. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "trace.h"

struct stream_options {
    uint64_t seed;
    size_t events;
    size_t batch;       /* events pushed at once at most; 0: 4096 */
    uint64_t pause_ns;  /* now and then, so that the writer closes blocks */
    size_t pause_every; /* events; 0: never */
    int no_end;         /* the recording is cut: no end is pushed */
};

/* 0 or what a sink gave. */
int stream_push(const struct stream_options *options, const struct trace_sink *const *sinks,
                size_t sink_count);

uint64_t stream_random(uint64_t *state);
