/* SPDX-License-Identifier: MIT */
/*
 * Blocks of more than the pool's slabs hold, cut from chunks of the range: equal, on pages of their own, so that one
 * that is given back gives its pages back.
 */
#pragma once

#include <stddef.h>

struct home;
struct runs;

#pragma GCC visibility push(hidden)

/* For blocks of `bytes`, a multiple of the page, at least 2 to a chunk. NULL: no memory. */
struct runs *runs_create(struct home *owner, size_t bytes);

/* Any thread. The lowest free block of a chunk; zeroed. NULL + ENOMEM. */
void *runs_take(struct runs *runs);
void runs_give(struct runs *runs, void *block);

/* Around fork: all of them. */
void runs_lock(void);
void runs_unlock(void);

#pragma GCC visibility pop
