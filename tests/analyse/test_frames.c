/* SPDX-License-Identifier: MIT */
/* Where blocks die, against stacks laid out by hand: outlived levels, instances, requests. */
#include "program.h"

#define MAIN 1
#define F    2
#define G    3
#define H    4

static void freed_by_the_frame_that_made_it(void **state)
{
    (void)state;
    struct program *p = program_create(MAIN, NULL);
    program_call(p, 0, 0x10, F);
    for (int i = 0; i < 3; i++) {
        uint32_t block = program_alloc(p, 0, 0x20, 64);
        program_free(p, 0, 0x30, block);
    }
    program_finish(p);
    const struct analyse_site *site = program_site(p, F, 0x20);
    assert_int_equal(site->allocations, 3);
    assert_int_equal(site->frees, 3);
    assert_int_equal(site->outlived[0], 3);
    assert_int_equal(site->outlived_known, 3);
    assert_int_equal(site->instances[0], 1);
    assert_int_equal(site->instances[1], 1);
    assert_int_equal(site->live_peak, 1);
    assert_int_equal(site->max_live_in_instance, 1);
    assert_int_equal(site->never_freed, 0);
    assert_int_equal(site->wrappers, 0);
    assert_int_equal(site->path_count, 1);
    assert_int_equal(site->paths[0].depth, 2);
    assert_int_equal(site->paths[0].count, 3);
    assert_int_equal(site->paths[0].addresses[0], F << 12 | 0x20);
    assert_int_equal(site->paths[0].addresses[1], MAIN << 12 | 0x10);
    program_destroy(p);
}

static void freed_by_a_callee(void **state)
{
    (void)state;
    struct program *p = program_create(MAIN, NULL);
    program_call(p, 0, 0x10, F);
    uint32_t block = program_alloc(p, 0, 0x20, 64);
    program_call(p, 0, 0x24, G);
    program_call(p, 0, 0x28, H);
    program_free(p, 0, 0x30, block);
    program_finish(p);
    assert_int_equal(program_site(p, F, 0x20)->outlived[0], 1);
    program_destroy(p);
}

static void freed_by_callers(void **state)
{
    (void)state;
    struct program *p = program_create(MAIN, NULL);
    program_call(p, 0, 0x10, F);
    program_call(p, 0, 0x20, G);
    program_call(p, 0, 0x20, H);
    uint32_t one = program_alloc(p, 0, 0x20, 64), two = program_alloc(p, 0, 0x20, 64);
    uint32_t three = program_alloc(p, 0, 0x20, 64);
    program_return(p, 0);
    program_free(p, 0, 0x30, one);
    program_return(p, 0);
    program_call(p, 0, 0x40, G);
    program_free(p, 0, 0x30, two); /* another activation of G: H and the first G have ended */
    program_return(p, 0);
    program_return(p, 0);
    program_free(p, 0, 0x30, three);
    program_finish(p);
    const struct analyse_site *site = program_site(p, H, 0x20);
    assert_int_equal(site->outlived[0], 0);
    assert_int_equal(site->outlived[1], 1);
    assert_int_equal(site->outlived[2], 1);
    assert_int_equal(site->outlived[3], 1);
    assert_int_equal(site->instances[0], 1);
    assert_int_equal(site->max_live_in_instance, 3);
    program_destroy(p);
}

static void wrappers_do_not_count_as_levels(void **state)
{
    (void)state;
    struct program *p = program_create(MAIN, NULL);
    program_call(p, 0, 0x10, F);
    program_call(p, 0, 0x20, WRAPPER_FIRST);
    program_call(p, 0, 0x20, WRAPPER_FIRST + 1);
    uint32_t block = program_alloc(p, 0, 0x30, 64);
    program_return(p, 0);
    program_return(p, 0);
    program_call(p, 0, 0x50, WRAPPER_FIRST + 2);
    program_free(p, 0, 0x30, block);
    program_finish(p);
    const struct analyse_site *site = program_site(p, F, 0x20);
    assert_int_equal(site->outlived[0], 1);
    assert_int_equal(site->wrappers, 2);
    assert_false(site->shape_wrapper);
    assert_int_equal(site->paths[0].depth, 4);
    assert_int_equal(site->paths[0].addresses[site->wrappers], site->address);
    program_destroy(p);
}

static void two_ways_through_wrappers_are_two_sites(void **state)
{
    (void)state;
    struct program *p = program_create(MAIN, NULL);
    program_alloc_by(p, 0, 0x20, WRAPPER_FIRST, 8);
    program_alloc_by(p, 0, 0x20, WRAPPER_FIRST + 1, 8);
    program_alloc_by(p, 0, 0x24, WRAPPER_FIRST, 8);
    program_alloc_by(p, 0, 0x20, WRAPPER_FIRST, 8);
    program_finish(p);
    assert_int_equal(program_sites_in(p, MAIN), 3);
    assert_int_equal(program_site(p, MAIN, 0x24)->allocations, 1);
    program_destroy(p);
}

static void a_stack_of_wrappers_is_charged_to_the_outermost(void **state)
{
    (void)state;
    struct program *p = program_create(WRAPPER_FIRST, NULL);
    program_call(p, 0, 0x10, WRAPPER_FIRST + 1);
    program_free(p, 0, 0x40, program_alloc(p, 0, 0x20, 8));
    program_finish(p);
    const struct analyse_site *site = program_site(p, WRAPPER_FIRST, 0x10);
    assert_int_equal(site->wrappers, 1);
    assert_int_equal(site->outlived[0], 1);
    program_destroy(p);
}

static void recursion_keeps_activations_apart(void **state)
{
    (void)state;
    struct program *p = program_create(MAIN, NULL);
    uint32_t blocks[4];
    for (int i = 0; i < 4; i++) {
        program_call(p, 0, 0x10, F);
        blocks[i] = program_alloc(p, 0, 0x20, 16);
    }
    /* Each activation frees the block of the one it called. */
    for (int i = 3; i > 0; i--) {
        program_return(p, 0);
        program_free(p, 0, 0x30, blocks[i]);
    }
    program_free(p, 0, 0x30, blocks[0]);
    program_finish(p);
    const struct analyse_site *site = program_site(p, F, 0x20);
    assert_int_equal(site->outlived[0], 1);
    assert_int_equal(site->outlived[1], 3);
    assert_int_equal(site->instances[0], 4);
    assert_int_equal(site->instances[1], 4);
    assert_int_equal(site->max_live_in_instance, 1);
    assert_int_equal(site->live_peak, 4);
    program_destroy(p);
}

/* Back in an outer activation after an inner one allocated at the same site: not a new instance. */
static void recursion_returns_to_the_same_instance(void **state)
{
    (void)state;
    struct program *p = program_create(MAIN, NULL);
    program_call(p, 0, 0x10, F);
    program_alloc(p, 0, 0x20, 16);
    program_call(p, 0, 0x10, F);
    program_alloc(p, 0, 0x20, 16);
    program_return(p, 0);
    program_alloc(p, 0, 0x20, 16);
    program_finish(p);
    const struct analyse_site *site = program_site(p, F, 0x20);
    assert_int_equal(site->instances[0], 2);
    assert_int_equal(site->max_live_in_instance, 2);
    program_destroy(p);
}

static void a_loop_that_could_be_hoisted(void **state)
{
    (void)state;
    struct program *p = program_create(MAIN, NULL);
    program_call(p, 0, 0x10, F);
    for (int i = 0; i < 100; i++) {
        uint32_t block = program_alloc_by(p, 0, 0x20, WRAPPER_FIRST, 100 + (uint64_t)i % 7);
        program_call(p, 0, 0x24, G);
        program_free(p, 0, 0x40, program_alloc(p, 0, 0x44, 10));
        program_return(p, 0);
        program_free(p, 0, 0x30, block);
    }
    program_finish(p);
    const struct analyse_site *site = program_site(p, F, 0x20);
    assert_int_equal(site->allocations, 100);
    assert_int_equal(site->instances[0], 1);
    assert_int_equal(site->max_live_in_instance, 1);
    assert_int_equal(site->live_peak, 1);
    assert_int_equal(site->outlived[0], 100);
    /* The function called in the loop: its frame is shown gone by F's own events between. */
    const struct analyse_site *callee = program_site(p, G, 0x44);
    assert_int_equal(callee->instances[0], 100);
    assert_int_equal(callee->instances[1], 1);
    program_destroy(p);
}

/* The documented limit: nothing between two calls from the same place tells them apart. */
static void calls_with_nothing_between_look_like_one(void **state)
{
    (void)state;
    struct program *p = program_create(MAIN, NULL);
    for (int i = 0; i < 5; i++)
        program_alloc_by(p, 0, 0x20, F, 8);
    program_show(p, 0, 0x28);
    program_alloc_by(p, 0, 0x20, F, 8);
    program_finish(p);
    assert_int_equal(program_site(p, F, 0x10)->instances[0], 2);
    program_destroy(p);
}

static void the_outermost_function_lives_as_long_as_its_thread(void **state)
{
    (void)state;
    struct program *p = program_create(MAIN, NULL);
    uint32_t block = program_alloc(p, 0, 0x20, 8);
    program_call(p, 0, 0x30, F);
    program_show(p, 0, 0x10);
    program_return(p, 0);
    program_free(p, 0, 0x40, block);
    program_finish(p);
    const struct analyse_site *site = program_site(p, MAIN, 0x20);
    assert_int_equal(site->outlived[0], 1);
    assert_int_equal(site->instances[0], 1);
    assert_int_equal(site->instances[1], 1);
    program_destroy(p);
}

static void unknown_stacks_are_one_site_and_say_nothing_of_frames(void **state)
{
    (void)state;
    struct program *p = program_create(MAIN, NULL);
    program_call(p, 0, 0x10, F);
    uint32_t known = program_alloc(p, 0, 0x20, 8);
    p->threads[0].stackless = true;
    uint32_t unknown = program_alloc(p, 0, 0x20, 8);
    program_alloc(p, 0, 0x24, 8);
    program_free(p, 0, 0x20, known);
    p->threads[0].stackless = false;
    program_free(p, 0, 0x20, unknown);
    program_free(p, 0, 0x30, program_alloc(p, 0, 0x20, 8));
    program_finish(p);
    const struct analyse_site *none = program_site(p, 0, 0);
    assert_int_equal(none->allocations, 2);
    assert_int_equal(none->outlived_known, 0);
    assert_int_equal(none->instances[0], 0);
    assert_int_equal(none->path_count, 1);
    assert_int_equal(none->paths[0].count, 2);
    assert_int_equal(none->paths[0].depth, 1);
    assert_int_equal(none->module, TRACE_NO_MODULE);
    const struct analyse_site *site = program_site(p, F, 0x20);
    assert_int_equal(site->outlived_known, 1);
    assert_int_equal(site->frees, 2);
    assert_int_equal(site->instances[0], 1); /* a stackless event leaves the stack in place */
    program_destroy(p);
}

static void cut_stacks_that_share_nothing_are_not_judged(void **state)
{
    (void)state;
    struct program *p = program_create(MAIN, NULL);
    p->threads[0].truncated = true;
    uint32_t block = program_alloc(p, 0, 0x20, 8);
    program_free(p, 0, 0x30, block);
    program_call(p, 0, 0x10, F);
    block = program_alloc(p, 0, 0x20, 8);
    program_free(p, 0, 0x30, block);
    program_finish(p);
    const struct analyse_site *site = program_site(p, MAIN, 0x20);
    assert_int_equal(site->frees, 1);
    assert_int_equal(site->outlived_known, 0);
    assert_int_equal(site->instances[0], 0);
    assert_int_equal(site->max_live_in_instance, 0);
    assert_int_equal(program_site(p, F, 0x20)->outlived[0], 1);
    program_destroy(p);
}

static void deep_deaths_fall_into_the_last_level(void **state)
{
    (void)state;
    struct program *p = program_create(MAIN, NULL);
    for (int i = 0; i < 30; i++)
        program_call(p, 0, 0x10, F);
    uint32_t block = program_alloc(p, 0, 0x20, 8);
    for (int i = 0; i < 30; i++)
        program_return(p, 0);
    program_free(p, 0, 0x30, block);
    program_finish(p);
    assert_int_equal(program_site(p, F, 0x20)->outlived[ANALYSE_LEVELS - 1], 1);
    program_destroy(p);
}

static void another_thread_frees(void **state)
{
    (void)state;
    struct program *p = program_create(MAIN, NULL);
    uint32_t other = program_thread(p, 0, G);
    uint32_t blocks[10];
    for (int i = 0; i < 10; i++)
        blocks[i] = program_alloc(p, 0, 0x20, 8);
    for (int i = 0; i < 7; i++)
        program_free(p, other, 0x20, blocks[i]);
    program_free(p, 0, 0x30, blocks[7]);
    program_alloc(p, other, 0x40, 8);
    program_finish(p);
    const struct analyse_site *site = program_site(p, MAIN, 0x20);
    assert_int_equal(site->freed_by_other_thread, 7);
    assert_int_equal(site->outlived_known, 1);
    assert_int_equal(site->frees, 8);
    assert_int_equal(site->never_freed, 2);
    assert_int_equal(site->threads, 1);
    assert_int_equal(analyse_totals(p->analyse)->threads, 2);
    program_destroy(p);
}

static void requests(void **state)
{
    (void)state;
    struct program *p =
        program_create(MAIN, &(struct analyse_options){.is_request = program_is_request});
    uint32_t other = program_thread(p, 0, G);
    program_alloc(p, 0, 0x20, 8); /* outside */
    uint32_t late = 0, elsewhere = 0;
    for (int i = 0; i < 4; i++) {
        program_call(p, 0, 0x10, REQUEST);
        program_call(p, 0, 0x10, F);
        uint32_t inside = program_alloc(p, 0, 0x20, 8), kept = program_alloc(p, 0, 0x20, 8);
        program_return(p, 0);
        program_free(p, 0, 0x30, inside);
        if (i == 0)
            late = kept;
        if (i == 1)
            elsewhere = kept;
        if (i == 2)
            program_free(p, other, 0x30, kept); /* still inside: on another thread */
        program_return(p, 0);
        program_show(p, 0, 0x50);
    }
    program_free(p, 0, 0x60, late);
    program_free(p, other, 0x60, elsewhere);
    program_finish(p);
    const struct analyse_site *site = program_site(p, F, 0x20);
    assert_int_equal(site->in_request, 8);
    assert_int_equal(site->outlived_request, 3); /* late, elsewhere, and the last: never freed */
    assert_int_equal(program_site(p, MAIN, 0x20)->in_request, 0);
    program_destroy(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(freed_by_the_frame_that_made_it),
        cmocka_unit_test(freed_by_a_callee),
        cmocka_unit_test(freed_by_callers),
        cmocka_unit_test(wrappers_do_not_count_as_levels),
        cmocka_unit_test(two_ways_through_wrappers_are_two_sites),
        cmocka_unit_test(a_stack_of_wrappers_is_charged_to_the_outermost),
        cmocka_unit_test(recursion_keeps_activations_apart),
        cmocka_unit_test(recursion_returns_to_the_same_instance),
        cmocka_unit_test(a_loop_that_could_be_hoisted),
        cmocka_unit_test(calls_with_nothing_between_look_like_one),
        cmocka_unit_test(the_outermost_function_lives_as_long_as_its_thread),
        cmocka_unit_test(unknown_stacks_are_one_site_and_say_nothing_of_frames),
        cmocka_unit_test(cut_stacks_that_share_nothing_are_not_judged),
        cmocka_unit_test(deep_deaths_fall_into_the_last_level),
        cmocka_unit_test(another_thread_frees),
        cmocka_unit_test(requests),
    };
    return cmocka_run_group_tests_name("analyse frames", tests, NULL, NULL);
}
