/* SPDX-License-Identifier: MIT */
#include "facts.h"

const struct analyse_totals facts_totals = {
    .events = 17000000,
    .allocations = 8000000,
    .frees = 7900000,
    .reallocs = 1000000,
    .live_peak_bytes = 3 << 20,
    .threads = 1,
    .processes = 1,
    .has_end = true,
    .end = {.wall_ns = 100000000},
};

static struct analyse_distribution all(uint64_t value, uint64_t count)
{
    return (struct analyse_distribution){.count = count,
                                         .min = value,
                                         .max = value,
                                         .sum = (double)value * (double)count,
                                         .p1 = value,
                                         .p50 = value,
                                         .p95 = value,
                                         .p99 = value,
                                         .p999 = value};
}

void facts_set_size(struct facts *facts, uint64_t size)
{
    facts->site.size = all(size, facts->site.allocations);
    facts->site.window_low = size / 2 + 1;
    facts->site.within_2x = 1;
    facts->site.spread = 1;
    facts->site.size_classes = 1;
    facts->site.bytes = size * facts->site.allocations;
    facts->site.live_peak_bytes = size * facts->site.live_peak;
}

void facts_pool(struct facts *facts)
{
    *facts = (struct facts){0};
    facts->site = (struct analyse_site){
        .allocations = 1000000,
        .calls = {[TRACE_CALL_MALLOC] = 1000000},
        .frees = 1000000,
        .live_peak = 1000,
        .threads = 1,
        .lifetime_ns = {.count = 1000000,
                        .min = 400,
                        .max = 90000,
                        .sum = 3.1e9,
                        .p1 = 500,
                        .p50 = 3100,
                        .p95 = 8000,
                        .p99 = 20000,
                        .p999 = 60000},
        .outlived = {[2] = 1000000},
        .outlived_known = 1000000,
        .instances = {1000000, 5000},
        .max_live_in_instance = 1,
        .pool_hits = 990000,
        .neighbour_near = 900000,
        .first_ns = 1000,
        .last_ns = 99000000,
    };
    facts_set_size(facts, 64);
    facts->input = (struct verdict_input){
        .site = &facts->site,
        .names = {.function = "make_item", .file = "src/item.c", .module = "program", .line = 42},
        .cost = {.malloc_pair_ns = 10, .pool_pair_ns = 3},
    };
}

void facts_stack(struct facts *facts)
{
    facts_pool(facts);
    facts->site.outlived[2] = 0;
    facts->site.outlived[0] = 999000;
    facts->site.outlived[1] = 1000;
    facts->site.live_peak = 1;
    facts->input.names.function = "record_event";
}

void facts_tail(struct facts *facts)
{
    facts_pool(facts);
    facts->site.allocations = facts->site.frees = facts->site.outlived[2] = 10000;
    facts->site.outlived_known = 10000;
    facts->site.pool_hits = 9900;
    facts->input.names.function = "seldom";
}

void facts_cap(struct facts *facts)
{
    facts_pool(facts);
    facts_set_size(facts, 800);
    facts->site.size.min = facts->site.size.p1 = 640;
    facts->site.size.p95 = facts->site.size.p99 = facts->site.size.p999 = 1024;
    facts->site.size.max = 1 << 20;
    facts->site.window_low = 640;
    facts->site.within_2x = 0.9999;
    facts->site.spread = 1.6;
    facts->input.names.function = "receive_frame";
}

void facts_classes(struct facts *facts)
{
    facts_pool(facts);
    facts_set_size(facts, 2000);
    facts->site.size.min = facts->site.size.p1 = 16;
    facts->site.size.p95 = 100000;
    facts->site.size.p99 = facts->site.size.p999 = 250000;
    facts->site.size.max = 1 << 18;
    facts->site.window_low = 16;
    facts->site.within_2x = 0.1;
    facts->site.spread = 15625;
    facts->input.names.function = "read_blob";
}

void facts_presize(struct facts *facts)
{
    facts_pool(facts);
    facts->site.outlived[2] = 0;
    facts->site.outlived[0] = 1000000;
    facts->site.live_peak = 1;
    facts->site.grow.chains = 990000;
    facts->site.grow.steps = 5940000;
    facts->site.grow.moved = 5000000;
    facts->site.grow.bytes_moved = 1000000000;
    facts->site.grow.first = all(64, 990000);
    facts->site.grow.final = all(4096, 990000);
    facts->input.names.function = "buffer_append";
}

void facts_hoist(struct facts *facts)
{
    facts_pool(facts);
    facts_set_size(facts, 16384);
    facts->site.outlived[2] = 0;
    facts->site.outlived[0] = 1000000;
    facts->site.live_peak = 1;
    facts->site.instances[0] = 100;
    facts->site.instances[1] = 10;
    facts->input.names.function = "convert_rows";
}

void facts_arena(struct facts *facts)
{
    facts_pool(facts);
    facts->site.freed_in_burst = 990000;
    facts->input.names.function = "make_node";
    facts->input.names.death_function = "parse_document";
}

void facts_retained(struct facts *facts)
{
    facts_pool(facts);
    facts->site.frees = facts->site.outlived[2] = facts->site.outlived_known = 100000;
    facts->site.never_freed = 900000;
    facts->site.live_peak = 900000;
    facts->site.pool_hits = 50000;
    facts->site.neighbour_near = 100000;
    facts_set_size(facts, 48);
    facts->input.names.function = "intern";
}

void facts_loses(struct facts *facts)
{
    facts_pool(facts);
    facts->input.cost = (struct verdict_cost){
        .malloc_pair_ns = 10, .pool_pair_ns = 12, .measured = true, .saved_ci95 = {-0.03, -0.01}};
    facts->input.names.function = "reuse_nothing";
}

void facts_library(struct facts *facts)
{
    facts_stack(facts);
    facts->input.names = (struct verdict_names){.function = "getdelim",
                                                .module = "libc.so.6",
                                                .system = true,
                                                .caller_function = "read_config",
                                                .caller_file = "config.c",
                                                .caller_line = 12};
}
