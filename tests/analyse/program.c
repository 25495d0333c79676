/* SPDX-License-Identifier: MIT */
#include "program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void resolve(void *context, uint32_t module, uint64_t address, struct analyse_frame *ret)
{
    struct program *p = context;
    (void)module;
    p->resolved++;
    uint64_t function = address >> 12 & 0xfff;
    ret->function = function + 1;
    ret->wrapper = function >= WRAPPER_FIRST && function < WRAPPER_FIRST + 16;
    ret->system = function >= SYSTEM_FIRST && function < SYSTEM_FIRST + 16;
}

bool program_is_request(void *context, uint64_t function)
{
    (void)context;
    return function == REQUEST + 1;
}

static void *made(void *memory)
{
    assert_non_null(memory);
    return memory;
}

static void take(struct program *p, int result)
{
    if (result)
        p->failure = result;
}

struct program *program_create(uint32_t entry, const struct analyse_options *tweak)
{
    struct program *p = made(calloc(1, sizeof *p));
    struct analyse_options options = tweak ? *tweak : (struct analyse_options){0};
    options.context = p;
    options.resolve = resolve;
    p->analyse = made(analyse_create(&options));
    p->sink = analyse_sink(p->analyse);
    p->nodes = made(calloc(PROGRAM_NODES, sizeof *p->nodes));
    p->addresses = made(calloc(PROGRAM_BLOCKS, sizeof *p->addresses));
    p->live = made(calloc(PROGRAM_BLOCKS, sizeof *p->live));
    p->node_count = 1;
    p->next_address = 0x100000;
    program_process(p);
    program_thread(p, 0, entry);
    return p;
}

void program_destroy(struct program *p)
{
    analyse_destroy(p->analyse);
    free(p->nodes);
    free(p->addresses);
    free(p->live);
    free(p);
}

uint32_t program_process(struct program *p)
{
    struct trace_process process = {.id = p->process_count, .program = "program"};
    take(p, p->sink->process(p->sink->context, &process));
    return p->process_count++;
}

uint32_t program_module(struct program *p, uint32_t process, uint64_t bias, uint8_t build_id)
{
    struct trace_module module = {.id = p->module_count,
                                  .process = process,
                                  .bias = bias,
                                  .start = bias,
                                  .end = bias + 0x1000000,
                                  .path = "/program",
                                  .build_id = {build_id},
                                  .build_id_size = build_id ? 1 : 0};
    take(p, p->sink->module(p->sink->context, &module));
    return p->module_count++;
}

uint32_t program_thread(struct program *p, uint32_t process, uint32_t entry)
{
    assert_true(p->thread_count < PROGRAM_THREADS);
    uint32_t number = p->thread_count++;
    struct trace_thread thread = {.id = number, .process = process};
    take(p, p->sink->thread(p->sink->context, &thread));
    p->threads[number] =
        (struct program_thread){.functions = {entry}, .depth = 1, .module = TRACE_NO_MODULE};
    return number;
}

void program_call(struct program *p, uint32_t thread, uint32_t place, uint32_t function)
{
    struct program_thread *t = &p->threads[thread];
    assert_true(t->depth < PROGRAM_FRAMES);
    t->returns[t->depth] = (uint64_t)t->functions[t->depth - 1] << 12 | place;
    t->modules[t->depth] = t->module;
    t->functions[t->depth++] = function;
}

void program_return(struct program *p, uint32_t thread)
{
    assert_true(p->threads[thread].depth > 1);
    p->threads[thread].depth--;
}

static uint32_t node_of(struct program *p, uint32_t thread, uint32_t parent, uint32_t depth,
                        uint32_t module, uint64_t address)
{
    const struct program_thread *t = &p->threads[thread];
    struct trace_node node = {.id = p->node_count,
                              .parent = parent,
                              .thread = thread,
                              .module = module,
                              .flags = !parent && t->truncated ? TRACE_NODE_TRUNCATED : 0,
                              .slot = 0x7fff0000 - 64 * (uint64_t)depth,
                              .address = address};
    for (uint32_t i = 1; i < p->node_count; i++) {
        const struct trace_node *known = &p->nodes[i];
        if (known->parent == parent && known->thread == thread && known->address == address &&
            known->slot == node.slot && known->module == module && known->flags == node.flags)
            return i;
    }
    assert_true(p->node_count < PROGRAM_NODES);
    p->nodes[p->node_count] = node;
    take(p, p->sink->nodes(p->sink->context, &node, 1));
    return p->node_count++;
}

uint32_t program_stack(struct program *p, uint32_t thread, uint32_t place)
{
    const struct program_thread *t = &p->threads[thread];
    if (t->stackless)
        return TRACE_NO_STACK;
    uint32_t node = 0;
    for (uint32_t i = 1; i < t->depth; i++)
        node = node_of(p, thread, node, i, t->modules[i], t->returns[i]);
    uint64_t leaf = (uint64_t)t->functions[t->depth - 1] << 12 | place;
    return node_of(p, thread, node, t->depth, t->module, leaf);
}

void program_event(struct program *p, const struct trace_event *event)
{
    take(p, p->sink->events(p->sink->context, event, 1));
}

uint32_t program_alloc(struct program *p, uint32_t thread, uint32_t place, uint64_t size)
{
    uint32_t block = 0;
    while (block < p->block_count && p->live[block])
        block++;
    assert_true(block < PROGRAM_BLOCKS);
    p->block_count += block == p->block_count;
    p->live[block] = true;
    p->addresses[block] = p->next_address;
    p->next_address += (size + 31) & ~UINT64_C(15);
    struct trace_event event = {.time_ns = p->now_ns++,
                                .address = p->addresses[block],
                                .size = size,
                                .block = block,
                                .stack = program_stack(p, thread, place),
                                .thread = thread,
                                .kind = TRACE_ALLOC,
                                .call = TRACE_CALL_MALLOC};
    program_event(p, &event);
    return block;
}

uint32_t program_alloc_by(struct program *p, uint32_t thread, uint32_t place, uint32_t function,
                          uint64_t size)
{
    program_call(p, thread, place, function);
    uint32_t block = program_alloc(p, thread, 0x10, size);
    program_return(p, thread);
    return block;
}

void program_free(struct program *p, uint32_t thread, uint32_t place, uint32_t block)
{
    struct trace_event event = {.time_ns = p->now_ns++,
                                .address = p->addresses[block],
                                .block = block,
                                .stack = program_stack(p, thread, place),
                                .thread = thread,
                                .kind = TRACE_FREE,
                                .call = TRACE_CALL_FREE};
    p->live[block] = false;
    program_event(p, &event);
}

void program_resize(struct program *p, uint32_t thread, uint32_t place, uint32_t block,
                    uint64_t size, bool move)
{
    if (move) {
        p->addresses[block] = p->next_address;
        p->next_address += (size + 31) & ~UINT64_C(15);
    }
    struct trace_event event = {.time_ns = p->now_ns++,
                                .address = p->addresses[block],
                                .size = size,
                                .block = block,
                                .stack = program_stack(p, thread, place),
                                .thread = thread,
                                .kind = TRACE_REALLOC,
                                .call = TRACE_CALL_REALLOC};
    program_event(p, &event);
}

void program_show(struct program *p, uint32_t thread, uint32_t place)
{
    struct trace_event event = {.time_ns = p->now_ns++,
                                .block = TRACE_NO_BLOCK,
                                .stack = program_stack(p, thread, place),
                                .thread = thread,
                                .kind = TRACE_FREE,
                                .call = TRACE_CALL_FREE};
    program_event(p, &event);
}

void program_finish(struct program *p)
{
    assert_int_equal(p->failure, 0);
    assert_int_equal(analyse_finish(p->analyse), 0);
}

const struct analyse_site *program_site(struct program *p, uint32_t function, uint32_t place)
{
    const struct analyse_site *const *sites = NULL, *found = NULL;
    size_t count = analyse_sites(p->analyse, &sites), hits = 0;
    uint64_t wanted = (uint64_t)function << 12 | place;
    for (size_t i = 0; i < count; i++)
        if ((sites[i]->address & 0xffffff) == wanted) {
            found = sites[i];
            hits++;
        }
    if (hits != 1)
        print_error("sites at %#x+%#x: %zu of %zu\n", function, place, hits, count);
    assert_int_equal(hits, 1);
    return found;
}

size_t program_sites_in(struct program *p, uint32_t function)
{
    const struct analyse_site *const *sites = NULL;
    size_t count = analyse_sites(p->analyse, &sites), hits = 0;
    for (size_t i = 0; i < count; i++)
        hits += sites[i]->function == function + 1u;
    return hits;
}
