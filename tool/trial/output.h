/* SPDX-License-Identifier: MIT */
/* What a run wrote: unnamed files, so that writing costs the same in every run and nobody has to read meanwhile. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* An unnamed file in TMPDIR, else in memory. A descriptor or -errno. */
int output_create(void);

/* Hashes all of it. 0 or -errno. */
int output_hash(int fd, uint64_t *ret_hash, uint64_t *ret_bytes);

/* The last `size` - 1 bytes at most, as a string of whole lines. */
void output_tail(int fd, char *ret_tail, size_t size);

/* Copies all of it. 0 or -errno. */
int output_copy(int fd, FILE *stream);
