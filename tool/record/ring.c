/* SPDX-License-Identifier: MIT */
/* A thread's ring, as its writer sees it: claimed, filled, and waited for when it is full. */
#include "recorder_internal.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static void futex_wait(_Atomic uint32_t *word, uint32_t value, long wait_ns)
{
    const struct timespec limit = {wait_ns / 1000000000, wait_ns % 1000000000};
    syscall(SYS_futex, word, FUTEX_WAIT, value, &limit, NULL, 0);
}

static void collector_wake(struct channel *channel)
{
    atomic_fetch_add_explicit(&channel->wake, 1, memory_order_release);
    if (atomic_load_explicit(&channel->collector_sleeps, memory_order_relaxed))
        syscall(SYS_futex, &channel->wake, FUTEX_WAKE, 1, NULL, NULL, 0);
}

/*
 * The collector may have been killed: then nobody will ever make room. Its process id would not tell: a zombie
 * still has one, another process may have got it, and it means nothing in another pid namespace. The first
 * word of a robust mutex is the kernel's (set_robust_list(2)): the owner's thread id until that dies.
 */
static bool collector_alive(const struct channel *channel)
{
    const volatile uint32_t *owner = (const volatile uint32_t *)(const void *)&channel->alive;
    return !atomic_load_explicit(&channel->closed, memory_order_relaxed) &&
           *owner & FUTEX_TID_MASK && !(*owner & FUTEX_OWNER_DIED);
}

/* From now on every event takes the slow path, which finds the channel closed. */
static void recording_stop(void)
{
    atomic_store_explicit(&recorder.channel->closed, 1, memory_order_relaxed);
    recorder_generation_advance();
}

static struct ring_memory *ring_memory(uint32_t number)
{
    struct ring_memory *memory =
        atomic_load_explicit(&recorder.memory[number], memory_order_acquire);
    if (memory)
        return memory;
    size_t size = recorder.channel->flags & CHANNEL_ORACLE ? sizeof *memory
                                                           : offsetof(struct ring_memory, slots);
    memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                  -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    madvise(memory, size, MADV_WIPEONFORK);
    atomic_store_explicit(&recorder.memory[number], memory, memory_order_release);
    return memory;
}

/* Makes the claimed ring this thread's. The event in progress is marked busy, so no handler looks at it. */
static void ring_take(struct recorder_thread *self, uint32_t number, struct ring_memory *memory,
                      uint32_t tid)
{
    struct channel *channel = recorder.channel;
    struct channel_ring *ring = &channel->rings[number];
    stack_table_clear(&memory->table);
    memory->table.last_node = 0;
    ring->process = atomic_load_explicit(&recorder.process, memory_order_relaxed);
    atomic_fetch_add_explicit(&recorder_page->threads, 1, memory_order_relaxed);
    ring->start_ticks = channel_ticks();
    self->units = channel->units[number];
    self->table = &memory->table;
    self->ring = ring;
    self->misses = 0;
    self->sp_mask = channel->flags & CHANNEL_SITE ? 0 : UINT64_MAX;
    self->head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    self->last_ticks = ring->start_ticks;
    recorder_put(self, CHANNEL_EPOCH, 0);
    recorder_put(self, CHANNEL_TIME, self->last_ticks);
    recorder_publish(self);
    self->nested = &memory->nested;
    uint32_t hint = atomic_load_explicit(&channel->ring_hint, memory_order_relaxed);
    while (hint <= number && !atomic_compare_exchange_weak(&channel->ring_hint, &hint, number + 1))
        ;
    /* Release: the collector that sees the owner sees the process and the start. */
    atomic_store_explicit(&ring->owner, tid, memory_order_release);
}

bool recorder_ring_claim(struct recorder_thread *self, int attempts)
{
    struct channel *channel = recorder.channel;
    uint32_t tid = (uint32_t)syscall(SYS_gettid);
    for (int attempt = 0; attempt < attempts; attempt++) {
        for (uint32_t i = 0; i < CHANNEL_RINGS; i++) {
            struct channel_ring *ring = &channel->rings[i];
            uint32_t owner = 0;
            if (atomic_load_explicit(&ring->owner, memory_order_relaxed) ||
                !atomic_compare_exchange_strong(&ring->owner, &owner, UINT32_MAX))
                continue;
            struct ring_memory *memory = ring_memory(i);
            if (!memory) {
                atomic_store_explicit(&ring->owner, 0, memory_order_release);
                return false;
            }
            ring_take(self, i, memory, tid);
            return true;
        }
        if (!collector_alive(channel))
            return false;
        atomic_store_explicit(&channel->ring_wanted, 1, memory_order_relaxed);
        collector_wake(channel);
        const struct timespec wait = {0, 5000000};
        nanosleep(&wait, NULL);
    }
    return false;
}

bool recorder_room_wait(struct recorder_thread *self)
{
    struct channel *channel = recorder.channel;
    struct channel_ring *ring = self->ring;
    ring->waits++;
    for (;;) {
        uint32_t drained = atomic_load_explicit(&ring->drained, memory_order_acquire);
        /* Sequentially consistent with the look at tail, as the collector's two are: one of us sees the other. */
        atomic_store_explicit(&ring->writer_waits, 1, memory_order_seq_cst);
        if (self->head + CHANNEL_CHECKPOINT <= recorder_room_end(self))
            break;
        collector_wake(channel);
        if (!collector_alive(channel)) {
            recording_stop();
            return false;
        }
        futex_wait(&ring->drained, drained, 20000000);
    }
    atomic_store_explicit(&ring->writer_waits, 0, memory_order_relaxed);
    return true;
}

void recorder_checkpoint(struct recorder_thread *self)
{
    int saved_errno = errno;
    struct channel *channel = recorder.channel;
    struct channel_ring *ring = self->ring;
    ring->misses = self->misses;
    uint64_t used = self->head - atomic_load_explicit(&ring->tail, memory_order_relaxed);
    if (used >= CHANNEL_UNITS / 4 &&
        atomic_load_explicit(&channel->collector_sleeps, memory_order_relaxed))
        collector_wake(channel);
    uint32_t mode = RECORDER_SAMPLE;
    if (self->head >= recorder_room_end(self)) {
        if (channel->flags & CHANNEL_LOSSY) {
            mode = RECORDER_DROPPING;
            collector_wake(channel);
        }
    }
    recorder_limit_set(self);
    self->mode = mode;
    errno = saved_errno;
}
