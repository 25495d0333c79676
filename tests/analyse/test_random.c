/* SPDX-License-Identifier: MIT */
/*
 * Random programs whose activations are known, compared with what the analysis makes of their
 * events: where blocks died, how many instances allocated, how many blocks lived at once.
 *
 * After each return the caller shows itself by an event, which is what the trace needs to tell two
 * activations apart (see thread_enter).
 */
#include "program.h"

#include <stdlib.h>
#include <string.h>

#define THREADS   3
#define FUNCTIONS 6
#define TRUTHS    1024
#define HELD      512
#define CHAIN     24

static uint64_t random_state;

static uint32_t random_below(uint32_t limit)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state % limit);
}

struct truth { /* of a site */
    uint64_t key[CHAIN];
    uint32_t key_length;
    uint64_t allocations, frees, other, live, live_peak, bytes, live_bytes, live_peak_bytes;
    uint64_t outlived[ANALYSE_LEVELS], instances[2], max_live;
    uint64_t known[2][4096]; /* activations counted in instances */
    uint64_t live_of[4096];  /* blocks alive, by activation of known[0] */
};

struct held {
    uint32_t block, truth, thread, chain_length, instance;
    uint64_t chain[CHAIN]; /* activations from the site's function outwards */
    uint64_t size;
};

struct world {
    struct program *p;
    uint64_t activations[THREADS][PROGRAM_FRAMES], next_activation;
    struct truth *truths;
    uint32_t truth_count;
    struct held held[HELD];
    uint32_t held_count;
};

static bool is_wrapper(uint32_t function)
{
    return function >= WRAPPER_FIRST && function < WRAPPER_FIRST + 16;
}

static struct truth *truth_of(struct world *w, uint32_t thread, uint32_t place, uint32_t *ret_home)
{
    const struct program_thread *t = &w->p->threads[thread];
    uint64_t key[CHAIN] = {(uint64_t)t->functions[t->depth - 1] << 12 | place};
    uint32_t length = 1, home = t->depth - 1;
    while (home && is_wrapper(t->functions[home]))
        key[length++] = t->returns[home--];
    *ret_home = home;
    for (uint32_t i = 0; i < w->truth_count; i++)
        if (w->truths[i].key_length == length &&
            !memcmp(w->truths[i].key, key, length * sizeof *key))
            return &w->truths[i];
    assert_true(w->truth_count < TRUTHS);
    struct truth *truth = &w->truths[w->truth_count++];
    memcpy(truth->key, key, sizeof key);
    truth->key_length = length;
    return truth;
}

static uint32_t instance_add(struct truth *truth, uint32_t level, uint64_t activation)
{
    uint64_t *known = truth->known[level];
    uint32_t i = 0;
    while (i < truth->instances[level] && known[i] != activation)
        i++;
    assert_true(i < 4096);
    if (i == truth->instances[level])
        known[truth->instances[level]++] = activation;
    return i;
}

static void step_alloc(struct world *w, uint32_t thread)
{
    if (w->held_count == HELD)
        return;
    uint32_t place = 0x100 + random_below(2), home = 0;
    uint64_t size = 1 + random_below(200);
    struct held *held = &w->held[w->held_count++];
    struct truth *truth = truth_of(w, thread, place, &home);
    *held = (struct held){.thread = thread, .truth = (uint32_t)(truth - w->truths), .size = size};
    held->block = program_alloc(w->p, thread, place, size);
    for (uint32_t at = home + 1; at--;)
        held->chain[held->chain_length++] = w->activations[thread][at];
    truth->allocations++;
    truth->bytes += size;
    truth->live_bytes += size;
    if (truth->live_bytes > truth->live_peak_bytes)
        truth->live_peak_bytes = truth->live_bytes;
    if (++truth->live > truth->live_peak)
        truth->live_peak = truth->live;
    held->instance = instance_add(truth, 0, held->chain[0]);
    instance_add(truth, 1, held->chain[held->chain_length > 1]);
    if (++truth->live_of[held->instance] > truth->max_live)
        truth->max_live = truth->live_of[held->instance];
}

static void step_free(struct world *w, uint32_t thread)
{
    if (!w->held_count)
        return;
    uint32_t at = random_below(2) ? w->held_count - 1 : random_below(w->held_count);
    struct held held = w->held[at];
    w->held[at] = w->held[--w->held_count];
    struct truth *truth = &w->truths[held.truth];
    program_free(w->p, thread, 0x200 + random_below(2), held.block);
    truth->frees++;
    truth->live--;
    truth->live_bytes -= held.size;
    truth->live_of[held.instance]--;
    if (thread != held.thread) {
        truth->other++;
        return;
    }
    uint32_t ended = 0;
    while (ended < held.chain_length) {
        bool active = false;
        for (uint32_t i = 0; i < w->p->threads[thread].depth; i++)
            active |= w->activations[thread][i] == held.chain[ended];
        if (active)
            break;
        ended++;
    }
    truth->outlived[ended < ANALYSE_LEVELS ? ended : ANALYSE_LEVELS - 1]++;
}

static void step(struct world *w)
{
    uint32_t thread = random_below(THREADS), dice = random_below(100);
    struct program_thread *t = &w->p->threads[thread];
    if (dice < 30) {
        step_alloc(w, thread);
    } else if (dice < 58) {
        step_free(w, thread);
    } else if (dice < 80) {
        if (t->depth == CHAIN)
            return;
        uint32_t function = random_below(FUNCTIONS) + (random_below(4) ? 2u : WRAPPER_FIRST);
        program_call(w->p, thread, 0x10 + random_below(3), function);
        w->activations[thread][t->depth - 1] = w->next_activation++;
    } else if (t->depth > 1) {
        program_return(w->p, thread);
        program_show(w->p, thread, 0x300);
    }
}

static void same(const char *what, uint64_t got, uint64_t wanted, const struct truth *truth)
{
    if (got != wanted)
        print_error("%s: %lu, true: %lu, at %#lx, %u frames\n", what, (unsigned long)got,
                    (unsigned long)wanted, (unsigned long)truth->key[0], truth->key_length);
    assert_int_equal(got, wanted);
}

static const struct analyse_site *site_of(struct world *w, const struct truth *truth)
{
    const struct analyse_site *const *sites = NULL;
    size_t count = analyse_sites(w->p->analyse, &sites);
    for (size_t i = 0; i < count; i++)
        if (sites[i]->wrappers + 1 == truth->key_length &&
            !memcmp(sites[i]->paths[0].addresses, truth->key,
                    truth->key_length * sizeof *truth->key))
            return sites[i];
    return NULL;
}

static uint64_t sum(const uint64_t counts[OP_SIZES])
{
    uint64_t all = 0;
    for (unsigned i = 0; i < OP_SIZES; i++)
        all += counts[i];
    return all;
}

static void compare(struct world *w)
{
    const struct analyse_site *const *sites = NULL;
    assert_int_equal(analyse_sites(w->p->analyse, &sites), w->truth_count);
    for (uint32_t i = 0; i < w->truth_count; i++) {
        const struct truth *truth = &w->truths[i];
        const struct analyse_site *site = site_of(w, truth);
        assert_non_null(site);
        same("allocations", site->allocations, truth->allocations, truth);
        same("frees", site->frees, truth->frees, truth);
        same("made by size", sum(site->ops.made), truth->allocations, truth);
        same("freed by size", sum(site->ops.freed), truth->frees, truth);
        same("bytes", site->bytes, truth->bytes, truth);
        same("never freed", site->never_freed, truth->live, truth);
        same("peak", site->live_peak, truth->live_peak, truth);
        same("peak bytes", site->live_peak_bytes, truth->live_peak_bytes, truth);
        same("bytes at the end", site->live_bytes_end, truth->live_bytes, truth);
        same("other thread", site->freed_by_other_thread, truth->other, truth);
        same("instances", site->instances[0], truth->instances[0], truth);
        same("callers' instances", site->instances[1], truth->instances[1], truth);
        same("most in an instance", site->max_live_in_instance, truth->max_live, truth);
        for (uint32_t k = 0; k < ANALYSE_LEVELS; k++)
            same("outlived", site->outlived[k], truth->outlived[k], truth);
        same("known", site->outlived_known, truth->frees - truth->other, truth);
    }
}

static void run(uint64_t seed, uint32_t prefix_events)
{
    random_state = seed * 0x9e3779b97f4a7c15u + 1;
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    w->truths = calloc(TRUTHS, sizeof *w->truths);
    assert_non_null(w->truths);
    w->p = program_create(1, &(struct analyse_options){.prefix_events = prefix_events});
    program_thread(w->p, 0, 1);
    program_thread(w->p, 0, WRAPPER_FIRST);
    for (uint32_t i = 0; i < THREADS; i++)
        w->activations[i][0] = w->next_activation++;
    for (int i = 0; i < 4000; i++)
        step(w);
    program_finish(w->p);
    /* Were a made-up function taken for a wrapper, the sites would not be the ones compared with.
     */
    assert_int_equal(analyse_totals(w->p->analyse)->wrappers_by_shape, 0);
    compare(w);
    program_destroy(w->p);
    free(w->truths);
    free(w);
}

static void random_programs(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 12; seed++)
        run(seed, 1);
}

/* The same with events held back: they must be analysed once, and all threads begin anew. */
static void random_programs_held_back(void **state)
{
    (void)state;
    for (uint64_t seed = 21; seed <= 26; seed++)
        run(seed, seed % 2 ? 0 : 700);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_programs),
        cmocka_unit_test(random_programs_held_back),
    };
    return cmocka_run_group_tests_name("analyse random programs", tests, NULL, NULL);
}
