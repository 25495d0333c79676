/* SPDX-License-Identifier: MIT */
/* A window gives just the events in it, as a stream that is valid by itself. */
#include <stdlib.h>

#include "check.h"
#include "file.h"

/* What the window must give, made from all events: blocks from before it are unknown. */
static size_t window_expect(const struct tape *all, uint64_t from_ns, uint64_t to_ns,
                            struct trace_event *ret_events)
{
    const struct trace_event *events = all->events.items;
    uint32_t *numbers = malloc((all->live.count + 1) * sizeof *numbers);
    uint32_t *unused = malloc((all->live.count + 1) * sizeof *unused);
    if (!numbers || !unused)
        abort();
    memset(numbers, 0xff, all->live.count * sizeof *numbers);
    size_t count = 0;
    uint32_t unused_count = 0, next = 0;
    for (size_t i = 0; i < all->events.count; i++) {
        struct trace_event event = events[i];
        bool inside = event.time_ns >= from_ns && event.time_ns <= to_ns;
        if (event.block != TRACE_NO_BLOCK) {
            uint32_t *number = &numbers[event.block];
            if (event.kind == TRACE_ALLOC)
                *number = TRACE_NO_BLOCK;
            uint32_t known = *number;
            if (event.kind == TRACE_FREE) {
                *number = TRACE_NO_BLOCK;
                if (inside && known != TRACE_NO_BLOCK)
                    unused[unused_count++] = known;
            } else if (inside && known == TRACE_NO_BLOCK) {
                event.kind = TRACE_ALLOC;
                known = *number = unused_count ? unused[--unused_count] : next++;
            }
            event.block = known;
        }
        if (inside)
            ret_events[count++] = event;
    }
    free(numbers);
    free(unused);
    return count;
}

static void window(const struct file *file, const struct tape *all, uint64_t from_ns,
                   uint64_t to_ns)
{
    struct tape read;
    struct reader_result result;
    tape_init(&read, true);
    const struct trace_sink *sinks[] = {&read.sink};
    CHECK_EQUAL(reader_read(file->path, from_ns, to_ns, sinks, 1, &result), 0);
    unsigned failed = failed_count;
    CHECK_EQUAL(result.complete, 1);
    CHECK_EQUAL(read.broken, 0);
    CHECK_EQUAL(read.nodes.count, all->nodes.count);
    CHECK_EQUAL(read.threads.count, all->threads.count);
    CHECK_EQUAL(memcmp(&read.end, &all->end, sizeof read.end), 0);
    struct trace_event *want = malloc((all->events.count + 1) * sizeof *want);
    if (!want)
        abort();
    size_t count = window_expect(all, from_ns, to_ns, want);
    CHECK_EQUAL(read.events.count, count);
    CHECK_EQUAL(result.events, count);
    for (size_t i = 0; i < count && i < read.events.count && failed == failed_count; i++) {
        const struct trace_event *got = (struct trace_event *)read.events.items + i;
        CHECK_EQUAL(got->time_ns, want[i].time_ns);
        CHECK_EQUAL(got->thread, want[i].thread);
        CHECK_EQUAL(got->stack, want[i].stack);
        CHECK_EQUAL(got->call, want[i].call);
        CHECK_EQUAL(got->size, want[i].size);
        CHECK_EQUAL(got->kind, want[i].kind);
        CHECK_EQUAL(got->block, want[i].block);
        if (got->block != TRACE_NO_BLOCK || got->address)
            CHECK_EQUAL(got->address, want[i].address);
    }
    if (failed != failed_count)
        printf("  window %" PRIu64 " to %" PRIu64 ": %s %s\n", from_ns, to_ns, result.message,
               read.message);
    free(want);
    tape_done(&read);
}

int main(void)
{
    for (uint64_t seed = 0; seed < 6; seed++) {
        const struct stream_options options = {.seed = seed,
                                               .events = 4000,
                                               .pause_ns = seed < 3 ? 1500000000 : 0,
                                               .pause_every = 333};
        struct file file;
        struct tape all;
        struct reader_result result;
        file_open(&file);
        CHECK_EQUAL(file_write(file.path, &options, NULL), 0);
        CHECK_EQUAL(file_read(file.path, &all, true, &result), 0);
        CHECK_EQUAL(all.events.count, options.events);
        uint64_t last_ns =
            result.events ? ((struct trace_event *)all.events.items)[3999].time_ns : 0;
        window(&file, &all, 0, UINT64_MAX - 1);
        window(&file, &all, 1, UINT64_MAX);
        window(&file, &all, last_ns + 10000, UINT64_MAX);
        window(&file, &all, 0, 0);
        window(&file, &all, last_ns, last_ns);
        uint64_t random = seed;
        for (unsigned i = 0; i < 60 && failed_count < 20; i++) {
            uint64_t from_ns = stream_random(&random) % (last_ns + 1);
            window(&file, &all, from_ns, from_ns + stream_random(&random) % (last_ns / 3 + 1));
            /* Exactly from one event to another. */
            size_t at = stream_random(&random) % 3900;
            const struct trace_event *events = all.events.items;
            window(&file, &all, events[at].time_ns, events[at + 99].time_ns);
        }
        tape_done(&all);
        file_close(&file);
    }
    return failed_count != 0;
}
