/* SPDX-License-Identifier: MIT */
/*
 * Property: every verdict is reached by the facts it is for, each threshold decides where it says
 * it does, a rung hides those below it, and no facts, however odd, break the form of a verdict.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "facts.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static struct verdict judge_with(struct facts *facts, uint64_t cpu_ns, const char *assignment)
{
    struct verdict_thresholds *thresholds = verdict_thresholds_create();
    assert_non_null(thresholds);
    if (assignment)
        assert_int_equal(verdict_thresholds_set(thresholds, assignment), 0);
    /* An arena takes two: the other site is the same one again. */
    struct verdict verdicts[2];
    struct verdict_input inputs[2] = {facts->input, facts->input};
    size_t count = facts->input.names.death_function ? 2 : 1;
    inputs[0].site = inputs[1].site = &facts->site;
    inputs[1].rank = inputs[0].rank + 1;
    assert_int_equal(verdict_judge(thresholds, inputs, count, &facts_totals, cpu_ns, verdicts), 0);
    verdict_thresholds_destroy(thresholds);
    if (count == 2)
        verdict_done(&verdicts[1]);
    return verdicts[0];
}

#define expect(facts, wanted)                                                                      \
    expect_at((facts), FACTS_CPU_NS, NULL, (wanted), NULL, __FILE__, __LINE__)
#define expect_reason(facts, wanted, text)                                                         \
    expect_at((facts), FACTS_CPU_NS, NULL, (wanted), (text), __FILE__, __LINE__)

static void expect_at(struct facts *facts, uint64_t cpu_ns, const char *assignment,
                      enum verdict_kind wanted, const char *text, const char *file, int line)
{
    struct verdict verdict = judge_with(facts, cpu_ns, assignment);
    if (verdict.kind != wanted || (text && !strstr(verdict.reason, text))) {
        print_error("%s:%d: %s is %s (%s), not %s%s%s\n", file, line, facts->input.names.function,
                    verdict_name(verdict.kind), verdict.reason, verdict_name(wanted),
                    text ? " with: " : "", text ? text : "");
        _fail(file, line);
    }
    verdict_done(&verdict);
}

static void each_verdict_is_reached(void **state)
{
    static const struct {
        void (*make)(struct facts *facts);
        enum verdict_kind kind;
        uint64_t bytes;
        const char *reason;
    } cases[] = {
        {facts_stack, VERDICT_STACK, 64,
         "999,000 of 1,000,000 blocks are freed by the frame that made them, never over 64 B"},
        {facts_tail, VERDICT_TAIL, 0, "at most 0.10 % of CPU time: 10,000 blocks at 10 ns each"},
        {facts_cap, VERDICT_CAP, 1024,
         "at least 99.9 % of the blocks are within 1 KiB, the largest is 1 MiB"},
        {facts_classes, VERDICT_CLASSES, 262144, "sizes run from 16 B to 256 KiB"},
        {facts_presize, VERDICT_PRESIZE, 4096,
         "990,000 of 1,000,000 blocks grow, by 6.0 steps each: 4 KiB at once"},
        {facts_hoist, VERDICT_HOIST, 16384,
         "never two at once; one call of convert_rows makes 10,000 of them"},
        {facts_retained, VERDICT_RETAINED, 0, "900,000 of 1,000,000 blocks were never freed"},
        {facts_arena, VERDICT_ARENA, 64000,
         "99.0 % of its frees come in runs of 32 or more, under parse_document, together with 1 "
         "other site"},
        {facts_pool, VERDICT_POOL, 64,
         "a pool saves 6.9 % of CPU time (estimated, not measured): 3 ns instead of 10 ns"},
        {facts_loses, VERDICT_LOSES, 0, "a pool would lose (measured): 12 ns against 10 ns"},
        {facts_library, VERDICT_HOIST, 64, "not your code: change the caller read_config"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct facts facts;
        cases[i].make(&facts);
        expect_reason(&facts, cases[i].kind, cases[i].reason);
        struct verdict verdict = judge_with(&facts, FACTS_CPU_NS, NULL);
        assert_int_equal(verdict.bytes, cases[i].bytes);
        bool measured = cases[i].kind == VERDICT_LOSES;
        assert_int_equal(verdict.estimated, !measured);
        verdict_done(&verdict);
    }
}

/* Each threshold between two values of its own that give different verdicts for the same facts. */
struct sides {
    const char *name;
    void (*make)(struct facts *facts);
    double low, high;
    enum verdict_kind at_low, at_high;
};

static void facts_cross(struct facts *facts)
{
    facts_pool(facts);
    facts->site.freed_by_other_thread = 1000000;
    facts->site.outlived[2] = facts->site.outlived_known = 0;
    facts->site.pool_hits = 0;
}

static void facts_partly_known(struct facts *facts)
{
    facts_stack(facts);
    facts->site.outlived[0] = facts->site.outlived_known = 600000;
    facts->site.outlived[1] = 0;
}

static void facts_two_in_frame(struct facts *facts)
{
    facts_stack(facts);
    facts->site.max_live_in_instance = 2;
    facts->site.live_peak = 2;
}

static void facts_long_lived(struct facts *facts)
{
    facts_pool(facts);
    facts->site.lifetime_ns.p50 = 30000000; /* of 100 ms */
    facts->site.pool_hits = 480000;
}

/* Nineteen in twenty of about 1 KiB, the others of 64 KiB; 40 alive at once. */
static void facts_two_sizes(struct facts *facts)
{
    facts_cap(facts);
    facts->site.size.p99 = facts->site.size.p999 = facts->site.size.max = 65536;
    facts->site.within_2x = 0.95;
    facts->site.spread = 102;
    facts->site.live_peak = 40;
}

static void facts_skewed(struct facts *facts)
{
    facts_presize(facts);
    facts->site.grow.final.p50 = 200;
}

static void facts_copying(struct facts *facts)
{
    facts_presize(facts);
    facts->site.allocations = 10000;
    facts->site.grow.chains = 10000;
    facts->site.grow.steps = 10000;
    facts->site.grow.bytes_moved = 100000000;
}

/* Both were replayed: buffers save 90 ns a block, the final size at once 60. */
static void facts_measured_growth(struct facts *facts)
{
    facts_presize(facts);
    facts->input.cost = (struct verdict_cost){.malloc_pair_ns = 100,
                                              .pool_pair_ns = 10,
                                              .measured = true,
                                              .saved_ci95 = {0.8, 0.95},
                                              .simpler = {true, VERDICT_PRESIZE, 40, {0.5, 0.7}},
                                              .repetitions = 9};
}

/* A pool takes 3 ns for malloc's 10. */
static void facts_measured_pool(struct facts *facts)
{
    facts_pool(facts);
    facts->input.cost.measured = true;
    facts->input.cost.saved_ci95[0] = 0.06;
    facts->input.cost.saved_ci95[1] = 0.08;
}

/* Both were replayed: a pool saves 90 ns a block, an arena 30. */
static void facts_measured_arena(struct facts *facts)
{
    facts_arena(facts);
    facts->input.cost = (struct verdict_cost){.malloc_pair_ns = 100,
                                              .pool_pair_ns = 10,
                                              .measured = true,
                                              .saved_ci95 = {0.8, 0.95},
                                              .simpler = {true, VERDICT_ARENA, 70, {0.2, 0.4}},
                                              .repetitions = 9};
}

static void facts_strings(struct facts *facts)
{
    facts_pool(facts);
    facts->site.size.min = facts->site.size.p1 = 8;
    facts->site.size.max = facts->site.size.p999 = 64;
    facts->site.window_low = 8;
    facts->site.within_2x = 0.5;
    facts->site.spread = 8;
}

static void facts_mixed(struct facts *facts)
{
    facts_strings(facts);
    facts->site.size.max = facts->site.size.p999 = 128;
    facts->site.within_2x = 0.7;
}

static void facts_mostly_hoist(struct facts *facts)
{
    facts_hoist(facts);
    facts->site.outlived[0] = 980000;
    facts->site.outlived[2] = 20000;
}

static void facts_unknown_cpu(struct facts *facts)
{
    facts_tail(facts);
}

static void facts_few(struct facts *facts)
{
    facts_stack(facts);
    facts->site.allocations = facts->site.frees = facts->site.outlived_known = 1000;
    facts->site.outlived[0] = 1000;
    facts->site.outlived[1] = 0;
}

static const struct sides sides[] = {
    {"frame-share", facts_stack, 0.998, 1, VERDICT_STACK, VERDICT_HOIST},
    {"frame-bytes", facts_stack, 63, 64, VERDICT_HOIST, VERDICT_STACK},
    {"frame-live", facts_two_in_frame, 1, 2, VERDICT_POOL, VERDICT_STACK},
    {"frame-allocations", facts_few, 1000, 1001, VERDICT_STACK, VERDICT_TAIL},
    {"frame-known", facts_partly_known, 0.6, 0.61, VERDICT_STACK, VERDICT_POOL},
    {"tail-rank", facts_pool, 0, 1, VERDICT_TAIL, VERDICT_POOL},
    {"tail-share", facts_pool, 0.09, 0.11, VERDICT_POOL, VERDICT_TAIL},
    {"tail-allocations", facts_unknown_cpu, 10000, 10001, VERDICT_POOL, VERDICT_TAIL},
    {"size-within", facts_mixed, 0.7, 0.71, VERDICT_POOL, VERDICT_CLASSES},
    {"size-spread", facts_cap, 819, 820, VERDICT_CAP, VERDICT_POOL},
    {"size-small", facts_strings, 63, 64, VERDICT_CLASSES, VERDICT_POOL},
    {"size-cap-idle", facts_two_sizes, 40 * 65536.0 - 1, 40 * 65536.0, VERDICT_CLASSES,
     VERDICT_CAP},
    {"grow-share", facts_presize, 0.99, 0.995, VERDICT_PRESIZE, VERDICT_STACK},
    {"grow-steps", facts_presize, 6, 6.1, VERDICT_PRESIZE, VERDICT_STACK},
    {"grow-copy-ns", facts_copying, 0, 0.03, VERDICT_TAIL, VERDICT_PRESIZE},
    {"hoist-share", facts_mostly_hoist, 0.98, 0.981, VERDICT_HOIST, VERDICT_POOL},
    {"hoist-repeat", facts_hoist, 100000, 100001, VERDICT_HOIST, VERDICT_POOL},
    {"arena-burst", facts_arena, 0.99, 1, VERDICT_ARENA, VERDICT_POOL},
    {"arena-sites", facts_arena, 2, 3, VERDICT_ARENA, VERDICT_POOL},
    {"arena-generations", facts_arena, 1000, 1001, VERDICT_ARENA, VERDICT_POOL},
    {"retained-share", facts_retained, 0.9, 0.91, VERDICT_RETAINED, VERDICT_TAIL},
    {"retained-life", facts_long_lived, 0.3, 0.31, VERDICT_RETAINED, VERDICT_POOL},
    {"pool-saving", facts_pool, 0.069, 0.0691, VERDICT_POOL, VERDICT_TAIL},
    {"pool-over-presize", facts_measured_growth, 1.5, 1.51, VERDICT_POOL, VERDICT_PRESIZE},
    {"pool-price", facts_measured_pool, 0.3, 0.29, VERDICT_POOL, VERDICT_TAIL},
    {"pool-over-arena", facts_measured_arena, 3, 3.01, VERDICT_POOL, VERDICT_ARENA},
    {"pool-cross-ns", facts_cross, 5, 7, VERDICT_POOL, VERDICT_TAIL},
};

/* Thresholds that move a number or a hint instead; tested by the functions below. */
static const char *const others[] = {"grow-skew", "size-cap-step", "slab-bytes",
                                     "slab-live", "slab-sparse",   "wrapper-share"};

static void each_threshold_has_two_sides(void **state)
{
    for (size_t i = 0; i < COUNT(sides); i++) {
        struct facts facts;
        char assignment[64];
        sides[i].make(&facts);
        uint64_t cpu_ns = sides[i].make == facts_unknown_cpu ? 0 : FACTS_CPU_NS;
        snprintf(assignment, sizeof assignment, "%s=%.9g", sides[i].name, sides[i].low);
        expect_at(&facts, cpu_ns, assignment, sides[i].at_low, NULL, sides[i].name, __LINE__);
        snprintf(assignment, sizeof assignment, "%s=%.9g", sides[i].name, sides[i].high);
        expect_at(&facts, cpu_ns, assignment, sides[i].at_high, NULL, sides[i].name, __LINE__);
    }
}

static void every_threshold_is_tested(void **state)
{
    struct verdict_thresholds *thresholds = verdict_thresholds_create();
    const struct verdict_threshold *table;
    size_t count = verdict_thresholds_list(thresholds, &table);
    assert_int_equal(count, COUNT(sides) + COUNT(others));
    for (size_t i = 0; i < count; i++) {
        bool found = false;
        for (size_t j = 0; j < COUNT(sides); j++)
            found = found || strcmp(table[i].name, sides[j].name) == 0;
        for (size_t j = 0; j < COUNT(others); j++)
            found = found || strcmp(table[i].name, others[j]) == 0;
        if (!found)
            fail_msg("no test moves %s", table[i].name);
    }
    verdict_thresholds_destroy(thresholds);
}

static void expect_bytes(struct facts *facts, const char *assignment, uint64_t bytes)
{
    struct verdict verdict = judge_with(facts, FACTS_CPU_NS, assignment);
    if (verdict.bytes != bytes)
        fail_msg("%s: %s of %llu bytes, not %llu", assignment, verdict_name(verdict.kind),
                 (unsigned long long)verdict.bytes, (unsigned long long)bytes);
    verdict_done(&verdict);
}

static void sizes_that_are_named(void **state)
{
    struct facts facts;
    facts_skewed(&facts); /* p95 is 20.48 times the median */
    expect_bytes(&facts, "grow-skew=20", 200);
    expect_bytes(&facts, "grow-skew=21", 4096);

    facts_cap(&facts);
    facts.site.size.p999 = 8192; /* 8 times the cap that the lower percentiles give */
    expect_bytes(&facts, "size-cap-step=7", 1024);
    facts.site.within_2x = 1;
    expect_bytes(&facts, "size-cap-step=8", 8192);

    /* Sizes in regular use are no outliers, however far they are from the others. */
    facts_two_sizes(&facts);
    facts.site.live_peak = 8;
    expect_bytes(&facts, NULL, 65536);
    expect_reason(&facts, VERDICT_CAP, "far over p95 (1 KiB), none over 64 KiB");
    facts.site.size.p99 = 1024; /* one in a hundred at most */
    facts.site.size.p999 = 65536;
    expect_bytes(&facts, NULL, 1024);
}

static void expect_hint(struct facts *facts, const char *assignment, bool hint)
{
    struct verdict verdict = judge_with(facts, FACTS_CPU_NS, assignment);
    if (verdict.slab_hint != hint)
        fail_msg("%s: hint %d, not %d (%s)", assignment ? assignment : "presets", verdict.slab_hint,
                 hint, verdict.evidence);
    assert_int_equal(strstr(verdict.evidence, "Layout:") != NULL, hint);
    verdict_done(&verdict);
}

static void slab_is_hinted_at(void **state)
{
    struct facts facts;
    facts_retained(&facts); /* 900,000 of 48 B; a tenth next to one another */
    expect_hint(&facts, NULL, true);
    expect_hint(&facts, "slab-bytes=47", false);
    expect_hint(&facts, "slab-bytes=48", true);
    expect_hint(&facts, "slab-live=900000", true);
    expect_hint(&facts, "slab-live=900001", false);
    facts.site.neighbour_near = 900000; /* now packed already, as far as neighbours tell */
    expect_hint(&facts, NULL, false);
    facts.site.peak_pages = 3 * 900000 * 48 / 4096 + 1; /* but on three times the pages needed */
    expect_hint(&facts, "slab-sparse=3", true);
    expect_hint(&facts, "slab-sparse=3.01", false);
    facts_stack(&facts);
    expect_hint(&facts, NULL, false);
}

/* What the upper rungs claim the lower ones do not get. */
static void rungs_are_in_order(void **state)
{
    struct facts facts;

    facts_stack(&facts); /* in the frame, and little: still the stack */
    facts.site.allocations = facts.site.frees = facts.site.outlived_known = facts.site.outlived[0] =
        5000;
    facts.site.outlived[1] = 0;
    expect(&facts, VERDICT_STACK);

    facts_stack(&facts); /* in the frame, but too large for it */
    facts_set_size(&facts, 8192);
    expect(&facts, VERDICT_HOIST);
    facts.site.live_peak = 40; /* and not alone */
    expect(&facts, VERDICT_POOL);

    facts_cap(&facts); /* little: no word on its sizes */
    facts.site.allocations = 10000;
    expect(&facts, VERDICT_TAIL);

    facts_cap(&facts); /* wide sizes come before the simpler fixes */
    facts.site.outlived[2] = 0;
    facts.site.outlived[0] = 1000000;
    facts.site.live_peak = 1;
    expect(&facts, VERDICT_CAP);
    facts.site.pool_hits = 0; /* but no cap for a pool that loses */
    expect(&facts, VERDICT_HOIST);

    facts_cap(&facts); /* what stays is state, whatever its sizes */
    facts.site.never_freed = 600000;
    expect(&facts, VERDICT_RETAINED);

    facts_presize(&facts); /* what grows is presized before it is kept */
    facts.site.max_live_in_instance = 1;
    facts.site.instances[0] = 10;
    expect(&facts, VERDICT_PRESIZE);

    facts_retained(&facts); /* freed at the end in one burst: one generation is state, no arena */
    facts.site.frees = facts.site.outlived[2] = facts.site.outlived_known = 1000000;
    facts.site.freed_in_burst = 1000000;
    facts.site.never_freed = 0;
    facts.site.live_peak = 1000000;
    facts.site.lifetime_ns.p50 = 50000000;
    facts.input.names.death_function = "main";
    expect_reason(&facts, VERDICT_RETAINED, "half of the blocks live at least 50.0 % of the run");
}

static void library_code_is_not_yours(void **state)
{
    struct facts facts;
    facts_library(&facts);
    facts.site.live_peak = 50;
    expect_reason(&facts, VERDICT_TAIL, "not your code: change the caller read_config");
    facts_library(&facts);
    facts.input.names.caller_function = NULL;
    expect_reason(&facts, VERDICT_TAIL, "no caller of yours is on its stack");
    facts_library(&facts); /* made and freed inside the library, several at once: the call can go */
    facts.site.outlived[1] = 0;
    facts.site.outlived[0] = 1000000;
    facts.site.live_peak = 13;
    expect_reason(&facts, VERDICT_HOIST, "gone before its function returns; not your code");
    facts_library(&facts);
    facts.site.never_freed = 900000;
    expect_reason(&facts, VERDICT_RETAINED, "not your code");
    facts_library(&facts); /* growth inside the library neither: nobody can presize it */
    facts.site.grow.chains = facts.site.grow.steps = 1000000;
    facts.site.grow.final = facts.site.size;
    facts.site.grow.final.p50 = 128;
    expect(&facts, VERDICT_HOIST);
}

static void likely_wrappers_are_told(void **state)
{
    struct facts facts;
    facts_classes(&facts);
    facts.site.allocations = facts_totals.allocations / 2;
    facts.site.pool_hits = facts.site.allocations;
    facts.site.path_count = ANALYSE_STACKS;
    facts.site.paths[0].count = facts.site.allocations / 10;
    expect_reason(&facts, VERDICT_CLASSES, "is it a wrapper? --wrapper looks through it");
    expect_at(&facts, FACTS_CPU_NS, "wrapper-share=0.5", VERDICT_CLASSES, "is it a wrapper?",
              __FILE__, __LINE__);
    struct verdict verdict = judge_with(&facts, FACTS_CPU_NS, "wrapper-share=0.51");
    assert_null(strstr(verdict.reason, "wrapper"));
    verdict_done(&verdict);
    facts.site.paths[0].count = facts.site.allocations; /* one caller: nothing is hidden */
    verdict = judge_with(&facts, FACTS_CPU_NS, NULL);
    assert_null(strstr(verdict.reason, "wrapper"));
    verdict_done(&verdict);

    facts_pool(&facts);
    facts.site.wrappers = 2;
    facts.site.shape_wrapper = true;
    verdict = judge_with(&facts, FACTS_CPU_NS, NULL);
    assert_non_null(strstr(verdict.evidence,
                           "Site: 2 wrapper frames below it are skipped, recognised by shape"));
    verdict_done(&verdict);
}

static void threads_are_told(void **state)
{
    struct facts facts;
    facts_stack(&facts);
    facts.site.freed_by_other_thread = 1; /* one is enough to need the heap */
    facts.site.outlived[0]--;
    struct verdict verdict = judge_with(&facts, FACTS_CPU_NS, NULL);
    assert_int_not_equal(verdict.kind, VERDICT_STACK);
    verdict_done(&verdict);

    facts_cross(&facts);
    verdict = judge_with(&facts, FACTS_CPU_NS, "pool-cross-ns=5");
    assert_int_equal(verdict.kind, VERDICT_POOL);
    assert_non_null(
        strstr(verdict.evidence,
               "100 % of the frees come from another thread, counted at 5 ns more each"));
    verdict_done(&verdict);
}

static void measurements_decide(void **state)
{
    struct facts facts;
    facts_pool(&facts);
    facts.input.cost.measured = true;
    facts.input.cost.saved_ci95[0] = 0.06;
    facts.input.cost.saved_ci95[1] = 0.08;
    facts.site.pool_hits = 0; /* the replay knows better than the simulation */
    expect_reason(&facts, VERDICT_POOL, "7.0 % of CPU time (measured)");
    facts.input.cost.saved_ci95[0] = -0.001;
    expect_reason(&facts, VERDICT_LOSES, "the interval reaches down to -0.10 %");
    facts.input.cost.saved_ci95[0] = 0.001;
    facts.input.cost.pool_pair_ns = 9.5;
    expect_reason(&facts, VERDICT_TAIL, "would save 0.50 % of CPU time (measured)");
    expect_reason(&facts, VERDICT_TAIL, ", too close to be sure: replayed prices can be off by a third");
}

/* 0.5 % at its own blocks would not do; 3 % at others' does. */
static void others_count_for_a_pool(void **state)
{
    struct facts facts;
    facts_pool(&facts);
    facts.input.cost.measured = true;
    facts.input.cost.malloc_pair_ns = 10;
    facts.input.cost.pool_pair_ns = 9.5;
    facts.input.cost.saved_ci95[0] = 0.004;
    facts.input.cost.saved_ci95[1] = 0.006;
    expect_reason(&facts, VERDICT_TAIL, "would save 0.50 % of CPU time (measured)");
    facts.input.cost.malloc_pair_ns = 0.8;
    facts.input.cost.pool_pair_ns = 0.3;
    facts.input.cost.others_ns = 0.03 * FACTS_CPU_NS;
    facts.input.cost.others_ci95[0] = 0.02;
    facts.input.cost.others_ci95[1] = 0.04;
    expect_reason(&facts, VERDICT_POOL, "a pool saves 3.5 % of CPU time (measured)");
    expect_reason(&facts, VERDICT_POOL, "; 3.0 % of that at other sites' blocks, as the heap has less to do");
    struct verdict verdict = judge_with(&facts, FACTS_CPU_NS, NULL);
    assert_float_equal(verdict.pool_share, 0.035, 1e-6);
    assert_float_equal(verdict.pool_ci95[0], 0.035 - 0.01005, 1e-5);
    assert_float_equal(verdict.pool_ci95[1], 0.035 + 0.01005, 1e-5);
    assert_non_null(strstr(verdict.evidence, "3.0 % of it (2.0 % to 4.0 %) at other sites' blocks"));
    verdict_done(&verdict);
}

static void simpler_measurements_are_told(void **state)
{
    struct facts facts;
    facts_measured_growth(&facts);
    expect_reason(&facts, VERDICT_POOL,
                  "a pool of buffers saves 90.0 % of CPU time (measured): 10 ns instead of 100 ns");
    expect_reason(&facts, VERDICT_POOL, "the final size at once would save 60.0 % of CPU time");
    struct verdict verdict = judge_with(&facts, FACTS_CPU_NS, NULL);
    assert_int_equal(verdict.pool.kind, VERDICT_POOL_BUFFERS);
    assert_float_equal(verdict.upper_bound_share, 1, 1e-9); /* growth is in the price of a block */
    assert_non_null(strstr(verdict.snippet, "pwise_buffer_pool_get"));
    assert_non_null(strstr(verdict.snippet, "95 % interval 80.0 % to 95.0 %, 9 repetitions"));
    verdict_done(&verdict);

    facts.input.cost.saved_ci95[0] = -0.1; /* buffers may lose after all */
    expect_reason(&facts, VERDICT_PRESIZE, "measured, 40 ns instead of 100 ns a block");

    facts_stack(&facts);
    facts.input.cost.measured = true;
    facts.input.cost.simpler.measured = true;
    facts.input.cost.simpler.kind = VERDICT_STACK;
    facts.input.cost.simpler.pair_ns = 1;
    facts.input.cost.simpler.saved_ci95[0] = 0.05;
    expect_reason(&facts, VERDICT_STACK, "measured, 1 ns instead of 10 ns a block");
    verdict = judge_with(&facts, FACTS_CPU_NS, NULL);
    assert_true(verdict.saved_share > 0.08 && verdict.saved_share <= 0.09);
    assert_int_equal(verdict.simpler, VERDICT_STACK);
    verdict_done(&verdict);
}

/* What was measured to save nothing is not advised, though the facts would have it. */
static void simpler_ways_that_lose(void **state)
{
    static const struct {
        void (*make)(struct facts *);
        enum verdict_kind kind;
    } cases[] = {
        {facts_stack, VERDICT_STACK}, {facts_hoist, VERDICT_HOIST}, {facts_arena, VERDICT_ARENA}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct facts facts;
        cases[i].make(&facts);
        facts.input.cost.measured = true;
        facts.input.cost.pool_pair_ns = facts.input.cost.malloc_pair_ns + 2;
        facts.input.cost.saved_ci95[0] = -0.03;
        facts.input.cost.saved_ci95[1] = -0.01;
        facts.input.cost.simpler.measured = true;
        facts.input.cost.simpler.kind = cases[i].kind;
        facts.input.cost.simpler.pair_ns = facts.input.cost.malloc_pair_ns - 1;
        facts.input.cost.simpler.saved_ci95[0] = -0.02;
        facts.input.cost.simpler.saved_ci95[1] = 0.01; /* it cannot be told */
        struct verdict verdict = judge_with(&facts, FACTS_CPU_NS, NULL);
        assert_int_equal(verdict.kind, cases[i].kind);
        verdict_done(&verdict);
        facts.input.cost.simpler.pair_ns = facts.input.cost.malloc_pair_ns + 1;
        facts.input.cost.simpler.saved_ci95[1] = -0.01;
        verdict = judge_with(&facts, FACTS_CPU_NS, NULL);
        assert_true(verdict.kind == VERDICT_LOSES || verdict.kind == VERDICT_TAIL);
        verdict_done(&verdict);
    }
}

/* Estimated: a step costs what a block of the sizes that it grows through does. */
static void growth_has_its_own_price(void **state)
{
    struct facts facts;
    facts_presize(&facts);
    struct verdict verdict = judge_with(&facts, FACTS_CPU_NS, "grow-copy-ns=0");
    double before = verdict.upper_bound_share;
    verdict_done(&verdict);
    facts.input.cost.grow_step_ns = 3 * facts.input.cost.malloc_pair_ns;
    verdict = judge_with(&facts, FACTS_CPU_NS, "grow-copy-ns=0");
    double steps =
        (double)facts.site.grow.steps * 2 * facts.input.cost.malloc_pair_ns / (double)FACTS_CPU_NS;
    assert_float_equal(verdict.upper_bound_share, before + steps, 1e-9);
    verdict_done(&verdict);
}

/* Blocks that grow and stay: buffers would never come back, and room for more than they need costs pages. */
static void growth_that_stays(void **state)
{
    struct facts facts;
    facts_measured_growth(&facts);
    facts.site.pool_hits = 0;
    facts.site.live_peak = facts.site.allocations;
    facts.site.live_peak_bytes = facts.site.allocations * 4096;
    facts.site.lifetime_ns.p50 = 50000000; /* of 100 ms */
    expect_reason(&facts, VERDICT_PRESIZE, "measured, 40 ns instead of 100 ns a block");
    facts.input.cost.page_ns = 500;
    expect_reason(&facts, VERDICT_PRESIZE, "measured, 40 ns instead of 100 ns a block");
    facts.site.live_peak_bytes = facts.site.allocations * 2048; /* half of each would lie unused */
    expect_reason(&facts, VERDICT_RETAINED, "of the run");
    facts.input.cost.page_ns = 1;
    expect_reason(&facts, VERDICT_PRESIZE, "measured, 40 ns instead of 100 ns a block");
    facts.input.cost.simpler.saved_ci95[0] = -0.01;
    expect_reason(&facts, VERDICT_RETAINED, "of the run");
}

static void ranks_count_by_cost_too(void **state)
{
    /* Twenty sites: the one with the fewest blocks costs the most by far. */
    struct facts facts[20];
    struct verdict_input inputs[20];
    struct verdict verdicts[20];
    for (size_t i = 0; i < 20; i++) {
        facts_pool(&facts[i]);
        facts[i].input.cost.malloc_pair_ns = i == 19 ? 100 : 10;
        facts[i].input.rank = i;
        inputs[i] = facts[i].input;
    }
    struct verdict_thresholds *thresholds = verdict_thresholds_create();
    assert_int_equal(verdict_judge(thresholds, inputs, 20, &facts_totals, FACTS_CPU_NS, verdicts),
                     0);
    assert_int_equal(verdicts[0].kind, VERDICT_POOL);
    assert_int_equal(verdicts[4].kind, VERDICT_POOL);
    assert_int_equal(verdicts[5].kind, VERDICT_TAIL);
    assert_non_null(
        strstr(verdicts[5].reason, "place 6 by allocations or cost, below the first 5"));
    assert_int_equal(verdicts[19].kind, VERDICT_POOL);
    for (size_t i = 0; i < 20; i++)
        verdict_done(&verdicts[i]);
    verdict_thresholds_destroy(thresholds);
}

static void no_sites_are_no_error(void **state)
{
    struct verdict_thresholds *thresholds = verdict_thresholds_create();
    assert_int_equal(verdict_judge(thresholds, NULL, 0, &facts_totals, 0, NULL), 0);
    verdict_thresholds_destroy(thresholds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_verdict_is_reached),
        cmocka_unit_test(each_threshold_has_two_sides),
        cmocka_unit_test(every_threshold_is_tested),
        cmocka_unit_test(sizes_that_are_named),
        cmocka_unit_test(slab_is_hinted_at),
        cmocka_unit_test(rungs_are_in_order),
        cmocka_unit_test(library_code_is_not_yours),
        cmocka_unit_test(likely_wrappers_are_told),
        cmocka_unit_test(threads_are_told),
        cmocka_unit_test(measurements_decide),
        cmocka_unit_test(others_count_for_a_pool),
        cmocka_unit_test(simpler_measurements_are_told),
        cmocka_unit_test(simpler_ways_that_lose),
        cmocka_unit_test(growth_has_its_own_price),
        cmocka_unit_test(growth_that_stays),
        cmocka_unit_test(ranks_count_by_cost_too),
        cmocka_unit_test(no_sites_are_no_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
