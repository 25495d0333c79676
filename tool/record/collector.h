/* SPDX-License-Identifier: MIT */
/*
 * The collector: drains the rings of the recorded processes, puts the threads' events into one order,
 * numbers the live blocks and pushes the model of trace.h into sinks.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "trace.h"

struct channel;
struct collector;

/* Makes the channel; *ret_fd is its memory file (close-on-exec), to be opened by the traced processes
 * as /proc/PID/fd/N. The calling thread is the collector: when it ends, writers stop waiting for room, and
 * it has to call channel_destroy. 0 or -errno. */
int channel_create(uint32_t flags, struct channel **ret_channel, int *ret_fd);
void channel_destroy(struct channel *channel, int fd);

/* Sinks are called in their order; the array must outlive the collector. NULL + errno: ENOMEM. */
struct collector *collector_create(struct channel *channel, const struct trace_sink *const *sinks, size_t sink_count);
void collector_destroy(struct collector *collector);

/* Drains what is there. `final`: no writer is left, so nothing need be waited for. Returns how many units
 * were read (0: nothing to do), or -errno of a sink. */
int64_t collector_drain(struct collector *collector, bool final);

/* Sleeps until a writer wakes us or the time is over. */
void collector_sleep(struct collector *collector, uint64_t limit_ns);

/* Gives rings of ended threads back. Cheap; to be called every now and then. */
void collector_retire(struct collector *collector);

/* Whether a thread waits for that: better now than then. */
bool collector_retire_wanted(const struct collector *collector);

/* Processes that attached and still run. */
uint32_t collector_running(const struct collector *collector);

/* Sends a signal to each of those. */
void collector_signal(const struct collector *collector, int number);

/* What is known so far; counts only. */
void collector_totals(const struct collector *collector, struct trace_end *ret_end);

/* Pushes the end into the sinks; `end` was filled from collector_totals and the caller's knowledge. 0 or -errno. */
int collector_finish(struct collector *collector, const struct trace_end *end);

/* Frees in the totals that no call reported: of blocks whose address was given out again. */
uint64_t collector_implied_frees(const struct collector *collector);

struct collector_oracle {
    uint64_t checked, wrong, truncated;
};
void collector_oracle(const struct collector *collector, struct collector_oracle *ret_oracle);
