/* SPDX-License-Identifier: MIT */
#include "analyse_internal.h"

#include <errno.h>

/* Bucket of a value: [0, 64] one each, then 32 an octave of value - 1. */
static uint32_t bucket_of(uint64_t value)
{
    if (value < DISTRIBUTION_LINEAR)
        return (uint32_t)value;
    uint64_t below = value - 1;
    uint32_t octave = 63 - (uint32_t)__builtin_clzll(below);
    return DISTRIBUTION_LINEAR + (octave - 6) * DISTRIBUTION_SUB +
           ((uint32_t)(below >> (octave - 5)) & (DISTRIBUTION_SUB - 1));
}

static void bucket_range(uint32_t bucket, uint64_t *ret_low, uint64_t *ret_high)
{
    if (bucket < DISTRIBUTION_LINEAR) {
        *ret_low = *ret_high = bucket;
        return;
    }
    uint32_t octave = (bucket - DISTRIBUTION_LINEAR) / DISTRIBUTION_SUB + 6;
    uint64_t sub = DISTRIBUTION_SUB + (bucket - DISTRIBUTION_LINEAR) % DISTRIBUTION_SUB;
    uint64_t first = sub << (octave - 5), last = first + (UINT64_C(1) << (octave - 5)) - 1;
    *ret_low = first + 1;
    *ret_high = last == UINT64_MAX ? last : last + 1;
}

static int bucket_add(struct distribution *d, uint32_t bucket, uint64_t count)
{
    if (!d->groups) {
        d->groups = calloc(DISTRIBUTION_GROUPS, sizeof *d->groups);
        if (!d->groups)
            return -ENOMEM;
    }
    uint32_t group = bucket / DISTRIBUTION_SUB;
    if (!d->groups[group]) {
        d->groups[group] = calloc(DISTRIBUTION_SUB, sizeof **d->groups);
        if (!d->groups[group])
            return -ENOMEM;
    }
    d->groups[group][bucket % DISTRIBUTION_SUB] += count;
    return 0;
}

static uint32_t exact_place(const struct distribution *d, uint64_t value)
{
    uint32_t at = (uint32_t)hash_u64(value) & d->mask;
    while (d->exact[at].count && d->exact[at].value != value)
        at = (at + 1) & d->mask;
    return at;
}

static int exact_grow(struct distribution *d)
{
    uint32_t old_size = d->exact ? d->mask + 1 : 0, size = old_size ? old_size * 2 : 8;
    struct distribution_value *old = d->exact;
    struct distribution_value *grown = calloc(size, sizeof *grown);
    if (!grown)
        return -ENOMEM;
    d->exact = grown;
    d->mask = size - 1;
    for (uint32_t i = 0; i < old_size; i++)
        if (old[i].count)
            d->exact[exact_place(d, old[i].value)] = old[i];
    free(old);
    return 0;
}

static int become_buckets(struct distribution *d)
{
    for (uint32_t i = 0; i <= d->mask; i++)
        if (d->exact[i].count) {
            int result = bucket_add(d, bucket_of(d->exact[i].value), d->exact[i].count);
            if (result)
                return result;
        }
    free(d->exact);
    d->exact = NULL;
    return 0;
}

static void extremes_note(struct distribution *d, uint64_t value)
{
    d->min = d->count && d->min < value ? d->min : value;
    d->max = d->max > value ? d->max : value;
    d->sum += (double)value;
    d->count++;
}

int distribution_add_bucketed(struct distribution *d, uint64_t value)
{
    extremes_note(d, value);
    return bucket_add(d, bucket_of(value), 1);
}

/* Makes room for a value not seen before; may leave the distribution in buckets. */
static int exact_admit(struct distribution *d)
{
    if (d->distinct == DISTRIBUTION_EXACT)
        return become_buckets(d);
    return !d->exact || d->distinct * 2 > d->mask ? exact_grow(d) : 0;
}

int distribution_add(struct distribution *d, uint64_t value)
{
    if (d->groups)
        return distribution_add_bucketed(d, value);
    if (!d->exact || !d->exact[exact_place(d, value)].count) {
        int result = exact_admit(d);
        if (result)
            return result;
        if (d->groups)
            return distribution_add_bucketed(d, value);
        d->exact[exact_place(d, value)].value = value;
        d->distinct++;
    }
    d->exact[exact_place(d, value)].count++;
    extremes_note(d, value);
    return 0;
}

void distribution_done(struct distribution *d)
{
    free(d->exact);
    for (uint32_t i = 0; d->groups && i < DISTRIBUTION_GROUPS; i++)
        free(d->groups[i]);
    free(d->groups);
    *d = (struct distribution){0};
}

static int compare_ranges(const void *left, const void *right)
{
    const struct distribution_range *a = left, *b = right;
    return (a->low > b->low) - (a->low < b->low);
}

static void ranges_fill(const struct distribution *d, struct distribution_range *ranges)
{
    size_t at = 0;
    if (d->exact) {
        for (uint32_t i = 0; i <= d->mask; i++) {
            const struct distribution_value *value = &d->exact[i];
            if (value->count)
                ranges[at++] = (struct distribution_range){
                    .low = value->value, .high = value->value, .count = value->count};
        }
        qsort(ranges, at, sizeof *ranges, compare_ranges);
        return;
    }
    for (uint32_t group = 0; group < DISTRIBUTION_GROUPS; group++)
        for (uint32_t i = 0; d->groups[group] && i < DISTRIBUTION_SUB; i++) {
            if (!d->groups[group][i])
                continue;
            struct distribution_range *range = &ranges[at++];
            range->count = d->groups[group][i];
            bucket_range(group * DISTRIBUTION_SUB + i, &range->low, &range->high);
        }
}

int distribution_ranges(const struct distribution *d, struct distribution_range **ret_ranges,
                        size_t *ret_count)
{
    size_t count = d->exact ? d->distinct : 0;
    for (uint32_t group = 0; d->groups && group < DISTRIBUTION_GROUPS; group++)
        for (uint32_t i = 0; d->groups[group] && i < DISTRIBUTION_SUB; i++)
            count += d->groups[group][i] != 0;
    if (!count) {
        *ret_ranges = NULL;
        *ret_count = 0;
        return 0;
    }
    struct distribution_range *ranges = calloc(count, sizeof *ranges);
    if (!ranges)
        return -ENOMEM;
    ranges_fill(d, ranges);
    *ret_ranges = ranges;
    *ret_count = count;
    return 0;
}

/* ceil(count x share), at least 1, without rounding up what is whole. */
static uint64_t rank_of(uint64_t count, uint64_t per_mille)
{
    uint64_t rank = count / 1000 * per_mille + (count % 1000 * per_mille + 999) / 1000;
    return rank ? rank : 1;
}

void distribution_summary(const struct distribution *d, const struct distribution_range *ranges,
                          size_t count, struct analyse_distribution *ret)
{
    *ret = (struct analyse_distribution){
        .count = d->count, .min = d->min, .max = d->max, .sum = d->sum};
    static const uint64_t per_mille[] = {10, 500, 950, 990, 999};
    uint64_t *const answers[] = {&ret->p1, &ret->p50, &ret->p95, &ret->p99, &ret->p999};
    uint64_t seen = 0;
    size_t asked = 0;
    for (size_t i = 0; i < count; i++) {
        seen += ranges[i].count;
        uint64_t value = ranges[i].high > d->max ? d->max : ranges[i].high;
        for (; asked < 5 && seen >= rank_of(d->count, per_mille[asked]); asked++)
            *answers[asked] = value;
    }
}

double distribution_window(const struct distribution *d, const struct distribution_range *ranges,
                           size_t count, uint64_t *ret_low)
{
    uint64_t best = 0, inside = 0, low = 0;
    size_t end = 0;
    for (size_t first = 0; first < count; first++) {
        uint64_t start = ranges[first].low;
        uint64_t limit = start > UINT64_MAX / 2 ? UINT64_MAX : start * 2;
        for (; end < count && (end <= first || ranges[end].high <= limit); end++)
            inside += ranges[end].count;
        if (inside > best) {
            best = inside;
            low = start > d->min ? start : d->min;
        }
        inside -= ranges[first].count;
    }
    *ret_low = low;
    return d->count ? (double)best / (double)d->count : 0;
}

static int compare_falling(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a < b) - (a > b);
}

uint64_t distribution_classes(const struct distribution *d, const struct distribution_range *ranges,
                              size_t count)
{
    uint64_t classes[65] = {0};
    for (size_t i = 0; i < count; i++) {
        uint64_t value = ranges[i].high;
        classes[value < 2 ? 0 : 64 - __builtin_clzll(value - 1)] += ranges[i].count;
    }
    qsort(classes, 65, sizeof *classes, compare_falling);
    uint64_t needed = rank_of(d->count, 999), held = 0, used = 0;
    while (held < needed && used < 65)
        held += classes[used++];
    return d->count ? used : 0;
}
