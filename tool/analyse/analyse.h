/* SPDX-License-Identifier: MIT */
/*
 * Events in, facts per allocation site out. Pure: no files, no clock, no printing.
 *
 * site      the innermost call to an allocator from a function that is no wrapper: one return address
 *           there, plus the return addresses of the wrapper frames below it
 * instance  one activation of a function: a frame (slot and return address) from the first event that
 *           shows it until an event that shows it gone
 * level     how many frames up from the site's own: 0 is the function that asked for the block
 *
 * Streams: memory grows with live blocks, sites and distinct call paths, never with the number of
 * events. Wrappers are recognised by the resolver (by name) and by shape; shape is judged on the first
 * `prefix_events` events, which are held back and analysed once it is known.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "op_sizes.h"
#include "trace.h"

struct analyse;

/* What the analysis needs to know of an address; asked once for each. */
struct analyse_frame {
    uint64_t function; /* equal for all addresses in one function; never 0 */
    bool wrapper;      /* an allocator or a wrapper, by name */
    bool system;       /* libc and the like: never a wrapper by shape */
    bool named;        /* false: a stripped file; it counts as a wrapper right below one */
};

struct analyse_options {
    void *context;
    /* module TRACE_NO_MODULE: generated code. Always fills *ret_frame. */
    void (*resolve)(void *context, uint32_t module, uint64_t address, struct analyse_frame *ret_frame);
    /* The function named by --request: its instances are requests. 0: none. */
    bool (*is_request)(void *context, uint64_t function);
    uint32_t prefix_events; /* 0: 300,000 */
    uint32_t pool_items;    /* bound of the simulated pool, items idle per thread; 0: 64 MiB of them, as the library */
};

#define ANALYSE_LEVELS 16 /* outlived frames beyond this are counted in the last */
#define ANALYSE_STACKS 4  /* call paths kept per site: the most frequent */
#define ANALYSE_PERCENTILES 7

/* A histogram of 64-bit values. min, max and sum are exact. Percentiles of sizes are exact up to 512 distinct
 * values; beyond, and for lifetimes above 64, they are the upper edge of a bucket 1/32 wide. */
struct analyse_distribution {
    uint64_t count, min, max;
    double sum;
    uint64_t p1, p50, p95, p99, p999;
};

struct analyse_path {      /* a call path, as return addresses */
    uint32_t depth;
    const uint32_t *modules;   /* innermost first: the frame that called malloc comes first */
    const uint64_t *addresses;
    uint64_t count;            /* allocations that came by it; a lower bound when `approximate` */
};

struct analyse_site {
    uint32_t number;        /* dense, in order of first appearance */
    uint32_t module;        /* of the site's own return address; as first seen, where several modules are one file */
    uint64_t address;       /* 0 in TRACE_NO_MODULE: all allocations with no stack, one site */
    uint64_t function;      /* the resolver's id */
    uint32_t wrappers;      /* frames skipped below: paths[i].addresses[wrappers] == address */
    bool shape_wrapper;     /* one of those was recognised by its shape, not its name */
    struct analyse_path paths[ANALYSE_STACKS];
    uint32_t path_count;

    uint64_t allocations;   /* ALLOC events */
    struct op_sizes ops;    /* its events */
    uint64_t calls[TRACE_CALL_COUNT]; /* of which by entry point */
    uint64_t bytes;         /* asked for, ALLOC events and growth of REALLOC */
    uint64_t frees;
    uint64_t never_freed;   /* live at the end */
    uint64_t live_peak;     /* blocks alive at once */
    uint64_t live_peak_bytes;
    uint64_t live_bytes_end;
    uint32_t threads;       /* that allocated here */

    struct analyse_distribution size;      /* bytes at ALLOC */
    double within_2x;                      /* share of allocations in the densest window [s, 2s] */
    uint64_t window_low;                   /* that window's s */
    double spread;                         /* p99.9 / p1 */
    uint64_t size_classes;                 /* power-of-two classes that hold 99.9 % of allocations */
    struct analyse_distribution lifetime_ns; /* of freed blocks */
    uint64_t lifetime_events_p50;          /* in allocations of the same thread */

    /* Where blocks died, for those freed by the thread that made them and whose stacks are both known. */
    uint64_t outlived[ANALYSE_LEVELS]; /* [0]: freed while the site's own frame was active; [k]: k frames had ended */
    uint64_t outlived_known;           /* sum of the above */
    uint64_t freed_by_other_thread;
    uint64_t freed_in_burst;           /* within a run of >= 32 frees of one thread with no allocation between */
    uint64_t outlived_request;         /* alive when the request that made them ended (only with --request) */
    uint64_t in_request;               /* made inside a request */

    /* Instances: how often the site's function, and its caller, were active when allocating. */
    uint64_t instances[2];     /* distinct frames at level 0 and 1 that allocated here; 0: the frames are not known */
    uint64_t max_live_in_instance; /* most blocks of the site alive at once that one level-0 instance made */

    /* Growth: chains are blocks resized at least once. */
    struct {
        uint64_t chains, steps, moved; /* moved: steps that changed the address */
        uint64_t shrinks;              /* steps to a smaller size; not part of `steps` growth */
        uint64_t bytes_moved;          /* old sizes of moved blocks: what was copied */
        struct analyse_distribution first, final; /* sizes of chains */
        uint32_t module;               /* of the commonest realloc call */
        uint64_t address;
    } grow;

    /* A pool per thread, put at free by the freeing thread, get at allocation; what no get took for a whole reclaim
     * cycle, of 5 s, is gone. */
    uint64_t pool_hits, pool_drops; /* pool_hits / allocations is the hit rate */

    /* Density, for SLAB: pages (4 KiB) that hold live blocks of the site at its peak, sampled 1 in 16. */
    uint64_t peak_pages;
    uint64_t neighbour_near; /* allocations within 2 x their size of the site's previous block, either side */

    uint64_t first_ns, last_ns; /* of its allocations */
};

struct analyse_totals {
    uint64_t events, allocations, frees, reallocs, unknown_frees, bytes;
    uint64_t live_peak_bytes, live_peak_blocks, live_end_blocks, live_end_bytes;
    uint32_t threads, processes;
    uint64_t wrappers_by_shape;
    bool has_end;
    struct trace_end end;
};

/* NULL + errno: EINVAL (no resolver), ENOMEM. Options are copied. */
struct analyse *analyse_create(const struct analyse_options *options);
void analyse_destroy(struct analyse *analyse);

/* The sink to feed; owned by analyse. A callback returns -ENOMEM or, for input that breaks the model's rules, -EBADMSG.
 * After an error nothing more is taken, and every callback and analyse_finish return that error; after finish: -EINVAL.
 * Held-back events are checked when the prefix ends, so their error may come late. */
const struct trace_sink *analyse_sink(struct analyse *analyse);

/* After the last event: judges held-back events and finishes the facts. 0 or -errno. */
int analyse_finish(struct analyse *analyse);

/* Only after analyse_finish. Sites ordered by allocations, most first; valid until destroy. */
size_t analyse_sites(struct analyse *analyse, const struct analyse_site *const **ret_sites);
const struct analyse_totals *analyse_totals(const struct analyse *analyse);

/* Likewise: analyse_site.number of the site to which blocks made with this stack belong; UINT32_MAX: none was. */
uint32_t analyse_site_number(const struct analyse *analyse, uint32_t stack);
