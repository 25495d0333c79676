/* SPDX-License-Identifier: MIT */
#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "try_report.h"

static const char *const keys[TRIAL_METRICS] = {
    "cpu_s", "wall_s", "peak_rss_bytes", "minor_faults", "voluntary_switches", "metric"};
static const char *const outcomes[] = {"same", "output differs", "ended otherwise", "timed out"};
static const char *const verdicts[] = {"WINS", "NO_GAIN", "LOSES", "BREAKS"};

static void add_interval(cJSON *parent, const char *key, bool known,
                         const struct interval *interval)
{
    if (!known) {
        cJSON_AddNullToObject(parent, key);
        return;
    }
    cJSON *object = cJSON_AddObjectToObject(parent, key);
    cJSON_AddNumberToObject(object, "median", interval->median);
    cJSON *bounds = cJSON_AddArrayToObject(object, "ci95");
    cJSON_AddItemToArray(bounds, cJSON_CreateNumber(interval->low));
    cJSON_AddItemToArray(bounds, cJSON_CreateNumber(interval->high));
}

static void add_savings(cJSON *parent, const struct try_result *result, const struct try_arm *arm)
{
    struct interval saving;
    bool known = try_result_saving(result, arm, false, &saving);
    add_interval(parent, "saved_share", known, &saving);
    known = try_result_saving(result, arm, true, &saving);
    add_interval(parent, "saved_share_against_control", known, &saving);
}

static void add_arm(cJSON *list, const struct try_result *result, const struct try_arm *arm)
{
    cJSON *object = cJSON_CreateObject();
    cJSON_AddItemToArray(list, object);
    cJSON_AddStringToObject(object, "name", arm->name);
    cJSON_AddStringToObject(object, "outcome", outcomes[arm->outcome]);
    cJSON *sites = cJSON_AddArrayToObject(object, "sites");
    for (size_t i = 0; i < arm->arm.site_count; i++)
        cJSON_AddItemToArray(sites, cJSON_CreateString(arm->sites[i]->id));
    for (int metric = 0; metric < TRIAL_METRICS; metric++) {
        if (metric == TRIAL_CUSTOM && !result->runs->command->metric)
            continue;
        cJSON *values = cJSON_AddArrayToObject(object, keys[metric]);
        for (size_t i = 0; i < arm->rounds; i++)
            if (isfinite(arm->values[metric][i]))
                cJSON_AddItemToArray(values, cJSON_CreateNumber(arm->values[metric][i]));
    }
    cJSON_AddNumberToObject(object, "blocks_from_pools", (double)arm->last.served);
    cJSON_AddNumberToObject(object, "blocks_reused", (double)arm->last.reused);
    add_savings(object, result, arm);
}

static void add_site(cJSON *list, const struct try_result *result, const struct try_arm *single)
{
    const struct candidate *site = single->sites[0];
    const char *problem = try_site_problem(single, 0);
    cJSON *object = cJSON_CreateObject();
    cJSON_AddItemToArray(list, object);
    cJSON_AddStringToObject(object, "id", site->id);
    cJSON_AddStringToObject(object, "function", site->function);
    cJSON_AddStringToObject(object, "advised", verdict_name(site->verdict));
    cJSON_AddStringToObject(object, "tried_as", try_rule_name(site));
    cJSON_AddNumberToObject(object, "allocations", (double)site->allocations);
    cJSON_AddNumberToObject(object, "predicted_share", site->predicted);
    cJSON_AddNumberToObject(object, "upper_bound_share", site->upper_bound);
    cJSON_AddBoolToObject(object, "replayed", site->replayed);
    add_savings(object, result, single);
    cJSON_AddStringToObject(object, "result", verdicts[try_verdict_of(result, single)]);
    if (problem)
        cJSON_AddStringToObject(object, "problem", problem);
    else
        cJSON_AddNullToObject(object, "problem");
}

int try_report_json(const struct try_result *result, FILE *stream)
{
    cJSON *document = cJSON_CreateObject();
    cJSON_AddStringToObject(document, "poolwise", POOLWISE_VERSION);
    cJSON *command = cJSON_AddArrayToObject(document, "command");
    for (char *const *word = result->runs->command->argv; *word; word++)
        cJSON_AddItemToArray(command, cJSON_CreateString(*word));
    cJSON_AddStringToObject(document, "metric", keys[result->metric]);
    cJSON_AddNumberToObject(document, "rounds", (double)result->runs->rounds);
    cJSON_AddNumberToObject(document, "elapsed_s", result->runs->elapsed_s);
    cJSON_AddBoolToObject(document, "one_cpu", result->runs->one_cpu);
    cJSON_AddBoolToObject(document, "output_compared", !result->runs->output_varies);
    struct interval overhead;
    bool known = try_saving(&result->runs->arms[0], &result->runs->arms[result->together->control],
                            result->metric, &overhead);
    if (known)
        overhead = (struct interval){-overhead.median, -overhead.high, -overhead.low};
    add_interval(document, "control_overhead_share", known, &overhead);
    add_savings(document, result, result->together);
    cJSON_AddStringToObject(document, "result", verdicts[try_verdict_of(result, result->together)]);
    if (result->small) {
        cJSON *small = cJSON_AddObjectToObject(document, "small_blocks");
        add_savings(small, result, result->small);
        cJSON_AddStringToObject(small, "result", verdicts[try_verdict_of(result, result->small)]);
    } else {
        cJSON_AddNullToObject(document, "small_blocks");
    }
    cJSON *sites = cJSON_AddArrayToObject(document, "sites");
    for (size_t i = 0; i < result->single_count; i++)
        add_site(sites, result, result->singles[i]);
    cJSON *arms = cJSON_AddArrayToObject(document, "arms");
    for (size_t i = 0; i < result->runs->arm_count; i++)
        add_arm(arms, result, &result->runs->arms[i]);
    cJSON *notes = cJSON_AddArrayToObject(document, "notes");
    for (const char *const *note = result->notes; note && *note; note++)
        cJSON_AddItemToArray(notes, cJSON_CreateString(*note));
    char *text = cJSON_Print(document);
    cJSON_Delete(document);
    if (!text)
        return -ENOMEM;
    errno = 0;
    int status = fprintf(stream, "%s\n", text) < 0 || fflush(stream) ? errno ? -errno : -EIO : 0;
    cJSON_free(text);
    return status;
}
