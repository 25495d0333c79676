/* SPDX-License-Identifier: MIT */
/* Property: whatever the length of a recording, what is kept is bounded, spread over it, and each window comes with
 * every block that it frees or resizes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "window.h"

static void feed(struct windows *windows, const struct trace_event *event)
{
    const struct trace_sink *sink = windows_sink(windows);
    assert_int_equal(sink->events(sink->context, event, 1), 0);
}

static struct trace_event made(uint32_t block, uint64_t size, uint64_t time_ns)
{
    return (struct trace_event){.time_ns = time_ns, .address = 0x10000 + block * 64, .size = size, .block = block,
                                .stack = 1, .kind = TRACE_ALLOC};
}

static struct trace_event freed(uint32_t block, uint64_t time_ns)
{
    return (struct trace_event){.time_ns = time_ns, .address = 0x10000 + block * 64, .block = block, .stack = 2,
                                .kind = TRACE_FREE, .call = TRACE_CALL_FREE};
}

/* `pairs` pairs of block 0, amid `alive` blocks that stay. */
static struct windows *record(const struct window_options *options, uint32_t alive, uint32_t pairs)
{
    struct windows *windows = windows_create(options);
    assert_non_null(windows);
    uint64_t now = 1000;
    for (uint32_t i = 0; i < alive; i++) {
        struct trace_event event = made(i + 1, 100, now += 160);
        feed(windows, &event);
    }
    for (uint32_t i = 0; i < pairs; i++) {
        struct trace_event event = made(0, 32, now += 160);
        feed(windows, &event);
        event = freed(0, now += 320);
        feed(windows, &event);
    }
    return windows;
}

static void short_run_is_kept_whole(void **state)
{
    const struct window_options options = {.window_events = 64, .window_count = 8};
    struct windows *windows = record(&options, 10, 200);
    assert_int_equal(windows_seen(windows), 410);
    assert_int_equal(windows_count(windows), 7);
    uint64_t next = 0, events = 0;
    for (size_t i = 0; i < windows_count(windows); i++) {
        struct window window;
        windows_get(windows, i, &window);
        assert_int_equal(window.first, next);
        next = window.first + window.span;
        events += window.event_count;
    }
    assert_int_equal(next, 410);
    assert_int_equal(events, 410);
    windows_destroy(windows);
}

static void long_run_is_thinned_evenly(void **state)
{
    const struct window_options options = {.window_events = 64, .window_count = 8};
    for (uint32_t pairs = 1000; pairs < 400000; pairs = pairs * 3 + 17) {
        struct windows *windows = record(&options, 10, pairs);
        size_t count = windows_count(windows);
        assert_in_range(count, 4, 8);
        struct window first, second, last;
        windows_get(windows, 0, &first);
        windows_get(windows, 1, &second);
        windows_get(windows, count - 1, &last);
        assert_int_equal(first.first, 0);
        uint64_t stride = second.first;
        for (size_t i = 0; i < count; i++) {
            struct window window;
            windows_get(windows, i, &window);
            assert_int_equal(window.first, i * stride);
        }
        assert_true(last.first + stride >= windows_seen(windows)); /* the end is as near as any other place */
        windows_destroy(windows);
    }
}

static void heap_holds_what_the_window_touches(void **state)
{
    const struct window_options options = {.window_events = 16, .window_count = 2, .heap_blocks = 4};
    struct windows *windows = windows_create(&options);
    uint64_t now = 1000;
    for (uint32_t i = 0; i < 32; i++) { /* two windows of blocks that stay, far apart: the sample leaves most out */
        struct trace_event event = made(i, 1000 + i, now += 16);
        event.address = (uint64_t)i << 20;
        feed(windows, &event);
    }
    for (uint32_t i = 0; i < 32; i++) {
        struct trace_event event = freed(i, now += 16);
        event.address = (uint64_t)i << 20;
        feed(windows, &event);
    }
    for (size_t i = 0; i < windows_count(windows); i++) {
        struct window window;
        windows_get(windows, i, &window);
        for (size_t k = 0; k < window.event_count; k++) {
            if (window.events[k].kind != TRACE_FREE)
                continue;
            size_t found = 0;
            for (size_t h = 0; h < window.heap_count; h++)
                if (window.heap[h].block == window.events[k].block) {
                    found++;
                    assert_int_equal(window.heap[h].size, 1000 + window.heap[h].block);
                }
            assert_int_equal(found, 1);
        }
    }
    struct window last;
    windows_get(windows, windows_count(windows) - 1, &last);
    assert_int_equal(last.first, 32);
    assert_int_equal(last.live_blocks, 32);
    assert_int_equal(last.peak_bytes, last.live_bytes);
    windows_destroy(windows);
}

static void unknown_and_vast_blocks(void **state)
{
    struct windows *windows = windows_create(NULL);
    struct trace_event event = freed(0, 10);
    event.block = TRACE_NO_BLOCK;
    feed(windows, &event);
    event = made(0, UINT64_MAX, 20);
    feed(windows, &event);
    event = made(1, (uint64_t)1 << 33, UINT64_MAX - 1);
    feed(windows, &event);
    struct window window;
    windows_get(windows, 0, &window);
    assert_int_equal(windows_seen(windows), 3);
    assert_int_equal(window.event_count, 2);
    assert_int_equal(window.span, 3);
    assert_int_equal(window.events[0].size, UINT32_MAX);
    assert_int_equal(window.events[1].size, UINT32_MAX);
    assert_int_equal(window.events[1].gap, UINT16_MAX);
    assert_false(windows_failed(windows));
    windows_destroy(windows);
    windows = windows_create(NULL);
    assert_int_equal(windows_count(windows), 0);
    windows_destroy(windows);
    windows_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_run_is_kept_whole),
        cmocka_unit_test(long_run_is_thinned_evenly),
        cmocka_unit_test(heap_holds_what_the_window_touches),
        cmocka_unit_test(unknown_and_vast_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
