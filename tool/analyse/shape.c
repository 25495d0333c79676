/* SPDX-License-Identifier: MIT */
/*
 * Wrappers by shape: functions that hand on what the allocator gave them, found in programs whose
 * functions have no telling names (stripped, or a project's own spelling).
 *
 * A function that sits directly above the allocator (or above wrappers already known) is one when
 *   - many call it: at least 4 return addresses in at least 3 functions;
 *   - it allocates from at most 2 places of its own, and once a call: at least half of its callers'
 *     return addresses see at most 1.05 allocations an activation. Not all, because a loop around a
 *     call cannot be told from a loop inside it (see thread_enter), and callers loop;
 *   - its blocks outlive it: at most 0.5 % die while it is active;
 *   - the size is its caller's choice: at least 4 sizes, none above 90 % of its
 *     allocations: unlike a constructor, which also returns what it allocates, but of one size;
 *   - it does not also resize its blocks: at most 20 % of them: unlike the function that grows
 *     a string or a vector.
 *
 * Limits. A wrapper of realloc that also resizes is not found, nor one used for one size only. A
 * constructor of things whose size varies (a name stored in the same block), called from many
 * places, is taken for a wrapper: its site is then split by its callers. A wrapper called mostly
 * from loops is missed. Each of these moves a site by one frame; no allocation is lost or counted
 * twice.
 */
#include "analyse_internal.h"

#include <errno.h>
#include <string.h>

#define SHAPE_ALLOCATIONS 64u /* fewer show no shape */
#define SHAPE_CALLERS     4u
#define SHAPE_FUNCTIONS   3u
#define SHAPE_PLACES      2u
#define SHAPE_SIZES       4u

struct shape { /* of a function */
    uint64_t allocations, died_inside, resized;
    uint32_t places[SHAPE_PLACES + 1]; /* codes inside it that allocate */
    uint32_t place_count;
    struct distribution size;
};

struct caller { /* a return address into a function that called the function */
    uint32_t function, code;
    uint32_t from; /* the function that `code` lies in */
    uint64_t allocations, activations;
};

struct shape_pass {
    struct analyse *a;
    struct shape *shapes; /* by function; functions seen later than its capacity are not judged */
    struct caller *callers;
    uint32_t *path_callers; /* by path: its caller's index; ANALYSE_NONE: not asked yet */
    uint64_t *node_clocks;  /* by home node: clock of the last allocation of the activation there */
    struct map caller_ids;
    uint32_t shape_count, caller_count, caller_capacity;
};

#define CALLER_NOT_JUDGED (UINT32_MAX - 1)

static uint32_t path_up(const struct analyse *a, uint32_t path, uint32_t frames)
{
    while (frames--)
        path = a->paths[path].parent;
    return path;
}

static struct shape *shape_of(struct shape_pass *pass, uint32_t function)
{
    return &pass->shapes[function];
}

static int shapes_cover(struct shape_pass *pass)
{
    uint32_t old = pass->shape_count;
    if (pass->a->function_count <= old)
        return 0;
    int result = array_reserve((void **)&pass->shapes, &pass->shape_count, pass->a->function_count,
                               sizeof *pass->shapes);
    if (result)
        return result;
    for (uint32_t i = old; i < pass->shape_count; i++)
        pass->shapes[i] = (struct shape){0};
    return 0;
}

/* The (function, caller) pair that allocations on this path belong to. */
static int caller_of(struct shape_pass *pass, uint32_t path, uint32_t *ret_caller)
{
    struct analyse *a = pass->a;
    if (pass->path_callers[path] != ANALYSE_NONE) {
        *ret_caller = pass->path_callers[path];
        return 0;
    }
    int result = nodes_skip(a, path);
    if (result)
        return result;
    uint32_t site_path = path_up(a, path, a->paths[path].skip);
    uint32_t parent = a->paths[site_path].parent;
    const struct code *code = &a->codes[a->paths[site_path].code];
    uint32_t found = CALLER_NOT_JUDGED;
    if (parent && !code->system && !code_is_wrapper(a, code) && code->module != TRACE_NO_MODULE) {
        uint32_t function = code->function, caller_code = a->paths[parent].code;
        result = nodes_resolve(a, caller_code);
        if (!result)
            result = shapes_cover(pass);
        if (result)
            return result;
        uint64_t key = (uint64_t)function << 32 | caller_code;
        found = map_find(&pass->caller_ids, key);
        if (found == ANALYSE_NONE) {
            result = array_reserve((void **)&pass->callers, &pass->caller_capacity,
                                   pass->caller_count + 1, sizeof *pass->callers);
            if (!result)
                result = map_add(&pass->caller_ids, key, pass->caller_count);
            if (result)
                return result;
            found = pass->caller_count++;
            pass->callers[found] = (struct caller){
                .function = function, .code = caller_code, .from = a->codes[caller_code].function};
        }
    }
    *ret_caller = pass->path_callers[path] = found;
    return 0;
}

static void place_note(struct shape *shape, uint32_t code)
{
    for (uint32_t i = 0; i < shape->place_count; i++)
        if (shape->places[i] == code)
            return;
    if (shape->place_count <= SHAPE_PLACES)
        shape->places[shape->place_count++] = code;
}

static int shape_allocated(struct shape_pass *pass, const struct trace_event *event)
{
    struct analyse *a = pass->a;
    struct thread *thread = &a->threads[event->thread];
    thread->clock++;
    struct block *block = NULL;
    int result = blocks_slot(a, event->block, &block);
    if (result)
        return result;
    *block = (struct block){
        .clock = thread->clock, .site = ANALYSE_NONE, .thread = event->thread, .flags = BLOCK_LIVE};
    if (event->stack == TRACE_NO_STACK)
        return 0;
    thread_enter(a, thread, event->stack, thread->clock);
    uint32_t path = a->nodes[event->stack].path, number = 0;
    result = caller_of(pass, path, &number);
    if (result || number == CALLER_NOT_JUDGED)
        return result;

    struct caller *caller = &pass->callers[number];
    struct shape *shape = shape_of(pass, caller->function);
    uint32_t skip = a->paths[path].skip;
    block->site = caller->function;
    block->home = (uint16_t)(a->nodes[event->stack].depth - skip - 1u);
    const struct level *home = &thread->levels[block->home];
    caller->allocations++;
    /* Clocks start at 1, so a node never seen (0) begins an activation, as `since` is at least 1.
     */
    if (home->since > pass->node_clocks[home->node])
        caller->activations++;
    pass->node_clocks[home->node] = thread->clock;
    place_note(shape, a->paths[path_up(a, path, skip)].code);
    shape->allocations++;
    return distribution_add(&shape->size, event->size);
}

static struct block *shape_block(const struct analyse *a, uint32_t number)
{
    if (number >= a->block_count)
        return NULL;
    struct block *block = block_at(a, number);
    return block->flags & BLOCK_LIVE ? block : NULL;
}

static int shape_other(struct shape_pass *pass, const struct trace_event *event)
{
    struct analyse *a = pass->a;
    struct thread *thread = &a->threads[event->thread];
    if (event->stack != TRACE_NO_STACK)
        thread_enter(a, thread, event->stack, thread->clock + 1);
    if (event->block == TRACE_NO_BLOCK && event->kind == TRACE_FREE)
        return 0;
    struct block *block = shape_block(a, event->block);
    if (!block)
        return -EBADMSG;
    if (event->kind == TRACE_FREE)
        block->flags = 0;
    if (block->site == ANALYSE_NONE || event->stack == TRACE_NO_STACK)
        return 0;
    struct shape *shape = shape_of(pass, block->site);
    if (event->kind == TRACE_FREE) {
        if (block->thread == event->thread &&
            thread_common(thread, block->home, block->clock) == block->home)
            shape->died_inside++;
        return 0;
    }
    uint32_t number = 0;
    int result = caller_of(pass, a->nodes[event->stack].path, &number);
    if (result || number == CALLER_NOT_JUDGED)
        return result;
    if (pass->callers[number].function == block->site && !(block->flags & BLOCK_MARKED)) {
        block->flags |= BLOCK_MARKED;
        shape_of(pass, block->site)->resized++;
    }
    return 0;
}

static int compare_callers(const void *left, const void *right)
{
    const struct caller *a = left, *b = right;
    if (a->function != b->function)
        return (a->function > b->function) - (a->function < b->function);
    return (a->from > b->from) - (a->from < b->from);
}

/* `callers` are all of one function, those from one function next to each other. */
static bool callers_many(const struct caller *callers, size_t count)
{
    size_t functions = 0, once = 0;
    for (size_t i = 0; i < count; i++) {
        functions += !i || callers[i].from != callers[i - 1].from;
        once += callers[i].allocations * 20 <= callers[i].activations * 21;
    }
    return count >= SHAPE_CALLERS && functions >= SHAPE_FUNCTIONS && once * 2 >= count;
}

static int sizes_vary(const struct distribution *size, bool *ret_vary)
{
    struct distribution_range *ranges = NULL;
    size_t count = 0;
    int result = distribution_ranges(size, &ranges, &count);
    if (result)
        return result;
    uint64_t most = 0;
    for (size_t i = 0; i < count; i++)
        most = ranges[i].count > most ? ranges[i].count : most;
    free(ranges);
    *ret_vary = count >= SHAPE_SIZES && most <= size->count / 10 * 9 + size->count % 10 * 9 / 10;
    return 0;
}

/* *ret_found: how many functions became wrappers. */
static int functions_judge(struct shape_pass *pass, uint32_t *ret_found)
{
    struct analyse *a = pass->a;
    if (pass->caller_count)
        qsort(pass->callers, pass->caller_count, sizeof *pass->callers, compare_callers);
    for (uint32_t first = 0, end = 0; first < pass->caller_count; first = end) {
        uint32_t number = pass->callers[first].function;
        while (end < pass->caller_count && pass->callers[end].function == number)
            end++;
        const struct shape *shape = shape_of(pass, number);
        bool vary = false;
        int result = sizes_vary(&shape->size, &vary);
        if (result)
            return result;
        if (vary && shape->allocations >= SHAPE_ALLOCATIONS && shape->place_count <= SHAPE_PLACES &&
            shape->died_inside * 200 <= shape->allocations &&
            shape->resized * 5 <= shape->allocations &&
            callers_many(&pass->callers[first], end - first)) {
            a->functions[number].shape_wrapper = true;
            ++*ret_found;
        }
    }
    return 0;
}

static void pass_done(struct shape_pass *pass)
{
    for (uint32_t i = 0; i < pass->shape_count; i++)
        distribution_done(&pass->shapes[i].size);
    free(pass->shapes);
    free(pass->callers);
    free(pass->path_callers);
    free(pass->node_clocks);
    map_done(&pass->caller_ids);
}

/* Threads and blocks as they were before the first event. */
static void state_reset(struct analyse *a)
{
    for (uint32_t i = 0; i < a->thread_count; i++) {
        a->threads[i].length = 0;
        a->threads[i].clock = 0;
    }
    a->block_count = 0;
}

static int round_run(struct analyse *a, uint32_t *ret_found)
{
    struct shape_pass pass = {.a = a};
    pass.path_callers = malloc(a->path_count * sizeof *pass.path_callers);
    pass.node_clocks = calloc(a->node_count, sizeof *pass.node_clocks);
    int result = pass.path_callers && pass.node_clocks ? 0 : -ENOMEM;
    if (!result)
        memset(pass.path_callers, 0xff, a->path_count * sizeof *pass.path_callers);
    for (size_t i = 0; !result && i < a->held_count; i++) {
        const struct trace_event *event = &a->held[i];
        result =
            event->kind == TRACE_ALLOC ? shape_allocated(&pass, event) : shape_other(&pass, event);
    }
    if (!result)
        result = functions_judge(&pass, ret_found);
    pass_done(&pass);
    state_reset(a);
    return result;
}

int shape_judge(struct analyse *a)
{
    for (uint32_t round = 0; round < ANALYSE_ROUNDS; round++) {
        uint32_t found = 0;
        int result = round_run(a, &found);
        if (result)
            return result;
        if (!found)
            return 0;
        a->totals.wrappers_by_shape += found;
        for (uint32_t i = 1; i < a->path_count; i++)
            a->paths[i].skip = PATH_UNKNOWN;
    }
    return 0;
}
