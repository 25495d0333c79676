/* SPDX-License-Identifier: MIT */
/* A write that fails says why, once and for all, and what was written before stays readable. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "check.h"
#include "file.h"
#include "writer.h"

static const struct stream_options many = {
    .seed = 21, .events = 20000, .pause_ns = 1500000000, .pause_every = 1000};

/* The error comes from the sink when it happens, and again from closing. */
static void fails(const char *path, int want)
{
    struct writer *writer = writer_create(path, 0);
    if (!writer) {
        CHECK_EQUAL(-errno, want);
        return;
    }
    const struct trace_sink *sink = writer_sink(writer);
    CHECK_EQUAL(stream_push(&many, &sink, 1), want);
    uint64_t bytes = writer_bytes(writer);
    struct trace_event event = {0};
    CHECK_EQUAL(sink->events(sink->context, &event, 1), want);
    CHECK_EQUAL(sink->end(sink->context, &(struct trace_end){0}), want);
    CHECK_EQUAL(writer_bytes(writer), bytes);
    CHECK_EQUAL(writer_close(writer), want);
}

/* No more than `size` bytes may be written. */
static void limited(size_t size, const struct tape *written)
{
    char path[] = "/tmp/poolwise-trace-XXXXXX";
    int fd = mkstemp(path);
    if (fd < 0) {
        perror(path);
        exit(2);
    }
    close(fd);
    struct rlimit before, limit;
    getrlimit(RLIMIT_FSIZE, &before);
    limit = before;
    limit.rlim_cur = size;
    fflush(NULL); /* what is printed may go to a file as well */
    setrlimit(RLIMIT_FSIZE, &limit);
    struct writer *writer = writer_create(path, 0);
    int status = -errno, closed = 0;
    uint64_t bytes = 0;
    if (writer) {
        const struct trace_sink *sink = writer_sink(writer);
        status = stream_push(&many, &sink, 1);
        bytes = writer_bytes(writer);
        closed = writer_close(writer);
    }
    setrlimit(RLIMIT_FSIZE, &before);
    CHECK_EQUAL(status, -EFBIG);
    CHECK_EQUAL(closed, writer ? -EFBIG : 0);
    struct tape read;
    struct reader_result result;
    unsigned failed = failed_count;
    status = file_read(path, &read, true, &result);
    if (writer) {
        CHECK_EQUAL(status, 0);
        CHECK_EQUAL(result.complete, 0);
        CHECK_EQUAL(result.file_bytes, bytes); /* nothing is left of the block that failed */
        CHECK_EQUAL(result.read_bytes, bytes);
        CHECK_EQUAL(bytes <= size, true);
        CHECK_CONTAINS(result.message, "what was to follow them is lost");
        CHECK_EQUAL(size < 20000 || read.events.count > 0, true);
        CHECK_EQUAL(tape_same(written, &read, read.events.count), true);
    } else {
        CHECK_EQUAL(status, -EBADMSG);
    }
    if (failed != failed_count)
        printf("  limited to %zu bytes: %s\n", size, result.message);
    tape_done(&read);
    unlink(path);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    fails("/dev/full", -ENOSPC);
    fails("/nonexistent/trace", -ENOENT);
    fails("/", -EISDIR);

    /* "-" is standard output, here a pipe that nobody reads. */
    int ends[2], kept = dup(STDOUT_FILENO);
    if (kept < 0 || pipe(ends) || dup2(ends[1], STDOUT_FILENO) < 0)
        abort();
    close(ends[0]);
    close(ends[1]);
    struct writer *writer = writer_create("-", 0);
    int refused = errno;
    if (dup2(kept, STDOUT_FILENO) < 0)
        abort();
    CHECK_EQUAL(writer != NULL, false);
    CHECK_EQUAL(refused, EPIPE);
    if (writer)
        writer_close(writer);

    /* One that closes after the first bytes. */
    if (pipe(ends) || dup2(ends[1], STDOUT_FILENO) < 0)
        abort();
    close(ends[1]);
    writer = writer_create("-", 0);
    if (dup2(kept, STDOUT_FILENO) < 0)
        abort();
    close(ends[0]);
    CHECK_EQUAL(writer != NULL, true);
    if (writer) {
        const struct trace_sink *sink = writer_sink(writer);
        CHECK_EQUAL(stream_push(&many, &sink, 1), -EPIPE);
        CHECK_EQUAL(writer_bytes(writer), 32);
        CHECK_EQUAL(writer_close(writer), -EPIPE);
    }

    struct file file;
    struct tape written;
    size_t size;
    file_open(&file);
    CHECK_EQUAL(file_write(file.path, &many, &written), 0);
    free(file_get(&file, &size));
    CHECK_EQUAL(size > 30000, true);
    for (size_t limit = 0; limit < size; limit += limit < 40 ? 7 : 4999)
        limited(limit, &written);
    limited(size - 1, &written);
    tape_done(&written);
    file_close(&file);
    return failed_count != 0;
}
