/* SPDX-License-Identifier: MIT */
/* Reads a trace file, whatever is in it, and pushes it into sinks. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "trace.h"

struct reader_result {
    uint64_t events;                 /* pushed */
    uint64_t file_bytes, read_bytes; /* of a pipe the former is what came out of it */
    uint64_t unix_time_s;
    uint32_t flags, version;
    int complete;      /* the end record was there */
    char message[256]; /* on failure the reason; on success, when something was lost, what: one
                          sentence. Else "" */
};

/*
 * Pushes everything that can be read; "-" is standard input. A file cut off anywhere gives what
 * came before the cut, an end made up from what was seen (exit_status -1), and a message that says
 * what was lost. 0; or -errno: of open or read, -ENOTSUP a newer version, -EBADMSG not a trace or
 * damaged at its very beginning, -ENOMEM, or a sink's. Memory: nodes and live blocks.
 *
 * `window_from_ns`..`window_to_ns` limits the events, both included; 0, UINT64_MAX: all.
 * Definitions and the recording's end come in any case. Blocks are numbered anew then, and one that
 * is not made within the window is unknown: its free is one of TRACE_NO_BLOCK, its first realloc an
 * ALLOC. The address of such a free is 0 where it is not in the part of the file that was read.
 */
int reader_read(const char *path, uint64_t window_from_ns, uint64_t window_to_ns,
                const struct trace_sink *const *sinks, size_t sink_count,
                struct reader_result *ret_result);
