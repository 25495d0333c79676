/* SPDX-License-Identifier: MIT */
/* Bytes changed, other files in a trace's place, other versions: refused or read up to there, in
 * words. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "file.h"
#include "format.h"

static const struct stream_options small = {
    .seed = 11, .events = 1200, .pause_ns = 1500000000, .pause_every = 300};

/* One byte is not what it was. Only where zstd leaves a bit unused can that go unnoticed, and then
 * nothing may be lost. */
static void byte_changed(const struct file *file, const struct tape *written, size_t at)
{
    struct tape read;
    struct reader_result result;
    int status = file_read(file->path, &read, true, &result);
    unsigned failed = failed_count;
    if (at < sizeof(struct format_header)) {
        bool version = at >= 8 && at < 12;
        CHECK_EQUAL(status == -EBADMSG || (version && status == -ENOTSUP), true);
        CHECK_EQUAL(read.events.count, 0);
        CHECK_EQUAL(strlen(result.message) > 10, true);
    } else {
        CHECK_EQUAL(status, 0);
        CHECK_EQUAL(read.end_count, 1);
        CHECK_EQUAL(read.events.count, result.events);
        CHECK_EQUAL(tape_same(written, &read, read.events.count), true);
        if (result.complete)
            CHECK_EQUAL(read.events.count, written->events.count);
        else
            CHECK_CONTAINS(result.message, "the trace");
        CHECK_EQUAL(result.complete, !result.message[0]);
        CHECK_EQUAL(result.read_bytes <= at || result.complete, true);
    }
    if (failed != failed_count)
        printf("  byte %zu: status %d, %s\n", at, status, result.message);
    tape_done(&read);
}

static void every_byte(const struct file *file, const struct tape *written)
{
    static const unsigned char flips[] = {0xff, 0x01, 0x40};
    size_t size;
    unsigned char *data = file_get(file, &size);
    for (size_t at = 0; at < size && failed_count < 20; at++)
        for (unsigned i = 0; i < sizeof flips; i++) {
            unsigned char byte = data[at] ^ flips[i];
            if (pwrite(file->fd, &byte, 1, (off_t)at) != 1)
                perror("pwrite");
            byte_changed(file, written, at);
            if (pwrite(file->fd, &data[at], 1, (off_t)at) != 1)
                perror("pwrite");
        }
    free(data);
}

static void refused(const char *path, int want, const char *part)
{
    struct tape read;
    struct reader_result result;
    unsigned failed = failed_count;
    CHECK_EQUAL(file_read(path, &read, true, &result), want);
    CHECK_CONTAINS(result.message, part);
    CHECK_EQUAL(read.events.count, 0);
    CHECK_EQUAL(read.end_count, 0);
    if (failed != failed_count)
        printf("  %s: %s\n", path, result.message);
    tape_done(&read);
}

static void headers(const struct file *file)
{
    size_t size;
    unsigned char *data = file_get(file, &size);
    struct format_header header;
    memcpy(&header, data, sizeof header);

    struct format_header other = header;
    other.version = FORMAT_VERSION + 1;
    other.check = format_header_check(&other);
    memcpy(data, &other, sizeof other);
    file_set(file, data, size);
    char words[96];
    snprintf(words, sizeof words, "trace format %u; this poolwise reads up to %u",
             FORMAT_VERSION + 1, FORMAT_VERSION);
    refused(file->path, -ENOTSUP, words);

    static const uint32_t sizes[] = {0, 8, 31, FORMAT_HEADER_MAX + 1, UINT32_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        other = header;
        other.header_bytes = sizes[i];
        other.check = format_header_check(&other);
        memcpy(data, &other, sizeof other);
        file_set(file, data, size);
        refused(file->path, -EBADMSG, "damaged header");
    }
    other = header;
    other.version = 0;
    other.check = format_header_check(&other);
    memcpy(data, &other, sizeof other);
    file_set(file, data, size);
    refused(file->path, -EBADMSG, "damaged header");

    /* A longer header of the same version: what is not known of it is passed over. */
    unsigned char *longer = calloc(1, size + 100);
    if (!longer)
        abort();
    other = header;
    other.header_bytes = sizeof header + 100;
    other.check = format_header_check(&other);
    memcpy(longer, &other, sizeof other);
    memcpy(longer + sizeof other + 100, data + sizeof other, size - sizeof other);
    file_set(file, longer, size + 100);
    struct tape read;
    struct reader_result result;
    CHECK_EQUAL(file_read(file->path, &read, true, &result), 0);
    CHECK_EQUAL(result.complete, 1);
    CHECK_EQUAL(read.events.count, small.events);
    tape_done(&read);

    /* A block of a type that is not known is passed over, too. */
    size_t border = sizeof header;
    struct format_block strange = {
        .magic = FORMAT_BLOCK_MAGIC, .type = 99, .definition_bytes = 100 - sizeof strange};
    strange.check = format_block_check(&strange);
    memcpy(longer, &header, sizeof header);
    memcpy(longer + border, &strange, sizeof strange);
    file_set(file, longer, size + 100);
    CHECK_EQUAL(file_read(file->path, &read, true, &result), 0);
    CHECK_EQUAL(result.complete, 1);
    CHECK_EQUAL(read.events.count, small.events);
    tape_done(&read);
    free(longer);

    /* Something behind the end. */
    memcpy(data, &header, sizeof header);
    file_set(file, data, size);
    if (pwrite(file->fd, data, 48, (off_t)size) != 48)
        perror("pwrite");
    CHECK_EQUAL(file_read(file->path, &read, true, &result), 0);
    CHECK_EQUAL(result.complete, 1);
    CHECK_EQUAL(read.events.count, small.events);
    CHECK_CONTAINS(result.message, "no event is lost");
    tape_done(&read);
    file_set(file, data, size);
    free(data);
}

static void other_files(const struct file *file)
{
    static const char text[] = "this is a sentence and not a recording of anything\n";
    file_set(file, text, sizeof text - 1);
    refused(file->path, -EBADMSG, "is not a poolwise trace");
    file_set(file, "PWT", 3);
    refused(file->path, -EBADMSG, "cut off inside its header");
    file_set(file, "", 0);
    refused(file->path, -EBADMSG, "is empty");
    refused("/", -EISDIR, "is a directory");
    refused("/nonexistent/trace", -ENOENT, "No such file");
    if (geteuid()) {
        fchmod(file->fd, 0);
        refused(file->path, -EACCES, "Permission denied");
    }
}

/* What a sink gives stops the reading and comes back as it is, even where it looks like damage. */
static int fail_events(void *context, const struct trace_event *events, size_t count)
{
    ++*(unsigned *)context;
    return -EBADMSG;
}

static void sink_fails(const struct file *file)
{
    unsigned calls = 0;
    struct tape read;
    struct reader_result result;
    tape_init(&read, true);
    struct trace_sink failing = {.context = &calls, .events = fail_events};
    const struct trace_sink *sinks[] = {&read.sink, &failing};
    CHECK_EQUAL(reader_read(file->path, 0, UINT64_MAX, sinks, 2, &result), -EBADMSG);
    CHECK_EQUAL(calls, 1);
    CHECK_EQUAL(read.broken, 0);
    CHECK_EQUAL(read.end_count, 0);
    CHECK_EQUAL(strlen(result.message) > 0, true);
    tape_done(&read);
}

struct feed {
    int fd;
    const unsigned char *data;
    size_t size;
};

/* In small pieces, as a pipe may give them. */
static void *feed_run(void *context)
{
    const struct feed *feed = context;
    for (size_t at = 0; at < feed->size;) {
        size_t some = feed->size - at < 37 ? feed->size - at : 37;
        ssize_t wrote = write(feed->fd, feed->data + at, some);
        if (wrote < 0)
            break;
        at += (size_t)wrote;
    }
    close(feed->fd);
    return NULL;
}

/* "-" is standard input, here a pipe; `lost` bytes are missing from its end. */
static void from_pipe(const struct file *file, const struct tape *written, size_t lost)
{
    int ends[2];
    size_t size;
    unsigned char *data = file_get(file, &size);
    if (pipe(ends) || dup2(ends[0], STDIN_FILENO) < 0)
        abort();
    close(ends[0]);
    struct feed feed = {ends[1], data, size - lost};
    pthread_t thread;
    if (pthread_create(&thread, NULL, feed_run, &feed))
        abort();
    struct tape read;
    struct reader_result result;
    CHECK_EQUAL(file_read("-", &read, true, &result), 0);
    CHECK_EQUAL(result.complete, lost == 0);
    CHECK_EQUAL(result.file_bytes, size - lost);
    if (lost)
        CHECK_CONTAINS(result.message, "bytes are lost");
    else
        CHECK_EQUAL(read.events.count, written->events.count);
    CHECK_EQUAL(tape_same(written, &read, read.events.count), true);
    pthread_join(thread, NULL);
    tape_done(&read);
    free(data);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    struct file file;
    struct tape written;
    file_open(&file);
    CHECK_EQUAL(file_write(file.path, &small, &written), 0);
    from_pipe(&file, &written, 0);
    from_pipe(&file, &written, 10);
    sink_fails(&file);
    every_byte(&file, &written);
    headers(&file);
    other_files(&file);
    tape_done(&written);
    file_close(&file);
    return failed_count != 0;
}
