/* SPDX-License-Identifier: MIT */
#include "appraise.h"

#include <errno.h>
#include <glob.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BYTES_HIGH  (1u << 30) /* no form is larger */
#define PAGE_BYTES  4096u
#define ALONE_SITES 3u         /* at most: each takes its part of the time */

static const struct {
    const char *name, *file;
} libraries[] = {{"jemalloc", "libjemalloc.so.2"},
                 {"mimalloc", "libmimalloc.so.2*"},
                 {"tcmalloc", "libtcmalloc_minimal.so.4"}};

static bool library_find(const char *file, char *ret_path, size_t size)
{
    static const char *const folders[] = {"/usr/lib/*-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/local/lib"};
    bool known = false;
    for (size_t i = 0; i < sizeof folders / sizeof *folders && !known; i++) {
        char pattern[128];
        glob_t found;
        snprintf(pattern, sizeof pattern, "%s/%s", folders[i], file);
        if (glob(pattern, 0, NULL, &found))
            continue;
        known = snprintf(ret_path, size, "%s", found.gl_pathv[0]) < (int)size;
        globfree(&found);
    }
    return known;
}

static struct appraise_row *row_add(struct appraisal *measure, enum appraise_backend backend, const char *name)
{
    struct appraise_row *row = &measure->rows[measure->row_count++];
    *row = (struct appraise_row){.backend = backend, .alone = IMAGE_PLACES};
    snprintf(row->name, sizeof row->name, "%s", name);
    return row;
}

void appraise_rows(struct appraisal *measure, bool all)
{
    measure->row_count = 0;
    row_add(measure, APPRAISE_MALLOC, "malloc");
    row_add(measure, APPRAISE_POOL, "pool");
    row_add(measure, APPRAISE_SIMPLER, "simpler");
    if (!all)
        return;
    row_add(measure, APPRAISE_FRESH, "malloc, empty heap");
    row_add(measure, APPRAISE_LITTERED, "malloc, littered heap");
    for (size_t i = 0; i < sizeof libraries / sizeof *libraries && measure->row_count < IMAGE_VARIANTS; i++) {
        char path[sizeof measure->rows[0].library];
        if (!library_find(libraries[i].file, path, sizeof path))
            continue;
        struct appraise_row *row = row_add(measure, APPRAISE_LIBRARY, libraries[i].name);
        memcpy(row->library, path, sizeof path);
    }
}

/* A pool of one site spares the others work, since there is less in the heap. Of all sites at once nobody knows which of
 * them it was. Sites come the costliest first. */
static void rows_alone(struct appraisal *measure, size_t site_count)
{
    for (uint32_t i = 0; i < measure->row_count; i++)
        if (measure->rows[i].backend == APPRAISE_POOL && site_count == 1)
            measure->rows[i].alone = 0;
    for (uint32_t site = 0; site < ALONE_SITES && site < site_count && site_count > 1; site++)
        if (measure->row_count < IMAGE_VARIANTS)
            row_add(measure, APPRAISE_ALONE, "one site by a pool")->alone = site;
}

static uint32_t clamp_bytes(uint64_t bytes)
{
    return bytes < 1 ? 1 : bytes > BYTES_HIGH ? BYTES_HIGH : (uint32_t)bytes;
}

static struct image_form pool_form(const struct appraise_site *site)
{
    static const enum form_kind kinds[] = {[VERDICT_POOL_PLAIN] = FORM_POOL,
                                           [VERDICT_POOL_CAPPED] = FORM_CAPPED,
                                           [VERDICT_POOL_CLASSES] = FORM_CLASSES,
                                           [VERDICT_POOL_BUFFERS] = FORM_BUFFERS};
    return (struct image_form){kinds[site->pool.kind], clamp_bytes(site->pool.low), clamp_bytes(site->pool.bytes)};
}

static struct image_form simpler_form(const struct appraise_site *site)
{
    struct image_form form = {FORM_MALLOC, 0, clamp_bytes(site->simpler_bytes)};
    switch (site->simpler) {
    case VERDICT_STACK:
        form.kind = FORM_STACK;
        break;
    case VERDICT_HOIST:
        form.kind = FORM_HOIST;
        break;
    case VERDICT_PRESIZE:
        form.kind = FORM_PRESIZE;
        break;
    case VERDICT_ARENA: /* in chunks as the advised code makes them */
        form.kind = FORM_ARENA;
        form.bytes = form.bytes / 8 < 4096 ? 4096 : form.bytes / 8 > 1048576 ? 1048576 : form.bytes / 8;
        break;
    default:
        break;
    }
    return form;
}

struct places {
    const struct analyse *analyse;
    uint8_t *of_site; /* place by analyse_site.number */
    uint32_t site_limit, others;
};

static uint32_t place_of(void *context, uint32_t stack)
{
    const struct places *places = context;
    uint32_t site = analyse_site_number(places->analyse, stack);
    return site < places->site_limit ? places->of_site[site] : places->others;
}

/* By place: the chosen sites' events, then all others'. */
static void counts_make(struct analyse *analyse, const struct appraise_site *sites, size_t count, struct op_sizes *counts)
{
    const struct analyse_site *const *all;
    size_t all_count = analyse_sites(analyse, &all);
    memset(counts, 0, (count + 1) * sizeof *counts);
    for (size_t i = 0; i < all_count; i++) {
        size_t place = 0;
        while (place < count && sites[place].facts->number != all[i]->number)
            place++;
        op_sizes_add(&counts[place], &all[i]->ops);
    }
}

static int places_make(const struct analyse *analyse, const struct appraise_site *sites, size_t count, struct places *places)
{
    *places = (struct places){.analyse = analyse, .others = (uint32_t)count};
    for (size_t i = 0; i < count; i++)
        if (sites[i].facts->number >= places->site_limit)
            places->site_limit = sites[i].facts->number + 1;
    places->of_site = malloc(places->site_limit + 1u);
    if (!places->of_site)
        return -ENOMEM;
    memset(places->of_site, (int)count, places->site_limit + 1u);
    for (size_t i = 0; i < count; i++)
        places->of_site[sites[i].facts->number] = (uint8_t)i;
    return 0;
}

static void variants_make(const struct appraisal *measure, const struct appraise_site *sites, size_t count,
                          struct replay_variant *variants)
{
    for (uint32_t i = 0; i < measure->row_count; i++) {
        const struct appraise_row *row = &measure->rows[i];
        variants[i] = (struct replay_variant){
            .preload = row->backend == APPRAISE_LIBRARY ? row->library : NULL,
            .heap = row->backend == APPRAISE_FRESH      ? HEAP_FRESH
                    : row->backend == APPRAISE_LITTERED ? HEAP_LITTERED
                                                       : HEAP_RECORDED,
            .alone = row->alone};
        for (size_t k = 0; k < count; k++)
            variants[i].forms[k] = row->backend == APPRAISE_POOL || row->alone == k ? pool_form(&sites[k])
                                   : row->backend == APPRAISE_SIMPLER ? simpler_form(&sites[k])
                                                                     : (struct image_form){FORM_MALLOC, 0, 0};
    }
}

int appraise_run(struct appraisal *measure, const struct windows *windows, struct analyse *analyse,
                const struct appraise_site *sites, size_t site_count, const struct appraise_options *options)
{
    struct places places;
    int status = places_make(analyse, sites, site_count, &places);
    if (status)
        return status;
    const struct schedule_options wanted = {.windows = windows, .place_of = place_of, .context = &places,
                                            .place_count = (uint32_t)site_count + 1, .work = 1};
    struct schedule schedule;
    status = schedule_create(&wanted, &schedule);
    free(places.of_site);
    if (status)
        return status;
    measure->unknown = schedule.unknown;
    measure->too_large = schedule.too_large;

    struct op_sizes counts[IMAGE_PLACES];
    counts_make(analyse, sites, site_count, counts);
    rows_alone(measure, site_count);
    struct replay_variant *variants = calloc(measure->row_count, sizeof *variants);
    if (variants) {
        variants_make(measure, sites, site_count, variants);
        /* Each page that is resident at the peak was touched once: the other faults are on what was given back. */
        const struct trace_end *end = &analyse_totals(analyse)->end;
        uint64_t pages = end->peak_bytes / PAGE_BYTES, refaults = end->minor_faults > pages ? end->minor_faults - pages : 0;
        const struct replay_options how = {options->seconds, variants, measure->row_count, counts,
                                           end->minor_faults > 0, refaults, options->progress, options->context};
        status = replay_run(&schedule, &how, &measure->result);
    } else {
        status = -ENOMEM;
    }
    free(variants);
    schedule_destroy(&schedule);
    return status;
}

static uint32_t row_of(const struct appraisal *measure, enum appraise_backend backend)
{
    uint32_t row = 0;
    while (row + 1 < measure->row_count && measure->rows[row].backend != backend)
        row++;
    return row;
}

/*
 * Only what is plainly there, since it is a small difference of many more blocks than the site's own; and only a gain: to call
 * two allocators in turn is something that processors have to learn, which makes all calls a little dearer in a replay.
 */
static void add_others(const struct appraisal *measure, size_t place, double program_cpu_ns, struct verdict_cost *cost)
{
    for (uint32_t i = 0; i < measure->row_count && program_cpu_ns > 0; i++) {
        const struct replay_others *others = &measure->result.others[i];
        if (measure->rows[i].alone != place || measure->result.failed[i] || !isfinite(others->ci95[0]) ||
            !(others->ci95[0] > 0 && others->ci95[0] >= others->saved_ns / 2))
            continue;
        cost->others_ns = others->saved_ns;
        cost->others_ci95[0] = others->ci95[0] / program_cpu_ns;
        cost->others_ci95[1] = others->ci95[1] / program_cpu_ns;
        return;
    }
}

void appraise_cost(const struct appraisal *measure, const struct appraise_site *site, size_t place, double program_cpu_ns,
                  struct verdict_cost *cost)
{
    const struct replay_result *result = &measure->result;
    uint32_t pool = row_of(measure, APPRAISE_POOL), simpler = row_of(measure, APPRAISE_SIMPLER);
    const struct replay_price *by_malloc = &result->prices[0][place], *by_pool = &result->prices[pool][place];
    const struct replay_price *by_simpler = &result->prices[simpler][place];
    if (!by_malloc->made || result->failed[pool] || !by_pool->made || result->repetitions < REPLAY_LEAST)
        return;
    double scale = program_cpu_ns > 0 ? (double)site->facts->allocations / program_cpu_ns : 1;
    *cost = (struct verdict_cost){.page_ns = cost->page_ns,
                                  .malloc_pair_ns = by_malloc->pair_ns,
                                  .pool_pair_ns = by_pool->pair_ns,
                                  .measured = true,
                                  .saved_ci95 = {by_pool->ci95[0] * scale, by_pool->ci95[1] * scale},
                                  .repetitions = result->repetitions};
    if (by_pool->ci95[0] > 0) /* who loses at its own blocks is no pool, whatever the heap gains */
        add_others(measure, place, program_cpu_ns, cost);
    if (site->simpler == VERDICT_TAIL || result->failed[simpler] || !by_simpler->made)
        return;
    cost->simpler.measured = true;
    cost->simpler.kind = site->simpler;
    cost->simpler.pair_ns = by_simpler->pair_ns;
    cost->simpler.saved_ci95[0] = by_simpler->ci95[0] * scale;
    cost->simpler.saved_ci95[1] = by_simpler->ci95[1] * scale;
}
