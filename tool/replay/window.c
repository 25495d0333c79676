/* SPDX-License-Identifier: MIT */
#include "window.h"

#include <stdlib.h>
#include <string.h>

#define WINDOW_EVENTS 16384u
#define WINDOW_COUNT  64u
#define HEAP_BLOCKS   4096u
#define REGION_BITS                                                                                \
    16 /* the heap is sampled by regions of 64 KiB, so that neighbours stay neighbours */
#define NEVER UINT32_MAX

/* A live block. size_plus is its size + 1; 0: no such block. */
struct live {
    uint64_t address;
    uint32_t size_plus, stack, thread;
    uint32_t known; /* number of the window in which it was made, or in whose heap it stands */
};

struct kept {
    struct window_event *events;
    struct window_block *heap;
    size_t event_count, heap_count, heap_capacity;
    uint64_t live_blocks, live_bytes, peak_bytes, freed_max;
    uint32_t number; /* events / window_events at its beginning */
};

struct windows {
    struct window_options options;
    struct trace_sink sink;
    struct kept *kept;
    uint32_t kept_count;
    uint32_t stride;   /* windows whose number is a multiple are kept; a power of two */
    struct kept *open; /* the one being filled; NULL: between those kept */
    struct live *live;
    uint32_t live_capacity;
    uint64_t *last_ns; /* by thread: of its last event */
    uint32_t thread_capacity;
    uint64_t seen, live_blocks, live_bytes, peak_bytes, freed_max;
    bool failed;
};

static void kept_done(struct kept *kept)
{
    free(kept->events);
    free(kept->heap);
    *kept = (struct kept){0};
}

/* Room for index `need` - 1, zeroed; capacities double. */
static bool reserve(void **array, uint32_t *capacity, uint64_t need, size_t item)
{
    if (need <= *capacity)
        return true;
    uint64_t wanted = *capacity ? *capacity : 1024;
    while (wanted < need)
        wanted *= 2;
    if (wanted > UINT32_MAX)
        return false;
    char *grown = realloc(*array, wanted * item);
    if (!grown)
        return false;
    memset(grown + *capacity * item, 0, (wanted - *capacity) * item);
    *array = grown;
    *capacity = (uint32_t)wanted;
    return true;
}

static bool heap_add(struct kept *kept, const struct live *live, uint32_t block, bool touched)
{
    if (kept->heap_count == kept->heap_capacity) {
        size_t capacity = kept->heap_capacity ? kept->heap_capacity * 2 : 256;
        struct window_block *heap = realloc(kept->heap, capacity * sizeof *heap);
        if (!heap)
            return false;
        kept->heap = heap;
        kept->heap_capacity = capacity;
    }
    kept->heap[kept->heap_count++] = (struct window_block){.address = live->address,
                                                           .block = block,
                                                           .size = live->size_plus - 1,
                                                           .stack = live->stack,
                                                           .thread = live->thread,
                                                           .touched = touched};
    return true;
}

/* Of a heap too large to keep, whole regions, chosen by their address. */
static bool heap_sample(struct windows *w, struct kept *kept)
{
    uint64_t step = w->live_blocks / w->options.heap_blocks + 1;
    kept->live_blocks = w->live_blocks;
    kept->live_bytes = w->live_bytes;
    kept->peak_bytes = w->peak_bytes;
    kept->freed_max = w->freed_max;
    for (uint32_t block = 0; block < w->live_capacity; block++) {
        struct live *live = &w->live[block];
        if (!live->size_plus)
            continue;
        uint64_t region = (live->address >> REGION_BITS) * 0x9e3779b97f4a7c15u;
        if (step > 1 && (region >> 32) % step)
            continue;
        if (kept->heap_count >= w->options.heap_blocks)
            break;
        if (!heap_add(kept, live, block, false))
            return false;
        live->known = kept->number;
    }
    return true;
}

/* Every second one goes: those that the doubled stride passes over. */
static void thin(struct windows *w)
{
    uint32_t left = 0;
    w->stride *= 2;
    for (uint32_t i = 0; i < w->kept_count; i++) {
        if (w->kept[i].number % w->stride)
            kept_done(&w->kept[i]);
        else
            w->kept[left++] = w->kept[i];
    }
    for (uint32_t i = left; i < w->kept_count; i++)
        w->kept[i] = (struct kept){0};
    w->kept_count = left;
}

/* At the first event of each window's time. */
static bool window_begin(struct windows *w)
{
    uint32_t number = (uint32_t)(w->seen / w->options.window_events);
    w->open = NULL;
    if (number % w->stride || number >= NEVER)
        return true;
    if (w->kept_count == w->options.window_count)
        thin(w);
    if (number % w->stride)
        return true;
    struct kept *kept = &w->kept[w->kept_count];
    kept->number = number;
    kept->events = malloc(w->options.window_events * sizeof *kept->events);
    if (!kept->events || !heap_sample(w, kept)) {
        kept_done(kept);
        return false;
    }
    w->kept_count++;
    w->open = kept;
    return true;
}

static uint32_t present(const struct windows *w)
{
    return (uint32_t)(w->seen / w->options.window_events);
}

static bool event_live(struct windows *w, const struct trace_event *event)
{
    if (!reserve((void **)&w->live, &w->live_capacity, (uint64_t)event->block + 1, sizeof *w->live))
        return false;
    struct live *live = &w->live[event->block];
    uint32_t size = event->size >= UINT32_MAX - 1 ? UINT32_MAX - 1 : (uint32_t)event->size;
    if (event->kind != TRACE_ALLOC && live->size_plus && w->open &&
        live->known != w->open->number) {
        if (!heap_add(w->open, live, event->block, true))
            return false;
        live->known = w->open->number;
    }
    if (live->size_plus) {
        w->live_bytes -= live->size_plus - 1;
        w->live_blocks--;
        if (event->kind == TRACE_FREE && live->size_plus - 1 > w->freed_max)
            w->freed_max = live->size_plus - 1;
    }
    if (event->kind == TRACE_FREE) {
        live->size_plus = 0;
        return true;
    }
    if (event->kind == TRACE_ALLOC)
        *live = (struct live){.stack = event->stack, .thread = event->thread, .known = present(w)};
    live->address = event->address;
    live->size_plus = size + 1;
    w->live_blocks++;
    w->live_bytes += size;
    if (w->live_bytes > w->peak_bytes)
        w->peak_bytes = w->live_bytes;
    return true;
}

static uint16_t gap_of(struct windows *w, const struct trace_event *event)
{
    uint64_t *last = &w->last_ns[event->thread];
    uint64_t gap = *last && event->time_ns > *last ? (event->time_ns - *last) / WINDOW_GAP_NS : 0;
    *last = event->time_ns;
    return gap > UINT16_MAX ? UINT16_MAX : (uint16_t)gap;
}

static bool event_take(struct windows *w, const struct trace_event *event)
{
    if (w->seen % w->options.window_events == 0 && !window_begin(w))
        return false;
    if (!reserve((void **)&w->last_ns, &w->thread_capacity, (uint64_t)event->thread + 1,
                 sizeof *w->last_ns))
        return false;
    uint16_t gap = gap_of(w, event);
    if (event->block != TRACE_NO_BLOCK) {
        if (w->open)
            w->open->events[w->open->event_count++] = (struct window_event){
                .block = event->block,
                .stack = event->stack,
                .size = event->size > UINT32_MAX ? UINT32_MAX : (uint32_t)event->size,
                .thread = event->thread,
                .gap = gap,
                .kind = event->kind,
                .call = event->call};
        if (!event_live(w, event))
            return false;
    }
    w->seen++;
    return true;
}

static int on_events(void *context, const struct trace_event *events, size_t count)
{
    struct windows *w = context;
    for (size_t i = 0; i < count && !w->failed; i++) {
        if (i + 8 < count && events[i + 8].block < w->live_capacity)
            __builtin_prefetch(&w->live[events[i + 8].block], 1);
        if (events[i].kind > TRACE_REALLOC || events[i].thread == UINT32_MAX)
            continue;
        w->failed = !event_take(w, &events[i]);
    }
    return 0;
}

struct windows *windows_create(const struct window_options *options)
{
    struct windows *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    if (options)
        w->options = *options;
    if (!w->options.window_events)
        w->options.window_events = WINDOW_EVENTS;
    if (!w->options.window_count)
        w->options.window_count = WINDOW_COUNT;
    if (w->options.window_count < 2)
        w->options.window_count = 2;
    if (!w->options.heap_blocks)
        w->options.heap_blocks = HEAP_BLOCKS;
    w->kept = calloc(w->options.window_count, sizeof *w->kept);
    w->stride = 1;
    w->sink = (struct trace_sink){.context = w, .events = on_events};
    if (!w->kept) {
        free(w);
        return NULL;
    }
    return w;
}

void windows_destroy(struct windows *w)
{
    if (!w)
        return;
    for (uint32_t i = 0; i < w->options.window_count; i++)
        kept_done(&w->kept[i]);
    free(w->kept);
    free(w->live);
    free(w->last_ns);
    free(w);
}

const struct trace_sink *windows_sink(struct windows *w)
{
    return &w->sink;
}

size_t windows_count(const struct windows *w)
{
    return w->kept_count;
}

void windows_get(const struct windows *w, size_t index, struct window *ret_window)
{
    const struct kept *kept = &w->kept[index];
    uint64_t first = (uint64_t)kept->number * w->options.window_events, left = w->seen - first;
    *ret_window =
        (struct window){.events = kept->events,
                        .event_count = kept->event_count,
                        .first = first,
                        .span = left < w->options.window_events ? left : w->options.window_events,
                        .heap = kept->heap,
                        .heap_count = kept->heap_count,
                        .live_blocks = kept->live_blocks,
                        .live_bytes = kept->live_bytes,
                        .peak_bytes = kept->peak_bytes,
                        .freed_max = kept->freed_max};
}

uint64_t windows_seen(const struct windows *w)
{
    return w->seen;
}

bool windows_failed(const struct windows *w)
{
    return w->failed;
}
