/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "weigh.h"

#define PAGE_BYTES          4096
/* A pool that keeps items up to this size costs little whatever their real sizes. */
#define HARMLESS_ITEM_BYTES 4096

double share_of(double part, double whole)
{
    return whole > 0 && isfinite(part) && isfinite(whole) ? part / whole : 0;
}

uint64_t count_of(double value)
{
    return !(value > 0) ? 0 : value >= 0x1p63 ? UINT64_C(1) << 63 : (uint64_t)value;
}

uint64_t round_to_class(uint64_t bytes)
{
    uint64_t size = 16;
    while (size < bytes && size < UINT64_C(1) << 62)
        size *= 2;
    return size;
}

static double larger(double a, double b)
{
    return a > b ? a : b;
}

static double smaller(double a, double b)
{
    return a < b ? a : b;
}

static double finite_or_zero(double value)
{
    return isfinite(value) && value > 0 ? value : 0;
}

static void weigh_frames(const struct verdict_thresholds *thresholds, struct weighed *w)
{
    const struct analyse_site *site = w->facts;
    w->placed = site->outlived_known + site->freed_by_other_thread + site->never_freed;
    w->in_frame = share_of((double)site->outlived[0], (double)w->placed);
    w->in_caller =
        share_of((double)site->outlived[0] + (double)site->outlived[1], (double)w->placed);
    w->frames_known = site->outlived_known > 0 &&
                      (double)w->placed >= threshold(thresholds, THRESHOLD_FRAME_KNOWN) *
                                               ((double)site->frees + (double)site->never_freed);
    w->never_freed = share_of((double)site->never_freed, (double)site->allocations);
    w->cross_thread = share_of((double)site->freed_by_other_thread, (double)site->frees);
}

/* The cap starts at the highest percentile in the densest window and takes in each one above it
 * that is near the last; and sizes that one block in a hundred has, where all blocks alive at once may be as large:
 * these are in use, and each that is not pooled costs more than many small ones. */
static uint64_t choose_cap(const struct analyse_site *site, uint64_t window_top, double step,
                           double idle_bytes)
{
    const struct analyse_distribution *size = &site->size;
    const uint64_t percentiles[] = {size->p50, size->p95, size->p99, size->p999};
    const size_t count = sizeof percentiles / sizeof *percentiles;
    uint64_t cap = 0;
    for (size_t i = 0; i < count; i++)
        if (percentiles[i] <= window_top)
            cap = round_to_class(percentiles[i]);
    if (cap == 0)
        cap = round_to_class(window_top);
    for (size_t i = 0; i < count; i++)
        if (percentiles[i] > cap && (double)percentiles[i] <= step * (double)cap)
            cap = round_to_class(percentiles[i]);
    uint64_t regular = round_to_class(size->p99);
    if (regular > cap && (double)regular * (double)site->live_peak <= idle_bytes)
        cap = regular;
    return cap;
}

static void weigh_sizes(const struct verdict_thresholds *thresholds, struct weighed *w)
{
    const struct analyse_site *site = w->facts;
    const struct analyse_distribution *size = &site->size;
    uint64_t window_top = site->window_low ? 2 * site->window_low : 2 * size->p50;
    double limit = threshold(thresholds, THRESHOLD_SIZE_SPREAD);
    bool small = (double)size->max <= threshold(thresholds, THRESHOLD_SIZE_SMALL);

    w->largest =
        site->grow.chains && site->grow.final.max > size->max ? site->grow.final.max : size->max;
    w->outlier = share_of((double)size->max, window_top ? (double)window_top : 1);
    w->one_size = small || site->within_2x >= threshold(thresholds, THRESHOLD_SIZE_WITHIN);
    w->cap = choose_cap(site, window_top, threshold(thresholds, THRESHOLD_SIZE_CAP_STEP),
                        threshold(thresholds, THRESHOLD_SIZE_CAP_IDLE));
    w->cap_covers = size->p99 <= w->cap && (w->one_size || w->cap <= HARMLESS_ITEM_BYTES);
    w->wide = !small && (site->spread >= limit || w->outlier >= limit) &&
              (size->max > w->cap || w->cap > HARMLESS_ITEM_BYTES);
}

/* One function that makes most blocks of the program, of all sizes, for many callers. */
static bool looks_like_wrapper(const struct verdict_thresholds *thresholds,
                               const struct analyse_totals *totals, const struct weighed *w)
{
    const struct analyse_site *site = w->facts;
    double all = totals ? (double)totals->allocations : 0;
    return !w->one_size && site->path_count == ANALYSE_STACKS &&
           (double)site->paths[0].count < 0.5 * (double)site->allocations &&
           share_of((double)site->allocations, all) >=
               threshold(thresholds, THRESHOLD_WRAPPER_SHARE);
}

static void weigh_life(const struct verdict_thresholds *thresholds,
                       const struct analyse_totals *totals, struct weighed *w)
{
    const struct analyse_site *site = w->facts;
    w->grow_share = share_of((double)site->grow.chains, (double)site->allocations);
    w->grow_steps = share_of((double)site->grow.steps, (double)site->grow.chains);
    w->grows = site->grow.chains > 0 &&
               w->grow_share >= threshold(thresholds, THRESHOLD_GROW_SHARE) &&
               w->grow_steps >= threshold(thresholds, THRESHOLD_GROW_STEPS) &&
               site->grow.final.p50 > site->grow.first.p50;

    double run_ns =
        totals && totals->has_end && totals->end.wall_ns
            ? (double)totals->end.wall_ns
            : (double)(site->last_ns > site->first_ns ? site->last_ns - site->first_ns : 0);
    w->life = smaller(1, share_of((double)site->lifetime_ns.p50, run_ns));
    w->retained = w->never_freed >= threshold(thresholds, THRESHOLD_RETAINED_SHARE) ||
                  (w->life >= threshold(thresholds, THRESHOLD_RETAINED_LIFE) && w->hit_rate < 0.5);
}

/* What is saved at its own blocks and at others' are measured apart, so their errors add up as squares. */
static void weigh_interval(struct weighed *w)
{
    const struct verdict_cost *cost = &w->input->cost;
    if (!cost->measured)
        return;
    w->others_ns = larger(0, finite_or_zero(cost->others_ns));
    memcpy(w->saved_ci95, cost->saved_ci95, sizeof w->saved_ci95);
    if (w->others_ns == 0 || !isfinite(cost->saved_ci95[0]) || !isfinite(cost->saved_ci95[1]))
        return;
    double own = (cost->saved_ci95[0] + cost->saved_ci95[1]) / 2, others = (cost->others_ci95[0] + cost->others_ci95[1]) / 2;
    double width = hypot((cost->saved_ci95[1] - cost->saved_ci95[0]) / 2, (cost->others_ci95[1] - cost->others_ci95[0]) / 2);
    w->saved_ci95[0] = own + others - width;
    w->saved_ci95[1] = own + others + width;
}

/* What a pool can be expected to save. A replay of the site's own events already holds its misses
 * and its hand-overs between threads; the estimate has to put them in. */
static void weigh_pool(const struct verdict_thresholds *thresholds, double cpu_ns,
                       struct weighed *w)
{
    const struct analyse_site *site = w->facts;
    const struct verdict_cost *cost = &w->input->cost;
    double allocations = (double)site->allocations;
    double cross = (double)site->freed_by_other_thread;

    /* The simulated pool belongs to threads: what another thread freed never comes back in it. The
     * real one hands such blocks over, so all but those alive at the peak can be had again. */
    double handed_over = cross * larger(0, 1 - share_of((double)site->live_peak, allocations));
    double hits = smaller(allocations, larger((double)site->pool_hits, handed_over));
    w->hit_rate = share_of(hits, allocations);

    if (cost->measured)
        w->pool_ns = allocations * (w->malloc_ns - w->pool_pair_ns) + w->others_ns;
    else
        w->pool_ns = hits * w->malloc_ns - allocations * w->pool_pair_ns -
                     cross * threshold(thresholds, THRESHOLD_POOL_CROSS_NS);
    w->pool_share = share_of(w->pool_ns, cpu_ns);
    w->pool_cheap = w->pool_pair_ns <= w->malloc_ns * threshold(thresholds, THRESHOLD_POOL_PRICE);
    w->pool_wins = w->pool_ns > 0 &&
                   (cpu_ns <= 0 || w->pool_share >= threshold(thresholds, THRESHOLD_POOL_SAVING)) &&
                   (!cost->measured || (w->saved_ci95[0] > 0 && w->pool_cheap));
}

uint64_t pool_item_bytes(const struct weighed *w)
{
    if (w->facts->size.min == w->largest)
        return w->largest;
    return w->largest > w->cap && w->cap_covers ? w->cap : round_to_class(w->largest);
}

#define ITEM_WASTE 4 /* item / median block at most */
#define MALLOC_LEAST 24 /* room of glibc's smallest block: items of a few of them waste nothing */
#define BUFFER_BYTES 65536 /* as far as a pool of buffers goes by default */

/* Items of the cap's size, and malloc for what is larger, waste little when most blocks are nearly that large; else
 * each item holds a block of its own. */
static enum verdict_pool_kind capped(const struct weighed *w, uint64_t cap)
{
    uint64_t usual = w->facts->size.p50 > MALLOC_LEAST ? w->facts->size.p50 : MALLOC_LEAST;
    return cap <= ITEM_WASTE * usual ? VERDICT_POOL_PLAIN : VERDICT_POOL_CAPPED;
}

/* Blocks that grow belong in buffers that are kept with the room they have gained. */
static void weigh_form(struct weighed *w)
{
    const struct analyse_site *site = w->facts;
    if (w->grows) {
        uint64_t final = round_to_class(site->grow.final.p95);
        w->pool = (struct verdict_pool){VERDICT_POOL_BUFFERS, 0,
                                        final > BUFFER_BYTES ? final : BUFFER_BYTES};
    } else if (w->wide && w->cap_covers) {
        w->pool = (struct verdict_pool){capped(w, w->cap), 0, w->cap};
    } else if (w->wide || !w->one_size) {
        uint64_t low = round_to_class(site->size.p1 ? site->size.p1 : 1),
                 top = round_to_class(site->size.p99);
        w->pool = (struct verdict_pool){VERDICT_POOL_CLASSES, low, top > low ? top : low};
    } else {
        uint64_t bytes = pool_item_bytes(w);
        w->pool = (struct verdict_pool){bytes < w->largest ? capped(w, bytes) : VERDICT_POOL_PLAIN,
                                        0, bytes};
    }
}

static void weigh_density(const struct verdict_thresholds *thresholds, struct weighed *w)
{
    const struct analyse_site *site = w->facts;
    double pages_bytes = (double)site->peak_pages * PAGE_BYTES;
    bool sparse =
        pages_bytes >= threshold(thresholds, THRESHOLD_SLAB_SPARSE) * (double)site->live_peak_bytes;
    bool mixed = (double)site->neighbour_near < 0.5 * (double)site->allocations;
    w->slab_hint =
        w->one_size && (double)w->largest <= threshold(thresholds, THRESHOLD_SLAB_BYTES) &&
        (double)site->live_peak >= threshold(thresholds, THRESHOLD_SLAB_LIVE) && (sparse || mixed);
}

static int by_cost(const void *a, const void *b)
{
    const struct weighed *const *left = a, *const *right = b;
    if ((*left)->cost_ns != (*right)->cost_ns)
        return (*left)->cost_ns > (*right)->cost_ns ? -1 : 1;
    return (*left)->input->rank < (*right)->input->rank ? -1 : 1;
}

static int by_death(const void *a, const void *b)
{
    const struct weighed *const *left = a, *const *right = b;
    const struct verdict_names *l = &(*left)->input->names, *r = &(*right)->input->names;
    int order = strcmp(l->death_function ? l->death_function : "",
                       r->death_function ? r->death_function : "");
    return order                                 ? order
           : (*left)->bursts != (*right)->bursts ? (*left)->bursts - (*right)->bursts
                                                 : 0;
}

static void count_arena_sites(struct weighed **sites, size_t count)
{
    qsort(sites, count, sizeof *sites, by_death);
    for (size_t start = 0, end; start < count; start = end) {
        for (end = start + 1; end < count && by_death(&sites[start], &sites[end]) == 0; end++)
            ;
        for (size_t i = start; i < end; i++)
            sites[i]->arena_sites = sites[i]->bursts ? end - start : 0;
    }
}

int weigh(const struct verdict_thresholds *thresholds, const struct verdict_input *inputs,
          size_t count, const struct analyse_totals *totals, uint64_t program_cpu_ns,
          struct weighed *ret_weighed)
{
    struct weighed **order = calloc(count ? count : 1, sizeof *order);
    if (!order)
        return -ENOMEM;

    for (size_t i = 0; i < count; i++) {
        struct weighed *w = &ret_weighed[i];
        const struct analyse_site *site = inputs[i].site;
        *w = (struct weighed){.input = &inputs[i], .facts = site, .best_rank = inputs[i].rank};
        order[i] = w;
        w->malloc_ns = finite_or_zero(inputs[i].cost.malloc_pair_ns);
        w->pool_pair_ns = finite_or_zero(inputs[i].cost.pool_pair_ns);
        double step_ns = finite_or_zero(inputs[i].cost.grow_step_ns);
        if (!inputs[i].cost.measured)
            w->growth_ns =
                (double)site->grow.steps * (step_ns > 0 ? step_ns : w->malloc_ns) +
                (double)site->grow.bytes_moved * threshold(thresholds, THRESHOLD_GROW_COPY_NS);
        if (inputs[i].cost.measured && inputs[i].cost.simpler.measured)
            w->simpler_ns = (double)site->allocations *
                            (w->malloc_ns - finite_or_zero(inputs[i].cost.simpler.pair_ns));
        w->cost_ns = (double)site->allocations * w->malloc_ns + w->growth_ns;
        weigh_interval(w);
        w->share = share_of(w->cost_ns + larger(0, w->others_ns), (double)program_cpu_ns);
        weigh_frames(thresholds, w);
        weigh_sizes(thresholds, w);
        w->hides_callers = looks_like_wrapper(thresholds, totals, w);
        weigh_pool(thresholds, (double)program_cpu_ns, w);
        weigh_life(thresholds, totals, w);
        weigh_form(w);
        weigh_density(thresholds, w);
        /* One generation alone is the program's state, however it is freed at the end. */
        w->bursts =
            inputs[i].names.death_function && w->frames_known && site->frees > 0 &&
            share_of((double)site->freed_in_burst, (double)site->frees) >=
                threshold(thresholds, THRESHOLD_ARENA_BURST) &&
            (double)site->allocations >=
                threshold(thresholds, THRESHOLD_ARENA_GENERATIONS) * (double)site->live_peak &&
            w->never_freed < threshold(thresholds, THRESHOLD_RETAINED_SHARE);
    }
    count_arena_sites(order, count);
    qsort(order, count, sizeof *order, by_cost);
    for (size_t i = 0; i < count; i++)
        if (i < order[i]->best_rank)
            order[i]->best_rank = i;
    free(order);
    return 0;
}
