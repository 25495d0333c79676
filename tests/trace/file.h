/* SPDX-License-Identifier: MIT */
/* A file in memory, which the writer and the reader open by its path. */
#pragma once

#include <stddef.h>

#include "reader.h"
#include "stream.h"
#include "tape.h"

struct file {
    int fd;
    char path[32];
};

void file_open(struct file *file);
void file_close(struct file *file);
void file_set(const struct file *file, const void *data, size_t size);

/* All of it, to be freed. */
unsigned char *file_get(const struct file *file, size_t *ret_size);

/* Writes a stream, and keeps it on `tape` too when there is one. 0 or -errno of a sink or of
 * closing. */
int file_write(const char *path, const struct stream_options *options, struct tape *ret_tape);

/* Reads with the rules checked; a rule broken is printed and counts as a failure: -EPROTO. */
int file_read(const char *path, struct tape *ret_tape, bool keep, struct reader_result *ret_result);
