/* SPDX-License-Identifier: MIT */
/* Every number that the ladder decides by: one table. docs/how-to-read-a-verdict.md names them all.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "thresholds.h"

struct verdict_thresholds {
    struct verdict_threshold table[THRESHOLD_COUNT];
};

#define ROW(name, value, low, high, unit, meaning)                                                 \
    {                                                                                              \
        name, value, value, low, high, unit, meaning                                               \
    }

static const struct verdict_threshold presets[THRESHOLD_COUNT] = {
    [THRESHOLD_FRAME_SHARE] =
        ROW("frame-share", 0.995, 0.5, 1, "share",
            "STACK: at least this share of the blocks died in the frame that made them"),
    [THRESHOLD_FRAME_BYTES] =
        ROW("frame-bytes", 4096, 0, 1048576, "bytes",
            "STACK: the blocks that one frame holds at once are at most this large together"),
    [THRESHOLD_FRAME_LIVE] =
        ROW("frame-live", 4, 1, 1024, "count",
            "STACK: one frame holds at most this many blocks of the site at once"),
    [THRESHOLD_FRAME_ALLOCATIONS] = ROW("frame-allocations", 100, 1, 1e12, "count",
                                        "STACK: fewer blocks than this are no evidence"),
    [THRESHOLD_FRAME_KNOWN] =
        ROW("frame-known", 0.5, 0, 1, "share",
            "frames decide only when the place of at least this share of deaths is known"),
    [THRESHOLD_TAIL_RANK] =
        ROW("tail-rank", 5, 0, 1e9, "count",
            "TAIL: not among this many sites, neither by allocations nor by their cost"),
    [THRESHOLD_TAIL_SHARE] =
        ROW("tail-share", 0.01, 0, 1, "share",
            "TAIL: all that the site costs is less than this share of the program's CPU time"),
    [THRESHOLD_TAIL_ALLOCATIONS] =
        ROW("tail-allocations", 1000, 1, 1e12, "count",
            "TAIL: fewer blocks than this, when the program's CPU time is unknown"),
    [THRESHOLD_SIZE_WITHIN] =
        ROW("size-within", 0.95, 0.5, 1, "share",
            "one size: at least this share of the blocks lies within 2x of each other"),
    [THRESHOLD_SIZE_SPREAD] = ROW("size-spread", 100, 2, 1e9, "ratio",
                                  "CAP, CLASSES: p99.9 / p1, or the largest block against the "
                                  "densest window, is this or more"),
    [THRESHOLD_SIZE_SMALL] = ROW("size-small", 64, 0, 4096, "bytes",
                                 "blocks that are never larger than this count as one size"),
    [THRESHOLD_SIZE_CAP_STEP] = ROW("size-cap-step", 8, 1, 1e6, "ratio",
                                    "CAP: the cap rises to a higher percentile of the sizes while "
                                    "that is at most this many times the last"),
    [THRESHOLD_SIZE_CAP_IDLE] =
        ROW("size-cap-idle", 1048576, 0, 1e12, "bytes",
            "CAP: the cap rises to p99 of the sizes where the blocks alive at once come "
            "to at most this, were all of them so large; else CLASSES"),
    [THRESHOLD_GROW_SHARE] = ROW("grow-share", 0.5, 0.01, 1, "share",
                                 "PRESIZE: at least this share of the blocks is grown by realloc"),
    [THRESHOLD_GROW_STEPS] =
        ROW("grow-steps", 1, 0, 1e6, "count",
            "PRESIZE: a block that grows takes at least this many steps on average"),
    [THRESHOLD_GROW_SKEW] =
        ROW("grow-skew", 8, 1, 1e9, "ratio",
            "PRESIZE: to the median instead of p95 when p95 is over this many times the median"),
    [THRESHOLD_GROW_COPY_NS] = ROW("grow-copy-ns", 0.03, 0, 10, "ns",
                                   "what a growth step costs for each byte that it moves"),
    [THRESHOLD_HOIST_SHARE] = ROW("hoist-share", 0.99, 0.5, 1, "share",
                                  "HOIST: at least this share of the blocks died in the frame that "
                                  "made them or in its caller"),
    [THRESHOLD_HOIST_REPEAT] = ROW("hoist-repeat", 10, 2, 1e12, "count",
                                   "HOIST: one activation of that function, or of its caller, "
                                   "makes at least this many blocks"),
    [THRESHOLD_ARENA_BURST] = ROW("arena-burst", 0.8, 0.1, 1, "share",
                                  "ARENA: at least this share of the frees comes in runs of 32 or "
                                  "more with no allocation between"),
    [THRESHOLD_ARENA_SITES] =
        ROW("arena-sites", 2, 1, 1e6, "count",
            "ARENA: at least this many such sites have blocks that die under the same function"),
    [THRESHOLD_ARENA_GENERATIONS] =
        ROW("arena-generations", 2, 1, 1e12, "ratio",
            "ARENA: blocks made / most alive at once; below, they live once and are state"),
    [THRESHOLD_RETAINED_SHARE] = ROW("retained-share", 0.5, 0.01, 1, "share",
                                     "RETAINED: at least this share of the blocks was never freed"),
    [THRESHOLD_RETAINED_LIFE] = ROW("retained-life", 0.1, 0.001, 1, "share",
                                    "RETAINED: the median block lives at least this share of the "
                                    "run, and most gets would miss a pool"),
    [THRESHOLD_POOL_SAVING] =
        ROW("pool-saving", 0.01, 0, 1, "share",
            "POOL, CAP, CLASSES: a pool saves at least this share of the program's CPU time"),
    [THRESHOLD_POOL_PRICE] =
        ROW("pool-price", 0.67, 0.01, 1, "ratio",
            "POOL, CAP, CLASSES, where both were measured: a pool's price / malloc's at most; replays can be off by a third"),
    [THRESHOLD_POOL_OVER] =
        ROW("pool-over-presize", 1, 0.5, 1000, "ratio",
            "POOL instead of PRESIZE, where both were measured: it saves this many times as much"),
    [THRESHOLD_POOL_OVER_ARENA] =
        ROW("pool-over-arena", 2, 0.5, 1000, "ratio",
            "POOL instead of ARENA, where both were measured: it saves this many times as much"),
    [THRESHOLD_POOL_CROSS_NS] = ROW(
        "pool-cross-ns", 10, 0, 1e6, "ns",
        "what a pool adds to a pair whose block is freed by another thread, until it is measured"),
    [THRESHOLD_SLAB_BYTES] = ROW("slab-bytes", 256, 8, 65536, "bytes",
                                 "SLAB hint: the blocks are of one size and at most this large"),
    [THRESHOLD_SLAB_LIVE] = ROW("slab-live", 10000, 1, 1e12, "count",
                                "SLAB hint: at least this many blocks are alive at once"),
    [THRESHOLD_SLAB_SPARSE] = ROW("slab-sparse", 2, 1, 1e6, "ratio",
                                  "SLAB hint: their pages hold this many times their bytes, or "
                                  "most neighbours are other sites'"),
    [THRESHOLD_WRAPPER_SHARE] =
        ROW("wrapper-share", 0.5, 0.01, 1, "share",
            "a site of many sizes and paths with this share of all blocks may be a wrapper"),
};

struct verdict_thresholds *verdict_thresholds_create(void)
{
    struct verdict_thresholds *thresholds = malloc(sizeof *thresholds);
    if (thresholds)
        memcpy(thresholds->table, presets, sizeof presets);
    return thresholds;
}

void verdict_thresholds_destroy(struct verdict_thresholds *thresholds)
{
    free(thresholds);
}

int verdict_thresholds_set(struct verdict_thresholds *thresholds, const char *assignment)
{
    const char *equals = strchr(assignment, '=');
    if (!equals || equals == assignment || !equals[1])
        return -EINVAL;

    struct verdict_threshold *found = NULL;
    size_t length = (size_t)(equals - assignment);
    for (size_t i = 0; i < THRESHOLD_COUNT; i++)
        if (strlen(thresholds->table[i].name) == length &&
            memcmp(thresholds->table[i].name, assignment, length) == 0)
            found = &thresholds->table[i];
    if (!found)
        return -ENOENT;

    char *end;
    double value = strtod(equals + 1, &end);
    if (end == equals + 1 || *end || isnan(value))
        return -EINVAL;
    if (value < found->low || value > found->high)
        return -ERANGE;
    found->value = value;
    return 0;
}

size_t verdict_thresholds_list(const struct verdict_thresholds *thresholds,
                               const struct verdict_threshold **ret_table)
{
    *ret_table = thresholds->table;
    return THRESHOLD_COUNT;
}

double threshold(const struct verdict_thresholds *thresholds, enum threshold which)
{
    return thresholds->table[which].value;
}
