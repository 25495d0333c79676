/* SPDX-License-Identifier: MIT */
/*
 * Property: a schedule is what happened. Executed by a simulator that knows slots alone, in any order that its turns
 * and syncs allow, each block is made before it is used, used by nobody after its end, has the sizes that it had, and
 * each thread's ops come in its own order. Nothing that the rules allow can stop it.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "schedule.h"

#define BLOCKS  200u
#define THREADS 5u

static uint64_t seed;

static uint32_t random_below(uint32_t limit)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((seed >> 33) % limit);
}

static void feed(struct windows *windows, const struct trace_event *event)
{
    const struct trace_sink *sink = windows_sink(windows);
    assert_int_equal(sink->events(sink->context, event, 1), 0);
}

static uint32_t place_of(void *context, uint32_t stack)
{
    return stack % 3;
}

/* Random makes, resizes and frees by random threads; block numbers are reused at once, as in a trace. */
static struct windows *random_windows(const struct window_options *options, uint32_t events, uint32_t threads)
{
    struct windows *windows = windows_create(options);
    bool live[BLOCKS] = {false};
    for (uint32_t i = 0; i < events; i++) {
        uint32_t block = random_below(BLOCKS);
        struct trace_event event = {.time_ns = i * 100u, .address = 4096 + block * 4096u, .size = 1 + random_below(3000),
                                    .block = block, .stack = 1 + random_below(9), .thread = random_below(threads)};
        if (!live[block]) {
            event.kind = TRACE_ALLOC;
            event.call = random_below(4) ? TRACE_CALL_MALLOC : TRACE_CALL_CALLOC;
        } else {
            event.kind = random_below(3) ? TRACE_FREE : TRACE_REALLOC;
            event.call = event.kind == TRACE_FREE ? TRACE_CALL_FREE : TRACE_CALL_REALLOC;
            event.size = event.kind == TRACE_FREE ? 0 : event.size;
        }
        live[block] = event.kind != TRACE_FREE;
        feed(windows, &event);
    }
    return windows;
}

struct shown {
    bool live;
    uint16_t turn;
};

static void use(struct shown *slots, const struct image_op *op)
{
    struct shown *slot = &slots[op->slot];
    if (op->code == OP_FREE || op->code == OP_REALLOC)
        assert_true(slot->live);
    else
        assert_false(slot->live);
    slot->live = op->code != OP_FREE;
    if (op->flags & OP_SHARED)
        slot->turn++;
}

static void heap(const struct image *image, const struct image_window *window, struct shown *slots, bool needed_only)
{
    const struct image_op *ops = image_at(image, window->heap_at);
    for (uint32_t i = 0; i < window->heap_count; i++) {
        if (needed_only && !(ops[i].flags & OP_NEEDED))
            continue;
        assert_in_range(ops[i].slot, 0, window->slot_count - 1);
        slots[ops[i].slot].live = ops[i].code != OP_FILLER || ops[i].size;
    }
}

/* Runs one op of a random thread that may; returns ops done. */
static uint64_t simulate(const struct image *image, const struct image_window *window, bool needed_only)
{
    struct shown *slots = calloc(window->slot_count + 1u, sizeof *slots);
    const struct image_thread *threads = image_at(image, window->threads_at);
    uint32_t at[64] = {0}, progress[64] = {0};
    uint64_t done = 0;
    heap(image, window, slots, needed_only);
    for (;;) {
        uint32_t left = 0, ran = 0, first = random_below(window->thread_count);
        for (uint32_t k = 0; k < window->thread_count; k++) {
            uint32_t t = (first + k) % window->thread_count;
            const struct image_op *ops = image_at(image, threads[t].ops_at);
            if (at[t] == threads[t].op_count) {
                progress[t] = UINT32_MAX;
                continue;
            }
            left++;
            const struct image_op *op = &ops[at[t]];
            bool may = true;
            if (op->code == OP_SYNC) {
                progress[t] = op->size;
                for (uint32_t other = 0; other < window->thread_count; other++)
                    may &= progress[other] >= op->size || op->size - progress[other] <= window->skew;
            } else if (op->flags & OP_SHARED) {
                may = slots[op->slot].turn == op->turn;
            }
            if (!may)
                continue;
            if (op->code != OP_SYNC) {
                use(slots, op);
                done++;
            }
            at[t]++;
            ran++;
            break;
        }
        if (!left)
            break;
        assert_int_not_equal(ran, 0); /* else they wait for each other for ever */
    }
    free(slots);
    return done;
}

static void check(const struct window_options *kept, uint32_t events, uint32_t threads)
{
    struct windows *windows = random_windows(kept, events, threads);
    const struct schedule_options options = {.windows = windows, .place_of = place_of, .place_count = 3};
    struct schedule schedule;
    assert_int_equal(schedule_create(&options, &schedule), 0);
    const struct image_window *shown = image_at(schedule.image, schedule.image->windows_at);
    uint64_t done = 0, fresh = 0, made = 0;
    for (uint32_t i = 0; i < schedule.image->window_count; i++) {
        done += simulate(schedule.image, &shown[i], false);
        fresh += simulate(schedule.image, &shown[i], true);
    }
    assert_int_equal(done, schedule.ops);
    assert_int_equal(fresh, schedule.ops);
    uint64_t expected = 0;
    for (size_t i = 0; i < windows_count(windows); i++) {
        struct window window;
        windows_get(windows, i, &window);
        expected += window.event_count;
        for (size_t k = 0; k < window.event_count; k++)
            made += window.events[k].kind == TRACE_ALLOC;
    }
    /* The first window may be left out, when it would stand for too much. */
    assert_true(done <= expected && done + 2 * 65536 >= expected);
    if (windows_seen(windows) == expected)
        assert_int_equal(schedule.made[0] + schedule.made[1] + schedule.made[2], made);
    assert_int_equal(schedule.unknown, 0);
    assert_int_equal(schedule.too_large, 0);
    schedule_destroy(&schedule);
    windows_destroy(windows);
}

static void whole_runs(void **state)
{
    for (uint32_t round = 0; round < 6; round++) {
        seed = round + 1;
        check(NULL, 3000, 1);
        check(NULL, 20000, THREADS);
        check(NULL, 3000, 200); /* more threads than lanes */
    }
}

static void windows_of_long_runs(void **state)
{
    const struct window_options options = {.window_events = 500, .window_count = 8, .heap_blocks = 50};
    for (uint32_t round = 0; round < 6; round++) {
        seed = round + 100;
        check(&options, 40000, 1);
        check(&options, 40000, THREADS);
    }
}

static void too_large_is_left_out_whole(void **state)
{
    struct windows *windows = windows_create(NULL);
    struct trace_event event = {.address = 4096, .size = 100, .stack = 1, .kind = TRACE_ALLOC};
    feed(windows, &event); /* grows too large */
    event.block = 1;
    feed(windows, &event); /* stays */
    event.block = 2;
    event.size = (uint64_t)1 << 40;
    feed(windows, &event);
    event = (struct trace_event){.address = 4096, .size = 1u << 30, .stack = 1, .kind = TRACE_REALLOC,
                                 .call = TRACE_CALL_REALLOC};
    feed(windows, &event);
    for (uint32_t block = 0; block < 3; block++) {
        event = (struct trace_event){.address = 4096, .block = block, .stack = 1, .kind = TRACE_FREE,
                                     .call = TRACE_CALL_FREE};
        feed(windows, &event);
    }
    const struct schedule_options options = {.windows = windows, .place_of = place_of, .place_count = 3};
    struct schedule schedule;
    assert_int_equal(schedule_create(&options, &schedule), 0);
    assert_int_equal(schedule.too_large, 2);
    assert_int_equal(schedule.ops, 2);
    schedule_destroy(&schedule);
    windows_destroy(windows);
}

static void nothing_to_replay(void **state)
{
    struct windows *windows = windows_create(NULL);
    const struct schedule_options options = {.windows = windows, .place_of = place_of, .place_count = 3};
    struct schedule schedule;
    assert_int_equal(schedule_create(&options, &schedule), -ENODATA);
    windows_destroy(windows);
}

static void growth_keeps_its_steps(void **state)
{
    struct windows *windows = windows_create(NULL);
    struct trace_event event = {.address = 4096, .size = 16, .stack = 1, .kind = TRACE_ALLOC, .call = TRACE_CALL_REALLOC};
    feed(windows, &event);
    for (uint64_t size = 32; size <= 4096; size *= 2) {
        event = (struct trace_event){.address = 4096, .size = size, .stack = 1, .kind = TRACE_REALLOC,
                                     .call = TRACE_CALL_REALLOC};
        feed(windows, &event);
    }
    event = (struct trace_event){.address = 4096, .stack = 1, .kind = TRACE_FREE, .call = TRACE_CALL_FREE};
    feed(windows, &event);
    const struct schedule_options options = {.windows = windows, .place_of = place_of, .place_count = 3};
    struct schedule schedule;
    assert_int_equal(schedule_create(&options, &schedule), 0);
    const struct image_window *window = image_at(schedule.image, schedule.image->windows_at);
    const struct image_thread *thread = image_at(schedule.image, window->threads_at);
    const struct image_op *ops = image_at(schedule.image, thread->ops_at);
    assert_int_equal(thread->op_count, 10);
    for (uint32_t i = 0; i < 10; i++) {
        assert_int_equal(ops[i].code, i == 0 ? OP_MALLOC : i == 9 ? OP_FREE : OP_REALLOC);
        assert_int_equal(ops[i].slot, ops[0].slot);
        assert_int_equal(ops[i].size, i == 9 ? 0 : 16u << i);
        assert_int_equal(ops[i].was, i == 0 ? 0 : 16u << (i - 1));
        assert_int_equal(ops[i].place, 1);
    }
    schedule_destroy(&schedule);
    windows_destroy(windows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_runs),
        cmocka_unit_test(windows_of_long_runs),
        cmocka_unit_test(too_large_is_left_out_whole),
        cmocka_unit_test(nothing_to_replay),
        cmocka_unit_test(growth_keeps_its_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
