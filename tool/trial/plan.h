/* SPDX-License-Identifier: MIT */
/*
 * What the runner tells the preloaded library, and what that answers: one struct in a shared file mapping.
 * The runner fills it before the program starts; the library finds it by an environment variable, which
 * names the runner's descriptor in /proc.
 *
 * call   one return address, as module and offset from its load bias
 * site   the innermost calls of a stack, malloc's caller first; they are all that decides
 * rule   what is done for blocks of a site
 * group  sites whose blocks come from the same pools
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#define PLAN_ENVIRONMENT "POOLWISE_TRIAL"
#define PLAN_MAGIC       UINT64_C(0x316c616972747770) /* "pwtrial1" */
#define PLAN_MODULES     64u
#define PLAN_SITES       1024u
#define PLAN_CALLS       8192u
#define PLAN_PATH        512u
#define PLAN_BUILD_ID    32u
#define PLAN_DEPTH       64u /* calls of one site */

enum plan_rule {
    PLAN_ONE_SIZE, /* blocks of up to `bytes` from one pool of that item size; larger are left alone */
    PLAN_CLASSES, /* blocks of up to `bytes` from pools by size class */
    PLAN_PASS,    /* told from other calls, and then left alone: what telling costs */
    PLAN_PRESIZE, /* the first request is for at least `bytes`, from the program's own allocator */
};

enum plan_module_state {
    PLAN_NOT_LOADED,
    PLAN_LOADED,
    PLAN_OTHER_BUILD, /* a file of that name is loaded, and it is another build */
};

enum plan_site_state {
    PLAN_UNSEEN, /* no block of it was asked for */
    PLAN_SERVED, /* at least one was served by the rule */
    PLAN_OPAQUE, /* its stack cannot be told apart from others' here: no unwind data on the way */
};

struct plan_module {
    char path[PLAN_PATH]; /* as loaded: absolute */
    uint8_t build_id[PLAN_BUILD_ID];
    uint32_t build_id_size; /* 0: the path alone decides */
    _Atomic uint32_t state; /* enum plan_module_state; the library's, any process of the run */
};

struct plan_call {
    uint32_t module;
    uint32_t reserved;
    uint64_t offset;
};

struct plan_site {
    uint32_t first_call, call_count;
    uint32_t rule;  /* enum plan_rule */
    uint32_t group; /* dense, below PLAN_SITES */
    uint64_t bytes;
    _Atomic uint32_t state; /* enum plan_site_state; the library's */
};

/* Written by the library when a process of the run ends in the usual way; sums over them. */
struct plan_answer {
    _Atomic uint32_t attached;  /* processes that follow the plan */
    _Atomic uint64_t served;    /* blocks got from pools */
    _Atomic uint64_t reused;    /* of which had been put there before */
    _Atomic uint64_t idle_peak; /* most bytes that pools of one process held idle at its end */
    _Atomic uint32_t
        full; /* there was no memory to begin with: no address range for pools could be had */
};

struct plan {
    uint64_t magic;
    uint32_t bytes; /* sizeof(struct plan): runner and library are of one build */
    int32_t main_pid;
    uint32_t module_count, call_count, site_count;
    uint32_t everything;       /* serve blocks of all other sites, too: by classes */
    uint64_t everything_bytes; /* up to this size */
    uint64_t max_idle_bytes;   /* of each pool; 0: the library's default */
    struct plan_answer answer;
    struct plan_module modules[PLAN_MODULES];
    struct plan_call calls[PLAN_CALLS];
    struct plan_site sites[PLAN_SITES];
};
