/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ladder.h"

static const struct {
    const char *name, *meaning;
} kinds[VERDICT_COUNT] = {
    [VERDICT_STACK] =
        {"STACK",
         "A block that never outlives its frame, small and bounded: make it a local variable."},
    [VERDICT_TAIL] = {"TAIL",
                      "Too few blocks, or too little CPU time, to be worth a change: leave it."},
    [VERDICT_CAP] =
        {"CAP", "A pool wins, but rare large blocks would inflate it: drop those above the cap."},
    [VERDICT_CLASSES] = {"CLASSES",
                         "A pool wins, but the sizes differ too much for one: use size classes."},
    [VERDICT_PRESIZE] = {"PRESIZE",
                         "The block is grown step by step: ask for its final size at once."},
    [VERDICT_HOIST] =
        {"HOIST",
         "Made and freed once per iteration, one at a time: keep one block outside the loop."},
    [VERDICT_ARENA] = {"ARENA",
                       "Many blocks die together: take them from one arena and free that."},
    [VERDICT_SLAB] = {"SLAB",
                      "Many small blocks alive at once: a trial showed that packing them pays."},
    [VERDICT_RETAINED] =
        {"RETAINED",
         "The blocks live long or to the end: they are state, there is nothing to reuse."},
    [VERDICT_POOL] = {"POOL", "A pool of reused items wins."},
    [VERDICT_LOSES] = {"LOSES", "Measured: a pool does not win here."},
};

const char *verdict_pool_name(enum verdict_pool_kind kind)
{
    static const char *const names[] = {"plain", "capped", "classes", "buffers"};
    return (unsigned)kind < sizeof names / sizeof *names ? names[kind] : "?";
}

const char *verdict_name(enum verdict_kind kind)
{
    return (unsigned)kind < VERDICT_COUNT ? kinds[kind].name : "?";
}

const char *verdict_meaning(enum verdict_kind kind)
{
    return (unsigned)kind < VERDICT_COUNT ? kinds[kind].meaning : "?";
}

/* A text under construction. */
struct text {
    char *bytes;
    size_t length;
    FILE *stream;
};

static int text_open(struct text *text)
{
    *text = (struct text){NULL, 0, NULL};
    text->stream = open_memstream(&text->bytes, &text->length);
    return text->stream ? 0 : -ENOMEM;
}

/* NULL when memory ran out on the way. */
static char *text_close(struct text *text)
{
    bool failed = ferror(text->stream) != 0;
    if (fclose(text->stream) != 0)
        failed = true;
    if (failed) {
        free(text->bytes);
        return NULL;
    }
    return text->bytes;
}

static int judge_one(const struct verdict_thresholds *thresholds, const struct weighed *w,
                     double cpu_ns, struct verdict *ret_verdict)
{
    struct text text;
    if (text_open(&text) < 0)
        return -ENOMEM;
    struct decision decision = ladder_climb(thresholds, w, cpu_ns, text.stream);
    ret_verdict->reason = text_close(&text);
    if (!ret_verdict->reason)
        return -ENOMEM;

    ret_verdict->kind = decision.kind;
    ret_verdict->bytes = decision.bytes;
    ret_verdict->upper_bound_share = w->share;
    ret_verdict->saved_share = share_of(decision.saved_ns, cpu_ns);
    ret_verdict->estimated = !w->input->cost.measured;
    ret_verdict->pool_share = w->pool_share;
    memcpy(ret_verdict->pool_ci95, w->saved_ci95, sizeof ret_verdict->pool_ci95);
    ret_verdict->pool = w->pool;
    bool simpler = decision.kind == VERDICT_STACK || decision.kind == VERDICT_HOIST ||
                   decision.kind == VERDICT_PRESIZE || decision.kind == VERDICT_ARENA;
    ret_verdict->simpler = simpler ? decision.kind : VERDICT_TAIL;
    ret_verdict->simpler_bytes = simpler ? decision.bytes : 0;
    ret_verdict->slab_hint = w->slab_hint && decision.kind != VERDICT_STACK;

    if (text_open(&text) < 0)
        return -ENOMEM;
    evidence_write(thresholds, w, &decision, cpu_ns, text.stream);
    ret_verdict->evidence = text_close(&text);
    if (!ret_verdict->evidence)
        return -ENOMEM;

    if (text_open(&text) < 0)
        return -ENOMEM;
    snippet_write(w, &decision, ret_verdict->reason, cpu_ns, text.stream);
    ret_verdict->snippet = text_close(&text);
    if (!ret_verdict->snippet)
        return -ENOMEM;
    if (!*ret_verdict->snippet) {
        free(ret_verdict->snippet);
        ret_verdict->snippet = NULL;
    }
    return 0;
}

int verdict_judge(const struct verdict_thresholds *thresholds, const struct verdict_input *inputs,
                  size_t count, const struct analyse_totals *totals, uint64_t program_cpu_ns,
                  struct verdict *ret_verdicts)
{
    struct weighed *weighed = calloc(count ? count : 1, sizeof *weighed);
    if (!weighed)
        return -ENOMEM;
    int error = weigh(thresholds, inputs, count, totals, program_cpu_ns, weighed);
    for (size_t done = 0; error == 0 && done < count; done++) {
        ret_verdicts[done] = (struct verdict){0};
        error = judge_one(thresholds, &weighed[done], (double)program_cpu_ns, &ret_verdicts[done]);
        if (error < 0)
            for (size_t i = 0; i <= done; i++)
                verdict_done(&ret_verdicts[i]);
    }
    free(weighed);
    return error;
}

void verdict_done(struct verdict *verdict)
{
    free(verdict->reason);
    free(verdict->evidence);
    free(verdict->snippet);
    *verdict = (struct verdict){0};
}
