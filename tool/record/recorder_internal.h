/* SPDX-License-Identifier: MIT */
/*
 * What the parts of the recorder's slow path share. All of it runs without malloc.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "channel.h"
#include "recorder.h"

#define NODES_MAX (1u << 21) /* ids of one epoch: bounds what the collector keeps per thread */

/* What a ring's owner keeps beside it, in private memory that a forked child finds zeroed. */
struct ring_memory {
    struct stack_table table;
    struct recorder_nested nested;
    /* Mapped for CHANNEL_ORACLE only: who limits a program's address space may have none to spare. */
    uint64_t slots[STACK_DEPTH_MAX], addresses[STACK_DEPTH_MAX];
    struct {
        uint64_t slot, address;
        uint32_t parent, flags;
    } nodes[NODES_MAX + STACK_DEPTH_MAX + 1];
};

/* Of this process. */
struct recorder {
    struct channel *channel;     /* NULL: not attached */
    _Atomic int attach;          /* 0: not tried, 1: being tried, 2: done */
    _Atomic uint64_t generation; /* last one given out; survives a fork */
    _Atomic uint32_t process;    /* this process' number */
    _Atomic int pid;             /* of the process that `process` is for */
    _Atomic(struct ring_memory *) memory[CHANNEL_RINGS];
};

extern struct recorder recorder __attribute__((visibility("hidden")));

static inline void recorder_generation_advance(void)
{
    uint64_t next = atomic_fetch_add_explicit(&recorder.generation, 2, memory_order_relaxed) + 2;
    atomic_store_explicit(&recorder_page->generation, next, memory_order_release);
}

static inline uint64_t recorder_room_end(const struct recorder_thread *self)
{
    return atomic_load_explicit(&self->ring->tail, memory_order_seq_cst) + CHANNEL_UNITS -
           RECORDER_SLACK;
}

static inline void recorder_limit_set(struct recorder_thread *self)
{
    self->limit = (self->head / CHANNEL_CHECKPOINT + 1) * CHANNEL_CHECKPOINT;
    uint64_t end = recorder_room_end(self);
    if (self->limit > end)
        self->limit = end;
}

/* Whether the next event has to wait for room. */
static inline bool recorder_room_wanted(const struct recorder_thread *self)
{
    return self->ring && self->head >= self->limit && self->head >= recorder_room_end(self) &&
           !(recorder.channel->flags & CHANNEL_LOSSY);
}

/* A call that will never be written. The beginning of a resize is not an event of its own. */
static inline void recorder_event_drop(struct recorder_thread *self,
                                       const struct recorder_call *call)
{
    if (call->kind != CHANNEL_RESIZE_BEGIN && self->ring)
        self->ring->dropped++;
}

/* With CHANNEL_ORACLE: keeps what the table was told of a node, for recorder_oracle_check. */
static inline void recorder_oracle_node(struct recorder_thread *self, uint32_t id, uint32_t parent,
                                        uint32_t flags, uint64_t slot, uint64_t address)
{
    struct ring_memory *memory = (struct ring_memory *)(void *)self->table;
    memory->nodes[id].slot = slot;
    memory->nodes[id].address = address;
    memory->nodes[id].parent = parent;
    memory->nodes[id].flags = flags;
}

/* attach.c: whether this process, just forked, got a number of its own; threads may come at once. */
bool recorder_fork_follow(void);

/* ring.c: claims a free ring for this thread; may wait a while for the collector to retire one. */
bool recorder_ring_claim(struct recorder_thread *self, int attempts);

/* ring.c: waits until at least one checkpoint's worth of units is free. False: the collector is gone. */
bool recorder_room_wait(struct recorder_thread *self);

/* nested.c: for a signal handler that allocates while its thread is busy. */
void recorder_nested_add(struct recorder_thread *self, const struct recorder_call *call);

/*
 * nested.c: whether the event that left this busy mark was abandoned: a signal handler that interrupted it has jumped
 * out (siglongjmp) or switched stacks. A handler itself runs on the alternate stack, or below the mark.
 */
bool recorder_busy_abandoned(uint64_t mark, uint64_t sp);

/* nested.c: forgets what an abandoned event left half done: units not published yet, an entry of the table. */
void recorder_event_abandon(struct recorder_thread *self);

/* oracle.c: compares the stack that the table gave with one unwound now, frame by frame. */
void recorder_oracle_check(struct recorder_thread *self, const struct stack_key *key,
                           uint32_t node);
