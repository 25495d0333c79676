/* SPDX-License-Identifier: MIT */
#include "output.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <gnu/libc-version.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

static void cpu_model(char *ret_model, size_t size)
{
    char line[256];
    FILE *file = fopen("/proc/cpuinfo", "re");
    snprintf(ret_model, size, "unknown");
    while (file && fgets(line, sizeof line, file)) {
        const char *value = strchr(line, ':');
        if (!value || strncmp(line, "model name", 10))
            continue;
        snprintf(ret_model, size, "%.*s", (int)strcspn(value + 2, "\n"), value + 2);
        break;
    }
    if (file)
        fclose(file);
}

static const char *go_architecture(const char *machine)
{
    return !strcmp(machine, "x86_64") ? "amd64" : !strcmp(machine, "aarch64") ? "arm64" : machine;
}

void output_header(FILE *stream)
{
    struct utsname name;
    char model[128];
    uname(&name);
    cpu_model(model, sizeof model);
    fprintf(stream, "goos: linux\ngoarch: %s\npkg: poolwise\ncpu: %s\n",
            go_architecture(name.machine), model);
}

void output_line(FILE *stream, const struct plan_entry *entry, const char *line)
{
    fprintf(stream, "Benchmark%s\t%s", entry->name, line);
    if (entry->counted)
        fprintf(stream, "\t%.6g B/op\t%.6g allocs/op", entry->bytes, entry->allocations);
    fputc('\n', stream);
    fflush(stream);
}

/* Three digits, in the unit that reads best. */
static const char *time_text(double ns, char *text, size_t size)
{
    static const char *const units[] = {"ns", "us", "ms", "s"};
    int unit = 0;
    while (unit < 3 && ns >= 1000) {
        ns /= 1000;
        unit++;
    }
    snprintf(text, size, ns < 10 ? "%.2f %s" : ns < 100 ? "%.1f %s" : "%.0f %s", ns, units[unit]);
    return text;
}

static const char *bytes_text(double bytes, char *text, size_t size)
{
    static const char *const units[] = {"B", "KiB", "MiB"};
    int unit = 0;
    while (unit < 2 && bytes >= 1024) {
        bytes /= 1024;
        unit++;
    }
    snprintf(text, size, unit && bytes < 100 ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
    return text;
}

static const struct series *metric_find(const struct plan_entry *entry, const char *unit)
{
    for (size_t i = 0; i < entry->metric_count; i++)
        if (!strcmp(entry->metrics[i].unit, unit))
            return &entry->metrics[i].values;
    return NULL;
}

static void row(FILE *stream, const struct plan_entry *entry, const struct plan_entry *first)
{
    char median[16], low[16], high[16], ratio[48] = "1", idle[24] = "";
    struct series_summary ns, relative;
    series_summarise(&entry->ns, &ns);
    if (entry != first && !series_ratio(&entry->ns, &first->ns, &relative))
        snprintf(ratio, sizeof ratio, "%.2f [%.2f..%.2f]", relative.median, relative.low,
                 relative.high);
    const struct series *kept = metric_find(entry, "idle-B");
    if (kept) {
        struct series_summary summary;
        series_summarise(kept, &summary);
        bytes_text(summary.median, idle, sizeof idle);
    }
    fprintf(stream, "  %-18s %9s  [%s .. %s]%*s%-20s",
            entry->peer ? entry->peer->name : entry->variant,
            time_text(ns.median, median, sizeof median), time_text(ns.low, low, sizeof low),
            time_text(ns.high, high, sizeof high),
            (int)(20 - strlen(low) - strlen(high)) > 0 ? (int)(20 - strlen(low) - strlen(high)) : 1,
            "", ratio);
    if (entry->counted)
        fprintf(stream, " %6.4g allocs %9s", entry->allocations,
                bytes_text(entry->bytes, median, sizeof median));
    if (idle[0])
        fprintf(stream, "  idle %s", idle);
    fputc('\n', stream);
}

static void verdict(FILE *stream, const struct article_case *found)
{
    char simplest[40];
    snprintf(simplest, sizeof simplest, "%s", found->variants[found->simplest].entry->variant);
    fprintf(stream, "  timings: %s%s", simplest,
            found->simplest ? " is the simplest that is as good as the best"
                            : ", as it is: nothing simpler or clearly better");
    for (size_t i = 0; i < found->variant_count; i++)
        if (found->variants[i].hoards)
            fprintf(stream, "; %s hoards", found->variants[i].entry->variant);
    fputc('\n', stream);
    if (found->verdict[0])
        fprintf(stream, "  advise:  %s at %s. %s\n", found->verdict, found->site, found->reason);
    else
        fprintf(stream, "  advise:  gave no verdict: %s\n", found->reason);
    static const char *const words[] = {"no verdict to compare", "they AGREE", "they DISAGREE"};
    fprintf(stream, "  %s\n", words[found->agreement]);
}

void output_table(FILE *stream, const struct output *output)
{
    const struct plan *plan = output->plan;
    struct series_summary any = {0};
    for (size_t i = 0; i < plan->count; i++) {
        const struct plan_entry *first = &plan->entries[i];
        if (!first->ns.count)
            continue;
        bool seen = false;
        for (size_t k = 0; k < i; k++)
            seen |= !strcmp(plan->entries[k].group, first->group) && plan->entries[k].ns.count;
        if (seen)
            continue;
        series_summarise(&first->ns, &any);
        const struct article_case *found = NULL;
        for (int k = 0; k < output->case_count; k++)
            if (!strcmp(output->cases[k].group, first->group))
                found = &output->cases[k];
        fprintf(stream, "\n%s%s%s\n", first->group, found ? ": " : "",
                found ? found->question : "");
        for (size_t k = i; k < plan->count; k++)
            if (!strcmp(plan->entries[k].group, first->group) && plan->entries[k].ns.count)
                row(stream, &plan->entries[k], first);
        if (found)
            verdict(stream, found);
    }
    if (any.coverage > 0)
        fprintf(stream,
                "\nMedians of %u rounds, in brackets the interval that holds the true median with "
                "%.0f %%;\n"
                "ratios are to the first of each group, paired by round.\n",
                output->rounds, any.coverage * 100);
    else
        fputs("\nOne round: no spread can be given; --count 5 or more gives one.\n", stream);
}

static cJSON *series_json(const struct series *series)
{
    struct series_summary summary;
    cJSON *object = cJSON_CreateObject();
    series_summarise(series, &summary);
    cJSON_AddNumberToObject(object, "median", summary.median);
    cJSON_AddNumberToObject(object, "low", summary.low);
    cJSON_AddNumberToObject(object, "high", summary.high);
    cJSON_AddNumberToObject(object, "coverage", summary.coverage);
    cJSON_AddItemToObject(object, "runs",
                          cJSON_CreateDoubleArray(series->values, (int)series->count));
    return object;
}

static cJSON *entry_json(const struct plan_entry *entry)
{
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "name", entry->name);
    cJSON_AddStringToObject(object, "group", entry->group);
    cJSON_AddStringToObject(object, "case", entry->bench_case);
    cJSON_AddStringToObject(object, entry->peer ? "peer" : "variant",
                            entry->peer ? entry->peer->name : entry->variant);
    cJSON_AddNumberToObject(object, "threads", entry->threads);
    cJSON_AddNumberToObject(object, "iterations", entry->iterations);
    cJSON_AddItemToObject(object, "ns_per_op", series_json(&entry->ns));
    if (entry->counted) {
        cJSON_AddNumberToObject(object, "bytes_per_op", entry->bytes);
        cJSON_AddNumberToObject(object, "allocs_per_op", entry->allocations);
    }
    cJSON *metrics = cJSON_AddObjectToObject(object, "metrics");
    for (size_t i = 0; i < entry->metric_count; i++)
        cJSON_AddItemToObject(metrics, entry->metrics[i].unit,
                              series_json(&entry->metrics[i].values));
    return object;
}

static cJSON *case_json(const struct article_case *found)
{
    static const char *const words[] = {NULL, "agree", "disagree"};
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "group", found->group);
    cJSON_AddStringToObject(object, "timings", found->variants[found->simplest].entry->variant);
    cJSON *good = cJSON_AddArrayToObject(object, "as_good"),
          *hoards = cJSON_AddArrayToObject(object, "hoards");
    for (size_t i = 0; i < found->variant_count; i++) {
        if (found->variants[i].as_good)
            cJSON_AddItemToArray(good, cJSON_CreateString(found->variants[i].entry->variant));
        if (found->variants[i].hoards)
            cJSON_AddItemToArray(hoards, cJSON_CreateString(found->variants[i].entry->variant));
    }
    if (found->verdict[0])
        cJSON_AddStringToObject(object, "verdict", found->verdict);
    else
        cJSON_AddNullToObject(object, "verdict");
    cJSON_AddStringToObject(object, "reason", found->reason);
    if (words[found->agreement])
        cJSON_AddStringToObject(object, "agreement", words[found->agreement]);
    else
        cJSON_AddNullToObject(object, "agreement");
    return object;
}

int output_json(FILE *stream, const struct output *output)
{
    struct utsname name;
    char model[128];
    cpu_set_t allowed;
    uname(&name);
    cpu_model(model, sizeof model);
    sched_getaffinity(0, sizeof allowed, &allowed);
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "poolwise", POOLWISE_VERSION);
    cJSON *machine = cJSON_AddObjectToObject(object, "machine");
    cJSON_AddStringToObject(machine, "cpu", model);
    cJSON_AddNumberToObject(machine, "cpus", CPU_COUNT(&allowed));
    cJSON_AddStringToObject(machine, "architecture", go_architecture(name.machine));
    cJSON_AddStringToObject(machine, "kernel", name.release);
    cJSON_AddStringToObject(machine, "libc", gnu_get_libc_version());
    cJSON_AddNumberToObject(object, "rounds", output->rounds);
    cJSON *peers = cJSON_AddObjectToObject(object, "peers");
    for (size_t i = 0; i < output->plan->peer_count; i++) {
        const struct plan_peer *peer = &output->plan->peers[i];
        char path[PATH_MAX];
        if (!peer->found)
            cJSON_AddNullToObject(peers, peer->name);
        else
            cJSON_AddStringToObject(peers, peer->name,
                                    peer->path[0] && realpath(peer->path, path) ? path : "");
    }
    cJSON *benchmarks = cJSON_AddArrayToObject(object, "benchmarks");
    for (size_t i = 0; i < output->plan->count; i++)
        if (output->plan->entries[i].ns.count)
            cJSON_AddItemToArray(benchmarks, entry_json(&output->plan->entries[i]));
    cJSON *verdicts = cJSON_AddArrayToObject(object, "verdicts");
    for (int i = 0; i < output->case_count; i++)
        cJSON_AddItemToArray(verdicts, case_json(&output->cases[i]));
    char *text = cJSON_Print(object);
    cJSON_Delete(object);
    if (!text)
        return -ENOMEM;
    fprintf(stream, "%s\n", text);
    free(text);
    return 0;
}
