/* SPDX-License-Identifier: MIT */
/* One event at a time: what it does to its block, its thread, and the facts of the block's site. */
#include "analyse_internal.h"

#include <errno.h>
#include <sys/mman.h>

/* As the library does by itself: what a pool keeps idle, and the time between two cycles. */
#define POOL_IDLE_BYTES ((uint64_t)64 << 20)
#define POOL_CYCLE_NS   UINT64_C(5000000000)

/* Only the number just past the highest so far is new: a broken number cannot ask for memory. */
int blocks_slot_slow(struct analyse *a, uint32_t number, struct block **ret_block)
{
    if (number != a->block_count || number == TRACE_NO_BLOCK)
        return -EBADMSG;
    uint32_t chunk = number >> BLOCK_CHUNK_SHIFT;
    if (chunk == a->chunk_count) {
        int result = array_reserve((void **)&a->chunks, &a->chunk_capacity, chunk + 1,
                                   sizeof(struct block *));
        if (result)
            return result;
        size_t bytes = sizeof(struct block) << BLOCK_CHUNK_SHIFT;
        a->chunks[chunk] = aligned_alloc(bytes, bytes);
        if (!a->chunks[chunk])
            return -ENOMEM;
        /* Blocks are hit at random: with small pages each hit would also miss the TLB. Only a hint;
         * and not for the first chunk, which a small program does not fill. */
        if (chunk)
            madvise(a->chunks[chunk], bytes, MADV_HUGEPAGE);
        a->chunk_count++;
    }
    *ret_block = block_at(a, number);
    (*ret_block)->flags = 0;
    a->block_count++;
    return 0;
}

/* ---- pages under the site's live blocks ---- */

static uint64_t page_of(const struct analyse *a, const struct block *block)
{
    return block->address >> 12 ^ (uint64_t)a->threads[block->thread].process << 44;
}

static bool page_is_sampled(uint64_t page)
{
    return hash_u64(page) >> 60 == 0;
}

/* A block counts on the page of its first byte; further pages of a large one are its own and need
 * no table. */
static uint64_t extra_pages(uint64_t size)
{
    return size ? (size - 1) >> 12 : 0;
}

static int block_settles(struct analyse *a, struct site *site, struct block *block)
{
    site->extra_pages += extra_pages(block->size);
    uint64_t page = page_of(a, block);
    if (!page_is_sampled(page))
        return 0;
    block->flags |= BLOCK_SAMPLED;
    bool fresh = false;
    int result = pages_add(&a->pages, block->site, page, &fresh);
    site->pages += fresh;
    return result;
}

static void block_leaves(struct analyse *a, struct site *site, struct block *block)
{
    site->extra_pages -= extra_pages(block->size);
    if (block->flags & BLOCK_SAMPLED)
        site->pages -= pages_remove(&a->pages, block->site, page_of(a, block));
    block->flags &= (uint8_t)~BLOCK_SAMPLED;
}

/* ---- sums ---- */

static void live_grows(struct analyse *a, struct site *site, uint64_t bytes)
{
    site->live_bytes += bytes;
    if (site->live_bytes > site->live_peak_bytes)
        site->live_peak_bytes = site->live_bytes;
    a->totals.bytes += bytes;
    a->live_bytes += bytes;
    if (a->live_bytes > a->totals.live_peak_bytes)
        a->totals.live_peak_bytes = a->live_bytes;
}

static void live_shrinks(struct analyse *a, struct site *site, uint64_t bytes)
{
    site->live_bytes -= bytes;
    a->live_bytes -= bytes;
}

/* ---- allocation ---- */

/* Whether the allocation's activation, and its caller's, are the ones of the seat's last
 * allocation. */
static void seat_takes(struct site *site, struct seat *seat, const struct thread *thread)
{
    uint32_t home = seat->home, caller = home ? home - 1u : 0;
    bool first = !seat->last_clock;
    if (first || thread->levels[home].since > seat->last_clock) {
        site->instances[0]++;
        seat->generation++;
        seat->live = 0;
    }
    if (first || thread->levels[caller].since > seat->last_clock)
        site->instances[1]++;
    seat->last_clock = thread->clock;
    if (++seat->live > site->max_live_in_instance)
        site->max_live_in_instance = seat->live;
}

static bool is_near(uint64_t address, uint64_t previous, uint64_t size)
{
    uint64_t distance = address > previous ? address - previous : previous - address;
    return size > UINT64_MAX / 2 || distance <= size * 2;
}

/* The simulated pool's reclaim cycles, as the library's: what is idle when one begins and still is when it ends, goes. */
static void pool_age(const struct analyse *a, struct lane *pool)
{
    if (pool->cycle == a->cycle)
        return;
    pool->victims = pool->cycle + 1 == a->cycle ? pool->idle : 0;
    pool->idle = 0;
    pool->cycle = a->cycle;
}

static bool pool_get(const struct analyse *a, struct lane *pool)
{
    pool_age(a, pool);
    uint32_t *from = pool->idle ? &pool->idle : &pool->victims;
    if (!*from)
        return false;
    (*from)--;
    return true;
}

static void cycles_advance(struct analyse *a, uint64_t now_ns)
{
    uint64_t passed = (now_ns - a->cycle_end_ns) / POOL_CYCLE_NS + 1;
    a->cycle += (uint32_t)passed;
    a->cycle_end_ns += passed * POOL_CYCLE_NS;
}

static int block_allocated(struct analyse *a, const struct trace_event *event)
{
    struct thread *thread = &a->threads[event->thread];
    thread->clock++;
    thread->run = 0;
    if (event->time_ns >= a->cycle_end_ns)
        cycles_advance(a, event->time_ns);

    uint32_t seat_number = thread->unknown_seat;
    uint8_t flags = BLOCK_LIVE;
    uint16_t request = 0;
    if (event->stack != TRACE_NO_STACK) {
        struct node *node = &a->nodes[event->stack];
        thread_enter(a, thread, event->stack, thread->clock);
        seat_number = node->seat;
        if (++node->allocations == UINT32_MAX) {
            a->paths[node->path].allocations += node->allocations;
            node->allocations = 0;
        }
        request = node->request;
        flags |= BLOCK_STACK | (node->truncated ? BLOCK_TRUNCATED : 0);
    }
    int result = 0;
    if (seat_number == ANALYSE_NONE)
        result = sites_seat_slow(a, event->stack, event->thread, &seat_number);
    struct block *block = NULL;
    if (!result)
        result = blocks_slot(a, event->block, &block);
    if (result)
        return result;
    if (event->stack == TRACE_NO_STACK)
        a->paths[a->unknown_path].allocations++;

    struct seat *seat = &a->seats[seat_number];
    struct site *site = a->sites[seat->site];
    if (seat->known) {
        seat_takes(site, seat, thread);
        flags |= BLOCK_SEATED;
    }
    struct lane *lane = &a->lanes[seat->lane];
    if (pool_get(a, lane))
        site->pool_hits++;
    *block = (struct block){.address = event->address,
                            .size = event->size,
                            .born_ns = event->time_ns,
                            .clock = thread->clock,
                            .site = seat->site,
                            .seat = seat_number,
                            .generation = seat->generation,
                            .thread = event->thread,
                            .home = seat->home,
                            .request = request,
                            .flags = flags};

    if (!site->allocations) {
        site->first_ns = site->last_ns = event->time_ns;
    } else {
        if (is_near(event->address, site->last_address, event->size))
            site->neighbour_near++;
        if (event->time_ns > site->last_ns)
            site->last_ns = event->time_ns;
        else if (event->time_ns < site->first_ns)
            site->first_ns = event->time_ns;
    }
    site->last_address = event->address;
    site->allocations++;
    site->ops.made[op_size_class(event->size)]++;
    if (event->call != TRACE_CALL_MALLOC)
        site->calls[event->call]++;
    if (request)
        site->in_request++;
    live_grows(a, site, event->size);
    result = block_settles(a, site, block);
    if (++site->live > site->live_peak) {
        site->live_peak = site->live;
        site->peak_pages = site->pages * 16 + site->extra_pages;
    }
    if (++a->live_blocks > a->totals.live_peak_blocks)
        a->totals.live_peak_blocks = a->live_blocks;
    a->totals.allocations++;
    return result ? result : site_log_size(site, event->size);
}

/* ---- free ---- */

static struct block *block_live(const struct analyse *a, uint32_t number)
{
    if (number >= a->block_count)
        return NULL;
    struct block *block = block_at(a, number);
    return block->flags & BLOCK_LIVE ? block : NULL;
}

/* The last frees of a run are held back until it is known to be a burst; then all count. */
static void run_grows(struct analyse *a, struct thread *thread, uint32_t site)
{
    if (thread->run < ANALYSE_BURST - 1) {
        thread->run_sites[thread->run++] = site;
        return;
    }
    if (thread->run == ANALYSE_BURST - 1) {
        thread->run++;
        for (uint32_t i = 0; i < ANALYSE_BURST - 1; i++)
            if (thread->run_sites[i] != ANALYSE_NONE)
                a->sites[thread->run_sites[i]]->freed_in_burst++;
    }
    if (site != ANALYSE_NONE)
        a->sites[site]->freed_in_burst++;
}

/*
 * Counts how many activations, from the site's function outwards, had ended. Not known when the two
 * stacks meet above where one of them was cut off.
 */
static void outlived_add(const struct analyse *a, struct site *site, const struct block *block,
                         const struct thread *thread, uint32_t stack)
{
    if (stack == TRACE_NO_STACK || !(block->flags & BLOCK_STACK))
        return;
    uint32_t common = thread_common(thread, block->home, block->clock);
    if (!common && (block->flags & BLOCK_TRUNCATED || a->nodes[stack].truncated))
        return;
    uint32_t ended = block->home - common;
    site->outlived[ended < ANALYSE_LEVELS ? ended : ANALYSE_LEVELS - 1]++;
}

static bool request_ended(const struct analyse *a, const struct block *block)
{
    if (!block->request)
        return false;
    uint32_t home = block->request - 1u;
    return thread_common(&a->threads[block->thread], home, block->clock) < home;
}

/* Into the simulated pool of the thread that frees. */
static int pool_put(struct analyse *a, struct site *site, const struct block *block,
                    uint32_t thread)
{
    uint32_t lane = a->seats[block->seat].lane;
    if (thread != block->thread) {
        int result = sites_lane(a, block->site, thread, &lane);
        if (result)
            return result;
    }
    struct lane *pool = &a->lanes[lane];
    pool_age(a, pool);
    uint64_t items = (uint64_t)pool->idle + pool->victims;
    if (a->options.pool_items ? items < a->options.pool_items
                              : items * block->size < POOL_IDLE_BYTES)
        pool->idle++;
    else
        site->pool_drops++;
    return 0;
}

static int block_freed(struct analyse *a, const struct trace_event *event)
{
    struct thread *thread = &a->threads[event->thread];
    if (event->stack != TRACE_NO_STACK)
        thread_enter(a, thread, event->stack, thread->clock + 1);
    a->totals.frees++;
    if (event->block == TRACE_NO_BLOCK) {
        a->totals.unknown_frees++;
        run_grows(a, thread, ANALYSE_NONE);
        return 0;
    }
    struct block *block = block_live(a, event->block);
    if (!block)
        return -EBADMSG;
    block->flags &= (uint8_t)~BLOCK_LIVE;
    struct site *site = a->sites[block->site];
    run_grows(a, thread, block->site);

    const struct thread *maker = &a->threads[block->thread];
    if (maker == thread)
        outlived_add(a, site, block, thread, event->stack);
    else
        site->freed_by_other_thread++;
    if (request_ended(a, block))
        site->outlived_request++;
    struct seat *seat = &a->seats[block->seat];
    if (block->flags & BLOCK_SEATED && seat->generation == block->generation)
        seat->live--;

    site->ops.freed[op_size_class(block->size)]++;
    site->live--;
    a->live_blocks--;
    live_shrinks(a, site, block->size);
    block_leaves(a, site, block);
    int result = pool_put(a, site, block, event->thread);
    if (!result && block->flags & BLOCK_RESIZED)
        result = distribution_add(&site->growth->final, block->size);
    uint64_t age_ns = event->time_ns > block->born_ns ? event->time_ns - block->born_ns : 0;
    return result ? result : site_log_lifetime(site, age_ns, maker->clock - block->clock);
}

/* ---- realloc ---- */

static void reallocer_add(struct site_growth *growth, uint32_t code)
{
    uint32_t rarest = 0;
    for (uint32_t i = 0; i < growth->caller_count; i++) {
        if (growth->callers[i].code == code) {
            growth->callers[i].count++;
            return;
        }
        if (growth->callers[i].count < growth->callers[rarest].count)
            rarest = i;
    }
    if (growth->caller_count < ANALYSE_REALLOCERS) {
        growth->callers[growth->caller_count].code = code;
        growth->callers[growth->caller_count++].count = 1;
        return;
    }
    growth->callers[rarest].code = code;
    growth->callers[rarest].count++;
}

static int reallocer_note(struct analyse *a, struct site_growth *growth, uint32_t stack)
{
    if (stack == TRACE_NO_STACK)
        return 0;
    uint32_t path = a->nodes[stack].path;
    int result = nodes_skip(a, path);
    if (result)
        return result;
    for (uint32_t skip = a->paths[path].skip; skip--;)
        path = a->paths[path].parent;
    reallocer_add(growth, a->paths[path].code);
    return 0;
}

static int chain_begins(struct site *site, struct block *block)
{
    if (!site->growth) {
        site->growth = calloc(1, sizeof *site->growth);
        if (!site->growth)
            return -ENOMEM;
    }
    block->flags |= BLOCK_RESIZED;
    site->growth->chains++;
    return distribution_add(&site->growth->first, block->size);
}

static int block_resized(struct analyse *a, const struct trace_event *event)
{
    struct thread *thread = &a->threads[event->thread];
    if (event->stack != TRACE_NO_STACK)
        thread_enter(a, thread, event->stack, thread->clock + 1);
    struct block *block = block_live(a, event->block);
    if (!block)
        return -EBADMSG;
    a->totals.reallocs++;
    struct site *site = a->sites[block->site];
    site->ops.resized[op_size_class(block->size)]++;
    int result = 0;
    if (event->size != block->size) {
        if (!(block->flags & BLOCK_RESIZED))
            result = chain_begins(site, block);
        if (!result)
            result = reallocer_note(a, site->growth, event->stack);
        if (result)
            return result;
        struct site_growth *growth = site->growth;
        bool moved = event->address != block->address;
        if (event->size > block->size) {
            growth->steps++;
            growth->moved += moved;
            growth->bytes_moved += moved ? block->size : 0;
        } else {
            growth->shrinks++;
        }
    }
    if (event->size == block->size && event->address == block->address)
        return 0;
    block_leaves(a, site, block);
    if (event->size > block->size) {
        live_grows(a, site, event->size - block->size);
        site->grown_bytes += event->size - block->size;
    } else {
        live_shrinks(a, site, block->size - event->size);
    }
    block->address = event->address;
    block->size = event->size;
    return block_settles(a, site, block);
}

int blocks_event(struct analyse *a, const struct trace_event *event)
{
    a->totals.events++;
    switch (event->kind) {
    case TRACE_ALLOC:
        return block_allocated(a, event);
    case TRACE_FREE:
        return block_freed(a, event);
    default:
        return block_resized(a, event);
    }
}

int blocks_finish(struct analyse *a)
{
    for (uint32_t i = 0; i < a->block_count; i++) {
        const struct block *block = block_at(a, i);
        if (!(block->flags & BLOCK_LIVE))
            continue;
        struct site *site = a->sites[block->site];
        site->outlived_request += request_ended(a, block);
        if (block->flags & BLOCK_RESIZED) {
            int result = distribution_add(&site->growth->final, block->size);
            if (result)
                return result;
        }
    }
    for (uint32_t i = 0; i < a->site_count; i++) {
        int result = site_logs_empty(a->sites[i]);
        if (result)
            return result;
    }
    a->totals.live_end_blocks = a->live_blocks;
    a->totals.live_end_bytes = a->live_bytes;
    return 0;
}

void blocks_done(struct analyse *a)
{
    for (uint32_t i = 0; i < a->chunk_count; i++)
        free(a->chunks[i]);
    free(a->chunks);
    pages_done(&a->pages);
}
