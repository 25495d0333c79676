/* SPDX-License-Identifier: MIT */
/*
 * A made-up program: threads with a real call stack, whose allocations go to an analysis as the
 * recorder would report them. Function f's code is [f * 0x1000, f * 0x1000 + 0xfff]; a place is an
 * offset in it.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "analyse.h"

#define PROGRAM_FRAMES  64
#define PROGRAM_THREADS 8
#define PROGRAM_NODES   65536
#define PROGRAM_BLOCKS  65536

#define WRAPPER_FIRST   0xa0 /* functions 0xa0..0xaf are wrappers by name */
#define SYSTEM_FIRST    0xc0 /* functions 0xc0..0xcf are the system's */
#define REQUEST         0x77 /* the request function, when requests are asked for */

struct program {
    struct analyse *analyse;
    const struct trace_sink *sink;
    uint64_t now_ns, next_address;
    uint32_t thread_count, module_count, process_count;
    struct program_thread {
        uint32_t functions[PROGRAM_FRAMES]; /* active, outermost first */
        uint64_t returns[PROGRAM_FRAMES];   /* returns[i]: return address into functions[i - 1] */
        uint32_t modules[PROGRAM_FRAMES];
        uint32_t depth;
        uint32_t module; /* of what it calls from now on */
        bool stackless, truncated;
    } threads[PROGRAM_THREADS];
    struct trace_node *nodes;
    uint32_t node_count;
    uint64_t *addresses; /* of blocks */
    bool *live;
    uint32_t block_count;
    int failure; /* the sink's last answer that was not 0 */
    uint32_t resolved;
};

/* Ends the test when there is no memory. One process and thread 0, in function `entry`. */
struct program *program_create(uint32_t entry, const struct analyse_options *tweak);
void program_destroy(struct program *p);

/* For options.is_request: function REQUEST is. */
bool program_is_request(void *context, uint64_t function);

uint32_t program_process(struct program *p);
/* build_id 0: none. */
uint32_t program_module(struct program *p, uint32_t process, uint64_t bias, uint8_t build_id);
uint32_t program_thread(struct program *p, uint32_t process, uint32_t entry);

void program_call(struct program *p, uint32_t thread, uint32_t place, uint32_t function);
void program_return(struct program *p, uint32_t thread);

uint32_t program_alloc(struct program *p, uint32_t thread, uint32_t place, uint64_t size);
/* Allocates through a function that is called for it alone. */
uint32_t program_alloc_by(struct program *p, uint32_t thread, uint32_t place, uint32_t function,
                          uint64_t size);
void program_free(struct program *p, uint32_t thread, uint32_t place, uint32_t block);
void program_resize(struct program *p, uint32_t thread, uint32_t place, uint32_t block,
                    uint64_t size, bool move);
/* A free of a block nobody knows: an event that shows the present stack. */
void program_show(struct program *p, uint32_t thread, uint32_t place);
void program_event(struct program *p, const struct trace_event *event);
uint32_t program_stack(struct program *p, uint32_t thread, uint32_t place); /* the node */

/* Finishes, asserting that all went well. */
void program_finish(struct program *p);
/* The site at this place of a function; fails the test when there is none or more than one. */
const struct analyse_site *program_site(struct program *p, uint32_t function, uint32_t place);
size_t program_sites_in(struct program *p, uint32_t function);
