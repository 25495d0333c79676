/* SPDX-License-Identifier: MIT */
/*
 * Inside the traced program: what the entry points (preload.c) and what they leave to the slow path (recorder.c,
 * attach.c, ring.c, nested.c) share.
 *
 * generation  a number that changes when what threads remember is stale: a fork or an unloaded module.
 *             A thread compares its own with the process' at each event; a difference, for whatever
 *             reason, leads to the slow path.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "channel.h"
#include "stack_table.h"

/* Kernel-zeroed in a forked child (MADV_WIPEONFORK): there the generation reads 0. */
struct recorder_page {
    _Atomic uint64_t generation; /* 0: not attached, or just forked */
    _Atomic uint32_t threads;    /* that have recorded here, upwards only; alone, its order is the program's */
};

enum recorder_mode {
    RECORDER_PLAIN,    /* the next event goes by the fast path unless the generation says otherwise */
    RECORDER_SAMPLE,   /* the next event is timed */
    RECORDER_ORACLE,   /* every event's stack is compared with a full unwind (tests) */
    RECORDER_DROPPING, /* the ring was full (lossy): events are counted until there is room */
    RECORDER_NO_RING,  /* no ring was free */
};

struct recorder_nested;

/* Owner only, signal handlers of the owner included. Small, since it takes static TLS space of every thread. */
struct recorder_thread {
    /* == page generation: ready. RECORDER_SLOW: the mode says why not. RECORDER_BUSY | the stack pointer of
     * the entry point's caller: an event is being recorded, so a call now comes from a signal handler. */
    _Alignas(64) uint64_t generation;
    struct channel_unit *units;
    struct channel_ring *ring;
    struct stack_table *table;
    uint64_t head;       /* units written */
    uint64_t limit;      /* head at which to stop for a checkpoint */
    uint64_t last_ticks;
    uint64_t sp_mask;    /* 0: return addresses alone are recorded (CHANNEL_SITE); else all ones */
    /* Calls waiting in `nested`: added by signal handlers, taken back to 0 by who they interrupted. */
    _Atomic uint32_t nested_count;
    uint32_t mode;       /* enum recorder_mode */
    struct recorder_nested *nested; /* NULL: no ring yet */
    uint64_t misses;     /* without a ring: events since the last try to claim one */
    uint64_t seen;       /* the generation that the table is good for */
    uint32_t inside;     /* entry points in progress that record for themselves: what they call does not count */
};

/* Generations are even and small, so neither of these is one. */
#define RECORDER_SLOW 1u
#define RECORDER_BUSY (UINT64_C(1) << 63)

struct recorder_call {
    uint64_t address, size;
    struct stack_key key;
    uint32_t kind; /* enum channel_kind */
};

#define RECORDER_NESTED_MAX 256u

/* Calls of signal handlers that interrupted the recording of another; kept per thread, in its table's mapping. */
struct recorder_nested {
    struct recorder_call calls[RECORDER_NESTED_MAX];
};

extern __thread struct recorder_thread recorder_self __attribute__((tls_model("initial-exec"), visibility("hidden")));
extern struct recorder_page *recorder_page __attribute__((visibility("hidden"))); /* never NULL */

/* First call in the process: finds the channel and attaches. Later calls do nothing. */
void recorder_attach(void);

/* Once, with the constructors: attaches, and tidies the environment of programs that are not recorded. */
void recorder_start(void);

/* Records by the slow path; everything the fast path does not: attach, claim a ring, follow a fork,
 * take a nested call, time a sample. */
void recorder_slow(const struct recorder_call *call);

/* The ring has reached the limit: makes room, wakes the collector, arranges the next sample. */
void recorder_checkpoint(struct recorder_thread *self);

uint32_t recorder_stack_miss(struct recorder_thread *self, const struct stack_key *key);
void recorder_unit_long(struct recorder_thread *self, const struct recorder_call *call, uint64_t ticks, uint32_t node);

/* Records what signal handlers left in `nested`. For the owner, while no event is being recorded. */
void recorder_nested_flush(struct recorder_thread *self);

/* A module is about to be, or was just unloaded. */
void recorder_forget_code(void);

/* Units that one event may write past the limit before the next checkpoint: the nodes of a whole stack, and
 * the calls of handlers that interrupted it. So nothing has to wait for room in the middle of a record. */
#define RECORDER_SLACK 2048u
_Static_assert(2 * STACK_DEPTH_MAX + 4 * RECORDER_NESTED_MAX + 16 <= RECORDER_SLACK, "an event fits into the slack");

/* Appends one unit. There is room: limits leave RECORDER_SLACK units. */
static inline void recorder_put(struct recorder_thread *self, uint64_t w0, uint64_t w1)
{
    struct channel_unit *unit = &self->units[self->head % CHANNEL_UNITS];
    unit->w0 = w0;
    unit->w1 = w1;
    self->head++;
}

/* Release: pairs with the collector's acquire; it then sees the units below head. */
static inline void recorder_publish(struct recorder_thread *self)
{
    atomic_store_explicit(&self->ring->head, self->head, memory_order_release);
}

/* Writes the unit of an event and publishes it; `ticks` was read when it happened. */
static inline __attribute__((always_inline)) void recorder_unit(struct recorder_thread *self, uint32_t kind,
                                                                uint64_t address, uint64_t size,
                                                                uint64_t ticks, uint32_t node)
{
    uint64_t dt = (ticks - self->last_ticks) >> CHANNEL_DT_SHIFT;
    if (__builtin_expect(dt > CHANNEL_DT_MAX || size > UINT32_MAX, 0)) {
        const struct recorder_call call = {.address = address, .size = size, .kind = kind};
        recorder_unit_long(self, &call, ticks, node);
    } else {
        self->last_ticks += dt << CHANNEL_DT_SHIFT;
        recorder_put(self, channel_w0(kind, dt, address), size | (uint64_t)node << 32);
    }
    recorder_publish(self);
}

/* When the event in hand happens, in an order that agrees with other threads' events on the same block. */
static inline __attribute__((always_inline)) uint64_t recorder_ticks(void)
{
    if (__builtin_expect(atomic_load_explicit(&recorder_page->threads, memory_order_relaxed) > 1, 0))
        return channel_ticks_ordered();
    return channel_ticks();
}

/* The body of recording one event on a ready thread. Publishes it. Returns the node of its stack. */
static inline __attribute__((always_inline)) uint32_t recorder_event(struct recorder_thread *self, uint32_t kind,
                                                                     uint64_t address, uint64_t size,
                                                                     const struct stack_key *key)
{
    uint32_t node;
    /* First, since reading the counter takes as long as the rest and overlaps with it. */
    uint64_t ticks = recorder_ticks();
    if (kind == CHANNEL_RESIZE_BEGIN) {
        recorder_unit(self, kind, address, 0, ticks, 0); /* its end brings the stack */
        return 0;
    }
    const struct stack_key state = {key->sp & self->sp_mask, key->ra, key->rbp};
    const struct stack_entry *entry = stack_table_next(self->table, &state);
    if (__builtin_expect(entry != NULL, 1))
        node = entry->node;
    else
        node = recorder_stack_miss(self, &state);
    recorder_unit(self, kind, address, size, ticks, node);
    return node;
}

/*
 * Records one event; `key` is the state of the frame that called the entry point. A signal handler may come
 * in between any two instructions and allocate itself:
 *   before busy is stored  it records its events whole, and leaves the thread ready or slow;
 *   until it is taken back it leaves them in `nested`, and the count is looked at only afterwards.
 */
static inline __attribute__((always_inline)) void recorder_record(uint32_t kind, uint64_t address, uint64_t size,
                                                                  struct stack_key key)
{
    struct recorder_thread *self = &recorder_self;
    uint64_t generation = atomic_load_explicit(&recorder_page->generation, memory_order_relaxed);
    if (__builtin_expect(self->generation != generation, 0)) {
        const struct recorder_call call = {address, size, key, kind};
        recorder_slow(&call);
        return;
    }
    self->generation = key.sp | RECORDER_BUSY;
    atomic_signal_fence(memory_order_seq_cst);
    recorder_event(self, kind, address, size, &key);
    atomic_signal_fence(memory_order_seq_cst);
    if (__builtin_expect(self->head >= self->limit, 0)) {
        recorder_checkpoint(self);
        generation = RECORDER_SLOW;
    }
    self->generation = generation;
    atomic_signal_fence(memory_order_seq_cst);
    if (__builtin_expect(atomic_load_explicit(&self->nested_count, memory_order_relaxed) != 0, 0))
        recorder_nested_flush(self);
}
