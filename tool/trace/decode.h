/* SPDX-License-Identifier: MIT */
/*
 * The inside of a trace's blocks, once unpacked: whatever the bytes are, the sinks get only what
 * trace.h allows, and memory grows with threads, live blocks and the window's blocks alone.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format.h"
#include "model.h"
#include "trace.h"

#define DECODE_BATCH 4096u

struct decode {
    const struct trace_sink *const *sinks;
    size_t sink_count;
    /* Of the events, only those in the window are pushed. Their blocks get numbers of their own
     * then, as those of the file would not be dense. */
    uint64_t window_from_ns, window_to_ns;
    bool windowed;
    bool skipped;    /* events of some blocks were left out: what was live then is not known */
    uint64_t passed; /* events of the file so far, those left out included */
    uint64_t pushed;

    uint32_t processes, modules, threads, nodes;
    uint64_t last_slot, last_address; /* of nodes, for differences */
    uint32_t *node_threads;           /* by node */
    size_t node_capacity;
    uint64_t *thread_times; /* of the last event, by thread */
    size_t thread_capacity;

    uint64_t *addresses; /* of live blocks, by number */
    uint8_t *live;
    uint32_t *shown; /* windowed: the number that the sinks know, or TRACE_NO_BLOCK */
    size_t block_count, block_capacity;
    uint32_t *unused; /* numbers that the sinks knew and that are free again */
    uint32_t unused_count, shown_count;

    struct trace_end seen; /* counted here, for files that end early */
    struct model model;
    struct trace_node node_batch[DECODE_BATCH];
    struct trace_event event_batch[DECODE_BATCH];
    char text[FORMAT_TEXT_MAX + 1];
};

/* `decode` is all zero but for sinks and window. Each of these gives 0; DECODE_DAMAGED where the
 * bytes make no sense, what came before them having been pushed; -ENOMEM; or what a sink gave. */
#define DECODE_DAMAGED 1

int decode_definitions(struct decode *decode, const uint8_t *data, size_t size);
int decode_events(struct decode *decode, const struct format_block *block, const uint8_t *data,
                  size_t size);
int decode_end(struct decode *decode, const uint8_t *data, size_t size);

/* In place of decode_events, where the block lies outside the window. */
void decode_skip(struct decode *decode, const struct format_block *block);

/* In place of decode_end, where the file has none: an end made up from what was seen. */
int decode_cut(struct decode *decode);

void decode_done(struct decode *decode);
