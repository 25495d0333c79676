/* SPDX-License-Identifier: MIT */
/* A sink that keeps all it gets, and holds it against the rules of trace.h. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "trace.h"

struct tape_list {
    void *items;
    size_t count, capacity;
};

struct tape {
    struct trace_sink sink;
    struct tape_list processes, modules, threads, nodes, events;
    struct tape_list thread_times, live; /* for the rules: uint64_t by thread, uint8_t by block */
    struct trace_end end;
    unsigned end_count;
    bool keep; /* else only the rules are checked, and events counted */
    size_t event_count;
    unsigned broken;   /* rules */
    char message[256]; /* the first one that was */
};

void tape_init(struct tape *tape, bool keep);
void tape_done(struct tape *tape);

/* How many definitions and events are the same from the start on: the first `event_count` events
 * and all of the smaller number of each definition. Times of `written` count in steps of 16 ns.
 * Prints the first difference; whether there is none. */
bool tape_same(const struct tape *written, const struct tape *read, size_t event_count);
