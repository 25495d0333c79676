/* SPDX-License-Identifier: MIT */
/* Counts, sizes, growth, bursts, the simulated pool, pages, and codes that are one in several
 * modules. */
#include "program.h"

#include <math.h>

#define MAIN 1
#define F    2
#define G    3

static void totals_and_sums(void **state)
{
    (void)state;
    struct program *p = program_create(MAIN, NULL);
    p->now_ns = 1000;
    uint32_t one = program_alloc(p, 0, 0x20, 100), two = program_alloc(p, 0, 0x20, 300);
    program_free(p, 0, 0x30, one);
    program_show(p, 0, 0x34);
    program_resize(p, 0, 0x38, two, 500, true);
    program_alloc(p, 0, 0x20, 50);
    struct trace_end end = {.wall_ns = 77, .exit_status = 3};
    assert_int_equal(p->sink->end(p->sink->context, &end), 0);
    program_finish(p);
    const struct analyse_totals *totals = analyse_totals(p->analyse);
    assert_int_equal(totals->events, 6);
    assert_int_equal(totals->allocations, 3);
    assert_int_equal(totals->frees, 2);
    assert_int_equal(totals->unknown_frees, 1);
    assert_int_equal(totals->reallocs, 1);
    assert_int_equal(totals->bytes, 100 + 300 + 200 + 50);
    assert_int_equal(totals->live_peak_blocks, 2);
    assert_int_equal(totals->live_peak_bytes, 550);
    assert_int_equal(totals->live_end_blocks, 2);
    assert_int_equal(totals->live_end_bytes, 550);
    assert_int_equal(totals->processes, 1);
    assert_true(totals->has_end);
    assert_int_equal(totals->end.exit_status, 3);
    const struct analyse_site *site = program_site(p, MAIN, 0x20);
    assert_int_equal(site->bytes, 650);
    assert_int_equal(site->calls[TRACE_CALL_MALLOC], 3);
    assert_int_equal(site->live_peak, 2);
    assert_int_equal(site->live_peak_bytes, 550);
    assert_int_equal(site->live_bytes_end, 550);
    assert_int_equal(site->never_freed, 2);
    assert_int_equal(site->first_ns, 1000);
    assert_int_equal(site->last_ns, 1005);
    assert_int_equal(site->lifetime_ns.count, 1);
    assert_int_equal(site->lifetime_ns.p50, 2);
    assert_int_equal(site->lifetime_events_p50, 1);
    program_destroy(p);
}

static void sites_come_most_allocations_first(void **state)
{
    (void)state;
    struct program *p = program_create(MAIN, NULL);
    for (uint32_t place = 0x10; place < 0x20; place++)
        for (uint32_t i = 0; i < (place * 7) % 5 + 1; i++)
            program_alloc(p, 0, place, 8);
    program_finish(p);
    const struct analyse_site *const *sites = NULL;
    size_t count = analyse_sites(p->analyse, &sites);
    assert_int_equal(count, 16);
    for (size_t i = 1; i < count; i++) {
        assert_true(sites[i - 1]->allocations >= sites[i]->allocations);
        if (sites[i - 1]->allocations == sites[i]->allocations)
            assert_true(sites[i - 1]->number < sites[i]->number);
    }
    program_destroy(p);
}

static void the_most_frequent_paths_are_kept(void **state)
{
    (void)state;
    struct program *p = program_create(MAIN, NULL);
    static const uint32_t times[] = {3, 9, 1, 7, 5, 2, 8};
    for (uint32_t i = 0; i < 7; i++)
        for (uint32_t k = 0; k < times[i]; k++)
            program_alloc_by(p, 0, 0x100 + i, F, 8);
    program_finish(p);
    const struct analyse_site *site = program_site(p, F, 0x10);
    assert_int_equal(site->path_count, ANALYSE_STACKS);
    static const uint32_t order[] = {1, 6, 3, 4};
    for (uint32_t i = 0; i < ANALYSE_STACKS; i++) {
        assert_int_equal(site->paths[i].count, times[order[i]]);
        assert_int_equal(site->paths[i].addresses[0], F << 12 | 0x10);
        assert_int_equal(site->paths[i].addresses[1], MAIN << 12 | (0x100 + order[i]));
    }
    program_destroy(p);
}

static void sizes(void **state)
{
    (void)state;
    struct program *p = program_create(MAIN, NULL);
    for (uint64_t i = 0; i < 1000; i++)
        program_free(p, 0, 0x30, program_alloc(p, 0, 0x20, i < 990 ? 100 + i % 50 : 100000));
    program_finish(p);
    const struct analyse_site *site = program_site(p, MAIN, 0x20);
    assert_int_equal(site->size.count, 1000);
    assert_int_equal(site->size.min, 100);
    assert_int_equal(site->size.max, 100000);
    assert_int_equal(site->size.p1, 100);
    assert_int_equal(site->size.p99, 149);
    assert_int_equal(site->size.p999, 100000);
    assert_true(fabs(site->within_2x - 0.99) < 1e-12);
    assert_int_equal(site->window_low, 100);
    assert_true(fabs(site->spread - 1000) < 1e-9);
    assert_int_equal(site->size_classes, 3); /* up to 128, up to 256, up to 131072 */
    program_destroy(p);
}

static void growth_chains(void **state)
{
    (void)state;
    struct program *p = program_create(MAIN, NULL);
    program_call(p, 0, 0x10, F);
    uint32_t one = program_alloc(p, 0, 0x20, 16);
    program_call(p, 0, 0x18, WRAPPER_FIRST);
    program_resize(p, 0, 0x24, one, 32, false);
    program_resize(p, 0, 0x24, one, 64, true);
    program_return(p, 0);
    program_resize(p, 0, 0x28, one, 128, true);
    program_resize(p, 0, 0x28, one, 128, true); /* same size: no step */
    program_call(p, 0, 0x18, WRAPPER_FIRST);
    program_resize(p, 0, 0x24, one, 100, true);
    program_return(p, 0);
    program_free(p, 0, 0x30, one);
    uint32_t two = program_alloc(p, 0, 0x20, 48);
    program_call(p, 0, 0x18, WRAPPER_FIRST);
    program_resize(p, 0, 0x24, two, 200, false); /* still live at the end */
    program_return(p, 0);
    program_alloc(p, 0, 0x20, 8); /* no chain */
    program_finish(p);
    const struct analyse_site *site = program_site(p, F, 0x20);
    assert_int_equal(site->grow.chains, 2);
    assert_int_equal(site->grow.steps, 4);
    assert_int_equal(site->grow.moved, 2);
    assert_int_equal(site->grow.shrinks, 1);
    assert_int_equal(site->grow.bytes_moved, 32 + 64);
    assert_int_equal(site->grow.first.count, 2);
    assert_int_equal(site->grow.first.min, 16);
    assert_int_equal(site->grow.first.max, 48);
    assert_int_equal(site->grow.final.count, 2);
    assert_int_equal(site->grow.final.min, 100);
    assert_int_equal(site->grow.final.max, 200);
    assert_int_equal(site->grow.address, F << 12 | 0x18); /* four of five, through the wrapper */
    static const struct op_sizes ops = {.made = {3}, .resized = {6}, .freed = {1}};
    assert_memory_equal(&site->ops, &ops, sizeof ops);
    static const struct {
        uint64_t bytes;
        unsigned class;
    } classes[] = {{0, 0}, {128, 0}, {129, 1}, {512, 1}, {513, 2}, {131072, 5}, {131073, 6}, {524289, 7}, {UINT64_MAX, 7}};
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        assert_int_equal(op_size_class(classes[i].bytes), classes[i].class);
    assert_int_equal(site->allocations, 3);
    assert_int_equal(site->bytes, 128 + 200 + 8);
    assert_int_equal(site->live_peak_bytes, 208);
    assert_int_equal(site->live_bytes_end, 208);
    assert_int_equal(site->outlived[0], 1);
    program_destroy(p);
}

static void bursts(void **state)
{
    (void)state;
    struct program *p = program_create(MAIN, NULL);
    uint32_t blocks[200];
    for (int run = 0; run < 2; run++) {
        int length = run ? 32 : 31;
        for (int i = 0; i < 100; i++)
            blocks[i] = program_alloc(p, 0, 0x20, 8);
        for (int i = 0; i < length; i++)
            program_free(p, 0, 0x30, blocks[i]);
        program_free(p, 0, 0x30, program_alloc(p, 0, 0x24, 8)); /* a run of one */
        for (int i = length; i < 100; i++)
            program_free(p, 0, 0x30, blocks[i]);
    }
    program_finish(p);
    /* 31 then 69 (one of another site leads it); then 32 and 68. */
    assert_int_equal(program_site(p, MAIN, 0x20)->freed_in_burst, 69 + 32 + 68);
    assert_int_equal(program_site(p, MAIN, 0x24)->freed_in_burst, 2);
    program_destroy(p);
}

static void the_simulated_pool(void **state)
{
    (void)state;
    struct program *p = program_create(MAIN, &(struct analyse_options){.pool_items = 4});
    uint32_t other = program_thread(p, 0, MAIN), blocks[10];
    for (int i = 0; i < 10; i++)
        blocks[i] = program_alloc(p, 0, 0x20, 8); /* all miss */
    for (int i = 0; i < 7; i++)
        program_free(p, 0, 0x30, blocks[i]); /* 4 kept, 3 dropped */
    for (int i = 0; i < 7; i++)
        blocks[i] = program_alloc(p, 0, 0x20, 8); /* 4 hit */
    program_free(p, other, 0x30, blocks[0]);      /* into the other thread's pool */
    program_alloc(p, 0, 0x20, 8);                 /* so this misses */
    program_alloc(p, other, 0x20, 8);             /* and this hits */
    program_finish(p);
    const struct analyse_site *site = program_site(p, MAIN, 0x20);
    assert_int_equal(site->allocations, 19);
    assert_int_equal(site->pool_hits, 5);
    assert_int_equal(site->pool_drops, 3);
    assert_int_equal(site->threads, 2);
    program_destroy(p);
}

/* As the library bounds itself: 64 MiB idle, and nothing that is left alone for a whole cycle. */
static void the_simulated_pool_gives_back(void **state)
{
    (void)state;
    struct program *p = program_create(MAIN, NULL);
    static uint32_t blocks[100];
    for (int i = 0; i < 100; i++)
        blocks[i] = program_alloc(p, 0, 0x20, 1 << 20);
    for (int i = 0; i < 100; i++)
        program_free(p, 0, 0x30, blocks[i]); /* 64 kept */
    for (int i = 0; i < 10; i++)
        program_alloc(p, 0, 0x20, 1 << 20); /* hit */
    p->now_ns += UINT64_C(5000000000);      /* 54 are victims now */
    for (int i = 0; i < 10; i++)
        program_alloc(p, 0, 0x20, 1 << 20); /* hit */
    p->now_ns += UINT64_C(5000000000);
    program_alloc(p, 0, 0x20, 1 << 20); /* the other 44 are gone */
    program_finish(p);
    const struct analyse_site *site = program_site(p, MAIN, 0x20);
    assert_int_equal(site->pool_drops, 36);
    assert_int_equal(site->pool_hits, 20);
    program_destroy(p);
}

static void pages_at_the_peak(void **state)
{
    (void)state;
    struct program *p = program_create(MAIN, NULL);
    static uint32_t blocks[32768];
    for (int i = 0; i < 32768; i++)
        blocks[i] = program_alloc(p, 0, 0x20, 48); /* 64 bytes apart: 512 pages */
    for (int i = 0; i < 32768; i++)
        program_free(p, 0, 0x30, blocks[i]);
    uint32_t large = program_alloc(p, 0, 0x24, 100 * 4096);
    program_free(p, 0, 0x30, large);
    program_finish(p);
    const struct analyse_site *site = program_site(p, MAIN, 0x20);
    /* One page in 16 is looked at: 32 of 512 expected, five standard deviations allowed. */
    print_message("pages at the peak: %lu, true: 512\n", (unsigned long)site->peak_pages);
    assert_in_range(site->peak_pages, 512 - 5 * 88, 512 + 5 * 88);
    assert_int_equal(site->peak_pages % 16, 0);
    assert_int_equal(site->neighbour_near, 32767);
    uint64_t pages = program_site(p, MAIN, 0x24)->peak_pages;
    assert_true(pages == 99 || pages == 99 + 16);
    program_destroy(p);
}

static void neighbours_are_near_on_either_side(void **state)
{
    (void)state;
    struct program *p = program_create(MAIN, NULL);
    static const uint64_t addresses[] = {0x10000, 0x10080, 0x10000, 0x10081, 0x20000};
    for (int i = 0; i < 5; i++) {
        p->next_address = addresses[i];
        program_alloc(p, 0, 0x20, 64);
    }
    program_finish(p);
    assert_int_equal(program_site(p, MAIN, 0x20)->neighbour_near, 2);
    program_destroy(p);
}

/* A fork's child, and the same file at another place: one site. */
static void modules_that_are_one_file_are_one(void **state)
{
    (void)state;
    struct program *p = program_create(MAIN, NULL);
    uint32_t child = program_process(p), execed = program_process(p);
    uint32_t threads[] = {0, program_thread(p, child, MAIN), program_thread(p, execed, MAIN)};
    uint32_t modules[] = {program_module(p, 0, 0x1000000, 7),
                          program_module(p, child, 0x1000000, 7),
                          program_module(p, execed, 0x5000000, 7)};
    static const uint64_t biases[] = {0x1000000, 0x1000000, 0x5000000};
    for (int i = 0; i < 3; i++) {
        p->threads[threads[i]].module = modules[i];
        p->threads[threads[i]].functions[0] = MAIN + (uint32_t)(biases[i] >> 12);
        program_alloc(p, threads[i], 0x20, 8);
    }
    program_finish(p);
    const struct analyse_site *const *sites = NULL;
    assert_int_equal(analyse_sites(p->analyse, &sites), 1);
    assert_int_equal(sites[0]->allocations, 3);
    assert_int_equal(sites[0]->threads, 3);
    assert_int_equal(sites[0]->module, modules[0]);
    assert_int_equal(sites[0]->address, 0x1000000 + (MAIN << 12 | 0x20));
    assert_int_equal(analyse_totals(p->analyse)->processes, 3);
    program_destroy(p);
}

static void modules_that_may_differ_stay_apart(void **state)
{
    (void)state;
    struct program *p = program_create(MAIN, NULL);
    uint32_t modules[] = {program_module(p, 0, 0x1000000, 7), program_module(p, 0, 0x2000000, 8),
                          program_module(p, 0, 0x3000000, 0), program_module(p, 0, 0x4000000, 0)};
    for (uint32_t i = 0; i < 4; i++) {
        p->threads[0].module = modules[i];
        p->threads[0].functions[0] = MAIN + ((i + 1) << 12);
        program_alloc(p, 0, 0x20, 8);
    }
    program_finish(p);
    const struct analyse_site *const *sites = NULL;
    assert_int_equal(analyse_sites(p->analyse, &sites), 4);
    program_destroy(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(totals_and_sums),
        cmocka_unit_test(sites_come_most_allocations_first),
        cmocka_unit_test(the_most_frequent_paths_are_kept),
        cmocka_unit_test(sizes),
        cmocka_unit_test(growth_chains),
        cmocka_unit_test(bursts),
        cmocka_unit_test(the_simulated_pool),
        cmocka_unit_test(the_simulated_pool_gives_back),
        cmocka_unit_test(pages_at_the_peak),
        cmocka_unit_test(neighbours_are_near_on_either_side),
        cmocka_unit_test(modules_that_are_one_file_are_one),
        cmocka_unit_test(modules_that_may_differ_stay_apart),
    };
    return cmocka_run_group_tests_name("analyse facts", tests, NULL, NULL);
}
