/* SPDX-License-Identifier: MIT */
/*
 * stream   what the collector knows of one ring: where it has read to, the clock, the node numbers
 * horizon  a moment before the heads were read: what happened earlier has been published, but for calls
 *          that were interrupted between taking the time and publishing
 *
 * Order. Within a thread events are in order. Between threads they are merged by time up to the
 * horizon. An interrupted call may still be missing, so the order of one address is guarded by itself:
 * a free of a block not yet seen, or a block given out that is still live, makes its stream wait until the
 * other threads have shown what is missing, for a bounded time.
 */
#include "collector.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "channel.h"
#include "live.h"
#include "node_set.h"

#define BATCH_EVENTS  4096u
#define BATCH_NODES   4096u
#define STALL_SLACK_TICKS 16384u
#define STALL_NS      1000000000u /* how old an event gets while it waits for a missing one of another thread */
#define STALL_ROUNDS   4u       /* and how many rounds it waits at least: they show what was published meanwhile */
#define STALL_SHORT_NS 500000u  /* age alone, once a process has proven to have blocks from elsewhere */
#define STALL_PATIENCE 16u

#define RESIZING_MAX 8u

struct stream {
    bool active;
    uint32_t thread, process;
    int32_t tid;
    uint64_t tail, head;      /* units; head as of this round */
    uint64_t ticks;           /* time of the last unit read */
    uint64_t big_size;        /* from a SIZE unit; 0: none */
    uint64_t next_ticks;      /* of the event at tail, valid while merging */
    uint32_t *nodes;          /* local id -> node; [0] unused */
    uint32_t node_count, node_capacity;
    /* Between RESIZE_BEGIN and _END; several when signal handlers resize, too: the last begun ends first. */
    struct resizing {
        uint64_t address;
        uint32_t block; /* TRACE_NO_BLOCK: unknown */
    } resizing[RESIZING_MAX];
    uint32_t resizing_count;
    uint32_t stalled_rounds;  /* in which the unit at tail had to wait; the last of them */
    uint64_t stalled_round;
};

struct process {
    bool known;
    uint32_t id;        /* in the trace */
    int32_t pid;        /* as it was when we first saw it: the mapping may have been scribbled on since */
    uint32_t streams;   /* active ones */
    uint32_t give_ups;  /* waits that ended without an answer */
    struct live_map live;
};

/* What the rings' owners counted. */
struct ring_sums {
    uint64_t sampled_ticks, sampled_events, miss_ticks, misses;
    uint64_t dropped;
    struct collector_oracle oracle;
};

struct collector {
    struct channel *channel;
    uint32_t flags; /* the channel's, which others could change */
    const struct trace_sink *const *sinks;
    size_t sink_count;
    struct stream streams[CHANNEL_RINGS];
    struct process processes[CHANNEL_PROCESSES]; /* by number in the channel */
    uint32_t module_ids[CHANNEL_MODULES];        /* in the trace, plus 1; 0: not known yet */
    uint32_t process_limit, module_limit;        /* numbers seen in the channel so far */
    uint32_t process_count, module_count, thread_count; /* known ones */
    uint32_t wake;          /* the channel's, as of the beginning of the round */
    uint64_t horizon, future, stall_ticks, stall_short_ticks; /* of this round; constants */
    uint64_t round;         /* from 1 */
    bool stalled;           /* an event waits for another thread's */
    struct live_numbers numbers;
    struct node_set nodes;
    struct trace_event events[BATCH_EVENTS];
    size_t event_count;
    struct trace_node new_nodes[BATCH_NODES];
    size_t new_node_count;
    uint64_t start_ticks;
    uint64_t ns_per_tick_32; /* fixed point, 32 bits of fraction */
    struct trace_end totals;
    struct ring_sums sums; /* of retired rings */
    uint64_t units, implied_frees;
    int error;
};

static uint64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_RAW, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int channel_create(uint32_t flags, struct channel **ret_channel, int *ret_fd)
{
    int fd = memfd_create("poolwise-channel", MFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    struct channel *channel = MAP_FAILED;
    if (!ftruncate(fd, sizeof *channel))
        channel = mmap(NULL, sizeof *channel, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (channel == MAP_FAILED) {
        int error = errno;
        close(fd);
        return -error;
    }
    channel->version = CHANNEL_VERSION;
    channel->flags = flags;
    channel->bytes = sizeof *channel;
    channel->collector = getpid();
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&channel->alive, &attributes);
    pthread_mutexattr_destroy(&attributes);
    pthread_mutex_lock(&channel->alive);
    channel->magic = CHANNEL_MAGIC;
    *ret_channel = channel;
    *ret_fd = fd;
    return 0;
}

void channel_destroy(struct channel *channel, int fd)
{
    atomic_store(&channel->closed, 1);
    pthread_mutex_unlock(&channel->alive);
    munmap(channel, sizeof *channel);
    close(fd);
}

/* Ticks of the machine against its clock, over a few milliseconds. */
static void clock_calibrate(struct collector *collector)
{
    uint64_t ns0 = clock_ns(), ticks0 = channel_ticks(), ns1, ticks1;
    do {
        ns1 = clock_ns();
        ticks1 = channel_ticks();
    } while (ns1 - ns0 < 5000000);
    collector->ns_per_tick_32 = (uint64_t)((double)(ns1 - ns0) / (double)(ticks1 - ticks0) * 4294967296.0);
    collector->start_ticks = ticks0;
    double ticks_per_ns = (double)(ticks1 - ticks0) / (double)(ns1 - ns0);
    collector->stall_ticks = (uint64_t)(STALL_NS * ticks_per_ns);
    collector->stall_short_ticks = (uint64_t)(STALL_SHORT_NS * ticks_per_ns);
}

static uint64_t ticks_to_ns(const struct collector *collector, uint64_t ticks)
{
    /* By halves: the product of 64 and 32 bits needs 96. */
    uint64_t high = ticks >> 32, low = ticks & UINT32_MAX;
    return high * collector->ns_per_tick_32 + (low * collector->ns_per_tick_32 >> 32);
}

static uint64_t time_ns(const struct collector *collector, uint64_t ticks)
{
    return ticks > collector->start_ticks ? ticks_to_ns(collector, ticks - collector->start_ticks) : 0;
}

struct collector *collector_create(struct channel *channel, const struct trace_sink *const *sinks, size_t sink_count)
{
    struct collector *collector = calloc(1, sizeof *collector);
    if (!collector)
        return NULL;
    collector->channel = channel;
    collector->flags = channel->flags;
    collector->sinks = sinks;
    collector->sink_count = sink_count;
    clock_calibrate(collector);
    if (node_set_init(&collector->nodes)) {
        free(collector);
        errno = ENOMEM;
        return NULL;
    }
    return collector;
}

void collector_destroy(struct collector *collector)
{
    if (!collector)
        return;
    for (uint32_t i = 0; i < CHANNEL_RINGS; i++)
        free(collector->streams[i].nodes);
    for (uint32_t i = 0; i < CHANNEL_PROCESSES; i++)
        live_map_done(&collector->processes[i].live);
    live_numbers_done(&collector->numbers);
    node_set_done(&collector->nodes);
    free(collector);
}

#define PUSH(collector, member, ...)                                                               \
    do {                                                                                             \
        for (size_t sink = 0; sink < (collector)->sink_count && !(collector)->error; sink++)         \
            if ((collector)->sinks[sink]->member)                                                    \
                (collector)->error =                                                                 \
                    (collector)->sinks[sink]->member((collector)->sinks[sink]->context, __VA_ARGS__); \
    } while (0)

static void flush(struct collector *collector)
{
    if (collector->new_node_count)
        PUSH(collector, nodes, collector->new_nodes, collector->new_node_count);
    if (collector->event_count)
        PUSH(collector, events, collector->events, collector->event_count);
    collector->new_node_count = 0;
    collector->event_count = 0;
}

/* The text of a field that others may write to while we read it. */
static void text_copy(char ret_text[CHANNEL_PATH], const char *from)
{
    memcpy(ret_text, from, CHANNEL_PATH);
    ret_text[CHANNEL_PATH - 1] = '\0';
}

/* One that died while it registered is never ready, and must not keep the later ones from us. */
static void processes_update(struct collector *collector)
{
    struct channel *channel = collector->channel;
    uint32_t count = atomic_load_explicit(&channel->process_count, memory_order_acquire);
    if (count > CHANNEL_PROCESSES)
        count = CHANNEL_PROCESSES;
    if (count > collector->process_limit)
        collector->process_limit = count;
    for (uint32_t number = 0; number < count && collector->process_count < count && !collector->error; number++) {
        struct process *process = &collector->processes[number];
        const struct channel_process *from = &channel->processes[number];
        if (process->known || !atomic_load_explicit(&from->ready, memory_order_acquire))
            continue;
        if (live_map_init(&process->live)) {
            collector->error = -ENOMEM;
            return;
        }
        process->known = true;
        process->id = collector->process_count++;
        process->pid = from->pid;
        uint32_t parent = from->parent;
        char program[CHANNEL_PATH];
        text_copy(program, from->program);
        const struct trace_process made = {
            .id = process->id, .pid = process->pid, .program = program,
            .parent = parent < number && collector->processes[parent].known ? collector->processes[parent].id
                                                                            : process->id};
        flush(collector);
        PUSH(collector, process, &made);
        collector->totals.processes++;
    }
}

static void modules_update(struct collector *collector)
{
    struct channel *channel = collector->channel;
    uint32_t count = atomic_load_explicit(&channel->module_count, memory_order_acquire);
    if (count > CHANNEL_MODULES)
        count = CHANNEL_MODULES;
    for (uint32_t number = 0; number < count && collector->module_count < count && !collector->error; number++) {
        const struct channel_module *from = &channel->modules[number];
        if (collector->module_ids[number] || !atomic_load_explicit(&from->ready, memory_order_acquire))
            continue;
        uint32_t process = from->process, build_id_size = from->build_id_size;
        if (process >= CHANNEL_PROCESSES || !collector->processes[process].known)
            continue;
        char path[CHANNEL_PATH];
        text_copy(path, from->path);
        struct trace_module module = {
            .id = collector->module_count, .process = collector->processes[process].id, .bias = from->bias,
            .start = from->start, .end = from->end, .path = path,
            .build_id_size = build_id_size > TRACE_BUILD_ID_MAX ? 0 : build_id_size};
        memcpy(module.build_id, from->build_id, sizeof module.build_id);
        flush(collector);
        PUSH(collector, module, &module);
        collector->module_ids[number] = ++collector->module_count;
    }
}

static void stream_open(struct collector *collector, uint32_t number, uint32_t owner)
{
    struct channel_ring *ring = &collector->channel->rings[number];
    struct stream *stream = &collector->streams[number];
    processes_update(collector);
    uint32_t process = ring->process;
    if (process >= CHANNEL_PROCESSES || !collector->processes[process].known)
        return; /* not ready yet, or nonsense: the ring stays unread */
    uint32_t *nodes = stream->nodes;
    uint32_t capacity = stream->node_capacity;
    *stream = (struct stream){.active = true, .thread = collector->thread_count, .process = process,
                              .tid = (int32_t)owner, .ticks = ring->start_ticks, .nodes = nodes,
                              .node_capacity = capacity, .node_count = 1,
                              .tail = atomic_load_explicit(&ring->tail, memory_order_relaxed)};
    const struct trace_thread thread = {.id = stream->thread, .process = collector->processes[process].id, .tid = stream->tid,
                                        .start_ns = time_ns(collector, ring->start_ticks)};
    flush(collector);
    PUSH(collector, thread, &thread);
    collector->thread_count++;
    collector->totals.threads++;
    collector->processes[process].streams++;
}

#define STREAM_NODES_MAX (1u << 22) /* more than a recorder numbers before it begins anew */

static void node_read(struct collector *collector, struct stream *stream, struct channel_unit unit,
                      struct channel_unit more)
{
    uint32_t id = (uint32_t)(unit.w1 >> 32), parent = (uint32_t)unit.w1;
    uint32_t number = (uint32_t)(unit.w0 >> 8) & 0xffff, module = TRACE_NO_MODULE;
    if (id != stream->node_count || parent >= id || id >= STREAM_NODES_MAX)
        return; /* not what a recorder writes: events that name it have no stack */
    if (stream->node_count >= stream->node_capacity) {
        uint32_t capacity = stream->node_capacity ? stream->node_capacity * 2 : 1024;
        uint32_t *nodes = realloc(stream->nodes, capacity * sizeof *nodes);
        if (!nodes) {
            collector->error = -ENOMEM;
            return;
        }
        stream->nodes = nodes;
        stream->node_capacity = capacity;
    }
    if (number < CHANNEL_MODULES) {
        if (!collector->module_ids[number])
            modules_update(collector);
        if (collector->module_ids[number])
            module = collector->module_ids[number] - 1;
    }
    struct trace_node node = {
        .parent = parent ? stream->nodes[parent] : 0, .thread = stream->thread, .flags = (uint32_t)(unit.w0 >> 4) & 15,
        .module = module, .slot = more.w0, .address = more.w1};
    bool made;
    int status = node_set_intern(&collector->nodes, &node, &made);
    if (status) {
        collector->error = status;
        return;
    }
    stream->nodes[stream->node_count++] = node.id;
    if (made) {
        collector->new_nodes[collector->new_node_count++] = node;
        if (collector->new_node_count == BATCH_NODES)
            flush(collector);
    }
}

static inline void event_put(struct collector *collector, const struct stream *stream, enum trace_kind kind,
                             enum trace_call call, uint32_t block, uint64_t address, uint64_t size, uint32_t local_node)
{
    struct trace_event *event = &collector->events[collector->event_count];
    event->time_ns = time_ns(collector, stream->ticks);
    event->address = address;
    event->size = size;
    event->block = block;
    event->stack = local_node < stream->node_count && local_node ? stream->nodes[local_node] : TRACE_NO_STACK;
    event->thread = stream->thread;
    event->kind = (uint8_t)kind;
    event->call = (uint8_t)call;
    if (++collector->event_count == BATCH_EVENTS)
        flush(collector);
}

/*
 * Whether the stream should wait for another thread to show a missing event; false: it has waited enough.
 * By the event's age, not by the time since we saw it: then a program with many blocks from elsewhere is read
 * a moment later, but not slower. Rounds count, too: this process itself may have been kept from running.
 */
static bool stall(struct collector *collector, struct stream *stream, uint64_t ticks, bool final)
{
    struct process *process = &collector->processes[stream->process];
    if (final || (process->streams < 2 && process->give_ups >= STALL_PATIENCE))
        return false;
    bool patient = process->give_ups < STALL_PATIENCE && !(collector->flags & CHANNEL_LOSSY);
    uint64_t age = collector->horizon > ticks ? collector->horizon - ticks : 0;
    stream->stalled_rounds += stream->stalled_round != collector->round;
    stream->stalled_round = collector->round;
    if (ticks <= collector->future && (age < (patient ? collector->stall_ticks : collector->stall_short_ticks) ||
                                       (patient && stream->stalled_rounds <= STALL_ROUNDS))) {
        collector->stalled = true;
        return true;
    }
    process->give_ups++;
    return false;
}

static inline void block_freed(struct collector *collector, const struct stream *stream, struct live_map *live,
                               uint64_t address, uint32_t block, uint32_t local_node)
{
    live_remove(live, address);
    if (live_number_free(&collector->numbers, block))
        collector->error = -ENOMEM;
    event_put(collector, stream, TRACE_FREE, TRACE_CALL_FREE, block, address, 0, local_node);
}

/* A block whose resize never ended (the end was dropped, or a handler jumped out) stays where it was. */
static void resize_forget(struct collector *collector, struct stream *stream, struct live_map *live)
{
    const struct resizing *oldest = &stream->resizing[0];
    if (oldest->block != TRACE_NO_BLOCK) {
        if (live_find(live, oldest->address) == LIVE_NONE) {
            if (live_insert(live, oldest->address, oldest->block))
                collector->error = -ENOMEM;
        } else {
            collector->totals.frees++;
            collector->implied_frees++;
            if (live_number_free(&collector->numbers, oldest->block))
                collector->error = -ENOMEM;
            event_put(collector, stream, TRACE_FREE, TRACE_CALL_REALLOC, oldest->block, oldest->address, 0, 0);
        }
    }
    memmove(&stream->resizing[0], &stream->resizing[1], --stream->resizing_count * sizeof *stream->resizing);
}

static void resize_begin(struct collector *collector, struct stream *stream, struct live_map *live, uint64_t address,
                         uint32_t block)
{
    /* Where ends may be dropped, one that is missing is likelier than a handler that resizes. */
    if (stream->resizing_count == (collector->flags & CHANNEL_LOSSY ? 1 : RESIZING_MAX))
        resize_forget(collector, stream, live);
    if (block != TRACE_NO_BLOCK)
        live_remove(live, address);
    stream->resizing[stream->resizing_count++] = (struct resizing){address, block};
}

static void resize_end(struct collector *collector, struct stream *stream, struct live_map *live, uint64_t address,
                       uint64_t size, uint32_t local_node)
{
    struct resizing begun = {address, TRACE_NO_BLOCK};
    if (stream->resizing_count)
        begun = stream->resizing[--stream->resizing_count];
    uint32_t block = begun.block;
    if (size == UINT64_MAX) { /* failed: the old block stands */
        if (block != TRACE_NO_BLOCK && live_insert(live, begun.address, block))
            collector->error = -ENOMEM;
        return;
    }
    if (!address) { /* realloc(p, 0) freed it */
        collector->totals.frees++;
        if (block == TRACE_NO_BLOCK)
            collector->totals.unknown_frees++;
        else if (live_number_free(&collector->numbers, block))
            collector->error = -ENOMEM;
        event_put(collector, stream, TRACE_FREE, TRACE_CALL_REALLOC, block, begun.address, 0, local_node);
        return;
    }
    bool known = block != TRACE_NO_BLOCK;
    if (known) {
        collector->totals.reallocs++;
    } else {
        collector->totals.allocations++;
        block = live_number_take(&collector->numbers);
    }
    if (live_insert(live, address, block))
        collector->error = -ENOMEM;
    event_put(collector, stream, known ? TRACE_REALLOC : TRACE_ALLOC, TRACE_CALL_REALLOC, block, address, size,
              local_node);
}

/* Read once: a process that scribbles must not change what has been checked. */
static inline struct channel_unit unit_at(const struct channel_unit *units, uint64_t at)
{
    const volatile struct channel_unit *unit = &units[at % CHANNEL_UNITS];
    return (struct channel_unit){unit->w0, unit->w1};
}

/*
 * Handles the unit at the stream's tail; the caller knows that it is below head. False: it must wait, or
 * its record is not complete yet; nothing has changed then.
 */
static inline bool unit_read(struct collector *collector, struct stream *stream, const struct channel_unit *units,
                             bool final)
{
    const struct channel_unit unit = unit_at(units, stream->tail);
    uint64_t w0 = unit.w0, w1 = unit.w1;
    unsigned kind = w0 & 15;
    uint64_t address = w0 >> (4 + CHANNEL_DT_BITS) << 3;
    uint64_t dt = (w0 >> 4 & CHANNEL_DT_MAX) << CHANNEL_DT_SHIFT;
    uint64_t size = stream->big_size ? stream->big_size : (uint32_t)w1;
    uint32_t node = (uint32_t)(w1 >> 32);
    struct live_map *live = &collector->processes[stream->process].live;
    uint32_t block;
    static const uint8_t calls[] = {[CHANNEL_MALLOC] = TRACE_CALL_MALLOC, [CHANNEL_CALLOC] = TRACE_CALL_CALLOC,
                                    [CHANNEL_REALLOC] = TRACE_CALL_REALLOC, [CHANNEL_ALIGNED] = TRACE_CALL_ALIGNED};
    switch (kind) {
    case CHANNEL_MALLOC:
    case CHANNEL_CALLOC:
    case CHANNEL_REALLOC:
    case CHANNEL_ALIGNED:
        if (!address)
            break;
        block = live_find(live, address);
        if (__builtin_expect(block != LIVE_NONE, 0)) {
            if (stall(collector, stream, stream->ticks + dt, final))
                return false;
            /* Its free was never seen (a foreign way out of the allocator): it must have been. */
            stream->ticks += dt;
            collector->totals.frees++;
            collector->implied_frees++;
            block_freed(collector, stream, live, address, block, 0);
            dt = 0;
        }
        stream->ticks += dt;
        collector->totals.allocations++;
        block = live_number_take(&collector->numbers);
        if (live_insert(live, address, block))
            collector->error = -ENOMEM;
        event_put(collector, stream, TRACE_ALLOC, calls[kind], block, address, size, node);
        break;
    case CHANNEL_FREE:
        block = live_find(live, address);
        if (__builtin_expect(block == LIVE_NONE, 0)) {
            if (stall(collector, stream, stream->ticks + dt, final))
                return false;
            stream->ticks += dt;
            collector->totals.frees++;
            collector->totals.unknown_frees++;
            event_put(collector, stream, TRACE_FREE, TRACE_CALL_FREE, TRACE_NO_BLOCK, address, 0, node);
            break;
        }
        stream->ticks += dt;
        collector->totals.frees++;
        block_freed(collector, stream, live, address, block, node);
        break;
    case CHANNEL_RESIZE_BEGIN:
        block = live_find(live, address);
        if (__builtin_expect(block == LIVE_NONE, 0) && stall(collector, stream, stream->ticks + dt, final))
            return false;
        stream->ticks += dt;
        resize_begin(collector, stream, live, address, block);
        break;
    case CHANNEL_RESIZE_END:
        if (address && size != UINT64_MAX && __builtin_expect((block = live_find(live, address)) != LIVE_NONE, 0)) {
            if (stall(collector, stream, stream->ticks + dt, final))
                return false;
            stream->ticks += dt;
            collector->totals.frees++;
            collector->implied_frees++;
            block_freed(collector, stream, live, address, block, 0);
            dt = 0;
        }
        stream->ticks += dt;
        resize_end(collector, stream, live, address, size, node);
        break;
    case CHANNEL_SIZE:
        stream->big_size = w1;
        stream->tail++;
        return true;
    case CHANNEL_TIME:
        stream->ticks = w1;
        break;
    case CHANNEL_NODE:
        if (stream->tail + 2 > stream->head)
            return false;
        node_read(collector, stream, unit, unit_at(units, stream->tail + 1));
        stream->tail++;
        break;
    case CHANNEL_EPOCH:
        stream->node_count = 1;
        break;
    default:
        break;
    }
    stream->big_size = 0;
    stream->stalled_rounds = 0;
    stream->tail++;
    return true;
}

/* Time of the event at tail; units without time count as due now, and so do times that cannot be. */
static inline uint64_t peek(const struct collector *collector, const struct stream *stream,
                            const struct channel_unit *units)
{
    uint64_t w0 = unit_at(units, stream->tail).w0, ticks = stream->ticks;
    unsigned kind = w0 & 15;
    if (kind >= CHANNEL_MALLOC && kind <= CHANNEL_RESIZE_END)
        ticks += (w0 >> 4 & CHANNEL_DT_MAX) << CHANNEL_DT_SHIFT;
    return ticks <= collector->future ? ticks : 0;
}

static void tail_publish(struct collector *collector, uint32_t number)
{
    struct channel_ring *ring = &collector->channel->rings[number];
    atomic_store_explicit(&ring->tail, collector->streams[number].tail, memory_order_seq_cst);
    if (atomic_load_explicit(&ring->writer_waits, memory_order_seq_cst)) {
        atomic_fetch_add_explicit(&ring->drained, 1, memory_order_release);
        syscall(SYS_futex, &ring->drained, FUTEX_WAKE, 1, NULL, NULL, 0);
    }
}

#define TAIL_PUBLISH_UNITS 8192u
#define PREFETCH_UNITS     8u

_Static_assert(LIVE_NONE == TRACE_NO_BLOCK, "one value says that there is no block");

/* Reads one stream up to head, or while its next event is not after `until`. */
static uint64_t stream_read(struct collector *collector, uint32_t number, uint64_t until, bool final)
{
    struct stream *stream = &collector->streams[number];
    const struct channel_unit *units = collector->channel->units[number];
    const struct live_map *live = &collector->processes[stream->process].live;
    uint64_t begin = stream->tail, published = begin;
    while (stream->tail < stream->head && !collector->error) {
        if (until != UINT64_MAX && peek(collector, stream, units) > until)
            break;
        live_prefetch(live, units[(stream->tail + PREFETCH_UNITS) % CHANNEL_UNITS].w0 >> (4 + CHANNEL_DT_BITS) << 3);
        if (!unit_read(collector, stream, units, final))
            break;
        if (stream->tail - published >= TAIL_PUBLISH_UNITS) {
            tail_publish(collector, number);
            published = stream->tail;
        }
    }
    if (stream->tail != published)
        tail_publish(collector, number);
    return stream->tail - begin;
}

/* Merges the given streams by time, up to the horizon. */
static uint64_t merge(struct collector *collector, uint32_t *numbers, uint32_t count, uint64_t horizon, bool final)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct stream *stream = &collector->streams[numbers[i]];
        stream->next_ticks = peek(collector, stream, collector->channel->units[numbers[i]]);
    }
    while (count && !collector->error) {
        uint32_t first = 0;
        uint64_t second = horizon;
        for (uint32_t i = 1; i < count; i++) {
            uint64_t ticks = collector->streams[numbers[i]].next_ticks;
            uint64_t least = collector->streams[numbers[first]].next_ticks;
            if (ticks < least) {
                second = least < second ? least : second;
                first = i;
            } else if (ticks < second) {
                second = ticks;
            }
        }
        struct stream *stream = &collector->streams[numbers[first]];
        if (stream->next_ticks > horizon)
            break;
        uint64_t read = stream_read(collector, numbers[first], second, final);
        total += read;
        /*
         * While one waits, the others go no further than to what it waits for: a later event of theirs on
         * the same address would be taken for it. Counters are read out of order by some hundred ticks.
         */
        if (stream->stalled_rounds && stream->stalled_round == collector->round &&
            horizon > stream->next_ticks + STALL_SLACK_TICKS) {
            uint64_t due = peek(collector, stream, collector->channel->units[numbers[first]]);
            if (horizon > due + STALL_SLACK_TICKS)
                horizon = due + STALL_SLACK_TICKS;
        }
        /* A stream that is empty or waits leaves this round; its units stay in the ring. */
        if (!read || stream->tail == stream->head)
            numbers[first] = numbers[--count];
        else
            stream->next_ticks = peek(collector, stream, collector->channel->units[numbers[first]]);
    }
    return total;
}

int64_t collector_drain(struct collector *collector, bool final)
{
    struct channel *channel = collector->channel;
    uint32_t ready[CHANNEL_RINGS], count = 0, active = 0;
    collector->wake = atomic_load_explicit(&channel->wake, memory_order_acquire);
    collector->round++;
    collector->stalled = false;
    collector->horizon = channel_ticks();
    channel_fence(); /* the heads are read later */
    uint32_t limit = atomic_load_explicit(&channel->ring_hint, memory_order_acquire);
    if (limit > CHANNEL_RINGS)
        limit = CHANNEL_RINGS;
    for (uint32_t i = 0; i < limit && !collector->error; i++) {
        struct channel_ring *ring = &channel->rings[i];
        struct stream *stream = &collector->streams[i];
        if (!stream->active) {
            uint32_t owner = atomic_load_explicit(&ring->owner, memory_order_acquire);
            if (!owner || owner == UINT32_MAX)
                continue;
            stream_open(collector, i, owner);
            if (!stream->active)
                continue;
        }
        active++;
        uint64_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
        /* A head out of range is not a recorder's: read nothing rather than garbage. */
        stream->head = head >= stream->tail && head - stream->tail <= CHANNEL_UNITS ? head : stream->tail;
        if (stream->tail < stream->head)
            ready[count++] = i;
    }
    /* What was in the rings was read from the counter by now, whatever it says. */
    collector->future = channel_ticks() + collector->stall_short_ticks;
    processes_update(collector);
    modules_update(collector);
    uint64_t read = 0;
    uint64_t horizon = final ? collector->future : collector->horizon;
    if (count == 1 && active == 1)
        read = stream_read(collector, ready[0], horizon, final);
    else if (count)
        read = merge(collector, ready, count, horizon, final);
    /* Finally nothing is missing any more: who still waits goes on. */
    if (final && count && !collector->error) {
        for (uint32_t i = 0; i < limit; i++)
            if (collector->streams[i].active)
                read += stream_read(collector, i, UINT64_MAX, true);
    }
    flush(collector);
    collector->units += read;
    return collector->error ? collector->error : (int64_t)read;
}

void collector_sleep(struct collector *collector, uint64_t limit_ns)
{
    struct channel *channel = collector->channel;
    if (collector->stalled && limit_ns > STALL_SHORT_NS)
        limit_ns = STALL_SHORT_NS;
    atomic_store_explicit(&channel->collector_sleeps, 1, memory_order_seq_cst);
    const struct timespec limit = {(time_t)(limit_ns / 1000000000u), (long)(limit_ns % 1000000000u)};
    /* The value from before we looked into the rings: who has woken us since need not do so again. */
    syscall(SYS_futex, &channel->wake, FUTEX_WAIT, collector->wake, &limit, NULL, 0);
    atomic_store_explicit(&channel->collector_sleeps, 0, memory_order_relaxed);
}

static void ring_add(const struct collector *collector, uint32_t number, struct ring_sums *sums)
{
    const struct channel_ring *ring = &collector->channel->rings[number];
    sums->sampled_ticks += ring->sampled_ticks;
    sums->sampled_events += ring->sampled_events;
    sums->miss_ticks += ring->miss_ticks;
    sums->misses += ring->misses;
    sums->dropped += ring->dropped;
    sums->oracle.checked += ring->oracle_checked;
    sums->oracle.wrong += ring->oracle_wrong;
    sums->oracle.truncated += ring->oracle_truncated;
}

static struct ring_sums rings_sum(const struct collector *collector)
{
    struct ring_sums sums = collector->sums;
    for (uint32_t i = 0; i < CHANNEL_RINGS; i++)
        if (collector->streams[i].active)
            ring_add(collector, i, &sums);
    return sums;
}

/* Whether the process' memory is gone: it ended, or another program runs in its place. */
static bool process_gone(const struct collector *collector, uint32_t process)
{
    int32_t pid = collector->processes[process].pid;
    for (uint32_t later = process + 1; later < collector->process_limit; later++)
        if (collector->processes[later].known && collector->processes[later].pid == pid)
            return true;
    return pid <= 0 || (kill(pid, 0) && errno == ESRCH);
}

uint32_t collector_running(const struct collector *collector)
{
    uint32_t running = 0;
    for (uint32_t i = 0; i < collector->process_limit; i++)
        running += collector->processes[i].known && !process_gone(collector, i);
    return running;
}

/* Whether we have started it, or what it says it is: a process id from the mapping may be anybody's. */
static bool is_descendant(int32_t pid)
{
    for (int depth = 0; depth < 64 && pid > 1; depth++) {
        char path[64], text[512], *after;
        snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t size = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
        if (fd >= 0)
            close(fd);
        text[size > 0 ? size : 0] = '\0';
        /* Field 4, counted from the end of the name in brackets. */
        if (!(after = strrchr(text, ')')) || sscanf(after + 1, " %*c %d", &pid) != 1)
            return false;
        if (pid == (int32_t)getpid())
            return true;
    }
    return false;
}

void collector_signal(const struct collector *collector, int number)
{
    for (uint32_t i = 0; i < collector->process_limit; i++)
        if (collector->processes[i].known && !process_gone(collector, i) &&
            is_descendant(collector->processes[i].pid))
            kill(collector->processes[i].pid, number);
}

bool collector_retire_wanted(const struct collector *collector)
{
    return atomic_load_explicit(&collector->channel->ring_wanted, memory_order_relaxed);
}

#define RINGS_KEPT 64u /* 1 MiB each at most */

void collector_retire(struct collector *collector)
{
    struct channel *channel = collector->channel;
    atomic_store_explicit(&channel->ring_wanted, 0, memory_order_relaxed);
    for (uint32_t i = 0; i < CHANNEL_RINGS; i++) {
        struct stream *stream = &collector->streams[i];
        struct channel_ring *ring = &channel->rings[i];
        if (!stream->active || atomic_load_explicit(&ring->head, memory_order_acquire) != stream->tail)
            continue;
        bool gone = process_gone(collector, stream->process) ||
                    (syscall(SYS_tgkill, collector->processes[stream->process].pid, stream->tid, 0) && errno == ESRCH);
        /* Once more: it may have written and ended between the two looks. */
        if (!gone || atomic_load_explicit(&ring->head, memory_order_acquire) != stream->tail)
            continue;
        ring_add(collector, i, &collector->sums);
        ring->sampled_ticks = ring->sampled_events = ring->miss_ticks = ring->misses = ring->dropped = 0;
        ring->oracle_checked = ring->oracle_wrong = ring->oracle_truncated = 0;
        stream->active = false;
        collector->processes[stream->process].streams--;
        /* Rings with low numbers are used again and again; the memory of others goes back. */
        if (i >= RINGS_KEPT)
            madvise(channel->units[i], sizeof channel->units[i], MADV_REMOVE);
        atomic_store_explicit(&ring->owner, 0, memory_order_release);
    }
}

uint64_t collector_implied_frees(const struct collector *collector)
{
    return collector->implied_frees;
}

void collector_oracle(const struct collector *collector, struct collector_oracle *ret_oracle)
{
    *ret_oracle = rings_sum(collector).oracle;
}

/* What the sampling does not repeat: the call of the entry point, writing and publishing the unit, and the
 * caches' and predictors' losses. Measured as the difference between the CPU time that recording added to seven
 * programs (jq, sqlite3, xmllint, bash, readelf, git, the sample) and their samples: 6 to 13 ns, but git 32. */
#define ENTRY_NS 12.0

void collector_totals(const struct collector *collector, struct trace_end *ret_end)
{
    const struct ring_sums sums = rings_sum(collector);
    *ret_end = collector->totals;
    ret_end->events = ret_end->allocations + ret_end->frees + ret_end->reallocs;
    ret_end->dropped = sums.dropped;
    for (uint32_t i = 0; i < CHANNEL_PROCESSES; i++)
        ret_end->dropped += atomic_load_explicit(&collector->channel->processes[i].no_ring, memory_order_relaxed);
    double event_ns = ENTRY_NS;
    if (sums.sampled_events)
        event_ns += (double)ticks_to_ns(collector, sums.sampled_ticks) / (double)sums.sampled_events;
    ret_end->recording_ns = (uint64_t)(event_ns * (double)ret_end->events) + ticks_to_ns(collector, sums.miss_ticks);
    ret_end->stack_hits = ret_end->events > sums.misses ? ret_end->events - sums.misses : 0;
    ret_end->wall_ns = time_ns(collector, channel_ticks());
    ret_end->exit_status = -1;
}

int collector_finish(struct collector *collector, const struct trace_end *end)
{
    flush(collector);
    PUSH(collector, end, end);
    return collector->error;
}
