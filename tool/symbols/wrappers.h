/* SPDX-License-Identifier: MIT */
/* Which functions only hand out what an allocator gave: a site is looked for above them. */
#pragma once

#include <stdbool.h>

struct wrapper_table;

/* The built-in names. NULL: out of memory. */
struct wrapper_table *wrapper_table_create(void);
void wrapper_table_destroy(struct wrapper_table *table);

/* See symbols_wrapper_add(). */
int wrapper_table_add(struct wrapper_table *table, const char *regex, char **ret_error);

/* name as demangle() gives it. */
bool wrapper_table_has(const struct wrapper_table *table, const char *name);
