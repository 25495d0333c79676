/* SPDX-License-Identifier: MIT */
/* Calls of signal handlers that interrupted the recording of another: kept, and recorded after it. */
#include "recorder_internal.h"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "trace.h"

/* Records without looking for the stack: a call that came while the table was in use. */
static void record_stackless(struct recorder_thread *self, const struct recorder_call *call)
{
    if (self->head >= self->limit) {
        recorder_checkpoint(self);
        if (self->mode == RECORDER_DROPPING) {
            recorder_event_drop(self, call);
            return;
        }
        if (recorder_room_wanted(self))
            recorder_room_wait(self);
    }
    recorder_unit(self, call->kind, call->address, call->size, recorder_ticks(), TRACE_NO_STACK);
}

void recorder_nested_flush(struct recorder_thread *self)
{
    uint64_t generation = self->generation;
    if (generation & RECORDER_BUSY)
        return; /* a handler that came before who is busy could look: that one will */
    do {
        self->generation = (uint64_t)(uintptr_t)__builtin_dwarf_cfa() | RECORDER_BUSY;
        atomic_signal_fence(memory_order_seq_cst);
        uint32_t done = 0, count;
        do {
            count = atomic_load_explicit(&self->nested_count, memory_order_relaxed);
            while (done < count)
                record_stackless(self, &self->nested->calls[done++]);
            /* Handlers add while we are at it; only what was seen is taken back. */
        } while (!atomic_compare_exchange_strong_explicit(
            &self->nested_count, &count, 0, memory_order_relaxed, memory_order_relaxed));
        atomic_signal_fence(memory_order_seq_cst);
        self->generation = RECORDER_SLOW;
        atomic_signal_fence(memory_order_seq_cst);
    } while (atomic_load_explicit(&self->nested_count, memory_order_relaxed));
}

void recorder_nested_add(struct recorder_thread *self, const struct recorder_call *call)
{
    uint32_t at = atomic_load_explicit(&self->nested_count, memory_order_relaxed);
    /* Taken first, and at once: another handler may come on top of this one. */
    do {
        if (!self->nested || at == RECORDER_NESTED_MAX) {
            recorder_event_drop(self, call);
            return;
        }
    } while (!atomic_compare_exchange_weak_explicit(&self->nested_count, &at, at + 1,
                                                    memory_order_relaxed, memory_order_relaxed));
    atomic_signal_fence(memory_order_seq_cst);
    self->nested->calls[at] = *call;
}

bool recorder_busy_abandoned(uint64_t mark, uint64_t sp)
{
    uint64_t busy = mark & ~RECORDER_BUSY;
    if (sp < busy && busy - sp <= 8 << 20)
        return false;
    stack_t stack;
    return syscall(SYS_sigaltstack, NULL, &stack) || !(stack.ss_flags & SS_ONSTACK);
}

void recorder_event_abandon(struct recorder_thread *self)
{
    if (!self->ring)
        return;
    self->ring->dropped++;
    self->head = atomic_load_explicit(&self->ring->head, memory_order_relaxed);
    stack_table_clear(self->table);
    self->table->last_node = 0;
    recorder_put(self, CHANNEL_EPOCH, 0);
}
