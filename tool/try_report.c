/* SPDX-License-Identifier: MIT */
#include "try_report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name, *unit, *key;
    double scale;
    int digits;
} metrics[TRIAL_METRICS] = {
    [TRIAL_CPU] = {"CPU time", "s", "cpu_s", 1, 3},
    [TRIAL_WALL] = {"wall time", "s", "wall_s", 1, 3},
    [TRIAL_RSS] = {"peak memory", "MiB", "peak_rss_bytes", 1.0 / (1 << 20), 1},
    [TRIAL_FAULTS] = {"minor faults", "", "minor_faults", 1, 0},
    [TRIAL_SWITCHES] = {"voluntary switches", "", "voluntary_switches", 1, 0},
    [TRIAL_CUSTOM] = {"--metric", "", "metric", 1, 3},
};

bool try_result_saving(const struct try_result *result, const struct try_arm *arm,
                       bool against_control, struct interval *ret_saving)
{
    struct interval saving;
    if (!try_saving(&result->runs->arms[against_control ? arm->control : 0], arm, result->metric,
                    &saving))
        return false;
    if (result->metric == TRIAL_CUSTOM && result->higher_is_better)
        saving = (struct interval){-saving.median, -saving.high, -saving.low};
    *ret_saving = saving;
    return true;
}

/* Against the control alone: what it costs to look calls up is ours, and pools that are written into the program have
 * none of it. */
enum try_verdict try_verdict_of(const struct try_result *result, const struct try_arm *arm)
{
    struct interval control;
    if (arm->outcome != TRY_SAME)
        return TRY_BREAKS;
    if (!try_result_saving(result, arm, true, &control))
        return TRY_NO_GAIN;
    if (control.low > 0 && control.median >= result->win_share)
        return TRY_WINS;
    return control.high < 0 && control.median <= -result->win_share ? TRY_LOSES : TRY_NO_GAIN;
}

const char *try_rule_name(const struct candidate *site)
{
    if (site->as_slab)
        return "SLAB";
    switch (site->site.rule) {
    case PLAN_ONE_SIZE:
        return site->verdict == VERDICT_CAP ? "CAP" : "POOL";
    case PLAN_CLASSES:
        return "CLASSES";
    case PLAN_PASS:
        return "nothing";
    case PLAN_PRESIZE:
        return "PRESIZE";
    }
    return "?";
}

const char *try_verdict_name(enum try_verdict verdict, const struct candidate *site)
{
    switch (verdict) {
    case TRY_WINS:
        return try_rule_name(site);
    case TRY_NO_GAIN:
        return "no gain";
    case TRY_LOSES:
        return "LOSES";
    case TRY_BREAKS:
        return "breaks";
    }
    return "?";
}

static double median(const struct try_arm *arm, enum trial_metric metric)
{
    return arm->rounds ? median_of(arm->values[metric], arm->rounds) : 0;
}

static const char *outcome_words(const struct try_arm *arm)
{
    switch (arm->outcome) {
    case TRY_SAME:
        return "ran as the plain program does";
    case TRY_OUTPUT:
        return "wrote something else to standard output";
    case TRY_STATUS:
        return "ended in another way";
    case TRY_TIMED_OUT:
        return "ran past the time limit";
    }
    return "?";
}

static const char *metric_name(const struct try_result *result)
{
    return metrics[result->metric].name;
}

/* The arm that the first line is about: the better of the two that take many sites. */
static const struct try_arm *headline(const struct try_result *result)
{
    struct interval together, small;
    if (!result->small || result->small == result->together ||
        !try_result_saving(result, result->small, true, &small))
        return result->together;
    return try_result_saving(result, result->together, true, &together) &&
                   together.median >= small.median
               ? result->together
               : result->small;
}

static void say_result(const struct try_result *result, FILE *stream)
{
    const struct try_arm *arm = headline(result);
    const char *program = result->runs->command->argv[0];
    struct interval saving;
    size_t count = arm->arm.site_count;
    if (arm->outcome != TRY_SAME) {
        fprintf(stream, "%s, with blocks from pools, %s.\n", program, outcome_words(arm));
        return;
    }
    if (!try_result_saving(result, arm, false, &saving)) {
        fprintf(stream, "%s: nothing was measured.\n", program);
        return;
    }
    if (arm->arm.everything)
        fprintf(stream, "%s with all its blocks of up to %" PRIu64 " bytes from pools", program,
                arm->arm.everything_bytes);
    else
        fprintf(stream, "%s with %zu site%s from pools", program, count, count == 1 ? "" : "s");
    double before = median(&result->runs->arms[0], result->metric),
           after = median(arm, result->metric);
    double scale = metrics[result->metric].scale;
    int digits = metrics[result->metric].digits;
    if (saving.low <= 0 && saving.high >= 0) {
        fprintf(stream,
                ": no change of %s that can be told from noise (saved %+.1f %%, 95 %%: %+.1f to "
                "%+.1f).\n",
                metric_name(result), 100 * saving.median, 100 * saving.low, 100 * saving.high);
        return;
    }
    bool gains = saving.median >= 0;
    bool rises = gains == (result->higher_is_better && result->metric == TRIAL_CUSTOM);
    fprintf(stream, ": %s %s by %.1f %% (95 %%: %.1f to %.1f), %.*f -> %.*f%s%s.\n",
            metric_name(result), rises ? "rises" : "falls",
            100 * (gains ? saving.median : -saving.median),
            100 * (gains ? saving.low : -saving.high), 100 * (gains ? saving.high : -saving.low),
            digits, before * scale, digits, after * scale, *metrics[result->metric].unit ? " " : "",
            metrics[result->metric].unit);
}

static void say_table(const struct try_result *result, FILE *stream)
{
    const struct try_arm *plain = &result->runs->arms[0], *pooled = headline(result);
    const struct try_arm *control = &result->runs->arms[pooled->control];
    fprintf(stream, "\n%-22s %11s %11s %11s   %s\n", "", "plain", "control", "pooled",
            "saved against plain, 95 %");
    for (int metric = 0; metric < TRIAL_METRICS; metric++) {
        if (metric == TRIAL_CUSTOM && !result->runs->command->metric)
            continue;
        double scale = metrics[metric].scale;
        int digits = metrics[metric].digits;
        char name[40];
        snprintf(name, sizeof name, "%s%s%s", metrics[metric].name,
                 *metrics[metric].unit ? ", " : "", metrics[metric].unit);
        fprintf(stream, "%-22s %11.*f %11.*f %11.*f", name, digits, median(plain, metric) * scale,
                digits, median(control, metric) * scale, digits, median(pooled, metric) * scale);
        struct interval saving;
        if (try_saving(plain, pooled, metric, &saving))
            fprintf(stream, "   %+.1f %% (%+.1f to %+.1f)", 100 * saving.median, 100 * saving.low,
                    100 * saving.high);
        fputc('\n', stream);
    }
    if (pooled->last.served)
        fprintf(stream, "%-22s %11s %11s %11" PRIu64 "   %.1f %% of them reused\n",
                "blocks from pools", "0", "0", pooled->last.served,
                100.0 * (double)pooled->last.reused / (double)pooled->last.served);
    struct interval overhead, net;
    if (try_saving(plain, control, result->metric, &overhead))
        fprintf(stream,
                "\nThe preload alone, which looks sites up and serves none, costs %.1f %% (%.1f to "
                "%.1f); it is part of the figures above.",
                -100 * overhead.median, -100 * overhead.high, -100 * overhead.low);
    if (try_result_saving(result, pooled, true, &net))
        fprintf(stream, "\nAgainst the control, so with that subtracted: %.1f %% (%.1f to %.1f).",
                100 * net.median, 100 * net.low, 100 * net.high);
    fputc('\n', stream);
}

/* The other one of the two. */
static void say_other(const struct try_result *result, FILE *stream)
{
    const struct try_arm *arm =
        headline(result) == result->together ? result->small : result->together;
    struct interval saving;
    if (!arm || arm == headline(result))
        return;
    if (arm->arm.everything)
        fprintf(stream, "\nEvery block of up to %" PRIu64 " bytes from pools, whatever its site: ",
                arm->arm.everything_bytes);
    else
        fprintf(stream,
                "\nThe %zu site%s that the advice names, and no other: ", arm->arm.site_count,
                arm->arm.site_count == 1 ? "" : "s");
    if (arm->outcome != TRY_SAME)
        fprintf(stream, "it %s.\n", outcome_words(arm));
    else if (try_result_saving(result, arm, true, &saving))
        fprintf(stream, "%.1f %% (%.1f to %.1f) against the control.\n", 100 * saving.median,
                100 * saving.low, 100 * saving.high);
    else
        fputs("not measured.\n", stream);
}

static void say_sites(const struct try_result *result, FILE *stream)
{
    const struct try_arm *arm = result->together;
    if (result->single_count) {
        fprintf(stream, "\nOne by one, against the control:\n%-8s %9s  %-18s %9s  %-13s %s\n",
                "verdict", "saved", "95 %", "expected", "site", "function");
        for (size_t i = 0; i < result->single_count; i++) {
            const struct try_arm *single = result->singles[i];
            const struct candidate *site = single->sites[0];
            struct interval saving;
            char saved[32] = "-", interval[40] = "";
            if (try_result_saving(result, single, true, &saving)) {
                snprintf(saved, sizeof saved, "%+.1f %%", 100 * saving.median);
                snprintf(interval, sizeof interval, "%+.1f to %+.1f", 100 * saving.low,
                         100 * saving.high);
            }
            char expected[32] = "-";
            if (!site->as_slab)
                snprintf(expected, sizeof expected, "%.1f %%", 100 * site->predicted);
            fprintf(stream, "%-8s %9s  %-18s %9s  %-13s %s %s\n",
                    try_verdict_name(try_verdict_of(result, single), site), saved, interval,
                    expected, site->id, site->function, site->place);
            if (single->outcome != TRY_SAME)
                fprintf(stream, "         with this site alone the program %s\n",
                        outcome_words(single));
        }
    }
    for (size_t i = 0; i < arm->arm.site_count; i++) {
        const char *problem = arm->outcome == TRY_SAME ? try_site_problem(arm, i) : NULL;
        if (problem)
            fprintf(stream, "site %s (%s): not tried: %s\n", arm->sites[i]->id,
                    arm->sites[i]->function, problem);
    }
}

int try_report_text(const struct try_result *result, FILE *stream)
{
    say_result(result, stream);
    say_table(result, stream);
    say_other(result, stream);
    say_sites(result, stream);
    fprintf(stream, "\n%zu rounds in %.0f s", result->runs->rounds, result->runs->elapsed_s);
    if (result->runs->one_cpu)
        fputs(", each on one processor", stream);
    fputs(result->runs->output_varies
              ? "; standard output varies by itself, and was not compared.\n"
              : "; standard output was the same in all runs that count.\n",
          stream);
    if (result->runs->rounds < TRY_ROUNDS_LEAST)
        fprintf(
            stream,
            "So few rounds: the intervals are narrower than 95 %% (-n or --time gives more).\n");
    for (const char *const *note = result->notes; note && *note; note++)
        fprintf(stream, "%s\n", *note);
    errno = 0;
    return fflush(stream) || ferror(stream) ? errno ? -errno : -EIO : 0;
}
