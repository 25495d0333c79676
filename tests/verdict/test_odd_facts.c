/* SPDX-License-Identifier: MIT */
/* Property: no facts, however odd, break the form of a verdict. The facts repeat from run to run.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "facts.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static struct verdict judge(const struct verdict_thresholds *thresholds, struct facts *facts,
                            uint64_t cpu_ns)
{
    struct verdict verdicts[2];
    struct verdict_input inputs[2] = {facts->input, facts->input};
    inputs[0].site = inputs[1].site = &facts->site;
    inputs[1].rank = 1;
    assert_int_equal(verdict_judge(thresholds, inputs, 2, &facts_totals, cpu_ns, verdicts), 0);
    verdict_done(&verdicts[1]);
    return verdicts[0];
}

static uint64_t random_state = 88172645463325252u;

static uint64_t random_value(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    uint64_t bits = random_state >> 32;
    static const uint64_t odd[] = {0,         1, 2, 64, 4096, 1000000, UINT32_MAX, UINT64_MAX / 2,
                                   UINT64_MAX};
    return bits % 3 ? (random_state % 100000) >> (bits % 17) : odd[bits / 3 % COUNT(odd)];
}

static double random_real(void)
{
    static const double odd[] = {0, -1, 1, 0.5, 1e300, -1e300, NAN, INFINITY, -INFINITY};
    uint64_t bits = random_value();
    return random_state % 2 ? odd[random_state / 2 % COUNT(odd)] : (double)bits / 7;
}

static void random_distribution(struct analyse_distribution *d)
{
    uint64_t *fields[] = {&d->count, &d->min, &d->max, &d->p1, &d->p50, &d->p95, &d->p99, &d->p999};
    for (size_t i = 0; i < COUNT(fields); i++)
        *fields[i] = random_value();
    d->sum = random_real();
}

static void random_facts(struct facts *facts)
{
    static void (*const makers[])(struct facts *) = {facts_pool,    facts_stack,    facts_cap,
                                                     facts_classes, facts_presize,  facts_hoist,
                                                     facts_arena,   facts_retained, facts_library};
    makers[random_value() % COUNT(makers)](facts);
    struct analyse_site *s = &facts->site;
    uint64_t *fields[] = {&s->allocations,
                          &s->bytes,
                          &s->frees,
                          &s->never_freed,
                          &s->live_peak,
                          &s->live_peak_bytes,
                          &s->outlived[0],
                          &s->outlived[1],
                          &s->outlived_known,
                          &s->freed_by_other_thread,
                          &s->freed_in_burst,
                          &s->instances[0],
                          &s->instances[1],
                          &s->max_live_in_instance,
                          &s->pool_hits,
                          &s->peak_pages,
                          &s->neighbour_near,
                          &s->window_low,
                          &s->grow.chains,
                          &s->grow.steps,
                          &s->grow.bytes_moved,
                          &s->first_ns,
                          &s->last_ns,
                          &s->calls[TRACE_CALL_CALLOC]};
    for (unsigned i = 0; i < 6; i++)
        *fields[random_value() % COUNT(fields)] = random_value();
    double *reals[] = {&s->within_2x, &s->spread, &facts->input.cost.malloc_pair_ns,
                       &facts->input.cost.pool_pair_ns, &facts->input.cost.saved_ci95[0]};
    *reals[random_value() % COUNT(reals)] = random_real();
    facts->input.cost.measured = random_value() % 2;
    if (random_value() % 4 == 0)
        random_distribution(&s->size);
    if (random_value() % 4 == 0)
        random_distribution(&s->grow.final);
    if (random_value() % 8 == 0)
        facts->input.names =
            (struct verdict_names){.function = "*/ int\n\xff<x>", .death_function = "\n"};
}

static void odd_facts_give_whole_verdicts(void **state)
{
    struct verdict_thresholds *thresholds = verdict_thresholds_create();
    assert_non_null(thresholds);
    for (unsigned round = 0; round < 20000; round++) {
        struct facts facts;
        random_facts(&facts);
        struct verdict verdict = judge(thresholds, &facts, round % 3 ? random_value() : 0);
        assert_true(isfinite(verdict.upper_bound_share) && verdict.upper_bound_share >= 0);
        assert_true(isfinite(verdict.saved_share));
        assert_true((unsigned)verdict.kind < VERDICT_COUNT);
        assert_int_not_equal(verdict.kind, VERDICT_SLAB);
        assert_non_null(verdict.reason);
        assert_true(*verdict.reason);
        assert_null(strpbrk(verdict.reason, "\n\r"));
        if (strstr(verdict.reason, "nan") || strstr(verdict.reason, "inf"))
            fail_msg("round %u: %s", round, verdict.reason);
        assert_non_null(verdict.evidence);
        assert_true(*verdict.evidence);
        if (verdict.kind == VERDICT_LOSES)
            assert_false(verdict.estimated);
        bool code = verdict.kind != VERDICT_TAIL && verdict.kind != VERDICT_RETAINED &&
                    verdict.kind != VERDICT_LOSES;
        assert_int_equal(verdict.snippet != NULL, code);
        verdict_done(&verdict);
    }
    verdict_thresholds_destroy(thresholds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(odd_facts_give_whole_verdicts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
