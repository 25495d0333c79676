/* SPDX-License-Identifier: MIT */
/* What the source says of a site beside what was recorded of it: both are shown, and neither overrules the other. */
#pragma once

#include <stddef.h>

#include "report.h"

struct join;

/*
 * `path`: the output of `poolwise escape --json`, or a folder with a compilation database or bitcode in it, which is then
 * analysed. 0 or -errno, with a sentence in ret_message.
 */
int join_open(const char *path, struct join **ret_join, char *ret_message, size_t message_size);
void join_close(struct join *join);

/* Adds what the source says to a verdict's evidence, and to its reason where the two bear on each other. 0 or -ENOMEM. */
int join_apply(const struct join *join, const struct report_site *site, struct verdict *verdict);
