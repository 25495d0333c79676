/* SPDX-License-Identifier: MIT */
/* Writes a trace file. One thread. */
#pragma once

#include <stdint.h>

#include "trace.h"

struct writer;

/* Creates or truncates the file; with "-" writes to standard output. `flags`: FORMAT_SITE or 0.
 * NULL + errno of open, or ENOMEM. */
struct writer *writer_create(const char *path, uint32_t flags);

/* The sink to feed; its callbacks return -errno of write (ENOSPC, EPIPE, ...) or -ENOMEM. What was
 * written before stays readable. */
const struct trace_sink *writer_sink(struct writer *writer);

/* Bytes written so far. */
uint64_t writer_bytes(const struct writer *writer);

/* Writes what is left and closes. 0 or -errno of write, fsync is not asked for. Frees in any case.
 */
int writer_close(struct writer *writer);
