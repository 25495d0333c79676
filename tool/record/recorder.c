/* SPDX-License-Identifier: MIT */
/*
 * The life of a recorded process: attaching to the channel, rings for its threads, forks, full rings,
 * calls nested in signal handlers. All of it off the fast path, all of it without malloc.
 */
#include "recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "environment.h"
#include "modules.h"
#include "trace.h"
#include "unwind.h"

#define RULE_TABLE_ENTRIES 65536u
#define MISS_MAX_TICKS     20000u /* some microseconds: beyond, another process had the processor */

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

static struct recorder_page page_before_attach;
struct recorder_page *recorder_page = &page_before_attach;
/* Odd: equal to no process' generation, so that a thread's first event takes the slow path. */
__thread struct recorder_thread recorder_self = {.generation = RECORDER_SLOW};

static struct {
    struct channel *channel; /* NULL: not attached */
    _Atomic int attach;      /* 0: not tried, 1: being tried, 2: done */
    _Atomic uint64_t generation; /* last one given out; survives a fork */
    _Atomic uint32_t process;    /* this process' number */
    _Atomic int pid;             /* of the process that `process` is for */
    _Atomic(struct ring_memory *) memory[CHANNEL_RINGS];
} recorder;

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
    return !atomic_load_explicit(&channel->closed, memory_order_relaxed) && *owner & FUTEX_TID_MASK &&
           !(*owner & FUTEX_OWNER_DIED);
}

static void generation_advance(void)
{
    uint64_t next = atomic_fetch_add_explicit(&recorder.generation, 2, memory_order_relaxed) + 2;
    atomic_store_explicit(&recorder_page->generation, next, memory_order_release);
}

/* From now on every event takes the slow path, which finds the channel closed. */
static void recording_stop(void)
{
    atomic_store_explicit(&recorder.channel->closed, 1, memory_order_relaxed);
    generation_advance();
}

/* Registers this process; the number, or CHANNEL_PROCESSES when there are too many. */
static uint32_t process_register(struct channel *channel, uint32_t parent, bool image)
{
    uint32_t number = atomic_load_explicit(&channel->process_count, memory_order_relaxed);
    do {
        if (number >= CHANNEL_PROCESSES)
            return CHANNEL_PROCESSES;
    } while (!atomic_compare_exchange_weak_explicit(&channel->process_count, &number, number + 1,
                                                    memory_order_relaxed, memory_order_relaxed));
    struct channel_process *process = &channel->processes[number];
    process->pid = (int32_t)syscall(SYS_getpid);
    process->parent = parent == CHANNEL_PROCESSES ? number : parent;
    process->image = image;
    process->start_ticks = channel_ticks();
    ssize_t size = readlink("/proc/self/exe", process->program, sizeof process->program - 1);
    process->program[size > 0 ? size : 0] = '\0';
    atomic_store_explicit(&process->ready, 1, memory_order_release);
    return number;
}

static struct channel *channel_open(const char *path)
{
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
    if (fd < 0)
        return NULL;
    struct stat status;
    struct channel *channel = NULL;
    if (!fstat(fd, &status) && (uint64_t)status.st_size == sizeof(struct channel)) {
        channel = mmap(NULL, sizeof *channel, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
        if (channel == MAP_FAILED)
            channel = NULL;
    }
    syscall(SYS_close, fd);
    if (channel && (channel->magic != CHANNEL_MAGIC || channel->version != CHANNEL_VERSION ||
                    channel->bytes != sizeof *channel)) {
        munmap(channel, sizeof *channel);
        channel = NULL;
    }
    return channel;
}

static void attach(void)
{
    const char *path = environment_get(CHANNEL_ENVIRONMENT);
    if (!path)
        return;
    struct recorder_page *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED || madvise(page, 4096, MADV_WIPEONFORK))
        return;
    struct channel *channel = channel_open(path);
    if (!channel)
        return;
    /* A program that the recorded one starts finds the channel in its environment, too. */
    if (!(channel->flags & CHANNEL_CHILDREN) && channel->main_pid != (int32_t)syscall(SYS_getpid)) {
        munmap(channel, sizeof *channel);
        return;
    }
    uint32_t process = process_register(channel, CHANNEL_PROCESSES, true);
    if (process == CHANNEL_PROCESSES || modules_init(channel, process) ||
        unwind_init(modules_find, RULE_TABLE_ENTRIES))
        return;
    recorder.channel = channel;
    atomic_store_explicit(&recorder.process, process, memory_order_relaxed);
    atomic_store_explicit(&recorder.pid, channel->processes[process].pid, memory_order_relaxed);
    atomic_store_explicit(&recorder.generation, 2, memory_order_relaxed);
    recorder_page = page;
    atomic_store_explicit(&page->generation, 2, memory_order_release);
}

void recorder_attach(void)
{
    int state = atomic_load_explicit(&recorder.attach, memory_order_acquire);
    if (state == 2 || !environ)
        return;
    state = 0;
    /* One thread attaches; another that comes meanwhile goes on unrecorded, as before the attach. */
    if (!atomic_compare_exchange_strong(&recorder.attach, &state, 1))
        return;
    int saved_errno = errno;
    attach();
    errno = saved_errno;
    atomic_store_explicit(&recorder.attach, 2, memory_order_release);
}

/*
 * Runs with the constructors: by then the environment is the program's. A recorded process keeps our two
 * variables, since it may exec another program in its own place (env, sh -c, a script's last line), which is
 * then the one that was meant. What it starts beside itself is not recorded, and gets a clean environment here.
 */
void recorder_start(void)
{
    recorder_attach();
    if (recorder.channel || !environment_get(CHANNEL_ENVIRONMENT))
        return;
    environment_remove(CHANNEL_ENVIRONMENT);
    environment_remove_preload();
}

static struct ring_memory *ring_memory(uint32_t number)
{
    struct ring_memory *memory = atomic_load_explicit(&recorder.memory[number], memory_order_acquire);
    if (memory)
        return memory;
    size_t size = recorder.channel->flags & CHANNEL_ORACLE ? sizeof *memory : offsetof(struct ring_memory, slots);
    memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    madvise(memory, size, MADV_WIPEONFORK);
    atomic_store_explicit(&recorder.memory[number], memory, memory_order_release);
    return memory;
}

/* Makes the claimed ring this thread's. The event in progress is marked busy, so no handler looks at it. */
static void ring_take(struct recorder_thread *self, uint32_t number, struct ring_memory *memory, uint32_t tid)
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

/* Claims a free ring for this thread; may wait a while for the collector to retire one. */
static bool ring_claim(struct recorder_thread *self, int attempts)
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

static uint64_t room_end(const struct recorder_thread *self)
{
    return atomic_load_explicit(&self->ring->tail, memory_order_seq_cst) + CHANNEL_UNITS - RECORDER_SLACK;
}

/* Waits until at least one checkpoint's worth of units is free. False: the collector is gone. */
static bool room_wait(struct recorder_thread *self)
{
    struct channel *channel = recorder.channel;
    struct channel_ring *ring = self->ring;
    ring->waits++;
    for (;;) {
        uint32_t drained = atomic_load_explicit(&ring->drained, memory_order_acquire);
        /* Sequentially consistent with the look at tail, as the collector's two are: one of us sees the other. */
        atomic_store_explicit(&ring->writer_waits, 1, memory_order_seq_cst);
        if (self->head + CHANNEL_CHECKPOINT <= room_end(self))
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

static void limit_set(struct recorder_thread *self)
{
    self->limit = (self->head / CHANNEL_CHECKPOINT + 1) * CHANNEL_CHECKPOINT;
    uint64_t end = room_end(self);
    if (self->limit > end)
        self->limit = end;
}

void recorder_checkpoint(struct recorder_thread *self)
{
    int saved_errno = errno;
    struct channel *channel = recorder.channel;
    struct channel_ring *ring = self->ring;
    ring->misses = self->misses;
    uint64_t used = self->head - atomic_load_explicit(&ring->tail, memory_order_relaxed);
    if (used >= CHANNEL_UNITS / 4 && atomic_load_explicit(&channel->collector_sleeps, memory_order_relaxed))
        collector_wake(channel);
    uint32_t mode = RECORDER_SAMPLE;
    if (self->head >= room_end(self)) {
        if (channel->flags & CHANNEL_LOSSY) {
            mode = RECORDER_DROPPING;
            collector_wake(channel);
        }
    }
    limit_set(self);
    self->mode = mode;
    errno = saved_errno;
}

/* Whether the next event has to wait for room. */
static bool room_wanted(const struct recorder_thread *self)
{
    return self->ring && self->head >= self->limit && self->head >= room_end(self) &&
           !(recorder.channel->flags & CHANNEL_LOSSY);
}

static void node_out(void *context, uint32_t id, uint32_t parent, uint32_t flags, uint32_t module,
                     uint64_t slot, uint64_t address)
{
    struct recorder_thread *self = context;
    if (recorder.channel->flags & CHANNEL_ORACLE) {
        struct ring_memory *memory = (struct ring_memory *)(void *)self->table;
        memory->nodes[id].slot = slot;
        memory->nodes[id].address = address;
        memory->nodes[id].parent = parent;
        memory->nodes[id].flags = flags;
    }
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
    uint32_t node = self->sp_mask ? stack_table_miss(self->table, key, &out) : stack_table_site(self->table, key, &out);
    uint64_t took = channel_ticks() - begin;
    self->ring->miss_ticks += took < MISS_MAX_TICKS ? took : MISS_MAX_TICKS;
    return node;
}

void recorder_unit_long(struct recorder_thread *self, const struct recorder_call *call, uint64_t ticks, uint32_t node)
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
    recorder_put(self, channel_w0(call->kind, dt, call->address), (uint32_t)call->size | (uint64_t)node << 32);
}

/* A call that will never be written. The beginning of a resize is not an event of its own. */
static void event_drop(struct recorder_thread *self, const struct recorder_call *call)
{
    if (call->kind != CHANNEL_RESIZE_BEGIN && self->ring)
        self->ring->dropped++;
}

/* Records without looking for the stack: a call that came while the table was in use. */
static void record_stackless(struct recorder_thread *self, const struct recorder_call *call)
{
    if (self->head >= self->limit) {
        recorder_checkpoint(self);
        if (self->mode == RECORDER_DROPPING) {
            event_drop(self, call);
            return;
        }
        if (room_wanted(self))
            room_wait(self);
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
        } while (!atomic_compare_exchange_strong_explicit(&self->nested_count, &count, 0, memory_order_relaxed,
                                                          memory_order_relaxed));
        atomic_signal_fence(memory_order_seq_cst);
        self->generation = RECORDER_SLOW;
        atomic_signal_fence(memory_order_seq_cst);
    } while (atomic_load_explicit(&self->nested_count, memory_order_relaxed));
}

/* For a signal handler that allocates while its thread is busy. */
static void nested_add(struct recorder_thread *self, const struct recorder_call *call)
{
    uint32_t at = atomic_load_explicit(&self->nested_count, memory_order_relaxed);
    /* Taken first, and at once: another handler may come on top of this one. */
    do {
        if (!self->nested || at == RECORDER_NESTED_MAX) {
            event_drop(self, call);
            return;
        }
    } while (!atomic_compare_exchange_weak_explicit(&self->nested_count, &at, at + 1, memory_order_relaxed,
                                                    memory_order_relaxed));
    atomic_signal_fence(memory_order_seq_cst);
    self->nested->calls[at] = *call;
}

/*
 * Whether the event that left this busy mark was abandoned: a signal handler that interrupted it has jumped
 * out (siglongjmp) or switched stacks. A handler itself runs on the alternate stack, or below the mark.
 */
static bool busy_abandoned(uint64_t mark, uint64_t sp)
{
    uint64_t busy = mark & ~RECORDER_BUSY;
    if (sp < busy && busy - sp <= 8 << 20)
        return false;
    stack_t stack;
    return syscall(SYS_sigaltstack, NULL, &stack) || !(stack.ss_flags & SS_ONSTACK);
}

/* Forgets what an abandoned event left half done: units not published yet, an entry of the table. */
static void event_abandon(struct recorder_thread *self)
{
    if (!self->ring)
        return;
    self->ring->dropped++;
    self->head = atomic_load_explicit(&self->ring->head, memory_order_relaxed);
    stack_table_clear(self->table);
    self->table->last_node = 0;
    recorder_put(self, CHANNEL_EPOCH, 0);
}

/* Counts an event of a thread or process that has no ring. */
static void event_lost(const struct recorder_call *call)
{
    uint32_t process = atomic_load_explicit(&recorder.process, memory_order_relaxed);
    if (call->kind != CHANNEL_RESIZE_BEGIN)
        atomic_fetch_add_explicit(&recorder.channel->processes[process].no_ring, 1, memory_order_relaxed);
}

/* Follows a fork: this process is new, and only this thread is in it, or threads made since. */
static bool fork_follow(void)
{
    struct channel *channel = recorder.channel;
    int pid = (int)syscall(SYS_getpid), before = atomic_load_explicit(&recorder.pid, memory_order_relaxed);
    if (before == pid || !atomic_compare_exchange_strong(&recorder.pid, &before, pid)) {
        /* Another thread is at it, or has found that there are too many processes. */
        for (int i = 0; i < 1000 && !atomic_load_explicit(&recorder_page->generation, memory_order_acquire); i++)
            sched_yield();
        return atomic_load_explicit(&recorder_page->generation, memory_order_acquire) != 0;
    }
    uint32_t parent = atomic_load_explicit(&recorder.process, memory_order_relaxed);
    uint32_t process = process_register(channel, parent, false);
    if (process == CHANNEL_PROCESSES)
        return false;
    atomic_store_explicit(&recorder.process, process, memory_order_relaxed);
    modules_fork(process);
    generation_advance();
    return true;
}

void recorder_forget_code(void)
{
    if (!recorder.channel || !atomic_load_explicit(&recorder_page->generation, memory_order_relaxed))
        return;
    modules_forget();
    unwind_forget();
    generation_advance();
}

/* Compares the stack that the table gave with one unwound now, frame by frame. */
static void oracle_check(struct recorder_thread *self, const struct stack_key *key, uint32_t node)
{
    struct ring_memory *memory = (struct ring_memory *)(void *)self->table;
    uint32_t depth = stack_unwind(key, memory->slots, memory->addresses, STACK_DEPTH_MAX), i = 0;
    uint32_t flags = 0;
    for (; node && i < depth; node = memory->nodes[node].parent, i++) {
        flags = memory->nodes[node].flags;
        if (memory->nodes[node].slot != memory->slots[i] || memory->nodes[node].address != memory->addresses[i])
            break;
    }
    self->ring->oracle_checked++;
    /* A stack that the table cuts for its depth is still right as far as it goes. */
    if (flags & TRACE_NODE_TRUNCATED)
        self->ring->oracle_truncated++;
    if (node ? depth < STACK_DEPTH_MAX || i < depth : i != depth && i < STACK_DEPTH_MAX / 4)
        self->ring->oracle_wrong++;
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
static bool thread_ready(struct recorder_thread *self, uint64_t generation, const struct recorder_call *call)
{
    if (!self->ring) {
        bool first = self->mode != RECORDER_NO_RING;
        if (!ring_claim(self, first ? RING_CLAIM_ATTEMPTS : 1)) {
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
            if (!fork_follow()) {
                event_lost(call);
                return RECORDER_SLOW;
            }
            generation = atomic_load_explicit(&recorder_page->generation, memory_order_acquire);
        }
    }
    if (!thread_ready(self, generation, call))
        return RECORDER_SLOW;
    uint32_t mode = self->mode;
    if (mode == RECORDER_DROPPING && self->head + CHANNEL_CHECKPOINT > room_end(self)) {
        event_drop(self, call);
        return RECORDER_SLOW;
    }
    self->mode = RECORDER_PLAIN;
    limit_set(self);
    bool oracle = recorder.channel->flags & CHANNEL_ORACLE;
    if (call->kind == CHANNEL_RESIZE_BEGIN)
        recorder_unit(self, call->kind, call->address, 0, recorder_ticks(), TRACE_NO_STACK);
    else if (oracle)
        oracle_check(self, &call->key, recorder_event(self, call->kind, call->address, call->size, &call->key));
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
            if (!busy_abandoned(mark, call->key.sp)) {
                nested_add(self, call);
                return;
            }
            event_abandon(self);
        }
        self->generation = call->key.sp | RECORDER_BUSY;
        atomic_signal_fence(memory_order_seq_cst);
        /* In a forked child the ring is the parent's. */
        if (!atomic_load_explicit(&recorder_page->generation, memory_order_relaxed) || !room_wanted(self))
            break;
        /* Not busy meanwhile: handlers that come then wait, too, for room of their own. */
        self->generation = RECORDER_SLOW;
        atomic_signal_fence(memory_order_seq_cst);
        if (!room_wait(self))
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
