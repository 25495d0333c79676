/* SPDX-License-Identifier: MIT */
/* The life of an analysis: create, the sink, the held-back prefix, finish. */
#include "analyse_internal.h"

#include <errno.h>
#include <string.h>

#define PREFIX_EVENTS 300000u
#define AHEAD         4u /* events between two steps of prefetching */

/* What a callback begins with: nothing is taken after finish, nor after an error. */
static int refusal(const struct analyse *a)
{
    return a->finished ? -EINVAL : a->failure;
}

static int keep(struct analyse *a, int result)
{
    a->failure = result;
    return result;
}

static int on_process(void *context, const struct trace_process *process)
{
    struct analyse *a = context;
    int refused = refusal(a);
    return refused ? refused : keep(a, nodes_process(a, process));
}

static int on_module(void *context, const struct trace_module *module)
{
    struct analyse *a = context;
    int refused = refusal(a);
    return refused ? refused : keep(a, nodes_module(a, module));
}

static int on_thread(void *context, const struct trace_thread *thread)
{
    struct analyse *a = context;
    int refused = refusal(a);
    return refused ? refused : keep(a, nodes_thread(a, thread));
}

static int on_nodes(void *context, const struct trace_node *nodes, size_t count)
{
    struct analyse *a = context;
    int refused = refusal(a);
    return refused ? refused : keep(a, nodes_define(a, nodes, count));
}

/* All that does not depend on the events before; held-back events have passed it. */
static bool event_is_valid(const struct analyse *a, const struct trace_event *event)
{
    return event->thread < a->thread_count && event->kind <= TRACE_REALLOC &&
           event->call < TRACE_CALL_COUNT && event->stack < a->node_count &&
           (event->stack == TRACE_NO_STACK || a->nodes[event->stack].thread == event->thread);
}

/* gcc takes a function that only prefetches for one without effect, and drops calls of it. */
#define PREFETCHES __attribute__((always_inline)) inline

/*
 * An event's lines depend on each other: node, then seat, then site; or block, then site. Each step
 * is fetched some events ahead of the one that reads it.
 */
static PREFETCHES void prefetch_first(const struct analyse *a, const struct trace_event *event)
{
    if (event->block < a->block_count)
        __builtin_prefetch(block_at(a, event->block), 1);
    if (event->stack < a->node_count)
        __builtin_prefetch(&a->nodes[event->stack], 1);
}

static PREFETCHES void prefetch_second(const struct analyse *a, const struct trace_event *event)
{
    if (event->stack < a->node_count)
        __builtin_prefetch(&a->nodes[a->nodes[event->stack].parent]);
    if (event->kind == TRACE_ALLOC) {
        if (event->stack < a->node_count && a->nodes[event->stack].seat != ANALYSE_NONE)
            __builtin_prefetch(&a->seats[a->nodes[event->stack].seat], 1);
    } else if (event->block < a->block_count) {
        const struct block *block = block_at(a, event->block);
        if (block->site < a->site_count) {
            __builtin_prefetch(&a->sites[block->site]->live, 1);
            __builtin_prefetch(&a->sites[block->site]->size_count, 1);
            __builtin_prefetch(&a->sites[block->site]->outlived, 1);
            __builtin_prefetch(&a->seats[block->seat], 1);
        }
    }
}

static PREFETCHES void prefetch_third(const struct analyse *a, const struct trace_event *event)
{
    if (event->kind == TRACE_ALLOC) {
        if (event->stack < a->node_count && a->nodes[event->stack].seat != ANALYSE_NONE) {
            const struct seat *seat = &a->seats[a->nodes[event->stack].seat];
            struct site *site = a->sites[seat->site];
            __builtin_prefetch(&site->live, 1);
            __builtin_prefetch(&site->last_address, 1);
            __builtin_prefetch(&site->size_count, 1);
            __builtin_prefetch(&a->lanes[seat->lane], 1);
        }
    } else if (event->block < a->block_count) {
        const struct block *block = block_at(a, event->block);
        if (block->site < a->site_count) {
            struct site *site = a->sites[block->site];
            __builtin_prefetch(&site->lifetimes[site->lifetime_count], 1);
            __builtin_prefetch(&a->lanes[a->seats[block->seat].lane], 1);
        }
    }
}

static int events_analyse(struct analyse *a, const struct trace_event *events, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (i + 3 * AHEAD < count)
            prefetch_first(a, &events[i + 3 * AHEAD]);
        if (i + 2 * AHEAD < count)
            prefetch_second(a, &events[i + 2 * AHEAD]);
        if (i + AHEAD < count)
            prefetch_third(a, &events[i + AHEAD]);
        if (!event_is_valid(a, &events[i]))
            return -EBADMSG;
        int result = blocks_event(a, &events[i]);
        if (result)
            return result;
    }
    return 0;
}

static int prefix_end(struct analyse *a)
{
    int result = shape_judge(a);
    if (!result)
        result = events_analyse(a, a->held, a->held_count);
    free(a->held);
    a->held = NULL;
    a->held_count = a->held_capacity = 0;
    a->judged = true;
    return result;
}

static int event_hold(struct analyse *a, const struct trace_event *event)
{
    if (!event_is_valid(a, event))
        return -EBADMSG;
    if (a->held_count == a->held_capacity) {
        size_t wanted = a->held_capacity ? a->held_capacity * 2 : 1024;
        if (wanted > a->options.prefix_events)
            wanted = a->options.prefix_events;
        struct trace_event *grown = reallocarray(a->held, wanted, sizeof *grown);
        if (!grown)
            return -ENOMEM;
        a->held = grown;
        a->held_capacity = wanted;
    }
    a->held[a->held_count++] = *event;
    return a->held_count == a->options.prefix_events ? prefix_end(a) : 0;
}

static int on_events(void *context, const struct trace_event *events, size_t count)
{
    struct analyse *a = context;
    int result = refusal(a);
    if (result)
        return result;
    size_t i = 0;
    for (; i < count && !a->judged && !result; i++)
        result = event_hold(a, &events[i]);
    return keep(a, result ? result : events_analyse(a, events + i, count - i));
}

static int on_end(void *context, const struct trace_end *end)
{
    struct analyse *a = context;
    int refused = refusal(a);
    if (refused)
        return refused;
    a->totals.has_end = true;
    a->totals.end = *end;
    return 0;
}

struct analyse *analyse_create(const struct analyse_options *options)
{
    if (!options || !options->resolve) {
        errno = EINVAL;
        return NULL;
    }
    struct analyse *a = calloc(1, sizeof *a);
    if (!a)
        return NULL;
    a->options = *options;
    if (!a->options.prefix_events)
        a->options.prefix_events = PREFIX_EVENTS;
    a->sink = (struct trace_sink){.context = a,
                                  .process = on_process,
                                  .module = on_module,
                                  .thread = on_thread,
                                  .nodes = on_nodes,
                                  .events = on_events,
                                  .end = on_end};
    a->unknown_path = ANALYSE_NONE;
    if (array_reserve((void **)&a->paths, &a->path_capacity, 1, sizeof *a->paths) ||
        array_reserve((void **)&a->nodes, &a->node_capacity, 1, sizeof *a->nodes) ||
        array_reserve((void **)&a->chains, &a->chain_capacity, 1, sizeof *a->chains)) {
        analyse_destroy(a);
        errno = ENOMEM;
        return NULL;
    }
    a->paths[0] = (struct path){.site = ANALYSE_NONE};
    a->nodes[0] = (struct node){.seat = ANALYSE_NONE};
    a->chains[0] = (struct chain){.site = ANALYSE_NONE};
    a->path_count = a->node_count = a->chain_count = 1;
    return a;
}

void analyse_destroy(struct analyse *a)
{
    if (!a)
        return;
    nodes_done(a);
    sites_done(a);
    blocks_done(a);
    results_done(a);
    free(a->held);
    free(a);
}

const struct trace_sink *analyse_sink(struct analyse *a)
{
    return &a->sink;
}

int analyse_finish(struct analyse *a)
{
    if (a->finished)
        return -EINVAL;
    a->finished = true;
    int result = a->failure;
    if (!result && !a->judged)
        result = prefix_end(a);
    if (!result)
        result = blocks_finish(a);
    a->totals.threads = a->thread_count;
    a->totals.processes = a->process_count;
    return result ? result : results_make(a);
}

size_t analyse_sites(struct analyse *a, const struct analyse_site *const **ret_sites)
{
    *ret_sites = a->result_order;
    return a->result_order ? a->site_count : 0;
}

const struct analyse_totals *analyse_totals(const struct analyse *a)
{
    return &a->totals;
}
