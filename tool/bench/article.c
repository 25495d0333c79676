/* SPDX-License-Identifier: MIT */
#include "article.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "launch.h"

#define TOLERANCE 1.02 /* what is this close to the best is as good, if it is simpler */
#define HOARDING  4.0  /* times the idle bytes of the leanest pool */
#define TIMEOUT_S 120

/* Which variants a verdict advises. */
static const struct {
    const char *verdict, *variants;
} advised[] = {
    {"TAIL", " fresh malloc "}, {"LOSES", " fresh malloc "},    {"RETAINED", " fresh malloc "},
    {"STACK", " stack value "}, {"HOIST", " stack value "},     {"PRESIZE", " presized "},
    {"POOL", " pool pooled "},  {"CAP", " cap drop adaptive "}, {"CLASSES", " classes "},
};

static const struct {
    const char *group, *bench_case, *plain, *operations, *question;
} cases[ARTICLE_CASES] = {
    {"Render", "Render", "fresh", "20000", "a page of 200 lines into a buffer that grows"},
    {"Event", "Event", "malloc", "2000000", "an event made, counted and gone"},
    {"Frame/sizes=small", "FrameSmall", "malloc", "1000000",
     "payloads in a queue, all up to 1 KiB"},
    {"Frame/sizes=mixed", "FrameMixed", "malloc", "1000000",
     "payloads in a queue, one in twenty of 64 KiB"},
    {"Frame/sizes=rare", "FrameRare", "malloc", "1000000",
     "payloads in a queue, one in 10,000 of 1 MiB"},
};

static double idle_of(const struct plan_entry *entry)
{
    for (size_t i = 0; i < entry->metric_count; i++) {
        struct series_summary summary;
        if (strcmp(entry->metrics[i].unit, "idle-B"))
            continue;
        series_summarise(&entry->metrics[i].values, &summary);
        return summary.median;
    }
    return 0;
}

static void timings_judge(struct article_case *found)
{
    /* The leanest of what is not the plain variant: what malloc's heap keeps is not comparable. */
    double leanest = -1;
    for (size_t i = 1; i < found->variant_count; i++) {
        double idle = found->variants[i].idle_bytes;
        leanest = leanest < 0 || idle < leanest ? idle : leanest;
    }
    size_t best = 0;
    double best_ns = -1;
    for (size_t i = 0; i < found->variant_count; i++) {
        struct article_variant *variant = &found->variants[i];
        struct series_summary ns;
        variant->hoards = i && leanest > 0 && variant->idle_bytes > HOARDING * leanest;
        series_summarise(&variant->entry->ns, &ns);
        if (!variant->hoards && (best_ns < 0 || ns.median < best_ns)) {
            best_ns = ns.median;
            best = i;
        }
    }
    found->simplest = best;
    for (size_t i = found->variant_count; i-- > 0;) {
        struct article_variant *variant = &found->variants[i];
        if (series_ratio(&variant->entry->ns, &found->variants[best].entry->ns, &variant->ratio))
            continue;
        variant->as_good =
            !variant->hoards && (variant->ratio.low <= 1 || variant->ratio.median <= TOLERANCE);
        if (variant->as_good)
            found->simplest = i;
    }
}

static void text_copy(char *to, size_t size, const cJSON *text)
{
    snprintf(to, size, "%s", cJSON_IsString(text) ? text->valuestring : "");
}

/* The site with the most allocations: the case's own, which makes all but a handful. */
static int advise(const struct plan_places *places, size_t number, struct article_case *found)
{
    char worker[600], self[512], bench_case[32], plain[16], operations[16], message[256], *output;
    snprintf(worker, sizeof worker, "%s/bench-worker", places->worker_folder);
    snprintf(self, sizeof self, "%s", places->self);
    snprintf(bench_case, sizeof bench_case, "%s", cases[number].bench_case);
    snprintf(plain, sizeof plain, "%s", cases[number].plain);
    snprintf(operations, sizeof operations, "%s", cases[number].operations);
    char *command[] = {self,       "-q",  "advise", "--json",  "--",       worker,
                       bench_case, plain, "1",      "--count", operations, NULL};
    const struct launch launch = {.command = command, .timeout_s = TIMEOUT_S};
    int status = launch_run(&launch, &output, message, sizeof message);
    if (status) {
        snprintf(found->reason, sizeof found->reason, "%s", message);
        return status;
    }
    cJSON *advice = cJSON_Parse(output);
    free(output);
    const cJSON *site = cJSON_GetArrayItem(cJSON_GetObjectItem(advice, "sites"), 0);
    text_copy(found->verdict, sizeof found->verdict, cJSON_GetObjectItem(site, "verdict"));
    text_copy(found->reason, sizeof found->reason, cJSON_GetObjectItem(site, "reason"));
    text_copy(found->site, sizeof found->site, cJSON_GetObjectItem(site, "function"));
    cJSON_Delete(advice);
    return 0;
}

static enum article_agreement compare(const struct article_case *found)
{
    if (!found->verdict[0])
        return ARTICLE_UNKNOWN;
    for (size_t i = 0; i < sizeof advised / sizeof *advised; i++) {
        if (strcmp(advised[i].verdict, found->verdict))
            continue;
        for (size_t k = 0; k < found->variant_count; k++) {
            char word[40];
            snprintf(word, sizeof word, " %s ", found->variants[k].entry->variant);
            if (found->variants[k].as_good && strstr(advised[i].variants, word))
                return ARTICLE_AGREE;
        }
    }
    return ARTICLE_DISAGREE;
}

int article_judge(const struct plan_places *places, const struct plan *plan,
                  struct article_case ret_cases[ARTICLE_CASES],
                  void (*progress)(void *context, const char *group), void *context)
{
    int count = 0;
    for (size_t number = 0; number < ARTICLE_CASES; number++) {
        struct article_case found = {.group = cases[number].group,
                                     .question = cases[number].question};
        for (size_t i = 0; i < plan->count; i++) {
            const struct plan_entry *entry = &plan->entries[i];
            /* The formatter of pooled-printf is not libc's: its time says nothing about memory. */
            if (strcmp(entry->group, found.group) || entry->kind != PLAN_WORKER || entry->failed ||
                !entry->ns.count || !strcmp(entry->variant, "pooled-printf") ||
                found.variant_count == 8)
                continue;
            found.variants[found.variant_count++] =
                (struct article_variant){.entry = entry, .idle_bytes = idle_of(entry)};
        }
        if (found.variant_count < 2 ||
            strcmp(found.variants[0].entry->variant, cases[number].plain))
            continue;
        if (progress)
            progress(context, found.group);
        timings_judge(&found);
        if (advise(places, number, &found) == -ECANCELED)
            return -ECANCELED;
        found.agreement = compare(&found);
        ret_cases[count++] = found;
    }
    return count;
}
