/* SPDX-License-Identifier: MIT */
/* Which sites are replayed, and what that says of their prices. */
#include "advice_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REPLAY_SITES     12u /* measured at most, unless they are named: the costliest */

/* What a block may cost beyond the estimate, which is a warm loop's: lines that another processor has, locks that
 * threads wait for, pages touched for the first time. Sites that reach TAIL's bound with it are measured; of those
 * with few blocks, the ones that would reach it were the estimate too low by a factor. */
#define DEARER_NS    500.0
#define DEARER_LEAST 1000.0
#define ESTIMATE_OFF 0.25

static bool all_known(const struct advice *advice, const char *const *ids)
{
    for (; ids && *ids; ids++) {
        bool known = false;
        for (size_t i = 0; i < advice->site_count; i++)
            known |= !strcmp(*ids, advice->sites[i].id);
        if (!known)
            return false;
    }
    return true;
}

/* What the site's blocks cost at most, were each of them as dear as blocks get. */
static double dearest_ns(const struct verdict_input *input, const struct verdict *verdict,
                         double cpu_ns)
{
    double estimated_ns = verdict->upper_bound_share * cpu_ns;
    return (double)input->site->allocations < DEARER_LEAST
               ? estimated_ns / ESTIMATE_OFF
               : estimated_ns + (double)input->site->allocations * DEARER_NS;
}

/* The sites that may be the costliest and that TAIL might not hold for, or those named. */
static size_t candidates(const struct advice *advice, const struct verdict_thresholds *thresholds,
                         const struct advice_replay *replay, const struct verdict_input *inputs,
                         const struct verdict *verdicts, double cpu_ns, size_t *ret_sites)
{
    const struct verdict_threshold *table;
    double dearest[APPRAISE_SITES], least_ns = 0;
    size_t count = 0, most = replay->sites ? APPRAISE_SITES : REPLAY_SITES;
    for (size_t i = verdict_thresholds_list(thresholds, &table); i--;)
        if (!strcmp(table[i].name, "tail-share"))
            least_ns = table[i].value * cpu_ns;
    for (size_t i = 0; i < advice->site_count; i++) {
        double ns = dearest_ns(&inputs[i], &verdicts[i], cpu_ns);
        bool wanted = !replay->sites && ns >= least_ns;
        for (const char *const *id = replay->sites; id && *id; id++)
            wanted |= !strcmp(*id, advice->sites[i].id);
        if (!wanted)
            continue;
        /* By insertion: there are a dozen. */
        size_t at = count < most ? count++ : most;
        for (; at && dearest[at - 1] < ns; at--)
            if (at < most) {
                ret_sites[at] = ret_sites[at - 1];
                dearest[at] = dearest[at - 1];
            }
        if (at < most) {
            ret_sites[at] = i;
            dearest[at] = ns;
        }
    }
    return count;
}

/* A first judgement, in which nothing is too little to matter, says how each site would be served. */
static int survey(struct advice *advice, const struct verdict_input *inputs, size_t count,
                  const struct analyse_totals *totals, uint64_t cpu_ns,
                  struct verdict *ret_verdicts)
{
    struct verdict_thresholds *all = verdict_thresholds_create();
    if (!all)
        return -ENOMEM;
    verdict_thresholds_set(all, "tail-share=0");
    verdict_thresholds_set(all, "tail-rank=1e9");
    int status = verdict_judge(all, inputs, count, totals, cpu_ns, ret_verdicts);
    verdict_thresholds_destroy(all);
    return status;
}

static void replay_note(struct advice *advice, int status)
{
    const struct replay_result *result = &advice->measure.result;
    char *note = NULL;
    int made = 0;
    if (status == -ENODATA || windows_failed(advice->windows))
        made = asprintf(&note, "Nothing was replayed: %s. Prices are estimates, not measured.",
                        status == -ENODATA ? "no events were kept"
                                           : "memory ran out while events were kept");
    else if (status == -ENOENT)
        made = asprintf(
            &note,
            "Nothing was replayed: replay-worker was not found beside the program nor where it is "
            "installed (reinstall poolwise). Prices are estimates, not measured.");
    else if (status == -EIO)
        made = asprintf(&note, "Nothing was replayed: %s. Prices are estimates, not measured.",
                        result->status[0] == WORKER_NO_MEMORY ? "the blocks did not fit into memory"
                        : result->status[0] == WORKER_LATE    ? "one window took too long"
                                                              : "the replay ended unexpectedly");
    else if (status)
        made = asprintf(&note, "Nothing was replayed: %s. Prices are estimates, not measured.",
                        strerror(-status));
    if (made > 0)
        advice_note(advice, note);
    if (!status && result->cut &&
        asprintf(
            &note,
            "The replay was cut by its time bound: %u of %u windows, %u repetitions in %.1f s; "
            "--replay-seconds gives it more.",
            result->windows_used, result->windows, result->repetitions, result->seconds) > 0)
        advice_note(advice, note);
    if (!status && advice->measure.too_large &&
        asprintf(&note,
                 "%" PRIu64
                 " blocks were left out of the replay: they would not fit into its memory.",
                 advice->measure.too_large) > 0)
        advice_note(advice, note);
}

int advice_replay_sites(struct advice *advice, const struct verdict_thresholds *thresholds,
                        const struct advice_replay *replay, struct verdict_input *inputs,
                        size_t count, uint64_t cpu_ns)
{
    if (!all_known(advice, replay->sites))
        return 0;
    struct verdict *verdicts = calloc(count ? count : 1, sizeof *verdicts);
    if (!verdicts)
        return -ENOMEM;
    int status = survey(advice, inputs, count, analyse_totals(advice->analyse), cpu_ns, verdicts);
    if (status) {
        free(verdicts);
        return status;
    }
    struct appraise_site chosen[APPRAISE_SITES];
    advice->measured_count =
        candidates(advice, thresholds, replay, inputs, verdicts, (double)cpu_ns, advice->measured_sites);
    for (size_t i = 0; i < advice->measured_count; i++) {
        size_t site = advice->measured_sites[i];
        chosen[i] = (struct appraise_site){inputs[site].site, verdicts[site].pool,
                                           verdicts[site].simpler, verdicts[site].simpler_bytes};
    }
    for (size_t i = 0; i < count; i++)
        verdict_done(&verdicts[i]);
    free(verdicts);
    if (!advice->measured_count && !replay->all)
        return 0;
    appraise_rows(&advice->measure, replay->all && !replay->quick);
    const struct appraise_options options = {replay->seconds, replay->progress, replay->context};
    status = appraise_run(&advice->measure, advice->windows, advice->analyse, chosen,
                          advice->measured_count, &options);
    replay_note(advice, status);
    advice->measured = !status;
    for (size_t i = 0; !status && i < advice->measured_count; i++) {
        size_t site = advice->measured_sites[i];
        appraise_cost(&advice->measure, &chosen[i], i, (double)cpu_ns, &inputs[site].cost);
        advice->sites[site].cost = inputs[site].cost;
    }
    return status == -ENOMEM ? status : 0;
}
