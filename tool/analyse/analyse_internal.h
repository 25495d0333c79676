/* SPDX-License-Identifier: MIT */
/*
 * The state behind analyse.h, shared by the files of this room.
 *
 * code      one return address in one file, however often that file is loaded
 * path      a call path without slots: a node of the tree of codes, shared by all threads
 * node      a frame instance as the trace defines it; several threads' have a path in common
 * level     one depth of a thread's present stack: the node there, and since when
 * clock     allocations a thread has made so far; what "since" and ages are measured in
 * home      the depth of the node that holds the return address out of the site's function:
 *           as long as that node stays, so does the function's activation (0: outermost)
 * lane      a site on one thread: holds the simulated pool
 * seat      a lane at one home depth: exactly one activation sits there at a time
 * block     a live allocation
 *
 * Events touch only arrays indexed by these dense numbers. Hashing happens where something is seen
 * for the first time, when a thread frees what another made, and for one page in sixteen.
 */
#pragma once

#include <stdlib.h>

#include "analyse.h"

#define ANALYSE_NONE       UINT32_MAX
#define ANALYSE_DEPTH_MAX  32000u /* deeper stacks are refused: levels are counted in 16 bits */
#define ANALYSE_BURST      32u
#define ANALYSE_REALLOCERS 8u
#define ANALYSE_ROUNDS     6u /* wrappers around wrappers, so deep */

/* Grows *array to hold at least `need` items. 0 or -ENOMEM; the array is untouched on failure. */
int array_reserve(void **array, uint32_t *capacity, uint32_t need, size_t item_size);

/* ---- map.c: 64-bit key to 32-bit value, never removed ---- */

struct map {
    struct map_entry {
        uint64_t key;
        uint32_t value; /* + 1; 0: empty */
    } * entries;
    uint32_t mask, used;
};

uint32_t map_find(const struct map *map, uint64_t key);     /* ANALYSE_NONE: absent */
int map_add(struct map *map, uint64_t key, uint32_t value); /* key must be absent */
void map_done(struct map *map);

static inline uint64_t hash_u64(uint64_t key)
{
    key ^= key >> 32;
    key *= 0x9e3779b97f4a7c15u;
    return key ^ key >> 29;
}

/* ---- distribution.c ---- */

#define DISTRIBUTION_EXACT  512u
#define DISTRIBUTION_LINEAR 65u /* values up to 64 have a bucket each */
#define DISTRIBUTION_SUB    32u /* buckets an octave beyond */
#define DISTRIBUTION_GROUPS 61u /* pieces of the buckets, made when first hit; up to 2^64 */

/*
 * Exact while there are at most exact_max distinct values, then log-linear buckets. A bucket holds
 * (low, high] with high a multiple of 1/32 of its octave, so a power of two is the top of its
 * bucket and stands for itself.
 *
 * count == sum of all values' counts; exact and groups are never both set.
 */
struct distribution {
    uint64_t count, min, max;
    double sum;
    struct distribution_value {
        uint64_t value, count; /* count 0: empty */
    } * exact;
    uint64_t **groups; /* of DISTRIBUTION_SUB buckets each, made when first hit */
    uint32_t distinct, mask;
};

/* A value range with its count; ranges of a distribution do not overlap. */
struct distribution_range {
    uint64_t low, high, count; /* [low, high] */
};

int distribution_add(struct distribution *d, uint64_t value);
int distribution_add_bucketed(struct distribution *d, uint64_t value); /* never exact */
void distribution_done(struct distribution *d);
/* Ascending; *ret_ranges is the caller's to free (NULL when empty). 0 or -ENOMEM. */
int distribution_ranges(const struct distribution *d, struct distribution_range **ret_ranges,
                        size_t *ret_count);
/* Percentiles by nearest rank; a bucket answers with its upper edge: at most 1/32 too high. */
void distribution_summary(const struct distribution *d, const struct distribution_range *ranges,
                          size_t count, struct analyse_distribution *ret);
/* Share in the densest [s, 2s]. Exact while the distribution is; else it counts whole buckets only
 * and so is at least the share of the densest [s, 2s) that begins on a bucket edge. */
double distribution_window(const struct distribution *d, const struct distribution_range *ranges,
                           size_t count, uint64_t *ret_low);
/* The fewest power-of-two classes (half open below: (2^k, 2^(k+1)]) that hold 99.9 %. */
uint64_t distribution_classes(const struct distribution *d, const struct distribution_range *ranges,
                              size_t count);

/* ---- pages.c: live blocks on sampled pages, by site ---- */

struct pages {
    struct page {
        uint64_t page;
        uint32_t site, blocks; /* blocks 0: empty */
    } * entries;
    uint32_t mask, used;
};

int pages_add(struct pages *pages, uint32_t site, uint64_t page, bool *ret_new);
bool pages_remove(struct pages *pages, uint32_t site, uint64_t page); /* true: the page's last */
void pages_done(struct pages *pages);

/* ---- nodes.c ---- */

struct code {
    uint32_t module;   /* as the trace first named it: what resolver and report are given */
    uint32_t function; /* index; ANALYSE_NONE: not asked yet */
    uint64_t address;
    bool wrapper; /* by name */
    bool system;
    bool named;
};

struct function {
    uint64_t id; /* the resolver's */
    bool shape_wrapper;
    bool request;
};

struct path {
    uint32_t parent, code;
    uint32_t site;    /* when an event's stack ends here; ANALYSE_NONE: not asked yet */
    uint16_t skip;    /* wrapper frames from here up to the site's; PATH_UNKNOWN: not asked yet */
    uint16_t request; /* depth of the outermost frame inside the request function; 0: none */
    uint64_t allocations; /* complete only once the nodes' are added, in results.c */
};
#define PATH_UNKNOWN UINT16_MAX

struct node {
    uint32_t parent, path, thread;
    uint32_t seat;          /* ANALYSE_NONE: not asked yet */
    uint32_t allocations;   /* moved to the path before it overflows */
    uint16_t depth : 15;    /* outermost: 1 */
    uint16_t truncated : 1; /* frames are missing above its outermost */
    uint16_t request;       /* its path's */
};
_Static_assert(sizeof(struct node) == 24, "nodes are many, and every event reads some");

struct level {
    uint32_t node;
    uint64_t
        since; /* the first clock at which a new allocation is younger; never falls with depth */
};

struct thread {
    struct level
        *levels; /* [1, length] is the stack at the last event with one; [0] never changes */
    uint32_t length, capacity;
    uint32_t process;
    uint32_t run;          /* frees since the last allocation */
    uint32_t unknown_seat; /* for allocations with no stack */
    uint64_t clock;
    uint32_t run_sites[ANALYSE_BURST - 1]; /* of the run, until it is long enough to be a burst */
};

struct module {
    uint32_t file; /* equal for the same file loaded again */
    uint64_t bias;
};

struct module_file {
    char *path;
    uint8_t build_id[TRACE_BUILD_ID_MAX];
    uint32_t build_id_size;
    uint64_t bias; /* tells files apart only where there is no build id */
    uint32_t next; /* with the same hash */
};

/* ---- sites.c ---- */

struct chain {     /* a site's key: its own code, then its wrappers' inwards */
    uint32_t site; /* ANALYSE_NONE: only a part of longer ones */
};

struct lane {
    uint32_t idle;    /* items in the simulated pool, put in this cycle */
    uint32_t victims; /* those that were idle when it began */
    uint32_t cycle;   /* of these two */
    bool allocated;
};

struct seat {
    uint32_t lane, site;
    uint32_t generation; /* counts activations */
    uint16_t home;
    bool known;          /* home's node is known: not above a truncated stack */
    uint32_t live;       /* blocks of the present activation */
    uint64_t last_clock; /* of the last allocation here; 0: none */
};
_Static_assert(sizeof(struct seat) == 32, "half a cache line");

struct site_growth {
    uint64_t chains, steps, moved, shrinks, bytes_moved;
    struct distribution first, final;
    struct {
        uint32_t code;
        uint64_t count;
    } callers[ANALYSE_REALLOCERS]; /* exact up to so many, then the rarest gives way (space saving)
                                    */
    uint32_t caller_count;
};

#define SITE_LOG_LOW 8u
#define SITE_LOG_TOP                                                                               \
    512u /* a busy site's: the longer, the less often its tables come into the cache */

/*
 * Laid out by cache line, because sites together are larger than a core's own cache: an allocation
 * touches the first three lines and its log's end, a free the first, the third, the fourth and its
 * log's. Values for the distributions wait in short logs and go in together, while the tables are
 * near.
 *
 * frees == allocations - live; allocations not by malloc are in calls[], those by malloc are the
 * rest.
 */
struct site {
    _Alignas(64) uint64_t live;
    uint64_t live_peak, live_bytes, live_peak_bytes, allocations;
    uint64_t pages, extra_pages, peak_pages; /* sampled now; beyond blocks' first; at the peak */

    uint64_t last_address, last_ns, neighbour_near, pool_hits, instances[2];
    uint32_t *sizes; /* size_count logged; one of 4 GiB or more goes to its distribution at once */

    uint32_t size_count, size_capacity, lifetime_count, lifetime_capacity;
    uint64_t *lifetimes; /* lifetime_count logged: ns << 24 | age in allocations */
    uint64_t max_live_in_instance;
    uint64_t freed_by_other_thread, freed_in_burst, pool_drops;
    uint64_t first_ns;
    uint64_t outlived[ANALYSE_LEVELS];

    struct distribution size, lifetime_ns, lifetime_clock; /* lifetimes: in buckets only */
    struct op_sizes ops;
    uint64_t grown_bytes;
    uint64_t calls[TRACE_CALL_COUNT];
    uint64_t in_request, outlived_request;
    uint64_t bytes; /* of allocations that left the log */
    struct site_growth *growth;
    uint32_t threads;
    uint32_t path; /* that ends at the site's own frame, or is the unknown path */
    uint16_t skip;
    bool shape_wrapper;
};

/* ---- blocks.c ---- */

enum {
    BLOCK_LIVE = 1,
    BLOCK_STACK = 2, /* the allocation's stack is known */
    BLOCK_RESIZED = 4,
    BLOCK_TRUNCATED = 8,
    BLOCK_SEATED = 16,  /* counted in its seat */
    BLOCK_SAMPLED = 64, /* counted in pages */
    BLOCK_MARKED = 32,  /* shape.c: resized by the function that made it */
};

struct block { /* one cache line: an event on an old block misses the cache once */
    _Alignas(64) uint64_t address;
    uint64_t size, born_ns, clock;
    uint32_t site, seat, generation, thread;
    uint16_t home, request; /* depths; request 0: made outside requests */
    uint8_t flags;
};

_Static_assert(sizeof(struct block) == 64, "a block is one cache line");

#define BLOCK_CHUNK_SHIFT                                                                          \
    15 /* 2 MiB of blocks at a time: a huge page, and no copying as they grow */
#define BLOCK_CHUNK (1u << BLOCK_CHUNK_SHIFT)

struct analyse {
    struct analyse_options options;
    uint32_t cycle; /* of the simulated pools */
    uint64_t cycle_end_ns;
    struct trace_sink sink;
    struct analyse_totals totals;
    uint64_t live_blocks, live_bytes;
    bool finished;
    int failure; /* the first error a callback returned; nothing is added after it */

    struct map process_ids, module_ids, file_hashes, function_ids;
    struct map offset_ids, code_ids, path_ids, chain_ids, lane_ids, seat_ids;

    struct module *modules;
    struct module_file *files;
    struct code *codes;
    struct function *functions;
    struct path *paths; /* 0: the root */
    struct node *nodes; /* 0: none */
    struct thread *threads;
    struct chain *chains; /* 0: the root */
    struct lane *lanes;
    struct seat *seats;
    struct site **sites; /* each allocated alone: they are large, and pointers stay */
    struct block **chunks;
    uint32_t module_count, module_capacity, file_count, file_capacity, code_count, code_capacity;
    uint32_t offset_count, function_count, function_capacity, path_count, path_capacity;
    uint32_t node_count, node_capacity, thread_count, thread_capacity, process_count;
    uint32_t chain_count, chain_capacity, lane_count, lane_capacity, seat_count, seat_capacity;
    uint32_t site_count, site_capacity, chunk_count, chunk_capacity;
    uint32_t block_count;  /* numbers below it have been used */
    uint32_t unknown_path; /* ANALYSE_NONE: no event was without a stack so far */
    struct pages pages;

    struct trace_event *held; /* the prefix; NULL once analysed */
    size_t held_count, held_capacity;
    bool judged; /* the prefix is over */

    struct analyse_site *results;
    const struct analyse_site **result_order;
    uint32_t *result_codes; /* behind the paths of results */
    uint64_t *result_addresses;
};

/* nodes.c. Callbacks of the sink, in its terms. */
int nodes_process(struct analyse *a, const struct trace_process *process);
int nodes_module(struct analyse *a, const struct trace_module *module);
int nodes_thread(struct analyse *a, const struct trace_thread *thread);
int nodes_define(struct analyse *a, const struct trace_node *nodes, size_t count);
int nodes_resolve(struct analyse *a, uint32_t code); /* asks the resolver once */
/* The path for events without a stack: one frame at address 0 of no module. */
int nodes_unknown_path(struct analyse *a, uint32_t *ret_path);
int nodes_skip_slow(struct analyse *a, uint32_t path);
void nodes_done(struct analyse *a);

/* sites.c */
int sites_of_path(struct analyse *a, uint32_t path, uint32_t *ret_site);
int sites_lane(struct analyse *a, uint32_t site, uint32_t thread, uint32_t *ret_lane);
int sites_seat_slow(struct analyse *a, uint32_t stack, uint32_t thread, uint32_t *ret_seat);
int site_log_size_slow(struct site *site, uint64_t size);
int site_log_lifetime_slow(struct site *site, uint64_t ns, uint64_t clock);
int site_logs_empty(struct site *site);

static inline int site_log_size(struct site *site, uint64_t size)
{
    if (size > UINT32_MAX || site->size_count == site->size_capacity)
        return site_log_size_slow(site, size);
    site->sizes[site->size_count++] = (uint32_t)size;
    return 0;
}

static inline int site_log_lifetime(struct site *site, uint64_t ns, uint64_t clock)
{
    if (ns >> 40 || clock >> 24 || site->lifetime_count == site->lifetime_capacity)
        return site_log_lifetime_slow(site, ns, clock);
    site->lifetimes[site->lifetime_count++] = ns << 24 | clock;
    return 0;
}
void sites_done(struct analyse *a);

/* blocks.c */
int blocks_event(struct analyse *a, const struct trace_event *event);
int blocks_slot_slow(struct analyse *a, uint32_t number, struct block **ret_block);
int blocks_finish(struct analyse *a); /* what is still live */
void blocks_done(struct analyse *a);

/* shape.c: marks functions as wrappers by what the held events show, and undoes its own traces. */
int shape_judge(struct analyse *a);

/* results.c */
int results_make(struct analyse *a);
void results_done(struct analyse *a);

static inline struct block *block_at(const struct analyse *a, uint32_t number)
{
    return &a->chunks[number >> BLOCK_CHUNK_SHIFT][number & (BLOCK_CHUNK - 1)];
}

/* The block that a new allocation with this number becomes. 0, -EBADMSG or -ENOMEM. */
static inline int blocks_slot(struct analyse *a, uint32_t number, struct block **ret_block)
{
    if (number < a->block_count && !(block_at(a, number)->flags & BLOCK_LIVE)) {
        *ret_block = block_at(a, number);
        return 0;
    }
    return blocks_slot_slow(a, number, ret_block);
}

static inline bool code_is_wrapper(const struct analyse *a, const struct code *code)
{
    return code->wrapper || a->functions[code->function].shape_wrapper;
}

/* Fills paths[path].skip. 0 or -ENOMEM. */
static inline int nodes_skip(struct analyse *a, uint32_t path)
{
    return a->paths[path].skip != PATH_UNKNOWN ? 0 : nodes_skip_slow(a, path);
}

/*
 * Makes `stack` (a node of this thread, not 0) the thread's stack. Levels that differ from it are
 * replaced and count as begun at `since`; deeper ones are gone.
 *
 * A function that returned and was called again from the same place, with its frame at the same
 * address and no event in between that shows it gone, looks as if it had stayed: the trace holds
 * nothing that could tell. Blocks may so appear to die inside a frame that was in truth a later
 * activation of the same call; a loop that calls a function which allocates is seen as one
 * activation of that function.
 */
static inline void thread_enter(const struct analyse *a, struct thread *thread, uint32_t stack,
                                uint64_t since)
{
    const struct node *nodes = a->nodes;
    struct level *levels = thread->levels;
    uint32_t depth = nodes[stack].depth, node = stack;

    uint32_t at = depth;
    for (; at > thread->length; at--) {
        levels[at] = (struct level){.node = node, .since = since};
        node = nodes[node].parent;
    }
    for (; at && levels[at].node != node; at--) {
        levels[at] = (struct level){.node = node, .since = since};
        node = nodes[node].parent;
    }
    thread->length = depth;
}

/* The deepest level, `home` at most, whose node has been in place since the allocation at `clock`.
 */
static inline uint32_t thread_common(const struct thread *thread, uint32_t home, uint64_t clock)
{
    uint32_t at = home < thread->length ? home : thread->length;
    while (thread->levels[at].since > clock)
        at--;
    return at;
}
