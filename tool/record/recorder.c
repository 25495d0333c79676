/* SPDX-License-Identifier: MIT */
/*
 * An event that the fast path leaves to us: of a thread that is not ready or due to be timed, with a stack not seen
 * before, or with numbers too large for one unit. All of it without malloc.
 */
#include "recorder_internal.h"

#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "trace.h"

#define MISS_MAX_TICKS 20000u /* some microseconds: beyond, another process had the processor */

/* Odd: equal to no process' generation, so that a thread's first event takes the slow path. */
__thread struct recorder_thread recorder_self = {.generation = RECORDER_SLOW};

static void node_out(void *context, uint32_t id, uint32_t parent, uint32_t flags, uint32_t module,
                     uint64_t slot, uint64_t address)
{
    struct recorder_thread *self = context;
    if (recorder.channel->flags & CHANNEL_ORACLE)
        recorder_oracle_node(self, id, parent, flags, slot, address);
    recorder_put(self, CHANNEL_NODE | (uint64_t)flags << 4 | (uint64_t)module << 8,
                 (uint64_t)id << 32 | parent);
    recorder_put(self, slot, address);
}

uint32_t recorder_stack_miss(struct recorder_thread *self, const struct stack_key *key)
{
    if (self->table->last_node > NODES_MAX) {
        stack_table_clear(self->table);
        self->table->last_node = 0;
        recorder_put(self, CHANNEL_EPOCH, 0);
    }
    self->misses++;
    const struct stack_node_out out = {node_out, self};
    uint64_t begin = channel_ticks();
    uint32_t node = self->sp_mask ? stack_table_miss(self->table, key, &out)
                                  : stack_table_site(self->table, key, &out);
    uint64_t took = channel_ticks() - begin;
    self->ring->miss_ticks += took < MISS_MAX_TICKS ? took : MISS_MAX_TICKS;
    return node;
}

void recorder_unit_long(struct recorder_thread *self, const struct recorder_call *call,
                        uint64_t ticks, uint32_t node)
{
    uint64_t dt = (ticks - self->last_ticks) >> CHANNEL_DT_SHIFT;
    if (dt > CHANNEL_DT_MAX) {
        /* Another processor's counter may lag by a few ticks: time does not go back. */
        if ((int64_t)(ticks - self->last_ticks) > 0)
            self->last_ticks = ticks;
        recorder_put(self, CHANNEL_TIME, self->last_ticks);
        dt = 0;
    }
    self->last_ticks += dt << CHANNEL_DT_SHIFT;
    if (call->size > UINT32_MAX)
        recorder_put(self, CHANNEL_SIZE, call->size);
    recorder_put(self, channel_w0(call->kind, dt, call->address),
                 (uint32_t)call->size | (uint64_t)node << 32);
}

/* Counts an event of a thread or process that has no ring. */
static void event_lost(const struct recorder_call *call)
{
    uint32_t process = atomic_load_explicit(&recorder.process, memory_order_relaxed);
    if (call->kind != CHANNEL_RESIZE_BEGIN)
        atomic_fetch_add_explicit(&recorder.channel->processes[process].no_ring, 1,
                                  memory_order_relaxed);
}

#define SAMPLE_ROUNDS 4u

/*
 * Records an event and times what the fast path does for it. Timed are repetitions, the shortest of which
 * counts: the event itself has come by the slow path, whose code was not in the processor's cache, and the
 * processor may be taken away in between. What the program loses because the recorder's data took the place
 * of its own in the caches is not in the figure.
 */
static void sample(struct recorder_thread *self, const struct recorder_call *call)
{
    recorder_event(self, call->kind, call->address, call->size, &call->key);
    const struct stack_key state = {call->key.sp & self->sp_mask, call->key.ra, call->key.rbp};
    uint64_t least = UINT64_MAX, last = recorder_ticks();
    for (unsigned round = 0; round < SAMPLE_ROUNDS; round++) {
        bool same = stack_entry_is(self->table, self->table->last, &state);
        __asm__ volatile("" : : "r"(same) : "memory");
        uint64_t now = recorder_ticks();
        least = now - last < least ? now - last : least;
        last = now;
    }
    self->ring->sampled_ticks += least;
    self->ring->sampled_events++;
}

#define NO_RING_RETRY       4096u /* events between two tries to claim a ring */
#define RING_CLAIM_ATTEMPTS 200   /* of some milliseconds each, for the first event of a thread */

/* Makes this thread ready for the generation. False: this event goes unrecorded. */
static bool thread_ready(struct recorder_thread *self, uint64_t generation,
                         const struct recorder_call *call)
{
    if (!self->ring) {
        bool first = self->mode != RECORDER_NO_RING;
        if (!recorder_ring_claim(self, first ? RING_CLAIM_ATTEMPTS : 1)) {
            event_lost(call);
            self->mode = RECORDER_NO_RING;
            return false;
        }
        self->mode = RECORDER_PLAIN;
    } else if (self->seen != generation) {
        stack_table_clear(self->table);
    }
    self->seen = generation;
    return true;
}

/* Records the event of a thread that is marked busy. Returns what its generation becomes. */
static uint64_t record(struct recorder_thread *self, const struct recorder_call *call)
{
    uint64_t generation = atomic_load_explicit(&recorder_page->generation, memory_order_acquire);
    if (!generation) {
        recorder_attach();
        if (!recorder.channel || atomic_load_explicit(&recorder.attach, memory_order_acquire) != 2)
            return RECORDER_SLOW;
        generation = atomic_load_explicit(&recorder_page->generation, memory_order_acquire);
        if (!generation) {
            uint64_t busy = self->generation;
            *self = (struct recorder_thread){.generation = busy};
            if (!recorder_fork_follow()) {
                event_lost(call);
                return RECORDER_SLOW;
            }
            generation = atomic_load_explicit(&recorder_page->generation, memory_order_acquire);
        }
    }
    if (!thread_ready(self, generation, call))
        return RECORDER_SLOW;
    uint32_t mode = self->mode;
    if (mode == RECORDER_DROPPING && self->head + CHANNEL_CHECKPOINT > recorder_room_end(self)) {
        recorder_event_drop(self, call);
        return RECORDER_SLOW;
    }
    self->mode = RECORDER_PLAIN;
    recorder_limit_set(self);
    bool oracle = recorder.channel->flags & CHANNEL_ORACLE;
    if (call->kind == CHANNEL_RESIZE_BEGIN)
        recorder_unit(self, call->kind, call->address, 0, recorder_ticks(), TRACE_NO_STACK);
    else if (oracle)
        recorder_oracle_check(
            self, &call->key,
            recorder_event(self, call->kind, call->address, call->size, &call->key));
    else if (mode == RECORDER_SAMPLE)
        sample(self, call);
    else
        recorder_event(self, call->kind, call->address, call->size, &call->key);
    if (self->head >= self->limit) {
        recorder_checkpoint(self);
        return RECORDER_SLOW;
    }
    return oracle ? RECORDER_SLOW : generation;
}

static void slow(struct recorder_thread *self, const struct recorder_call *call)
{
    for (;;) {
        uint64_t mark = self->generation;
        if (mark & RECORDER_BUSY) {
            if (!recorder_busy_abandoned(mark, call->key.sp)) {
                recorder_nested_add(self, call);
                return;
            }
            recorder_event_abandon(self);
        }
        self->generation = call->key.sp | RECORDER_BUSY;
        atomic_signal_fence(memory_order_seq_cst);
        /* In a forked child the ring is the parent's. */
        if (!atomic_load_explicit(&recorder_page->generation, memory_order_relaxed) ||
            !recorder_room_wanted(self))
            break;
        /* Not busy meanwhile: handlers that come then wait, too, for room of their own. */
        self->generation = RECORDER_SLOW;
        atomic_signal_fence(memory_order_seq_cst);
        if (!recorder_room_wait(self))
            return;
    }
    uint64_t after = record(self, call);
    atomic_signal_fence(memory_order_seq_cst);
    self->generation = after;
    atomic_signal_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&self->nested_count, memory_order_relaxed))
        recorder_nested_flush(self);
}

void recorder_slow(const struct recorder_call *call)
{
    struct recorder_thread *self = &recorder_self;
    const struct channel *channel = recorder.channel;
    if (self->inside)
        return;
    if (atomic_load_explicit(&recorder.attach, memory_order_acquire) == 2 &&
        (!channel || atomic_load_explicit(&channel->closed, memory_order_relaxed)))
        return;
    int saved_errno = errno;
    bool forked = !atomic_load_explicit(&recorder_page->generation, memory_order_relaxed);
    if (self->generation & RECORDER_BUSY || (self->ring && !forked)) {
        slow(self, call);
    } else if (self->mode == RECORDER_NO_RING && !forked && ++self->misses % NO_RING_RETRY) {
        event_lost(call);
    } else {
        /* The first event of a thread: handlers have no place yet to leave theirs. */
        const uint64_t all = UINT64_MAX;
        uint64_t before;
        syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, sizeof all);
        slow(self, call);
        syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, sizeof before);
    }
    errno = saved_errno;
}
