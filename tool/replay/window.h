/* SPDX-License-Identifier: MIT */
/*
 * What is kept of a recording for a replay: windows, each a run of events without a gap, of all sites
 * and threads in their order, and the heap as it was when the window began.
 *
 * A short run is kept whole. Of a longer one every second window is dropped as often as it takes, so
 * that those kept are spread evenly over it, whatever its length; memory is bounded by their number,
 * and by the blocks alive.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "trace.h"

#define WINDOW_GAP_NS 16u /* unit of window_event.gap */

struct window_event {
    uint32_t block; /* as in the trace; never TRACE_NO_BLOCK */
    uint32_t stack;
    uint32_t size; /* what is larger is UINT32_MAX: no replay can make it */
    uint32_t thread;
    uint16_t gap; /* since the thread's last event, in units of WINDOW_GAP_NS; saturates */
    uint8_t kind, call;
};

/* A block that was alive when the window began. */
struct window_block {
    uint64_t address;
    uint32_t block, size, stack, thread;
    bool
        touched; /* freed or resized within the window: it must be there; the others are a sample */
};

struct window {
    const struct window_event *events;
    size_t event_count;
    uint64_t first,
        span; /* number of its first event in the recording; events until its end, those of unknown
                             blocks included, which are not kept */
    const struct window_block *heap;
    size_t heap_count;
    uint64_t live_blocks, live_bytes; /* all that were alive, the sample's and the others */
    uint64_t peak_bytes;              /* alive at most so far: what the heap has room for */
    uint64_t freed_max; /* the largest block freed so far: allocators learn from that */
};

struct window_options {
    uint32_t window_events; /* 0: 16,384 */
    uint32_t window_count;  /* kept at most, at least 2; 0: 64 */
    uint32_t heap_blocks;   /* sampled for one window, at most; 0: 4,096 */
};

struct windows;

/* NULL: ENOMEM. `options` NULL: the defaults. */
struct windows *windows_create(const struct window_options *options);
void windows_destroy(struct windows *windows);

/* To feed; owned by windows. Events that break the model's rules are left out, not refused: whoever
 * reads beside us says so. Running out of memory ends the keeping, not the recording. */
const struct trace_sink *windows_sink(struct windows *windows);

/* Those kept, in the order of the recording; one that follows the last without a gap has
 * first == that one's first + span. Valid until more is fed. */
size_t windows_count(const struct windows *windows);
void windows_get(const struct windows *windows, size_t index, struct window *ret_window);

/* Events seen, and whether memory ran out on the way. */
uint64_t windows_seen(const struct windows *windows);
bool windows_failed(const struct windows *windows);
