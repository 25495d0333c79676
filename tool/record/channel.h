/* SPDX-License-Identifier: MIT */
/*
 * The channel: one shared mapping between the traced processes and the collector.
 *
 * ring      a bounded queue of 16-byte units with one writer (a traced thread) and one reader (the
 *           collector). head and tail count units since the ring's beginning and never wrap.
 * unit      one event, or a part of a longer record
 * claim     taking a ring: by compare-and-swap of `owner` from 0
 * retire    giving a ring back: by the collector alone, once its thread is gone and it is empty
 *
 * The collector creates it as a memory file; a process attaches when its first hook runs and keeps it
 * mapped to its end, so closing every descriptor takes nothing away, and what was written before a
 * kill is still there to be read. Nothing in it is trusted by the collector: a process may scribble
 * on it, so every index that is read is masked or checked.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#define CHANNEL_MAGIC      0x6573697770ULL
#define CHANNEL_VERSION    1u
#define CHANNEL_RINGS      1024u
#define CHANNEL_UNITS      (1u << 16) /* per ring: 1 MiB */
#define CHANNEL_CHECKPOINT 1024u      /* units between a writer's checkpoints; divides CHANNEL_UNITS */
#define CHANNEL_MODULES    8192u
#define CHANNEL_PROCESSES  1024u
#define CHANNEL_PATH       456u
#define CHANNEL_ENVIRONMENT "POOLWISE_CHANNEL"

enum channel_flags {
    CHANNEL_LOSSY = 1u,    /* a full ring drops events and counts them */
    CHANNEL_SITE = 2u,     /* record return addresses alone, no stacks */
    CHANNEL_CHILDREN = 4u, /* programs started by the program are recorded too */
    CHANNEL_ORACLE = 8u,   /* tests: compare every stack with a full unwind */
};

/*
 * Units, as two 64-bit words. dt is time since the ring's last unit that carries time, in 16 ticks.
 *
 *   event    w0: kind:4 | dt:15 | address/8:45   w1: size:32 | stack:32
 *   resize   a RESIZE_BEGIN (w0 address: the old block; w1 0) before the call, then a RESIZE_END event
 *            with the new address after it; other threads may reuse the old address in between. The end
 *            has address 0 when the block was freed, and size UINT64_MAX when the call failed.
 *   SIZE     w1: the size of the next event, which needs more than 32 bits
 *   TIME     w1: absolute ticks; the next dt counts from here
 *   NODE     w0: kind:4 | flags:4 | module:16, w1: id:32 | parent:32; then a unit w0: slot, w1: address
 *   EPOCH    the ring's node ids start again at 1
 */
enum channel_kind {
    CHANNEL_EMPTY,
    CHANNEL_MALLOC,
    CHANNEL_CALLOC,
    CHANNEL_REALLOC, /* of NULL: a new block */
    CHANNEL_ALIGNED,
    CHANNEL_FREE,
    CHANNEL_RESIZE_BEGIN,
    CHANNEL_RESIZE_END,
    CHANNEL_SIZE,
    CHANNEL_TIME,
    CHANNEL_NODE,
    CHANNEL_EPOCH,
};

#define CHANNEL_DT_BITS    15
#define CHANNEL_DT_SHIFT   4 /* ticks per unit of dt, as a power of two */
#define CHANNEL_DT_MAX     ((1u << CHANNEL_DT_BITS) - 1)
#define CHANNEL_NO_MODULE  0xffffu

struct channel_unit {
    uint64_t w0, w1;
};

static inline uint64_t channel_w0(enum channel_kind kind, uint64_t dt, uint64_t address)
{
    return (uint64_t)kind | dt << 4 | (address >> 3) << (4 + CHANNEL_DT_BITS);
}

struct channel_ring {
    /* Written by the owner, read by the collector. */
    _Alignas(64) _Atomic uint64_t head; /* units written; release: the units below it are complete */
    uint64_t sampled_ticks;     /* what recording took for the events that were sampled, but for misses */
    uint64_t sampled_events;
    uint64_t miss_ticks;        /* time spent unwinding */
    uint64_t misses;            /* events whose stack was unwound; as of the last checkpoint */
    uint64_t waits;             /* times the owner found the ring full */
    uint64_t dropped;           /* events not written */
    uint64_t oracle_checked, oracle_wrong, oracle_truncated;
    /* Written by the collector. */
    _Alignas(64) _Atomic uint64_t tail; /* units read; release: they may be overwritten */
    _Atomic uint32_t drained;   /* futex: bumped when a writer waits and room was made */
    /* Written at claim by the owner, at retire by the collector. */
    _Alignas(64) _Atomic uint32_t owner; /* 0: free; else the thread's id in the kernel */
    uint32_t process;           /* number in channel.processes */
    uint64_t start_ticks;
    _Atomic uint32_t writer_waits; /* 1 while the owner sleeps on `drained` */
};

struct channel_module {
    _Atomic uint32_t ready; /* release: the rest is complete and does not change any more */
    uint32_t process;
    uint64_t bias, start, end;
    uint8_t build_id[32];
    uint32_t build_id_size;
    char path[CHANNEL_PATH];
};

struct channel_process {
    _Atomic uint32_t ready;
    int32_t pid;
    uint32_t parent; /* number; its own: none */
    uint32_t image;  /* 1: began by exec, 0: by fork */
    uint64_t start_ticks;
    _Atomic uint64_t no_ring; /* events of threads that found no free ring */
    char program[CHANNEL_PATH];
};

struct channel {
    uint64_t magic;
    uint32_t version;
    uint32_t flags;
    uint64_t bytes; /* of the whole mapping */
    int32_t collector; /* process id */
    pthread_mutex_t alive; /* robust; held by the collector: the kernel marks it when that dies, even as a zombie */
    int32_t main_pid;  /* of the command itself; it stays the same when that execs another program */
    _Atomic uint32_t closed;         /* the collector is gone or wants no more: hooks pass through */
    _Alignas(64) _Atomic uint32_t wake; /* futex: bumped by writers to wake the collector */
    _Atomic uint32_t collector_sleeps;
    _Alignas(64) _Atomic uint32_t process_count, module_count;
    _Atomic uint32_t ring_hint; /* rings at or above this were never claimed */
    _Atomic uint32_t ring_wanted; /* set by a thread that found none free, cleared by the collector */
    struct channel_process processes[CHANNEL_PROCESSES];
    struct channel_module modules[CHANNEL_MODULES];
    struct channel_ring rings[CHANNEL_RINGS];
    _Alignas(4096) struct channel_unit units[CHANNEL_RINGS][CHANNEL_UNITS];
};

/* The machine's tick counter: constant rate, common to all processors. */
static inline uint64_t channel_ticks(void)
{
#if defined(__x86_64__)
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
#elif defined(__aarch64__)
    uint64_t ticks;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
    /* These counters run at 1/20 to 1/100 of a processor's rate; scaled so that dt keeps its resolution. */
    return ticks << 6;
#else
#error "no tick counter for this processor"
#endif
}

/* Loads before it have their values before a counter after it is read, and the reverse. */
static inline void channel_fence(void)
{
#if defined(__x86_64__)
    __asm__ volatile("lfence" : : : "memory");
#elif defined(__aarch64__)
    __asm__ volatile("dsb ishld\n\tisb" : : : "memory");
#endif
}

/*
 * The same, not before what the program did earlier is done: a plain read of the counter may overtake a load
 * that still waits for its line, so that the free of a block handed over by another thread gets an earlier
 * tick than its malloc had. Some ten nanoseconds more.
 */
static inline uint64_t channel_ticks_ordered(void)
{
    channel_fence();
    return channel_ticks();
}
