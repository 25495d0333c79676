/* SPDX-License-Identifier: MIT */
/* Other programs, run and waited for. Any thread. */
#pragma once

#include <stddef.h>

/* Looks for `name` in PATH, or takes it as it is when it holds a slash. 0 or -ENOENT. */
int child_find(const char *name, char *ret_path, size_t size);

/* Runs it, its messages away, and returns what it wrote to standard output (caller frees). 0 or -errno. */
int child_read(const char *const *command, char **ret_output);

/*
 * Runs it in `directory` (NULL: here) with standard output and error into `log`. 0, its exit status, 128 + the
 * signal that ended it, or -errno.
 */
int child_run(const char *const *command, const char *directory, const char *log);
