/* SPDX-License-Identifier: MIT */
/*
 * How many events a second the analysis takes through its sink, and in how much memory.
 *
 * The stream is made up: 1000 functions that allocate from two places, a tree of about 50,000 stack nodes of depth 5 to
 * 30, sites and sizes with a few common and many rare ones, and blocks that mostly die young, or at
 * random, around a chosen number of live ones. It is made in batches as a reader would hand them over;
 * only the sink's time counts. One core; the median of the runs is the figure.
 *
 *     analyse_rate [LIVE_BLOCKS [EVENTS [RUNS]]]
 */
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "analyse.h"

#define FUNCTIONS 1000u /* that allocate; about two places each */
#define NODES     50000u
#define DEPTH_LOW 5u
#define DEPTH_TOP 30u
#define BATCH     4096u
#define THREADS   4u
#define WRAPPERS  8u

struct stream {
    uint64_t random;
    uint32_t parents[NODES], depths[NODES], functions[NODES], threads[NODES];
    uint32_t first_child[NODES], next_child[NODES], child_count[NODES];
    uint32_t here[THREADS];
    uint32_t leaves[THREADS][NODES], leaf_count[THREADS];
    uint32_t *live, live_count, live_target; /* numbers of live blocks, in no order */
    uint32_t *unused, unused_count, block_count;
    uint64_t *addresses;
    uint32_t *sizes;
    uint64_t now_ns;
};

static uint64_t random_next(struct stream *s)
{
    s->random ^= s->random << 13;
    s->random ^= s->random >> 7;
    s->random ^= s->random << 17;
    return s->random;
}

/* In [0, limit), low numbers far more often. */
static uint32_t random_skewed(struct stream *s, uint32_t limit)
{
    uint64_t shift = random_next(s) % 12;
    return (uint32_t)(random_next(s) % ((limit >> shift) + 1)) % limit;
}

static void resolve(void *context, uint32_t module, uint64_t address, struct analyse_frame *ret)
{
    (void)context;
    (void)module;
    uint64_t function = address >> 12;
    *ret = (struct analyse_frame){.function = function + 1, .wrapper = function < WRAPPERS};
}

static void tree_make(struct stream *s, const struct trace_sink *sink)
{
    /* Children hang under recent or random shallow nodes, so that depths spread over the range. */
    for (uint32_t i = 1; i < NODES; i++) {
        uint32_t parent = 0;
        if (i > THREADS) {
            do
                parent = random_next(s) % 4 ? i - 1 - (uint32_t)(random_next(s) % (i < 200 ? i - 1 : 199))
                                            : 1 + (uint32_t)(random_next(s) % (i - 1));
            while (!parent || s->depths[parent] >= DEPTH_TOP);
        }
        s->parents[i] = parent;
        s->depths[i] = parent ? s->depths[parent] + 1 : 1;
        s->threads[i] = parent ? s->threads[parent] : i - 1;
        s->functions[i] = WRAPPERS + random_skewed(s, FUNCTIONS);
        if (parent) {
            s->next_child[i] = s->first_child[parent];
            s->first_child[parent] = i;
            s->child_count[parent]++;
        }
    }
    for (uint32_t i = 1; i < NODES; i++) {
        if (!s->first_child[i] && s->depths[i] >= DEPTH_LOW) {
            s->leaves[s->threads[i]][s->leaf_count[s->threads[i]]++] = i;
            if (random_next(s) % 2) /* half of the stacks end in a wrapper */
                s->functions[i] = (uint32_t)(random_next(s) % WRAPPERS);
        }
        struct trace_node node = {.id = i,
                                  .parent = s->parents[i],
                                  .thread = s->threads[i],
                                  .module = 0,
                                  .slot = 0x7ffff0000000 - s->depths[i] * 96,
                                  .address = (uint64_t)s->functions[i] << 12 |
                                             (random_next(s) % 2) << 4};
        if (sink->nodes(sink->context, &node, 1))
            abort();
    }
}

/* Mostly near the last stack: up a few frames and down again; at times anywhere. */
static uint32_t stack_next(struct stream *s, uint32_t thread)
{
    uint32_t at = s->here[thread];
    if (!at || random_next(s) % 32 == 0)
        return s->here[thread] =
                   s->leaves[thread][random_next(s) % s->leaf_count[thread]];
    if (random_next(s) % 4 == 0)
        return at;
    for (uint32_t up = 1 + (uint32_t)(random_next(s) % 4); up-- && s->depths[at] > 2;)
        at = s->parents[at];
    while (s->first_child[at]) {
        uint32_t pick =
            random_next(s) % 2 ? 0 : (uint32_t)(random_next(s) % s->child_count[at]);
        for (at = s->first_child[at]; pick--;)
            at = s->next_child[at];
    }
    return s->here[thread] = at;
}

static uint32_t block_take(struct stream *s, uint32_t at)
{
    uint32_t block = s->live[at];
    s->live[at] = s->live[--s->live_count];
    s->unused[s->unused_count++] = block;
    return block;
}

static void event_make(struct stream *s, struct trace_event *event)
{
    uint32_t thread = random_next(s) % 64 ? 0 : (uint32_t)(random_next(s) % THREADS);
    s->now_ns += 20 + random_next(s) % 100;
    *event = (struct trace_event){
        .time_ns = s->now_ns, .thread = thread, .stack = stack_next(s, thread)};
    uint64_t dice = random_next(s) % 1000;
    bool full = s->live_count >= s->live_target;
    if (s->live_count && dice < 20) { /* one in fifty resizes */
        event->block = s->live[random_next(s) % s->live_count];
        event->size = s->sizes[event->block] = s->sizes[event->block] * 2 % 100000 + 1;
        event->address = s->addresses[event->block] += random_next(s) % 2 ? 0 : 4096;
        event->kind = TRACE_REALLOC;
        event->call = TRACE_CALL_REALLOC;
        return;
    }
    if (s->live_count && (full || dice < 300)) {
        /* Seven in ten of those freed are among the last few made. */
        uint32_t span = s->live_count < 16 || random_next(s) % 10 >= 7 ? s->live_count : 16;
        uint32_t at = s->live_count - 1 - (uint32_t)(random_next(s) % span);
        event->block = block_take(s, at);
        event->address = s->addresses[event->block];
        event->kind = TRACE_FREE;
        event->call = TRACE_CALL_FREE;
        return;
    }
    uint32_t block = s->unused_count ? s->unused[--s->unused_count] : s->block_count++;
    s->live[s->live_count++] = block;
    event->block = block;
    event->size = s->sizes[block] =
        8 + (event->stack * 2654435761u >> 24) + (random_next(s) % 4 ? 0 : random_next(s) % 512);
    if (!s->addresses[block])
        s->addresses[block] = 0x10000000 + (uint64_t)block * 256;
    event->address = s->addresses[block];
    event->kind = TRACE_ALLOC;
    event->call = TRACE_CALL_MALLOC;
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void *made(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    if (!memory)
        abort();
    return memory;
}

/* Events a second in one run; prints what the run held. */
static double run(uint32_t live_target, uint64_t events)
{
    struct stream *s = made(1, sizeof *s);
    uint32_t room = live_target + 2;
    *s = (struct stream){.random = 88172645463325252u,
                         .live = made(room, sizeof *s->live),
                         .unused = made(room, sizeof *s->unused),
                         .addresses = made(room, sizeof *s->addresses),
                         .sizes = made(room, sizeof *s->sizes),
                         .live_target = live_target};
    struct trace_event *batch = made(BATCH, sizeof *batch);

    size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
    struct analyse *analyse = analyse_create(&(struct analyse_options){.resolve = resolve});
    if (!analyse)
        abort();
    const struct trace_sink *sink = analyse_sink(analyse);
    struct trace_process process = {.program = "made up"};
    int failed = sink->process(sink->context, &process);
    struct trace_module module = {.path = "made up", .end = UINT32_MAX};
    failed |= sink->module(sink->context, &module);
    for (uint32_t i = 0; i < THREADS; i++) {
        struct trace_thread thread = {.id = i};
        failed |= sink->thread(sink->context, &thread);
    }
    tree_make(s, sink);

    double spent = 0;
    for (uint64_t done = 0; done < events && !failed; done += BATCH) {
        for (uint32_t i = 0; i < BATCH; i++)
            event_make(s, &batch[i]);
        double start = seconds();
        failed |= sink->events(sink->context, batch, BATCH);
        spent += seconds() - start;
    }
    size_t after = mallinfo2().uordblks + mallinfo2().hblkhd;
    double start = seconds();
    failed |= analyse_finish(analyse);
    double finish = seconds() - start;
    if (failed)
        abort();
    const struct analyse_site *const *sites = NULL;
    size_t site_count = analyse_sites(analyse, &sites);
    const struct analyse_totals *totals = analyse_totals(analyse);
    double rate = (double)totals->events / (spent + finish);
    printf("%.2f million events/s (%.1f ns each; finish %.0f ms): %zu sites, %" PRIu64
           " blocks at the peak, %.1f MB, %" PRIu64 " wrappers by shape\n",
           rate * 1e-6, 1e9 / rate, finish * 1e3, site_count, totals->live_peak_blocks,
           (double)(after - before) * 1e-6, totals->wrappers_by_shape);
    analyse_destroy(analyse);
    free(s->live);
    free(s->unused);
    free(s->addresses);
    free(s->sizes);
    free(s);
    free(batch);
    return rate;
}

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

int main(int argc, char **argv)
{
    uint32_t live = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 100000;
    uint64_t events = argc > 2 ? strtoull(argv[2], NULL, 10) : 10000000;
    unsigned runs = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 5;
    if (!live || !events || !runs || runs > 100) {
        fprintf(stderr, "usage: analyse_rate [LIVE_BLOCKS [EVENTS [RUNS (1 to 100)]]]\n");
        return 2;
    }
    double rates[100];
    for (unsigned i = 0; i < runs; i++)
        rates[i] = run(live, events);
    qsort(rates, runs, sizeof *rates, compare);
    printf("median: %.2f million events/s, %u runs, %u live blocks wanted\n",
           rates[runs / 2] * 1e-6, runs, live);
    return 0;
}
