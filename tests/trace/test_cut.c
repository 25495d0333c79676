/* SPDX-License-Identifier: MIT */
/* A trace cut off anywhere gives a prefix of its events, says what is lost, and is not called
 * complete. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "file.h"
#include "format.h"
#include "writer.h"

/* Where each block ends, the header first; how many, and the events up to there. */
struct borders {
    size_t at[64];
    uint64_t events[64];
    size_t count;
};

static void borders_find(const unsigned char *data, size_t size, struct borders *ret_borders)
{
    size_t at = sizeof(struct format_header);
    uint64_t events = 0;
    *ret_borders = (struct borders){.at = {at}, .count = 1};
    while (at + sizeof(struct format_block) <= size && ret_borders->count < 64) {
        struct format_block block;
        memcpy(&block, data + at, sizeof block);
        CHECK_EQUAL(block.magic, FORMAT_BLOCK_MAGIC);
        at += sizeof block + block.definition_bytes + block.event_bytes;
        events += block.event_count;
        ret_borders->at[ret_borders->count] = at;
        ret_borders->events[ret_borders->count++] = events;
    }
    CHECK_EQUAL(at, size);
}

static void cut_at(const struct file *file, const struct tape *written, size_t size,
                   const struct borders *borders)
{
    struct tape read;
    struct reader_result result;
    if (ftruncate(file->fd, (off_t)size))
        perror("ftruncate");
    int status = file_read(file->path, &read, true, &result);
    unsigned failed = failed_count;
    if (size < sizeof(struct format_header)) {
        CHECK_EQUAL(status, -EBADMSG);
        CHECK_CONTAINS(result.message, size ? "cut off inside its header" : "is empty");
        CHECK_EQUAL(read.end_count, 0);
    } else {
        size_t last = 0;
        while (last + 1 < borders->count && borders->at[last + 1] <= size)
            last++;
        CHECK_EQUAL(status, 0);
        CHECK_EQUAL(result.complete, 0);
        CHECK_EQUAL(result.read_bytes, borders->at[last]);
        CHECK_EQUAL(result.events, borders->events[last]);
        CHECK_EQUAL(read.events.count, borders->events[last]);
        CHECK_EQUAL(tape_same(written, &read, read.events.count), true);
        CHECK_EQUAL(read.end_count, 1);
        CHECK_EQUAL(read.end.exit_status, -1);
        CHECK_EQUAL(read.end.events, read.events.count);
        CHECK_EQUAL(read.end.allocations + read.end.frees + read.end.reallocs, read.events.count);
        CHECK_EQUAL(read.end.processes, read.processes.count);
        CHECK_EQUAL(read.end.threads, read.threads.count);
        char part[96];
        snprintf(part, sizeof part, "cut off: %" PRIu64 " events were read", borders->events[last]);
        CHECK_CONTAINS(result.message, part);
        if (size == borders->at[last])
            snprintf(part, sizeof part, "what was to follow them is lost");
        else
            snprintf(part, sizeof part, "the last %zu bytes are lost", size - borders->at[last]);
        CHECK_CONTAINS(result.message, part);
    }
    if (failed != failed_count)
        printf("  cut to %zu bytes: %s\n", size, result.message);
    tape_done(&read);
}

static void every_cut(void)
{
    const struct stream_options options = {
        .seed = 7, .events = 2500, .pause_ns = 1500000000, .pause_every = 400};
    struct file file;
    struct tape written;
    struct borders borders;
    size_t size;
    file_open(&file);
    CHECK_EQUAL(file_write(file.path, &options, &written), 0);
    unsigned char *data = file_get(&file, &size);
    borders_find(data, size, &borders);
    CHECK_EQUAL(borders.count > 5, true);
    CHECK_EQUAL(borders.at[borders.count - 1], size);
    for (size_t cut = size - 1; cut < size && failed_count < 20; cut--)
        cut_at(&file, &written, cut, &borders);
    free(data);
    tape_done(&written);
    file_close(&file);
}

/* Killed in the middle: neither end nor close are called, and what was flushed is there. */
static void killed(void)
{
    struct stream_options options = {
        .seed = 9, .events = 5000, .pause_ns = 1500000000, .pause_every = 700, .no_end = 1};
    struct file file;
    file_open(&file);
    fflush(NULL);
    pid_t child = fork();
    if (!child) {
        struct writer *writer = writer_create(file.path, 0);
        if (!writer)
            _exit(1);
        const struct trace_sink *sink = writer_sink(writer);
        if (!stream_push(&options, &sink, 1))
            raise(SIGKILL);
        _exit(1);
    }
    int status = 0;
    CHECK_EQUAL(waitpid(child, &status, 0), child);
    CHECK_EQUAL(WIFSIGNALED(status) ? WTERMSIG(status) : 0, SIGKILL);
    struct file other;
    struct tape written, read;
    struct reader_result result;
    file_open(&other);
    CHECK_EQUAL(file_write(other.path, &options, &written), 0);
    CHECK_EQUAL(file_read(file.path, &read, true, &result), 0);
    CHECK_EQUAL(result.complete, 0);
    CHECK_CONTAINS(result.message, "cut off");
    /* Seven pauses closed seven blocks; the last, open one is lost. */
    CHECK_EQUAL(result.events, 4899);
    CHECK_EQUAL(tape_same(&written, &read, read.events.count), true);
    tape_done(&read);
    /* Closed, but without an end: all the events are there. */
    CHECK_EQUAL(file_read(other.path, &read, true, &result), 0);
    CHECK_EQUAL(result.complete, 0);
    CHECK_EQUAL(result.events, options.events);
    CHECK_EQUAL(tape_same(&written, &read, options.events), true);
    tape_done(&read);
    tape_done(&written);
    file_close(&file);
    file_close(&other);
}

int main(void)
{
    every_cut();
    killed();
    return failed_count != 0;
}
