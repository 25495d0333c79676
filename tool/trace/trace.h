/* SPDX-License-Identifier: MIT */
/*
 * The model of a recording: what happened in a program's heap, in order.
 *
 * process   one address space that was recorded (a fork makes another)
 * thread    one thread of a process; numbers are dense and never reused
 * module    one loaded ELF file, at one place in one process
 * node      one frame instance on a thread's stack: where its return address lies (slot), the return
 *           address, and the node of its caller. A stack is the node of its innermost frame.
 * block     a live allocation's number: dense, and reused once the block is freed
 * event     one call that made, resized or freed a block
 *
 * A source (the collector, the reader) pushes these into a sink (the writer, the analysis). A thing
 * is always defined before it is used: process, module and thread before node, node before event.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define TRACE_NO_BLOCK  UINT32_MAX /* a free of a block whose allocation was not seen */
#define TRACE_NO_MODULE UINT32_MAX /* an address in no known module: generated code */
#define TRACE_NO_STACK  0u         /* node 0: the root above every outermost frame, or no stack known */

enum trace_kind {
    TRACE_ALLOC,   /* a new block */
    TRACE_FREE,    /* the block is gone; its number may be reused by the next event */
    TRACE_REALLOC, /* the block keeps its number; address and size may change */
};

/* Which entry point made the call. */
enum trace_call {
    TRACE_CALL_MALLOC,
    TRACE_CALL_CALLOC,
    TRACE_CALL_REALLOC, /* realloc and reallocarray; an ALLOC when the old pointer was NULL or unknown */
    TRACE_CALL_ALIGNED, /* posix_memalign, aligned_alloc, memalign, valloc, pvalloc */
    TRACE_CALL_FREE,
    TRACE_CALL_COUNT,
};

struct trace_event {
    uint64_t time_ns; /* since the recording began; not decreasing within a thread */
    uint64_t address; /* of the block after the call; FREE: of the block freed */
    uint64_t size;    /* bytes asked for; FREE: 0 */
    uint32_t block;   /* TRACE_NO_BLOCK only for FREE */
    uint32_t stack;   /* node of the frame that called the allocator; TRACE_NO_STACK: unknown */
    uint32_t thread;
    uint8_t kind; /* enum trace_kind */
    uint8_t call; /* enum trace_call */
};

struct trace_process {
    uint32_t id;
    uint32_t parent; /* id of the process that forked it; its own id: none */
    int32_t pid;
    const char *program; /* path of the executable; never NULL */
};

#define TRACE_BUILD_ID_MAX 32

struct trace_module {
    uint32_t id;
    uint32_t process;
    uint64_t bias;       /* run-time address - address in the file */
    uint64_t start, end; /* mapped range at run time, [start, end) */
    const char *path;    /* "" when unknown; "[vdso]" */
    uint8_t build_id[TRACE_BUILD_ID_MAX];
    uint32_t build_id_size; /* 0: none */
};

struct trace_thread {
    uint32_t id;
    uint32_t process;
    int32_t tid;
    uint64_t start_ns;
};

#define TRACE_NODE_TRUNCATED 1u /* frames are missing above this one: depth limit, or no unwind data */

struct trace_node {
    uint32_t id;     /* ids count up from 1 over the whole recording */
    uint32_t parent; /* the caller's node, a smaller id, of the same thread; 0: outermost */
    uint32_t thread;
    uint32_t module;  /* where the return address lies, or TRACE_NO_MODULE */
    uint32_t flags;   /* TRACE_NODE_* */
    uint64_t slot;    /* stack address of the cell that holds the return address */
    uint64_t address; /* the return address */
};

/* What is known once the program has ended. All counts are exact unless `dropped` is not 0. */
struct trace_end {
    uint64_t wall_ns;
    uint64_t cpu_ns; /* user + system of the recorded processes, recording included; 0: unknown */
    uint64_t events, allocations, frees, reallocs;
    uint64_t unknown_frees;    /* frees of blocks made before the recording or before a fork */
    uint64_t dropped;          /* events lost because a ring was full (--lossy) */
    uint64_t lost_threads;     /* threads that found no ring */
    uint64_t recording_ns;     /* CPU time the recording added inside the program, from samples */
    uint64_t stack_hits;       /* events whose stack was known (verified, not unwound) */
    int32_t exit_status;       /* as from waitpid; -1: unknown, the recording was cut */
    uint32_t threads, processes;
    uint64_t minor_faults, peak_bytes; /* of the recorded processes, and of the largest of them in memory; 0: unknown */
};

/* Each member returns 0 or -errno, which stops the source. Any member may be NULL. What the pointers
 * point to lives only during the call. Called from one thread. */
struct trace_sink {
    void *context;
    int (*process)(void *context, const struct trace_process *process);
    int (*module)(void *context, const struct trace_module *module);
    int (*thread)(void *context, const struct trace_thread *thread);
    int (*nodes)(void *context, const struct trace_node *nodes, size_t count);
    int (*events)(void *context, const struct trace_event *events, size_t count);
    int (*end)(void *context, const struct trace_end *end);
};
