/* SPDX-License-Identifier: MIT */
/*
 * The article's cases: what the timings say, and what `poolwise advise` says of the plainest variant
 * of the same program. Whether they agree is stated, not arranged.
 */
#pragma once

#include "plan.h"

enum article_agreement { ARTICLE_UNKNOWN, ARTICLE_AGREE, ARTICLE_DISAGREE };

struct article_variant {
    const struct plan_entry *entry;
    struct series_summary ratio; /* its time over that of the best, paired by round */
    double idle_bytes;
    bool
        hoards; /* keeps several times the idle memory of the leanest pool: no fix, whatever its time */
    bool as_good; /* as the best that does not hoard: within the tolerance, or not told apart */
};

struct article_case {
    const char *group;    /* "Frame/sizes=rare" */
    const char *question; /* one line for the reader */
    struct article_variant variants[8];
    size_t variant_count;
    size_t simplest; /* the plainest variant that is as good as the best */
    char verdict[16], reason[256],
        site[96]; /* of advise, for the costliest site; "" when it failed */
    enum article_agreement agreement;
};

#define ARTICLE_CASES 5

/*
 * Judges the groups of which the plan has the plainest variant and one more. Runs `poolwise advise`
 * for each. Returns how many; -ECANCELED when interrupted.
 */
int article_judge(const struct plan_places *places, const struct plan *plan,
                  struct article_case ret_cases[ARTICLE_CASES],
                  void (*progress)(void *context, const char *group), void *context);
