/* SPDX-License-Identifier: MIT */
/* Input that breaks the model's rules is refused, and then nothing more is taken. */
#include "program.h"

#include <errno.h>
#include <string.h>

#define MAIN 1

static struct trace_event event(uint8_t kind, uint32_t block, uint32_t stack)
{
    return (struct trace_event){
        .address = 0x1000, .size = 8, .block = block, .stack = stack, .kind = kind};
}

/* The sink refuses now, or finish does: events held back are looked at late. */
static void refused(struct program *p)
{
    if (!p->failure)
        assert_int_equal(analyse_finish(p->analyse), -EBADMSG);
    else
        assert_int_equal(p->failure, -EBADMSG);
    program_destroy(p);
}

static void each_bad_event(uint32_t prefix_events)
{
    static const struct {
        const char *what;
        struct trace_event event;
    } bad[] = {
        {"unknown thread", {.thread = 2, .kind = TRACE_ALLOC, .block = 1}},
        {"thread -1", {.thread = UINT32_MAX, .kind = TRACE_ALLOC, .block = 1}},
        {"unknown node", {.stack = 99, .kind = TRACE_ALLOC, .block = 1}},
        {"another thread's node", {.stack = 1, .thread = 1, .kind = TRACE_ALLOC, .block = 1}},
        {"unknown kind", {.kind = 3, .block = 0}},
        {"unknown call", {.kind = TRACE_ALLOC, .call = TRACE_CALL_COUNT, .block = 1}},
        {"a block far ahead", {.kind = TRACE_ALLOC, .block = 4000000000u}},
        {"a block one too far", {.kind = TRACE_ALLOC, .block = 2}},
        {"no block", {.kind = TRACE_ALLOC, .block = TRACE_NO_BLOCK}},
        {"a live block", {.kind = TRACE_ALLOC, .block = 0}},
        {"freeing what never was", {.kind = TRACE_FREE, .block = 1}},
        {"freeing far ahead", {.kind = TRACE_FREE, .block = 4000000000u}},
        {"resizing what never was", {.kind = TRACE_REALLOC, .block = 1}},
        {"resizing no block", {.kind = TRACE_REALLOC, .block = TRACE_NO_BLOCK}},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct program *p =
            program_create(MAIN, &(struct analyse_options){.prefix_events = prefix_events});
        program_thread(p, 0, MAIN);
        program_alloc(p, 0, 0x20, 8); /* block 0, node 1 */
        print_message("%s\n", bad[i].what);
        program_event(p, &bad[i].event);
        refused(p);
    }
}

static void bad_events(void **state)
{
    (void)state;
    each_bad_event(1);
    each_bad_event(0);
}

static void freed_twice(void **state)
{
    (void)state;
    for (uint32_t prefix = 0; prefix < 2; prefix++) {
        struct program *p =
            program_create(MAIN, &(struct analyse_options){.prefix_events = prefix});
        uint32_t block = program_alloc(p, 0, 0x20, 8);
        program_free(p, 0, 0x20, block);
        program_free(p, 0, 0x20, block);
        refused(p);
    }
}

static void bad_nodes(void **state)
{
    (void)state;
    static const struct trace_node bad[] = {
        {.id = 0, .module = TRACE_NO_MODULE},               /* the root again */
        {.id = 3, .module = TRACE_NO_MODULE},               /* one left out */
        {.id = 1, .module = TRACE_NO_MODULE},               /* known */
        {.id = 2, .module = TRACE_NO_MODULE, .parent = 2},  /* its own parent */
        {.id = 2, .module = TRACE_NO_MODULE, .parent = 7},
        {.id = 2, .module = TRACE_NO_MODULE, .thread = 9},
        {.id = 2, .module = TRACE_NO_MODULE, .parent = 1, .thread = 1}, /* of another thread */
        {.id = 2, .module = 5},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct program *p = program_create(MAIN, NULL);
        program_thread(p, 0, MAIN);
        program_alloc(p, 0, 0x20, 8);
        int result = p->sink->nodes(p->sink->context, &bad[i], 1);
        if (result != -EBADMSG)
            print_error("node %zu: %d\n", i, result);
        assert_int_equal(result, -EBADMSG);
        program_destroy(p);
    }
}

static void a_stack_without_end(void **state)
{
    (void)state;
    struct program *p = program_create(MAIN, NULL);
    uint32_t id = 1;
    int result = 0;
    for (; !result && id < 100000; id++) {
        struct trace_node node = {
            .id = id, .parent = id - 1, .module = TRACE_NO_MODULE, .address = 0xa0000};
        result = p->sink->nodes(p->sink->context, &node, 1);
    }
    assert_int_equal(result, -EBADMSG);
    assert_in_range(id, 20000, 40000);
    program_destroy(p);
}

/* As deep as is allowed, and all of it wrappers: judged without walking it for each node. */
static void a_deep_stack_of_wrappers(void **state)
{
    (void)state;
    struct program *p = program_create(MAIN, &(struct analyse_options){.prefix_events = 1});
    for (uint32_t id = 1; id <= 30000; id++) {
        struct trace_node node = {
            .id = id, .parent = id - 1, .module = TRACE_NO_MODULE, .address = 0xa0000 + id % 256};
        assert_int_equal(p->sink->nodes(p->sink->context, &node, 1), 0);
        struct trace_event alloc = event(TRACE_ALLOC, id - 1, id);
        program_event(p, &alloc);
    }
    program_finish(p);
    assert_int_equal(analyse_totals(p->analyse)->allocations, 30000);
    program_destroy(p);
}

static void bad_definitions(void **state)
{
    (void)state;
    struct program *p = program_create(MAIN, NULL);
    struct trace_thread late = {.id = 5}, again = {.id = 0}, stray = {.id = 1, .process = 8};
    struct trace_module module = {.id = 0, .process = 4, .path = ""};
    struct trace_module long_id = {.path = "", .build_id_size = TRACE_BUILD_ID_MAX + 1};
    const struct trace_sink *sink = p->sink;
    assert_int_equal(sink->thread(sink->context, &late), -EBADMSG);
    program_destroy(p);
    p = program_create(MAIN, NULL), sink = p->sink;
    assert_int_equal(sink->thread(sink->context, &again), -EBADMSG);
    program_destroy(p);
    p = program_create(MAIN, NULL), sink = p->sink;
    assert_int_equal(sink->thread(sink->context, &stray), -EBADMSG);
    program_destroy(p);
    p = program_create(MAIN, NULL), sink = p->sink;
    assert_int_equal(sink->module(sink->context, &module), -EBADMSG);
    program_destroy(p);
    p = program_create(MAIN, NULL), sink = p->sink;
    assert_int_equal(sink->module(sink->context, &long_id), -EBADMSG);
    program_destroy(p);
    p = program_create(MAIN, NULL);
    program_module(p, 0, 0, 1);
    p->module_count = 0; /* the same number again */
    program_module(p, 0, 0, 1);
    assert_int_equal(p->failure, -EBADMSG);
    program_destroy(p);
}

static void nothing_after_an_error_or_the_end(void **state)
{
    (void)state;
    struct program *p = program_create(MAIN, &(struct analyse_options){.prefix_events = 1});
    program_alloc(p, 0, 0x20, 8);
    struct trace_event bad = event(TRACE_FREE, 7, 0), good = event(TRACE_ALLOC, 1, 1);
    const struct trace_sink *sink = p->sink;
    assert_int_equal(sink->events(sink->context, &bad, 1), -EBADMSG);
    assert_int_equal(sink->events(sink->context, &good, 1), -EBADMSG);
    assert_int_equal(analyse_finish(p->analyse), -EBADMSG);
    program_destroy(p);

    p = program_create(MAIN, NULL), sink = p->sink;
    program_alloc(p, 0, 0x20, 8);
    program_finish(p);
    assert_int_equal(sink->events(sink->context, &good, 1), -EINVAL);
    assert_int_equal(analyse_finish(p->analyse), -EINVAL);
    program_destroy(p);
}

static void extreme_numbers(void **state)
{
    (void)state;
    struct program *p = program_create(MAIN, &(struct analyse_options){.prefix_events = 1});
    program_alloc(p, 0, 0x20, 8);
    for (uint32_t i = 1; i < 200; i++) {
        struct trace_event alloc = event(TRACE_ALLOC, i, 1), resize = event(TRACE_REALLOC, i, 1);
        alloc.size = UINT64_MAX - i % 3;
        alloc.address = UINT64_MAX - i;
        alloc.time_ns = UINT64_MAX - i;
        resize.size = i % 2 ? 0 : UINT64_MAX;
        resize.address = i;
        program_event(p, &alloc);
        program_event(p, &resize);
        struct trace_event gone = event(TRACE_FREE, i, 1);
        gone.time_ns = i % 2 ? UINT64_MAX : 0;
        program_event(p, &gone);
        struct trace_event again = event(TRACE_ALLOC, i, 0);
        program_event(p, &again);
    }
    program_finish(p);
    const struct analyse_site *site = program_site(p, MAIN, 0x20);
    assert_int_equal(site->allocations, 200);
    assert_int_equal(site->size.max, UINT64_MAX);
    assert_int_equal(site->never_freed, 1);
    program_destroy(p);
}

static void no_events(void **state)
{
    (void)state;
    struct program *p = program_create(MAIN, NULL);
    program_finish(p);
    const struct analyse_site *const *sites = NULL;
    assert_int_equal(analyse_sites(p->analyse, &sites), 0);
    assert_int_equal(analyse_totals(p->analyse)->has_end, 0);
    program_destroy(p);
    errno = 0;
    assert_null(analyse_create(&(struct analyse_options){0}));
    assert_int_equal(errno, EINVAL);
    assert_null(analyse_create(NULL));
    analyse_destroy(NULL);
}

/* Random events, most of them nonsense: whatever comes, nothing is read or written out of bounds. */
static void random_events(void **state)
{
    (void)state;
    uint64_t random = 42;
    for (int round = 0; round < 3000; round++) {
        struct program *p =
            program_create(MAIN, &(struct analyse_options){.prefix_events = 1 + round % 40});
        program_thread(p, 0, MAIN);
        program_alloc(p, 0, 0x20, 8);
        for (int i = 0; i < 60 && !p->failure; i++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            uint64_t bits = random >> 20;
            struct trace_event any = event(bits % 64 ? bits % 3 : bits % 256, bits >> 8 & 7, 0);
            any.stack = bits >> 12 & 1;
            any.thread = any.stack ? 0 : bits >> 13 & 1;
            any.size = bits >> 16;
            any.block = bits % 5 == 4 ? TRACE_NO_BLOCK : any.block;
            program_event(p, &any);
        }
        int result = analyse_finish(p->analyse);
        assert_true(result == 0 || result == -EBADMSG);
        assert_true(!p->failure || result == -EBADMSG);
        program_destroy(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_events),
        cmocka_unit_test(freed_twice),
        cmocka_unit_test(bad_nodes),
        cmocka_unit_test(a_stack_without_end),
        cmocka_unit_test(a_deep_stack_of_wrappers),
        cmocka_unit_test(bad_definitions),
        cmocka_unit_test(nothing_after_an_error_or_the_end),
        cmocka_unit_test(extreme_numbers),
        cmocka_unit_test(no_events),
        cmocka_unit_test(random_events),
    };
    return cmocka_run_group_tests_name("analyse hostile input", tests, NULL, NULL);
}
