/* SPDX-License-Identifier: MIT */
#include "file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "writer.h"

void file_open(struct file *file)
{
    file->fd = memfd_create("trace", MFD_CLOEXEC);
    if (file->fd < 0) {
        perror("memfd_create");
        exit(2);
    }
    snprintf(file->path, sizeof file->path, "/proc/self/fd/%d", file->fd);
}

void file_close(struct file *file)
{
    close(file->fd);
}

void file_set(const struct file *file, const void *data, size_t size)
{
    if (ftruncate(file->fd, 0) || pwrite(file->fd, data, size, 0) != (ssize_t)size) {
        perror("pwrite");
        exit(2);
    }
}

unsigned char *file_get(const struct file *file, size_t *ret_size)
{
    struct stat about;
    if (fstat(file->fd, &about)) {
        perror("fstat");
        exit(2);
    }
    size_t size = (size_t)about.st_size;
    unsigned char *data = malloc(size + 1);
    if (!data || pread(file->fd, data, size, 0) != (ssize_t)size) {
        perror("pread");
        exit(2);
    }
    *ret_size = size;
    return data;
}

int file_write(const char *path, const struct stream_options *options, struct tape *ret_tape)
{
    struct writer *writer = writer_create(path, 0);
    if (!writer)
        return -errno;
    if (ret_tape)
        tape_init(ret_tape, true);
    const struct trace_sink *sinks[] = {writer_sink(writer), ret_tape ? &ret_tape->sink : NULL};
    int status = stream_push(options, sinks, ret_tape ? 2 : 1);
    int closed = writer_close(writer);
    if (ret_tape && ret_tape->broken) {
        printf("the stream made up breaks a rule: %s\n", ret_tape->message);
        return -EPROTO;
    }
    return status ? status : closed;
}

int file_read(const char *path, struct tape *ret_tape, bool keep, struct reader_result *ret_result)
{
    tape_init(ret_tape, keep);
    const struct trace_sink *sinks[] = {&ret_tape->sink};
    int status = reader_read(path, 0, UINT64_MAX, sinks, 1, ret_result);
    if (ret_tape->broken) {
        printf("the reader breaks a rule: %s\n", ret_tape->message);
        return -EPROTO;
    }
    return status;
}
