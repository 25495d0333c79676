/* SPDX-License-Identifier: MIT */
/*
 * stretch    windows that follow each other without a gap, up to a few: replayed as one
 * instance   one block from its making to its end
 *
 * Two passes over a stretch. The first finds the instances, and which of them several threads use; the
 * second writes the ops. An instance of one thread gets the slot that this thread gave back last, so that
 * the table of slots stays as warm as the program's own pointers were.
 */
#include "schedule.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "heap.h"

#define BYTES_MAX     (512u << 20)
#define HEAP_BYTES    (256u << 20) /* of blocks that the windows do not touch */
#define THREADS_MAX   64u          /* more than that are replayed by as many */
#define SYNC_EVERY    64u
#define SKEW_EVENTS   512u
#define SLOT_REST     (8 * SKEW_EVENTS) /* events until a shared slot is used again */
#define GROWTH_BYTES  (256u << 10)
#define GROWTH_LEAST  8192u
#define LITTER_BLOCKS 20000u
#define FEW           4u
#define STRETCH       2u /* windows at most */
#define WORK_LEAST    (256u << 10) /* several times a first-level cache, within a second-level one */
#define WORK_MOST     (4u << 20)   /* several times a second-level cache */
#define NONE          UINT32_MAX

struct instance {
    uint32_t slot, thread;
    uint32_t size, now; /* when it was made, or the stretch began; as each pass goes */
    uint64_t address;   /* of those that were there from the beginning */
    uint16_t turn;
    uint8_t place;
    bool shared, heap, needed, left_out;
};

struct lane {
    struct ops ops;
    uint32_t *free_slots, free_count, free_capacity;
    uint32_t synced; /* event of its last sync */
};

struct stretch {
    struct image_window window;
    struct lane lanes[THREADS_MAX];
    struct ops heap, room, litter;
};

struct resting {
    uint32_t slot, event;
    uint16_t turn;
};

struct builder {
    const struct schedule_options *options;
    struct schedule *schedule;
    struct instance *instances;
    uint32_t instance_count, instance_capacity;
    uint32_t *of_block; /* instance + 1 of the block alive; by block */
    uint32_t *heap_of;  /* place in the present window's heap + 1; by block */
    uint32_t block_limit;
    uint64_t live_bytes, live_begin, live_most; /* now; when the stretch began; at most in it */
    uint32_t *of_event; /* instance + 1, by event of the stretch; 0: not known */
    uint32_t event_count, event_capacity;
    struct resting *resting; /* shared slots in the order they were given back */
    uint32_t resting_first, resting_count, resting_capacity;
    struct stretch **stretches;
    uint32_t stretch_count;
};

static int array_reserve(void **array, uint32_t *capacity, uint32_t need, size_t item)
{
    if (need <= *capacity)
        return 0;
    uint64_t wanted = *capacity ? (uint64_t)*capacity * 2 : 1024;
    while (wanted < need)
        wanted *= 2;
    void *grown = wanted < UINT32_MAX ? realloc(*array, wanted * item) : NULL;
    if (!grown)
        return -ENOMEM;
    *array = grown;
    *capacity = (uint32_t)wanted;
    return 0;
}

static int instance_add(struct builder *b, const struct instance *made, uint32_t block)
{
    int status = array_reserve((void **)&b->instances, &b->instance_capacity, b->instance_count + 1,
                               sizeof *b->instances);
    if (status)
        return status;
    b->instances[b->instance_count++] = *made;
    b->of_block[block] = b->instance_count;
    return 0;
}

static uint8_t place_of(const struct builder *b, uint32_t stack)
{
    uint32_t place = b->options->place_of(b->options->context, stack);
    return (uint8_t)(place < b->options->place_count ? place : b->options->place_count - 1);
}

static int heap_instance(struct builder *b, const struct window_block *block, bool needed)
{
    const struct instance made = {.slot = NONE,
                                  .thread = NONE,
                                  .size = block->size,
                                  .now = block->size,
                                  .address = block->address,
                                  .place = place_of(b, block->stack),
                                  .heap = true,
                                  .needed = needed,
                                  .left_out = block->size >= UINT32_MAX - 1 ||
                                              block->size > b->options->bytes_max / 8};
    b->live_bytes += made.left_out ? 0 : made.size;
    return instance_add(b, &made, block->block);
}

/* The instance that an event is about; NULL in *ret_instance: it is not known. */
static int instance_of(struct builder *b, const struct window *window,
                       const struct window_event *event, struct instance **ret_instance)
{
    *ret_instance = NULL;
    if (event->kind == TRACE_ALLOC) {
        bool fits = event->size <= b->options->bytes_max / 8 &&
                    b->live_bytes + event->size <= b->options->bytes_max;
        const struct instance made = {.slot = NONE,
                                      .thread = event->thread,
                                      .size = event->size,
                                      .now = event->size,
                                      .place = place_of(b, event->stack),
                                      .left_out = !fits};
        int status = instance_add(b, &made, event->block);
        if (status)
            return status;
        b->schedule->too_large += !fits;
        b->live_bytes += fits ? event->size : 0;
    } else if (!b->of_block[event->block]) {
        if (!b->heap_of[event->block])
            return 0;
        int status = heap_instance(b, &window->heap[b->heap_of[event->block] - 1], true);
        if (status)
            return status;
    }
    *ret_instance = &b->instances[b->of_block[event->block] - 1];
    return 0;
}

/* A block that grows too large is left out whole, from its beginning. */
static void instance_resize(struct builder *b, struct instance *instance, uint32_t size)
{
    b->live_bytes -= instance->now;
    instance->now = size;
    instance->left_out =
        size > b->options->bytes_max / 8 || b->live_bytes + size > b->options->bytes_max;
    b->live_bytes += instance->left_out ? 0 : size;
    b->schedule->too_large += instance->left_out;
}

static int find_instances(struct builder *b, const struct window *window)
{
    int status = array_reserve((void **)&b->of_event, &b->event_capacity,
                               b->event_count + (uint32_t)window->event_count, sizeof *b->of_event);
    for (size_t i = 0; i < window->event_count && !status; i++) {
        const struct window_event *event = &window->events[i];
        struct instance *instance;
        status = instance_of(b, window, event, &instance);
        if (status)
            break;
        b->of_event[b->event_count++] = instance ? b->of_block[event->block] : 0;
        if (!instance) {
            b->schedule->unknown++;
            continue;
        }
        if (instance->thread == NONE)
            instance->thread = event->thread;
        instance->needed |= instance->heap;
        instance->shared |= instance->thread % THREADS_MAX != event->thread % THREADS_MAX;
        if (event->kind == TRACE_FREE) {
            b->live_bytes -= instance->left_out ? 0 : instance->now;
            b->of_block[event->block] = 0;
        } else if (event->kind == TRACE_REALLOC && !instance->left_out) {
            instance_resize(b, instance, event->size);
        }
        if (b->live_bytes > b->live_most)
            b->live_most = b->live_bytes;
    }
    return status;
}

static int slot_take(struct builder *b, struct stretch *s, struct instance *instance,
                     uint32_t event)
{
    struct lane *lane = &s->lanes[instance->thread % THREADS_MAX];
    if (instance->shared) {
        if (b->resting_count && event - b->resting[b->resting_first].event > SLOT_REST) {
            const struct resting *rested = &b->resting[b->resting_first++];
            b->resting_count--;
            instance->slot = rested->slot;
            instance->turn = rested->turn;
            return 0;
        }
    } else if (lane->free_count) {
        instance->slot = lane->free_slots[--lane->free_count];
        return 0;
    }
    instance->slot = s->window.slot_count++;
    return 0;
}

static int slot_give(struct builder *b, struct stretch *s, const struct instance *instance,
                     uint32_t event)
{
    int status;
    if (instance->shared) {
        status = array_reserve((void **)&b->resting, &b->resting_capacity,
                               b->resting_first + b->resting_count + 1, sizeof *b->resting);
        if (!status)
            b->resting[b->resting_first + b->resting_count++] =
                (struct resting){instance->slot, event, instance->turn};
        return status;
    }
    struct lane *lane = &s->lanes[instance->thread % THREADS_MAX];
    status = array_reserve((void **)&lane->free_slots, &lane->free_capacity, lane->free_count + 1,
                           sizeof *lane->free_slots);
    if (!status)
        lane->free_slots[lane->free_count++] = instance->slot;
    return status;
}

static uint8_t code_of(const struct window_event *event)
{
    if (event->kind == TRACE_FREE)
        return OP_FREE;
    if (event->kind == TRACE_REALLOC)
        return OP_REALLOC;
    return event->call == TRACE_CALL_CALLOC    ? OP_CALLOC
           : event->call == TRACE_CALL_ALIGNED ? OP_ALIGNED
                                               : OP_MALLOC;
}

static int write_event(struct builder *b, struct stretch *s, const struct window_event *event,
                       struct instance *instance)
{
    uint32_t number = s->window.event_count++;
    if (instance->left_out)
        return 0;
    struct lane *lane = &s->lanes[event->thread % THREADS_MAX];
    /* By events, not by ops of its own: so a thread that waits for its turn has always shown how far it is. */
    if (number - lane->synced >= SYNC_EVERY) {
        const struct image_op sync = {.code = OP_SYNC, .size = number};
        lane->synced = number;
        if (ops_add(&lane->ops, &sync))
            return -ENOMEM;
    }
    int status = 0;
    if (event->kind == TRACE_ALLOC)
        status = slot_take(b, s, instance, number);
    const struct image_op op = {.slot = instance->slot,
                                .size = event->size,
                                .was = event->kind == TRACE_ALLOC ? 0 : instance->now,
                                .gap = event->gap,
                                .turn = instance->turn,
                                .place = instance->place,
                                .code = code_of(event),
                                .flags = instance->shared ? OP_SHARED : 0};
    instance->turn += instance->shared;
    if (event->kind == TRACE_REALLOC)
        instance->now = event->size;
    if (!status)
        status = ops_add(&lane->ops, &op);
    if (!status && event->kind == TRACE_FREE)
        status = slot_give(b, s, instance, number);
    b->schedule->ops++;
    if (event->kind == TRACE_ALLOC)
        b->schedule->made[instance->place]++;
    return status;
}

static int write_events(struct builder *b, struct stretch *s, const struct window *window,
                        uint32_t first)
{
    int status = 0;
    for (size_t i = 0; i < window->event_count && !status; i++)
        if (b->of_event[first + i])
            status =
                write_event(b, s, &window->events[i], &b->instances[b->of_event[first + i] - 1]);
    return status;
}

static void heap_index(struct builder *b, const struct window *window, bool set)
{
    for (size_t i = 0; i < window->heap_count; i++)
        b->heap_of[window->heap[i].block] = set ? (uint32_t)i + 1 : 0;
}

/* Who has more alive goes over more. What lies outside the heap is not known. */
static uint32_t work_bytes(const struct window *window)
{
    uint32_t bytes = WORK_LEAST;
    while (bytes < WORK_MOST && bytes < window->live_bytes)
        bytes *= 2;
    return bytes;
}

static int stretch_heap(struct builder *b, struct stretch *s, const struct window *window)
{
    struct heap_block *blocks = calloc(b->instance_count + 1u, sizeof *blocks);
    if (!blocks)
        return -ENOMEM;
    uint32_t count = 0;
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < b->instance_count; i++) {
        struct instance *instance = &b->instances[i];
        instance->now = instance->size;
        if (!instance->heap || instance->left_out ||
            (!instance->needed && bytes + instance->size > HEAP_BYTES))
            continue;
        bytes += instance->size;
        instance->slot = s->window.slot_count++;
        blocks[count++] = (struct heap_block){instance->address, instance->size, instance->slot,
                                              instance->place, instance->needed};
    }
    int status = heap_ops(blocks, count, &s->window.slot_count, &s->heap);
    free(blocks);
    uint64_t room =
        window->peak_bytes > window->live_bytes ? window->peak_bytes - window->live_bytes : 0;
    /* More than the stretch itself needs takes only time. */
    uint64_t need = b->live_most - b->live_begin + GROWTH_BYTES;
    uint64_t growth = need - GROWTH_BYTES > room ? need - GROWTH_BYTES - room : 0;
    s->window.work_bytes = work_bytes(window);
    s->window.grows = growth > GROWTH_BYTES ? 2 : growth > GROWTH_LEAST;
    room = room < need ? room : need;
    if (!status)
        status = heap_history(window->freed_max, room, &s->window.slot_count, &s->room);
    return status;
}

static int stretch_litter(struct builder *b, struct stretch *s)
{
    uint32_t *sizes = calloc(b->instance_count + 1u, sizeof *sizes), count = 0, blocks = 0;
    if (!sizes)
        return -ENOMEM;
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < b->instance_count; i++)
        if (!b->instances[i].left_out && b->instances[i].size)
            bytes += sizes[count++] = b->instances[i].size;
    if (count) {
        uint64_t fit = HEAP_BYTES / (bytes / count + 1);
        blocks = fit < LITTER_BLOCKS ? (uint32_t)fit : LITTER_BLOCKS;
    }
    int status = heap_litter(sizes, count, blocks, &s->window.slot_count, &s->litter);
    free(sizes);
    return status;
}

static int stretch_add(struct builder *b, const struct window *windows, size_t count)
{
    struct stretch *s = calloc(1, sizeof *s);
    struct stretch **grown = realloc(b->stretches, (b->stretch_count + 1) * sizeof *grown);
    if (grown)
        b->stretches = grown;
    if (!s || !grown) {
        free(s);
        return -ENOMEM;
    }
    b->stretches[b->stretch_count++] = s;
    b->instance_count = b->event_count = 0;
    b->live_bytes = 0;
    b->resting_first = b->resting_count = 0;
    memset(b->of_block, 0, b->block_limit * sizeof *b->of_block);
    int status = 0;
    for (size_t i = 0; i < windows[0].heap_count && !status; i++)
        status = heap_instance(b, &windows[0].heap[i], false);
    b->live_begin = b->live_most = b->live_bytes;
    for (size_t i = 0; i < count && !status; i++) {
        heap_index(b, &windows[i], true);
        status = find_instances(b, &windows[i]);
        heap_index(b, &windows[i], false);
    }
    if (!status)
        status = stretch_heap(b, s, &windows[0]);
    if (!status)
        status = stretch_litter(b, s);
    uint32_t first = 0;
    for (size_t i = 0; i < count && !status; i++) {
        status = write_events(b, s, &windows[i], first);
        first += (uint32_t)windows[i].event_count;
    }
    return status;
}

/* Where the parts of the image come to lie. */
struct layout {
    char *base; /* NULL: only measure */
    uint64_t at;
};

static uint64_t lay(struct layout *layout, const void *data, uint64_t bytes)
{
    uint64_t at = layout->at;
    if (layout->base && data && bytes)
        memcpy(layout->base + at, data, bytes);
    layout->at += (bytes + 63) & ~(uint64_t)63;
    return at;
}

static void stretch_lay(const struct stretch *s, struct layout *layout,
                        struct image_window *ret_window)
{
    struct image_thread threads[THREADS_MAX];
    *ret_window = s->window;
    ret_window->thread_count = 0;
    for (uint32_t i = 0; i < THREADS_MAX; i++) {
        const struct ops *ops = &s->lanes[i].ops;
        if (ops->count)
            threads[ret_window->thread_count++] = (struct image_thread){
                .ops_at = lay(layout, ops->ops, ops->count * sizeof *ops->ops),
                .ticks_at = lay(layout, NULL, ops->count * sizeof(uint16_t)),
                .op_count = ops->count};
    }
    ret_window->threads_at = lay(layout, threads, ret_window->thread_count * sizeof *threads);
    ret_window->heap_count = s->heap.count;
    ret_window->heap_at = lay(layout, s->heap.ops, s->heap.count * sizeof *s->heap.ops);
    ret_window->room_count = s->room.count;
    ret_window->room_at = lay(layout, s->room.ops, s->room.count * sizeof *s->room.ops);
    ret_window->litter_count = s->litter.count;
    ret_window->litter_at = lay(layout, s->litter.ops, s->litter.count * sizeof *s->litter.ops);
    ret_window->skew = ret_window->thread_count > 1 ? SKEW_EVENTS : 0;
}

static uint64_t image_lay(const struct builder *b, char *base)
{
    struct layout layout = {base, 0};
    struct image image = {.window_count = b->stretch_count,
                          .place_count = b->options->place_count,
                          .variant_count = 1,
                          .work = b->options->work};
    lay(&layout, &image, sizeof image);
    uint64_t windows_at = layout.at;
    layout.at += (b->stretch_count * sizeof(struct image_window) + 63) & ~(uint64_t)63;
    for (uint32_t i = 0; i < b->stretch_count; i++) {
        struct image_window window;
        stretch_lay(b->stretches[i], &layout, &window);
        if (base)
            memcpy(base + windows_at + i * sizeof window, &window, sizeof window);
    }
    image.windows_at = windows_at;
    image.bytes = layout.at;
    if (base)
        memcpy(base, &image, sizeof image);
    return layout.at;
}

static int image_write(const struct builder *b, struct schedule *schedule)
{
    uint64_t bytes = image_lay(b, NULL);
    int fd = memfd_create("poolwise-schedule", MFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    void *base = MAP_FAILED;
    if (!ftruncate(fd, (off_t)bytes))
        base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (base == MAP_FAILED) {
        int error = errno;
        close(fd);
        return -error;
    }
    image_lay(b, base);
    schedule->fd = fd;
    schedule->image = base;
    return 0;
}

static void builder_done(struct builder *b)
{
    for (uint32_t i = 0; i < b->stretch_count; i++) {
        for (uint32_t k = 0; k < THREADS_MAX; k++) {
            free(b->stretches[i]->lanes[k].ops.ops);
            free(b->stretches[i]->lanes[k].free_slots);
        }
        free(b->stretches[i]->heap.ops);
        free(b->stretches[i]->room.ops);
        free(b->stretches[i]->litter.ops);
        free(b->stretches[i]);
    }
    free(b->stretches);
    free(b->instances);
    free(b->of_block);
    free(b->heap_of);
    free(b->of_event);
    free(b->resting);
}

static int build(struct builder *b, const struct window *windows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < windows[i].event_count; k++)
            if (windows[i].events[k].block >= b->block_limit)
                b->block_limit = windows[i].events[k].block + 1;
        for (size_t k = 0; k < windows[i].heap_count; k++)
            if (windows[i].heap[k].block >= b->block_limit)
                b->block_limit = windows[i].heap[k].block + 1;
    }
    b->of_block = calloc(b->block_limit + 1u, sizeof *b->of_block);
    b->heap_of = calloc(b->block_limit + 1u, sizeof *b->heap_of);
    if (!b->of_block || !b->heap_of)
        return -ENOMEM;
    int status = 0;
    /* Where but few windows of a long run are kept, the first would stand for too much: programs start only once. */
    size_t begin = count >= FEW && windows[1].first != windows[0].first + windows[0].span ? 1 : 0;
    for (size_t first = begin, end; first < count && !status; first = end) {
        for (end = first + 1; end < count && end - first < STRETCH &&
                              windows[end].first == windows[end - 1].first + windows[end - 1].span;
             end++)
            ;
        status = stretch_add(b, windows + first, end - first);
    }
    return status ? status : b->schedule->ops ? 0 : -ENODATA;
}

int schedule_create(const struct schedule_options *options, struct schedule *ret_schedule)
{
    struct schedule_options with_defaults = *options;
    if (!with_defaults.bytes_max)
        with_defaults.bytes_max = BYTES_MAX;
    size_t count = windows_count(options->windows);
    struct schedule schedule = {.fd = -1};
    struct builder builder = {.options = &with_defaults, .schedule = &schedule};
    struct window *windows = calloc(count + 1, sizeof *windows);
    for (size_t i = 0; i < count && windows; i++)
        windows_get(options->windows, i, &windows[i]);
    int status = windows ? build(&builder, windows, count) : -ENOMEM;
    if (!status)
        status = image_write(&builder, &schedule);
    builder_done(&builder);
    free(windows);
    if (!status)
        *ret_schedule = schedule;
    return status;
}

void schedule_destroy(struct schedule *schedule)
{
    if (schedule->fd < 0)
        return;
    munmap(schedule->image, schedule->image->bytes);
    close(schedule->fd);
    *schedule = (struct schedule){.fd = -1};
}
