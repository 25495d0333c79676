/* SPDX-License-Identifier: MIT */
/* Which functions are taken for wrappers by their shape, and which are not. */
#include "program.h"

#define MAIN     1
#define CALLER   0x10 /* functions 0x10.. call */
#define WRAPPER  0x40
#define OUTER    0x41
#define BUILDER  0x42
#define STRBUF   0x43
#define CALLERS  5
#define PER_CALL 4

/* Code in no module is never judged, so the program here has one. */
static struct program *create(uint32_t prefix_events)
{
    struct program *p =
        program_create(MAIN, &(struct analyse_options){.prefix_events = prefix_events});
    p->threads[0].module = program_module(p, 0, 0, 1);
    return p;
}

/*
 * Each of CALLERS functions calls `function` from two places, and it allocates `blocks` times; all is
 * freed by main. size(i) for the i-th allocation.
 */
static void use(struct program *p, uint32_t function, int blocks, uint64_t (*size)(int))
{
    int made = 0;
    for (int round = 0; round < 20; round++) {
        uint32_t held[CALLERS * 2 * PER_CALL];
        int count = 0;
        for (uint32_t caller = 0; caller < CALLERS; caller++) {
            program_call(p, 0, 0x10 + caller, CALLER + caller);
            for (uint32_t place = 0; place < 2; place++) {
                program_call(p, 0, 0x20 + place, function);
                for (int i = 0; i < blocks; i++)
                    held[count++] = program_alloc(p, 0, 0x30, size(made++));
                program_return(p, 0);
                program_show(p, 0, 0x40);
            }
            program_return(p, 0);
        }
        while (count)
            program_free(p, 0, 0x60, held[--count]);
    }
}

static uint64_t any_size(int i)
{
    return 16 + (uint64_t)(i * 37 % 23) * 8;
}

static uint64_t one_size(int i)
{
    (void)i;
    return 48;
}

/* A second size now and then does not make a constructor a wrapper. */
static uint64_t nearly_one_size(int i)
{
    return i % 20 ? 48 : 16 * (uint64_t)(i % 100);
}

static size_t by_shape(struct program *p)
{
    return analyse_totals(p->analyse)->wrappers_by_shape;
}

static void a_wrapper(void **state)
{
    (void)state;
    struct program *p = create(0);
    use(p, WRAPPER, 1, any_size);
    program_finish(p);
    assert_int_equal(by_shape(p), 1);
    assert_int_equal(program_sites_in(p, WRAPPER), 0);
    for (uint32_t caller = 0; caller < CALLERS; caller++) {
        const struct analyse_site *site = program_site(p, CALLER + caller, 0x20);
        assert_int_equal(site->allocations, 20);
        assert_int_equal(site->wrappers, 1);
        assert_true(site->shape_wrapper);
        assert_int_equal(site->outlived[1], 20);
    }
    assert_int_equal(analyse_totals(p->analyse)->allocations, 200);
    assert_int_equal(analyse_totals(p->analyse)->live_end_blocks, 0);
    program_destroy(p);
}

static void a_wrapper_above_one_by_name(void **state)
{
    (void)state;
    struct program *p = create(0);
    for (int i = 0; i < 200; i++) {
        program_call(p, 0, 0x10, CALLER + (uint32_t)i % CALLERS);
        program_call(p, 0, 0x20, WRAPPER);
        uint32_t block = program_alloc_by(p, 0, 0x30, WRAPPER_FIRST, any_size(i));
        program_return(p, 0);
        program_free(p, 0, 0x40, block);
        program_return(p, 0);
    }
    program_finish(p);
    assert_int_equal(by_shape(p), 1);
    const struct analyse_site *site = program_site(p, CALLER, 0x20);
    assert_int_equal(site->wrappers, 2);
    assert_true(site->shape_wrapper);
    assert_int_equal(site->outlived[0], 40);
    program_destroy(p);
}

static void a_wrapper_of_a_wrapper(void **state)
{
    (void)state;
    struct program *p = create(0);
    for (int i = 0; i < 400; i++) {
        program_call(p, 0, 0x10, CALLER + (uint32_t)i % CALLERS);
        bool outer = i % 2;
        if (outer)
            program_call(p, 0, 0x24, OUTER);
        program_call(p, 0, 0x20, WRAPPER);
        uint32_t block = program_alloc(p, 0, 0x30, any_size(i));
        program_return(p, 0);
        if (outer)
            program_return(p, 0);
        program_free(p, 0, 0x40, block);
        program_return(p, 0);
    }
    program_finish(p);
    assert_int_equal(by_shape(p), 2);
    assert_int_equal(program_sites_in(p, OUTER), 0);
    assert_int_equal(program_site(p, CALLER, 0x24)->wrappers, 2);
    assert_int_equal(program_site(p, CALLER, 0x20)->wrappers, 1);
    program_destroy(p);
}

static void not_taken(uint32_t function, int blocks, uint64_t (*size)(int))
{
    struct program *p = create(0);
    use(p, function, blocks, size);
    program_finish(p);
    assert_int_equal(by_shape(p), 0);
    assert_int_equal(program_sites_in(p, function), 1);
    program_destroy(p);
}

static void a_constructor(void **state)
{
    (void)state;
    not_taken(WRAPPER, 1, one_size);
    not_taken(WRAPPER, 1, nearly_one_size);
}

static void a_builder_of_many(void **state)
{
    (void)state;
    not_taken(BUILDER, PER_CALL, any_size);
}

static void code_of_the_system(void **state)
{
    (void)state;
    not_taken(SYSTEM_FIRST, 1, any_size);
}

static void a_string_that_grows(void **state)
{
    (void)state;
    struct program *p = create(0);
    for (int i = 0; i < 300; i++) {
        program_call(p, 0, 0x10, CALLER + (uint32_t)i % CALLERS);
        program_call(p, 0, 0x20, STRBUF);
        uint32_t block = program_alloc(p, 0, 0x30, any_size(i));
        program_return(p, 0);
        program_show(p, 0, 0x44);
        if (i % 3 == 0) {
            program_call(p, 0, 0x20, STRBUF);
            program_resize(p, 0, 0x34, block, 500, true);
            program_return(p, 0);
        }
        program_free(p, 0, 0x40, block);
        program_return(p, 0);
    }
    program_finish(p);
    assert_int_equal(by_shape(p), 0);
    assert_int_equal(program_site(p, STRBUF, 0x30)->grow.chains, 100);
    program_destroy(p);
}

static void one_that_frees_what_it_makes(void **state)
{
    (void)state;
    struct program *p = create(0);
    for (int i = 0; i < 300; i++) {
        program_call(p, 0, 0x10, CALLER + (uint32_t)i % CALLERS);
        program_call(p, 0, 0x20, WRAPPER);
        program_free(p, 0, 0x34, program_alloc(p, 0, 0x30, any_size(i)));
        program_return(p, 0);
        program_return(p, 0);
    }
    program_finish(p);
    assert_int_equal(by_shape(p), 0);
    assert_int_equal(program_site(p, WRAPPER, 0x30)->outlived[0], 300);
    program_destroy(p);
}

static void one_with_few_callers(void **state)
{
    (void)state;
    struct program *p = create(0);
    for (int i = 0; i < 300; i++) {
        program_call(p, 0, 0x10, CALLER + (uint32_t)i % 2);
        program_call(p, 0, 0x20 + (uint32_t)i % 4, WRAPPER);
        uint32_t block = program_alloc(p, 0, 0x30, any_size(i));
        program_return(p, 0);
        program_free(p, 0, 0x40, block);
        program_return(p, 0);
    }
    program_finish(p);
    assert_int_equal(by_shape(p), 0);
    program_destroy(p);
}

/* Judged on the prefix alone, and kept for what comes after it. */
static void the_prefix_decides(void **state)
{
    (void)state;
    struct program *p = create(300);
    use(p, WRAPPER, 1, any_size);
    use(p, OUTER, 1, any_size);
    program_finish(p);
    assert_int_equal(by_shape(p), 1);
    assert_int_equal(program_sites_in(p, WRAPPER), 0);
    assert_int_equal(program_sites_in(p, OUTER), 1);
    assert_int_equal(program_site(p, OUTER, 0x30)->allocations, 200);
    assert_int_equal(analyse_totals(p->analyse)->allocations, 400);
    program_destroy(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wrapper),
        cmocka_unit_test(a_wrapper_above_one_by_name),
        cmocka_unit_test(a_wrapper_of_a_wrapper),
        cmocka_unit_test(a_constructor),
        cmocka_unit_test(a_builder_of_many),
        cmocka_unit_test(code_of_the_system),
        cmocka_unit_test(a_string_that_grows),
        cmocka_unit_test(one_that_frees_what_it_makes),
        cmocka_unit_test(one_with_few_callers),
        cmocka_unit_test(the_prefix_decides),
    };
    return cmocka_run_group_tests_name("analyse shape", tests, NULL, NULL);
}
