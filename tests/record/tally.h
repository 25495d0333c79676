/* SPDX-License-Identifier: MIT */
/*
 * A sink that believes nothing: it counts events by kind, entry point and size, keeps every stack,
 * and checks the rules of the model in trace.h. Memory grows with everything; for tests only.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "trace.h"

struct tally;

struct tally *tally_create(void); /* NULL: ENOMEM */
void tally_destroy(struct tally *tally);
const struct trace_sink *tally_sink(struct tally *tally);

/*
 * JSON lines, one object each:
 *   {"process": id, "parent": id, "pid": n, "program": path}
 *   {"kind": "alloc" | "free" | "realloc", "call": "malloc" ..., "size": bytes, "count": n}
 *   {"elsewhere": bytes, "count": n}     blocks of that size freed by another thread than made them
 *   {"size": bytes, "count": n, "stack": [[module path, offset in the file], ...]}   with `stacks`
 *   {"end": {...}}
 *   {"broken": text}                     the first rule of the model that did not hold
 */
void tally_print(const struct tally *tally, bool stacks, FILE *out);
