/* SPDX-License-Identifier: MIT */
#include "run.h"

#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "forms.h"
#include "ticks.h"
#include "work.h"

#define PAGE_BYTES   4096u
#define LARGE_PAGE   (2u << 20)
#define TOUCH_PAGES  256u /* of one block: who asks for more seldom fills it at once */
#define OWN_TICKS    512u /* no op that does nothing takes longer, but when it is interrupted */
#define SPIN         64u
#define CALIBRATE_NS 3e5

struct lane {
    _Alignas(64) _Atomic uint32_t progress; /* written by its thread: no event before this one is to come */
    uint32_t number;
    pthread_t thread;
    struct run *run;
    const struct image_op *ops;
    uint16_t *ticks; /* by op */
    uint32_t op_count;
    bool failed;
    uint32_t own[OWN_TICKS]; /* ops that do nothing, each right before one that is measured: how many took so long */
    struct work work;
};

struct run {
    const struct image *image;
    const struct image_window *window;
    struct place places[IMAGE_PLACES];
    struct slot *slots;
    struct lane lanes[LANES_MAX];
    uint32_t lane_count;
    pthread_barrier_t begin;
    atomic_bool failed;
    double ns_per_tick;
    uint64_t faults; /* before the window */
};

/* Write what any user of a new block writes first: its beginning, and each page once it gets there. */
static inline void touch(char *block, uint32_t from, uint32_t size)
{
    if (!from && size)
        *(volatile char *)block = 1;
    uint32_t pages = 0;
    for (uint32_t at = (from / PAGE_BYTES + 1) * PAGE_BYTES; at < size && pages < TOUCH_PAGES; at += PAGE_BYTES, pages++)
        *(volatile char *)(block + at) = 1;
}

static void wait_turn(const struct slot *slot, uint16_t turn)
{
    for (uint32_t spins = 0; atomic_load_explicit(&slot->turn, memory_order_acquire) != turn; spins++)
        if (spins >= SPIN)
            sched_yield();
}

/* Until no other thread is more than `skew` events behind. */
static void wait_others(struct run *run, struct lane *lane, uint32_t event)
{
    atomic_store_explicit(&lane->progress, event, memory_order_release);
    for (uint32_t i = 0; i < run->lane_count; i++)
        for (uint32_t spins = 0;; spins++) {
            uint32_t other = atomic_load_explicit(&run->lanes[i].progress, memory_order_acquire);
            if (other >= event || event - other <= run->window->skew || atomic_load(&run->failed))
                break;
            if (spins >= SPIN)
                sched_yield();
        }
}

static inline void own_count(struct lane *lane, uint64_t ticks)
{
    lane->own[ticks < OWN_TICKS ? ticks : OWN_TICKS - 1]++;
}

/*
 * One op, timed; false: no memory. In front of it two that do nothing take the same way: the first leaves our own
 * code and data warm, so that only the form's are as cold as the program's work left them; the second says what
 * the clock and the calls cost then.
 */
static inline bool op_do(struct place *place, struct lane *lane, struct slot *slot, const struct image_op *op,
                         uint16_t *ret_ticks)
{
    static struct place empty_place = {.how = &form_empty};
    struct slot empty_slot = {.block = NULL};
    uint64_t from, ticks;
    bool done = true;
    uint32_t old = slot->size;
    switch (op->code) {
    case OP_FREE: {
        void (*end[2])(struct place *, uint32_t, struct slot *) = {form_empty.free, place->how->free};
        for (int i = 0; i < 2; i++) {
            from = ticks_begin();
            end[0](&empty_place, lane->number, &empty_slot);
            ticks = ticks_end() - from;
        }
        own_count(lane, ticks);
        from = ticks_begin();
        end[1](place, lane->number, slot);
        ticks = ticks_end() - from;
        slot->block = NULL;
        break;
    }
    case OP_REALLOC: {
        bool (*resize[2])(struct place *, uint32_t, struct slot *, uint32_t) = {form_empty.resize, place->how->resize};
        for (int i = 0; i < 2; i++) {
            from = ticks_begin();
            resize[0](&empty_place, lane->number, &empty_slot, op->size);
            ticks = ticks_end() - from;
        }
        own_count(lane, ticks);
        from = ticks_begin();
        done = resize[1](place, lane->number, slot, op->size);
        if (done)
            touch(slot->block, old, op->size);
        ticks = ticks_end() - from;
        break;
    }
    default: {
        bool (*make[2])(struct place *, uint32_t, struct slot *, uint32_t, uint8_t) = {form_empty.make, place->how->make};
        for (int i = 0; i < 2; i++) {
            from = ticks_begin();
            make[0](&empty_place, lane->number, &empty_slot, op->size, op->code);
            ticks = ticks_end() - from;
        }
        own_count(lane, ticks);
        from = ticks_begin();
        done = make[1](place, lane->number, slot, op->size, op->code);
        if (done)
            touch(slot->block, 0, op->size);
        ticks = ticks_end() - from;
    }
    }
    *ret_ticks = image_pack(ticks);
    return done;
}

/* Untimed: the heap as it was. */
static bool heap_make(struct run *run, const struct image_op *ops, uint32_t count, bool needed_only)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct image_op *op = &ops[i];
        struct slot *slot = &run->slots[op->slot];
        struct place *place = &run->places[op->place];
        if (needed_only && !(op->flags & OP_NEEDED))
            continue;
        if (op->code == OP_FILLER && op->size) {
            if (!(slot->block = malloc(op->size)))
                return false;
            touch(slot->block, 0, op->size);
        } else if (op->code == OP_FILLER) {
            free(slot->block);
        } else if (!place->how->make(place, LANES_MAX - 1, slot, op->size, op->code)) {
            return false;
        } else {
            touch(slot->block, 0, op->size);
            slot->place = op->place;
            slot->live = op->flags & OP_NEEDED;
        }
    }
    return true;
}

static uint64_t fault_count(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)usage.ru_minflt + (uint64_t)usage.ru_majflt;
}

/* One op, not timed: so that the allocators are in their stride. */
static bool op_warm(struct run *run, struct lane *lane, struct slot *slot, const struct image_op *op)
{
    struct place *place = &run->places[op->place];
    bool done = true;
    uint32_t old = slot->size;
    if (op->code == OP_FREE) {
        place->how->free(place, lane->number, slot);
    } else if (op->code == OP_REALLOC) {
        done = place->how->resize(place, lane->number, slot, op->size);
        if (done)
            touch(slot->block, old, op->size);
    } else {
        done = place->how->make(place, lane->number, slot, op->size, op->code);
        if (done)
            touch(slot->block, 0, op->size);
    }
    slot->place = op->place;
    slot->live = op->code != OP_FREE;
    return done;
}

static void lane_warm(struct run *run, struct lane *lane)
{
    for (const struct image_op *op = lane->ops, *end = op + lane->op_count; op < end && !lane->failed; op++) {
        if (op->code == OP_SYNC) {
            wait_others(run, lane, op->size);
            lane->failed = atomic_load(&run->failed);
            continue;
        }
        struct slot *slot = &run->slots[op->slot];
        if (op->flags & OP_SHARED)
            wait_turn(slot, op->turn);
        if (!op_warm(run, lane, slot, op)) {
            lane->failed = true;
            atomic_store(&run->failed, true);
        }
        if (op->flags & OP_SHARED)
            atomic_store_explicit(&slot->turn, (uint16_t)(op->turn + 1), memory_order_release);
    }
    atomic_store_explicit(&lane->progress, UINT32_MAX, memory_order_release);
}

/* Gives the memory behind the last block back, and nothing else: a growing program meets it untouched. */
static void top_forget(void)
{
    mallopt(M_ARENA_TEST, 8); /* its preset; any call merges what is free and small first */
    size_t room = mallinfo2().keepcost;
    uintptr_t end = (uintptr_t)sbrk(0),
              begin = (end - room + 2 * PAGE_BYTES - 1) & ~(uintptr_t)(PAGE_BYTES - 1);
    if (begin < end && end - begin <= room)
        madvise((void *)begin, end - begin, MADV_DONTNEED);
}

/* After the warming up everything is again as it was when the window began. By one thread, while the others wait. */
static bool rewind_all(struct run *run)
{
    const struct image_window *window = run->window;
    const struct image_op *heap = image_at(run->image, window->heap_at);
    for (uint32_t i = 0; i < window->slot_count; i++) {
        struct slot *slot = &run->slots[i];
        if (slot->live)
            run->places[slot->place].how->free(&run->places[slot->place], 0, slot);
        slot->live = false;
        atomic_store(&slot->turn, 0);
    }
    if (window->grows > 1)
        malloc_trim(0);
    if (window->grows) {
        pwise_trim();
        top_forget();
    }
    for (uint32_t i = 0; i < window->heap_count; i++) {
        struct slot *slot = &run->slots[heap[i].slot];
        struct place *place = &run->places[heap[i].place];
        if (!(heap[i].flags & OP_NEEDED))
            continue;
        if (!place->how->make(place, LANES_MAX - 1, slot, heap[i].size, heap[i].code))
            return false;
        touch(slot->block, 0, heap[i].size);
    }
    for (uint32_t i = 0; i < run->lane_count; i++)
        atomic_store(&run->lanes[i].progress, 0);
    return heap_make(run, image_at(run->image, window->room_at), window->room_count, false);
}

static void *lane_run(void *context)
{
    struct lane *lane = context;
    struct run *run = lane->run;
    bool work = run->image->work;
    pthread_barrier_wait(&run->begin);
    lane_warm(run, lane);
    pthread_barrier_wait(&run->begin);
    if (!lane->number) {
        if (!atomic_load(&run->failed) && !rewind_all(run))
            atomic_store(&run->failed, true);
        run->faults = fault_count();
    }
    pthread_barrier_wait(&run->begin);
    lane->failed = atomic_load(&run->failed);
    for (const struct image_op *op = lane->ops, *end = op + lane->op_count; op < end && !lane->failed; op++) {
        if (op->code == OP_SYNC) {
            wait_others(run, lane, op->size);
            lane->failed = atomic_load(&run->failed);
            continue;
        }
        struct slot *slot = &run->slots[op->slot];
        if (work)
            work_do(&lane->work, op->gap);
        if (op->flags & OP_SHARED)
            wait_turn(slot, op->turn);
        if (!op_do(&run->places[op->place], lane, slot, op, &lane->ticks[op - lane->ops])) {
            lane->failed = true;
            atomic_store(&run->failed, true);
        }
        if (op->flags & OP_SHARED)
            atomic_store_explicit(&slot->turn, (uint16_t)(op->turn + 1), memory_order_release);
    }
    atomic_store_explicit(&lane->progress, UINT32_MAX, memory_order_release);
    return NULL;
}

static double now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_RAW, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void calibrate(struct run *run)
{
    double ns = now_ns(), spent;
    uint64_t ticks = ticks_begin();
    while ((spent = now_ns() - ns) < CALIBRATE_NS)
        ;
    run->ns_per_tick = spent / (double)(ticks_end() - ticks);
}

/* A figure of /proc/self/status, in bytes. */
static uint64_t status_bytes(const char *name)
{
    char line[256];
    unsigned long kib = 0;
    FILE *file = fopen("/proc/self/status", "re");
    size_t length = strlen(name);
    while (file && !kib && fgets(line, sizeof line, file))
        if (!strncmp(line, name, length))
            kib = strtoul(line + length, NULL, 10);
    if (file)
        fclose(file);
    return (uint64_t)kib * 1024;
}

static bool places_open(struct run *run, uint32_t variant)
{
    for (uint32_t i = 0; i < run->image->place_count; i++) {
        struct place *place = &run->places[i];
        place->form = run->image->forms[variant][i];
        place->how = form_of(place->form.kind);
        if (place->how->open && !place->how->open(place))
            return false;
    }
    return true;
}

/* On large pages, where there are any: to make small ones takes longer than the whole window. */
static bool work_open(struct work *work, uint32_t bytes)
{
    char *mapping = mmap(NULL, bytes + LARGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapping == MAP_FAILED)
        return false;
    work->bytes = (unsigned char *)(((uintptr_t)mapping + LARGE_PAGE - 1) & ~(uintptr_t)(LARGE_PAGE - 1));
    work->line_mask = bytes / WORK_LINE - 1;
    madvise(work->bytes, bytes, MADV_HUGEPAGE);
    memset(work->bytes, 1, bytes);
    return true;
}

static bool lanes_open(struct run *run)
{
    const struct image_thread *threads = image_at(run->image, run->window->threads_at);
    run->lane_count = run->window->thread_count;
    if (run->lane_count >= LANES_MAX)
        return false;
    for (uint32_t i = 0; i < run->lane_count; i++) {
        struct lane *lane = &run->lanes[i];
        lane->number = i;
        lane->run = run;
        lane->ops = image_at(run->image, threads[i].ops_at);
        lane->op_count = threads[i].op_count;
        lane->ticks = (uint16_t *)(uintptr_t)image_at(run->image, threads[i].ticks_at);
        if (!work_open(&lane->work, run->window->work_bytes))
            return false;
        /* The pages of the file are mapped before anything is counted. */
        madvise((void *)(uintptr_t)((uintptr_t)lane->ops & ~(uintptr_t)(PAGE_BYTES - 1)),
                (size_t)lane->op_count * sizeof *lane->ops + PAGE_BYTES, MADV_POPULATE_READ);
        madvise((void *)((uintptr_t)lane->ticks & ~(uintptr_t)(PAGE_BYTES - 1)),
                (size_t)lane->op_count * sizeof *lane->ticks + PAGE_BYTES, MADV_POPULATE_WRITE);
    }
    return true;
}

static bool lanes_run(struct run *run)
{
    pthread_barrier_init(&run->begin, NULL, run->lane_count);
    /* The main thread is the first lane: a program of one thread stays one, which malloc notices. */
    for (uint32_t i = 1; i < run->lane_count; i++)
        if (pthread_create(&run->lanes[i].thread, NULL, lane_run, &run->lanes[i]))
            return false; /* the others wait at the barrier until the process ends */
    lane_run(&run->lanes[0]);
    for (uint32_t i = 1; i < run->lane_count; i++)
        pthread_join(run->lanes[i].thread, NULL);
    return !atomic_load(&run->failed);
}

/* The mean of those up to twice the median: what is beyond was interrupted. */
static double own_ticks(const struct run *run)
{
    uint64_t counts[OWN_TICKS] = {0}, all = 0, below = 0, kept = 0, sum = 0;
    for (uint32_t i = 0; i < run->lane_count; i++)
        for (uint32_t ticks = 0; ticks < OWN_TICKS; ticks++) {
            counts[ticks] += run->lanes[i].own[ticks];
            all += run->lanes[i].own[ticks];
        }
    uint32_t median = 0;
    while (median + 1 < OWN_TICKS && (below += counts[median]) * 2 < all)
        median++;
    for (uint32_t ticks = 0; ticks <= 2 * median && ticks < OWN_TICKS; ticks++) {
        kept += counts[ticks];
        sum += counts[ticks] * ticks;
    }
    return kept ? (double)sum / (double)kept : 0;
}

bool run_window(const struct image *image, const struct image_request *request, struct image_result *ret_result)
{
    const struct image_window *window = (const struct image_window *)image_at(image, image->windows_at) + request->window;
    /* What we need ourselves does not come from the heap that is measured. */
    size_t slots_bytes = sizeof(struct slot) * (window->slot_count + 1u);
    struct run *run =
        mmap(NULL, sizeof *run, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct slot *slots = mmap(NULL, slots_bytes, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (run == MAP_FAILED || slots == MAP_FAILED)
        return false;
    run->image = image;
    run->window = window;
    run->slots = slots;
    pwise_set_reclaim(PWISE_MANUAL, 0);
    if (!lanes_open(run))
        return false;
    calibrate(run);
    uint64_t before = status_bytes("VmRSS:");
    if (!places_open(run, request->variant))
        return false;
    if (request->heap == HEAP_LITTERED &&
        !heap_make(run, image_at(image, window->litter_at), window->litter_count, false))
        return false;
    if (!heap_make(run, image_at(image, window->heap_at), window->heap_count, request->heap == HEAP_FRESH))
        return false;
    if (!lanes_run(run))
        return false;
    ret_result->faults = fault_count() - run->faults;
    uint64_t peak = status_bytes("VmHWM:");
    ret_result->peak_bytes = peak > before ? peak - before : 0;
    ret_result->ns_per_tick = run->ns_per_tick;
    ret_result->own_ticks = own_ticks(run);
    return true;
}
