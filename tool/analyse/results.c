/* SPDX-License-Identifier: MIT */
/* The facts as the rest of the house reads them, made once all events are in. */
#include "analyse_internal.h"

#include <errno.h>

/* The paths of one site with the most allocations, most first; earlier ones win a tie. */
struct top {
    uint32_t paths[ANALYSE_STACKS];
    uint32_t count;
};

static void top_add(const struct analyse *a, struct top *top, uint32_t path)
{
    uint32_t at = top->count < ANALYSE_STACKS ? top->count++ : ANALYSE_STACKS;
    for (; at && a->paths[top->paths[at - 1]].allocations < a->paths[path].allocations; at--)
        if (at < ANALYSE_STACKS)
            top->paths[at] = top->paths[at - 1];
    if (at < ANALYSE_STACKS)
        top->paths[at] = path;
}

static uint32_t path_depth(const struct analyse *a, uint32_t path)
{
    uint32_t depth = 0;
    for (; path; path = a->paths[path].parent)
        depth++;
    return depth;
}

/* Every path's count is exact: each is counted in the tree of paths, not in a bounded table. */
static int paths_make(struct analyse *a)
{
    for (uint32_t i = 1; i < a->node_count; i++)
        a->paths[a->nodes[i].path].allocations += a->nodes[i].allocations;
    struct top *tops = calloc(a->site_count ? a->site_count : 1, sizeof *tops);
    if (!tops)
        return -ENOMEM;
    for (uint32_t i = 1; i < a->path_count; i++)
        if (a->paths[i].allocations && a->paths[i].site != ANALYSE_NONE)
            top_add(a, &tops[a->paths[i].site], i);
    size_t frames = 0;
    for (uint32_t i = 0; i < a->site_count; i++)
        for (uint32_t k = 0; k < tops[i].count; k++)
            frames += path_depth(a, tops[i].paths[k]);
    a->result_codes = malloc((frames ? frames : 1) * sizeof *a->result_codes);
    a->result_addresses = malloc((frames ? frames : 1) * sizeof *a->result_addresses);
    if (!a->result_codes || !a->result_addresses) {
        free(tops);
        return -ENOMEM;
    }
    size_t used = 0;
    for (uint32_t i = 0; i < a->site_count; i++) {
        struct analyse_site *result = &a->results[i];
        result->path_count = tops[i].count;
        for (uint32_t k = 0; k < tops[i].count; k++) {
            uint32_t path = tops[i].paths[k];
            struct analyse_path *ret = &result->paths[k];
            ret->modules = &a->result_codes[used];
            ret->addresses = &a->result_addresses[used];
            ret->count = a->paths[path].allocations;
            for (; path; path = a->paths[path].parent, used++) {
                const struct code *code = &a->codes[a->paths[path].code];
                a->result_codes[used] = code->module;
                a->result_addresses[used] = code->address;
                ret->depth++;
            }
        }
    }
    free(tops);
    return 0;
}

static int summary_make(const struct distribution *d, struct analyse_distribution *ret)
{
    struct distribution_range *ranges = NULL;
    size_t count = 0;
    int result = distribution_ranges(d, &ranges, &count);
    if (result)
        return result;
    distribution_summary(d, ranges, count, ret);
    free(ranges);
    return 0;
}

static int size_make(const struct site *site, struct analyse_site *ret)
{
    struct distribution_range *ranges = NULL;
    size_t count = 0;
    int result = distribution_ranges(&site->size, &ranges, &count);
    if (result)
        return result;
    distribution_summary(&site->size, ranges, count, &ret->size);
    ret->within_2x = distribution_window(&site->size, ranges, count, &ret->window_low);
    ret->size_classes = distribution_classes(&site->size, ranges, count);
    free(ranges);
    uint64_t low = ret->size.p1 ? ret->size.p1 : 1, high = ret->size.p999 ? ret->size.p999 : 1;
    ret->spread = (double)high / (double)low;
    return 0;
}

static int growth_make(const struct analyse *a, const struct site_growth *growth,
                       struct analyse_site *ret)
{
    ret->grow.chains = growth->chains;
    ret->grow.steps = growth->steps;
    ret->grow.moved = growth->moved;
    ret->grow.shrinks = growth->shrinks;
    ret->grow.bytes_moved = growth->bytes_moved;
    uint64_t most = 0;
    for (uint32_t i = 0; i < growth->caller_count; i++)
        if (growth->callers[i].count > most) {
            most = growth->callers[i].count;
            ret->grow.module = a->codes[growth->callers[i].code].module;
            ret->grow.address = a->codes[growth->callers[i].code].address;
        }
    int result = summary_make(&growth->first, &ret->grow.first);
    return result ? result : summary_make(&growth->final, &ret->grow.final);
}

static int site_make(const struct analyse *a, uint32_t number, struct analyse_site *ret)
{
    const struct site *site = a->sites[number];
    uint32_t path = site->path;
    for (uint32_t skip = site->skip; skip--;)
        path = a->paths[path].parent;
    const struct code *code = &a->codes[a->paths[path].code];
    *ret = (struct analyse_site){
        .number = number,
        .module = code->module,
        .address = code->address,
        .function = a->functions[code->function].id,
        .wrappers = site->skip,
        .shape_wrapper = site->shape_wrapper,
        .allocations = site->allocations,
        .bytes = site->bytes + site->grown_bytes,
        .frees = site->allocations - site->live,
        .never_freed = site->live,
        .live_peak = site->live_peak,
        .live_peak_bytes = site->live_peak_bytes,
        .live_bytes_end = site->live_bytes,
        .threads = site->threads,
        .freed_by_other_thread = site->freed_by_other_thread,
        .freed_in_burst = site->freed_in_burst,
        .outlived_request = site->outlived_request,
        .in_request = site->in_request,
        .max_live_in_instance = site->max_live_in_instance,
        .grow.module = TRACE_NO_MODULE,
        .ops = site->ops,
        .pool_hits = site->pool_hits,
        .pool_drops = site->pool_drops,
        .peak_pages = site->peak_pages,
        .neighbour_near = site->neighbour_near,
        .first_ns = site->first_ns,
        .last_ns = site->last_ns,
    };
    ret->calls[TRACE_CALL_MALLOC] = site->allocations;
    for (size_t i = 0; i < TRACE_CALL_COUNT; i++)
        if (i != TRACE_CALL_MALLOC) {
            ret->calls[i] = site->calls[i];
            ret->calls[TRACE_CALL_MALLOC] -= site->calls[i];
        }
    for (size_t i = 0; i < ANALYSE_LEVELS; i++) {
        ret->outlived[i] = site->outlived[i];
        ret->outlived_known += site->outlived[i];
    }
    ret->instances[0] = site->instances[0];
    ret->instances[1] = site->instances[1];

    int result = size_make(site, ret);
    if (!result)
        result = summary_make(&site->lifetime_ns, &ret->lifetime_ns);
    struct analyse_distribution clocks = {0};
    if (!result)
        result = summary_make(&site->lifetime_clock, &clocks);
    ret->lifetime_events_p50 = clocks.p50;
    if (!result && site->growth)
        result = growth_make(a, site->growth, ret);
    return result;
}

static int compare_results(const void *left, const void *right)
{
    const struct analyse_site *a = *(const struct analyse_site *const *)left;
    const struct analyse_site *b = *(const struct analyse_site *const *)right;
    if (a->allocations != b->allocations)
        return (a->allocations < b->allocations) - (a->allocations > b->allocations);
    return (a->number > b->number) - (a->number < b->number);
}

int results_make(struct analyse *a)
{
    size_t room = a->site_count ? a->site_count : 1;
    a->results = calloc(room, sizeof *a->results);
    a->result_order = calloc(room, sizeof *a->result_order);
    if (!a->results || !a->result_order)
        return -ENOMEM;
    for (uint32_t i = 0; i < a->site_count; i++) {
        int result = site_make(a, i, &a->results[i]);
        if (result)
            return result;
        a->result_order[i] = &a->results[i];
    }
    qsort(a->result_order, a->site_count, sizeof *a->result_order, compare_results);
    return paths_make(a);
}

void results_done(struct analyse *a)
{
    free(a->results);
    free(a->result_order);
    free(a->result_codes);
    free(a->result_addresses);
}
