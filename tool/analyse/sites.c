/* SPDX-License-Identifier: MIT */
/* From a stack to its site, lane and seat: asked once for each node, then kept in it. */
#include "analyse_internal.h"

#include <errno.h>
#include <string.h>

static int site_create(struct analyse *a, uint32_t path, uint32_t skip, bool shape_wrapper,
                       uint32_t *ret_site)
{
    int result = array_reserve((void **)&a->sites, &a->site_capacity, a->site_count + 1,
                               sizeof(struct site *));
    if (result)
        return result;
    struct site *site = aligned_alloc(_Alignof(struct site), sizeof *site);
    if (!site)
        return -ENOMEM;
    *site = (struct site){.path = path, .skip = (uint16_t)skip, .shape_wrapper = shape_wrapper};
    a->sites[a->site_count] = site;
    *ret_site = a->site_count++;
    return 0;
}

static int chain_of(struct analyse *a, uint32_t parent, uint32_t code, uint32_t *ret_chain)
{
    uint64_t key = (uint64_t)parent << 32 | code;
    uint32_t chain = map_find(&a->chain_ids, key);
    if (chain == ANALYSE_NONE) {
        int result = array_reserve((void **)&a->chains, &a->chain_capacity, a->chain_count + 1,
                                   sizeof *a->chains);
        if (!result)
            result = map_add(&a->chain_ids, key, a->chain_count);
        if (result)
            return result;
        chain = a->chain_count++;
        a->chains[chain] = (struct chain){.site = ANALYSE_NONE};
    }
    *ret_chain = chain;
    return 0;
}

static uint32_t path_up(const struct analyse *a, uint32_t path, uint32_t frames)
{
    while (frames--)
        path = a->paths[path].parent;
    return path;
}

int sites_of_path(struct analyse *a, uint32_t path, uint32_t *ret_site)
{
    if (a->paths[path].site != ANALYSE_NONE) {
        *ret_site = a->paths[path].site;
        return 0;
    }
    int result = nodes_skip(a, path);
    if (result)
        return result;
    /* The key is built outside in, so that sites whose outer codes agree share them. Walking up
     * anew for each frame costs the square of a handful of wrappers, once. */
    uint32_t skip = a->paths[path].skip, chain = 0;
    bool shape_wrapper = false;
    for (uint32_t frames = skip + 1; frames--;) {
        uint32_t code = a->paths[path_up(a, path, frames)].code;
        result = chain_of(a, chain, code, &chain);
        if (result)
            return result;
        shape_wrapper |= frames < skip && !a->codes[code].wrapper;
    }
    if (a->chains[chain].site == ANALYSE_NONE) {
        result = site_create(a, path, skip, shape_wrapper, &a->chains[chain].site);
        if (result)
            return result;
    }
    *ret_site = a->paths[path].site = a->chains[chain].site;
    return 0;
}

int sites_lane(struct analyse *a, uint32_t site, uint32_t thread, uint32_t *ret_lane)
{
    uint64_t key = (uint64_t)site << 32 | thread;
    uint32_t lane = map_find(&a->lane_ids, key);
    if (lane == ANALYSE_NONE) {
        int result = array_reserve((void **)&a->lanes, &a->lane_capacity, a->lane_count + 1,
                                   sizeof *a->lanes);
        if (!result)
            result = map_add(&a->lane_ids, key, a->lane_count);
        if (result)
            return result;
        lane = a->lane_count++;
        a->lanes[lane] = (struct lane){0};
    }
    *ret_lane = lane;
    return 0;
}

static int seat_of(struct analyse *a, uint32_t site, uint32_t thread, uint32_t home, bool known,
                   uint32_t *ret_seat)
{
    uint32_t lane = 0;
    int result = sites_lane(a, site, thread, &lane);
    if (result)
        return result;
    uint64_t key = (uint64_t)lane << 32 | home << 1 | known;
    uint32_t seat = map_find(&a->seat_ids, key);
    if (seat == ANALYSE_NONE) {
        result = array_reserve((void **)&a->seats, &a->seat_capacity, a->seat_count + 1,
                               sizeof *a->seats);
        if (!result)
            result = map_add(&a->seat_ids, key, a->seat_count);
        if (result)
            return result;
        seat = a->seat_count++;
        a->seats[seat] =
            (struct seat){.lane = lane, .site = site, .home = (uint16_t)home, .known = known};
    }
    if (!a->lanes[lane].allocated) {
        a->lanes[lane].allocated = true;
        a->sites[site]->threads++;
    }
    *ret_seat = seat;
    return 0;
}

/* The seat of allocations with this stack, or with none. */
int sites_seat_slow(struct analyse *a, uint32_t stack, uint32_t thread, uint32_t *ret_seat)
{
    uint32_t path = 0, site = 0, home = 0;
    int result = 0;
    bool known = stack != TRACE_NO_STACK;
    if (known)
        path = a->nodes[stack].path;
    else
        result = nodes_unknown_path(a, &path);
    if (!result)
        result = sites_of_path(a, path, &site);
    if (result)
        return result;
    if (known) {
        home = a->nodes[stack].depth - a->paths[path].skip - 1u;
        known = home || !a->nodes[stack].truncated;
    }
    result = seat_of(a, site, thread, home, known, ret_seat);
    if (result)
        return result;
    if (stack != TRACE_NO_STACK)
        a->nodes[stack].seat = *ret_seat;
    else
        a->threads[thread].unknown_seat = *ret_seat;
    return 0;
}

/* Grows an emptied log, so that what it holds next goes in with fewer cache misses each. */
static int log_grow(void **log, uint32_t *capacity, size_t item_size)
{
    if (*capacity == SITE_LOG_TOP)
        return 0;
    uint32_t wanted = *capacity ? *capacity * 8 : SITE_LOG_LOW;
    void *grown = malloc(wanted * item_size);
    if (!grown)
        return -ENOMEM;
    free(*log);
    *log = grown;
    *capacity = wanted;
    return 0;
}

static int sizes_empty(struct site *site)
{
    for (uint32_t i = 0; i < site->size_count; i++) {
        int result = distribution_add(&site->size, site->sizes[i]);
        if (result)
            return result;
        site->bytes += site->sizes[i];
    }
    site->size_count = 0;
    return 0;
}

static int lifetime_add(struct site *site, uint64_t ns, uint64_t clock)
{
    int result = distribution_add_bucketed(&site->lifetime_ns, ns);
    return result ? result : distribution_add_bucketed(&site->lifetime_clock, clock);
}

static int lifetimes_empty(struct site *site)
{
    for (uint32_t i = 0; i < site->lifetime_count; i++) {
        int result = lifetime_add(site, site->lifetimes[i] >> 24, site->lifetimes[i] & 0xffffff);
        if (result)
            return result;
    }
    site->lifetime_count = 0;
    return 0;
}

static int sizes_full(struct site *site)
{
    int result = sizes_empty(site);
    return result ? result
                  : log_grow((void **)&site->sizes, &site->size_capacity, sizeof *site->sizes);
}

static int lifetimes_full(struct site *site)
{
    int result = lifetimes_empty(site);
    return result ? result
                  : log_grow((void **)&site->lifetimes, &site->lifetime_capacity,
                             sizeof *site->lifetimes);
}

int site_log_size_slow(struct site *site, uint64_t size)
{
    if (size > UINT32_MAX) {
        site->bytes += size;
        return distribution_add(&site->size, size);
    }
    int result = sizes_full(site);
    if (!result)
        site->sizes[site->size_count++] = (uint32_t)size;
    return result;
}

int site_log_lifetime_slow(struct site *site, uint64_t ns, uint64_t clock)
{
    if (ns >> 40 || clock >> 24)
        return lifetime_add(site, ns, clock);
    int result = lifetimes_full(site);
    if (!result)
        site->lifetimes[site->lifetime_count++] = ns << 24 | clock;
    return result;
}

int site_logs_empty(struct site *site)
{
    int result = sizes_empty(site);
    return result ? result : lifetimes_empty(site);
}

uint32_t analyse_site_number(const struct analyse *a, uint32_t stack)
{
    uint32_t path = stack == TRACE_NO_STACK ? a->unknown_path
                    : stack < a->node_count ? a->nodes[stack].path
                                            : ANALYSE_NONE;
    return path < a->path_count ? a->paths[path].site : ANALYSE_NONE;
}

void sites_done(struct analyse *a)
{
    for (uint32_t i = 0; i < a->site_count; i++) {
        struct site *site = a->sites[i];
        distribution_done(&site->size);
        distribution_done(&site->lifetime_ns);
        distribution_done(&site->lifetime_clock);
        if (site->growth) {
            distribution_done(&site->growth->first);
            distribution_done(&site->growth->final);
        }
        free(site->growth);
        free(site->sizes);
        free(site->lifetimes);
        free(site);
    }
    free(a->sites);
    free(a->chains);
    free(a->lanes);
    free(a->seats);
    map_done(&a->chain_ids);
    map_done(&a->lane_ids);
    map_done(&a->seat_ids);
}
