/* SPDX-License-Identifier: MIT */
/* The environment of a program that we are preloaded into, read and changed without its own functions:
 * programs export getenv and setenv of their own, and libc's allocate. */
#pragma once

#pragma GCC visibility push(hidden)

/* NULL: not set, or libc has not set up the environment yet. */
const char *environment_get(const char *name);

void environment_remove(const char *name);

/* Takes our library out of LD_PRELOAD, where it was put first, before the user's own. */
void environment_remove_preload(void);

#pragma GCC visibility pop
