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
    /* Only for CHANNEL_ORACLE; else never touched, and so takes no memory. */
    struct {
        uint64_t slot, address;
        uint32_t parent, flags;
    } nodes[NODES_MAX + STACK_DEPTH_MAX + 1];
    uint64_t slots[STACK_DEPTH_MAX], addresses[STACK_DEPTH_MAX];
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

/* The collector may have been killed: then nobody will ever make room. */
static bool collector_alive(const struct channel *channel)
{
    if (atomic_load_explicit(&channel->closed, memory_order_relaxed))
        return false;
    return syscall(SYS_kill, channel->collector, 0) == 0 || errno != ESRCH;
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

/* The environment as it stands; NULL before libc has set it. Not getenv: programs export their own. */
extern char **environ;

static const char *environment(const char *name)
{
    size_t length = strlen(name);
    for (char **entry = environ; entry && *entry; entry++)
        if (!strncmp(*entry, name, length) && (*entry)[length] == '=')
            return *entry + length + 1;
    return NULL;
}

static void environment_remove(const char *name)
{
    size_t length = strlen(name);
    char **keep = environ;
    for (char **entry = environ; *entry; entry++)
        if (strncmp(*entry, name, length) || (*entry)[length] != '=')
            *keep++ = *entry;
    *keep = NULL;
}

/* Registers this process; the number, or CHANNEL_PROCESSES when there are too many. */
static uint32_t process_register(struct channel *channel, uint32_t parent, bool image)
{
    uint32_t number = atomic_fetch_add_explicit(&channel->process_count, 1, memory_order_relaxed);
    if (number >= CHANNEL_PROCESSES)
        return CHANNEL_PROCESSES;
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
    const char *path = environment(CHANNEL_ENVIRONMENT);
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
__attribute__((constructor)) static void environment_tidy(void)
{
    recorder_attach();
    if (recorder.channel || !environment(CHANNEL_ENVIRONMENT))
        return;
    environment_remove(CHANNEL_ENVIRONMENT);
    char *preload = (char *)(uintptr_t)environment("LD_PRELOAD");
    if (!preload)
        return;
    /* Ours was put first; the user's own, if any, follow a colon. */
    char *others = strchr(preload, ':');
    if (others)
        memmove(preload, others + 1, strlen(others));
    else
        environment_remove("LD_PRELOAD");
}

static struct ring_memory *ring_memory(uint32_t number)
{
    struct ring_memory *memory = atomic_load_explicit(&recorder.memory[number], memory_order_acquire);
    if (memory)
        return memory;
    memory = mmap(NULL, sizeof *memory, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    madvise(memory, sizeof *memory, MADV_WIPEONFORK);
    atomic_store_explicit(&recorder.memory[number], memory, memory_order_release);
    return memory;
}

/* Claims a free ring for this thread; waits a while for the collector to retire one. */
static bool ring_claim(struct recorder_thread *self)
{
    struct channel *channel = recorder.channel;
    uint32_t tid = (uint32_t)syscall(SYS_gettid);
    for (int attempt = 0; attempt < 200; attempt++) {
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
            stack_table_clear(&memory->table);
            memory->table.last_node = 0;
            memory->nested = (struct recorder_nested){0};
            ring->process = atomic_load_explicit(&recorder.process, memory_order_relaxed);
            ring->start_ticks = channel_ticks();
            self->ring = ring;
            self->units = channel->units[i];
            self->table = &memory->table;
            self->nested = &memory->nested;
            self->nested_count = 0;
            self->misses = 0;
            self->dropped = 0;
            self->sp_mask = channel->flags & CHANNEL_SITE ? 0 : UINT64_MAX;
            self->head = atomic_load_explicit(&ring->head, memory_order_relaxed);
            self->last_ticks = ring->start_ticks;
            recorder_put(self, CHANNEL_EPOCH, 0);
            recorder_put(self, CHANNEL_TIME, self->last_ticks);
            atomic_store_explicit(&ring->head, self->head, memory_order_release);
            self->limit = (self->head / CHANNEL_CHECKPOINT + 1) * CHANNEL_CHECKPOINT;
            uint32_t hint = atomic_load_explicit(&channel->ring_hint, memory_order_relaxed);
            while (hint <= i && !atomic_compare_exchange_weak(&channel->ring_hint, &hint, i + 1))
                ;
            /* Release: the collector that sees the owner sees the process and the start. */
            atomic_store_explicit(&ring->owner, tid, memory_order_release);
            return true;
        }
        if (!collector_alive(channel))
            return false;
        collector_wake(channel);
        const struct timespec wait = {0, 5000000};
        nanosleep(&wait, NULL);
    }
    return false;
}

static uint64_t room_end(const struct recorder_thread *self)
{
    return atomic_load_explicit(&self->ring->tail, memory_order_acquire) + CHANNEL_UNITS - RECORDER_SLACK;
}

/* Waits until at least one checkpoint's worth of units is free. False: the collector is gone. */
static bool room_wait(struct recorder_thread *self)
{
    struct channel *channel = recorder.channel;
    struct channel_ring *ring = self->ring;
    ring->waits++;
    for (;;) {
        uint32_t drained = atomic_load_explicit(&ring->drained, memory_order_acquire);
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

/* Room for `count` more units right now, whatever it takes; used in the middle of a record. */
static bool room_for(struct recorder_thread *self, uint32_t count)
{
    if (self->head + count <= room_end(self))
        return true;
    atomic_store_explicit(&self->ring->head, self->head, memory_order_release);
    return room_wait(self);
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
        } else {
            room_wait(self);
        }
    }
    if (mode == RECORDER_SAMPLE)
        limit_set(self);
    if (mode == RECORDER_SAMPLE && channel->flags & CHANNEL_ORACLE)
        mode = RECORDER_ORACLE;
    self->mode = mode;
    self->ready = RECORDER_SLOW;
    errno = saved_errno;
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
    if (!room_for(self, 2))
        return;
    recorder_put(self, CHANNEL_NODE | (uint64_t)flags << 4 | (uint64_t)module << 8,
                 (uint64_t)id << 32 | parent);
    recorder_put(self, slot, address);
}

uint32_t recorder_stack_miss(struct recorder_thread *self, const struct stack_key *key)
{
    if (self->table->last_node > NODES_MAX) {
        stack_table_clear(self->table);
        self->table->last_node = 0;
        if (room_for(self, 1))
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

/* Records without looking for the stack: for calls that came while the table was in use. */
static void record_stackless(struct recorder_thread *self, const struct recorder_call *call)
{
    if (!room_for(self, 4))
        return;
    recorder_unit_long(self, call, channel_ticks(), TRACE_NO_STACK);
    atomic_store_explicit(&self->ring->head, self->head, memory_order_release);
}

void recorder_nested_flush(struct recorder_thread *self)
{
    for (uint32_t i = 0; i < self->nested_count; i++)
        record_stackless(self, &self->nested->calls[i]);
    self->nested_count = 0;
}

/* Whether the event that left this busy mark was abandoned: a signal handler that interrupted it has
 * jumped out (siglongjmp), and its frame is below us on the same stack. */
static bool busy_abandoned(uint64_t mark, uint64_t sp)
{
    uint64_t busy = mark & ~(RECORDER_BUSY | RECORDER_NESTED);
    if (sp <= busy || sp - busy > (1 << 20))
        return false;
    stack_t stack;
    return syscall(SYS_sigaltstack, NULL, &stack) || !(stack.ss_flags & SS_ONSTACK);
}

/* Follows a fork: this process is new, and only this thread is in it. */
static bool fork_follow(void)
{
    struct channel *channel = recorder.channel;
    uint32_t parent = atomic_load_explicit(&recorder.process, memory_order_relaxed);
    uint32_t process = process_register(channel, parent, false);
    if (process == CHANNEL_PROCESSES)
        return false;
    atomic_store_explicit(&recorder.process, process, memory_order_relaxed);
    atomic_store_explicit(&recorder.pid, channel->processes[process].pid, memory_order_relaxed);
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
    uint64_t least = UINT64_MAX, last = channel_ticks();
    for (unsigned round = 0; round < SAMPLE_ROUNDS; round++) {
        bool same = stack_entry_is(self->table, &self->table->entries[self->table->last], &state);
        __asm__ volatile("" : : "r"(same) : "memory");
        uint64_t now = channel_ticks();
        least = now - last < least ? now - last : least;
        last = now;
    }
    self->ring->sampled_ticks += least;
    self->ring->sampled_events++;
}

#define NO_RING_RETRY 4096u /* events between two tries to claim a ring */

/* Makes this thread ready for the generation. False: this event goes unrecorded. */
static bool thread_ready(struct recorder_thread *self, uint64_t generation)
{
    if (!self->ring) {
        bool retry = self->mode != RECORDER_NO_RING || ++self->dropped % NO_RING_RETRY == 0;
        if (!retry || !ring_claim(self)) {
            uint32_t process = atomic_load_explicit(&recorder.process, memory_order_relaxed);
            atomic_fetch_add_explicit(&recorder.channel->processes[process].no_ring, 1, memory_order_relaxed);
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

static void slow(const struct recorder_call *call)
{
    struct recorder_thread *self = &recorder_self;
    if (self->mode == RECORDER_INSIDE)
        return;
    if (self->generation & RECORDER_BUSY && !busy_abandoned(self->generation, call->key.sp)) {
        if (self->nested_count < RECORDER_NESTED_MAX) {
            self->nested->calls[self->nested_count++] = *call;
            self->generation |= RECORDER_NESTED;
        }
        return;
    }
    uint64_t generation = atomic_load_explicit(&recorder_page->generation, memory_order_acquire);
    if (!generation) {
        recorder_attach();
        if (!recorder.channel || atomic_load_explicit(&recorder.attach, memory_order_acquire) != 2)
            return;
        generation = atomic_load_explicit(&recorder_page->generation, memory_order_acquire);
        if (!generation) {
            *self = (struct recorder_thread){.generation = RECORDER_SLOW};
            if (!fork_follow())
                return;
            generation_advance();
            generation = atomic_load_explicit(&recorder_page->generation, memory_order_acquire);
        }
    }
    if (atomic_load_explicit(&recorder.channel->closed, memory_order_relaxed) || !thread_ready(self, generation))
        return;
    uint32_t mode = self->mode;
    if (mode == RECORDER_DROPPING) {
        if (self->head + CHANNEL_CHECKPOINT > room_end(self)) {
            self->dropped++;
            self->generation = RECORDER_SLOW;
            return;
        }
        recorder_put(self, CHANNEL_DROPPED, self->dropped);
        self->dropped = 0;
    }
    self->mode = RECORDER_PLAIN;
    self->ready = generation;
    limit_set(self);
    self->generation = call->key.sp | RECORDER_BUSY;
    atomic_signal_fence(memory_order_seq_cst);
    if (call->kind == CHANNEL_RESIZE_BEGIN)
        recorder_unit_long(self, call, self->last_ticks, TRACE_NO_STACK);
    else if (mode == RECORDER_SAMPLE)
        sample(self, call);
    else if (recorder.channel->flags & CHANNEL_ORACLE)
        oracle_check(self, &call->key, recorder_event(self, call->kind, call->address, call->size, &call->key));
    else
        recorder_event(self, call->kind, call->address, call->size, &call->key);
    atomic_signal_fence(memory_order_seq_cst);
    recorder_nested_flush(self);
    if (self->mode == RECORDER_PLAIN && recorder.channel->flags & CHANNEL_ORACLE)
        self->ready = RECORDER_SLOW;
    self->generation = self->ready;
}

void recorder_slow(const struct recorder_call *call)
{
    int saved_errno = errno;
    slow(call);
    errno = saved_errno;
}
