/* SPDX-License-Identifier: MIT */
/*
 * What a program's own allocator calls cost where they are made: a library to preload that times some
 * calls by the time-stamp counter and writes the sums to the file that PAIR_TIMER names, when the program
 * ends. Calls that took longer than LONGEST_NS were interrupted: they are counted apart.
 *
 * Timing changes what is timed: fences keep calls from overlapping, and what is counted takes up caches. So only
 * one call in PERIOD on average is timed, at random distances; those for LARGE_BYTES or more, which are rare and dear,
 * all are. What the clock itself takes is read at each place: an empty call, timed right before the real one.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <x86intrin.h>

#define LONGEST_NS 100000.0
#define BOOTSTRAP_BYTES 65536
#define PAGE_BYTES 4096u
#define TOUCH_PAGES 256u
#define CALLERS 256u /* a power of two */
#define PERIOD 16u
#define LARGE_BYTES 65536u

enum call { CALL_MALLOC, CALL_CALLOC, CALL_REALLOC, CALL_ALIGNED, CALL_FREE, CALL_COUNT };

/* ticks: less those of empty calls, which may come out below zero; calls, ticks: of timed calls, times PERIOD where only
 * some are timed. */
struct sums {
    uint32_t random, left; /* until the next one that is timed */
    uint64_t calls[CALL_COUNT], timed[CALL_COUNT];
    int64_t ticks[CALL_COUNT];
    struct caller {
        uintptr_t address; /* 0: unused */
        uint64_t calls;
        int64_t ticks;
    } callers[CALLERS];
    uint64_t cut_calls, cut_ticks;
    struct sums *next;
};

static void *(*real_malloc)(size_t);
static void *(*real_calloc)(size_t, size_t);
static void *(*real_realloc)(void *, size_t);
static void (*real_free)(void *);
static void *(*real_memalign)(size_t, size_t);
static int (*real_posix_memalign)(void **, size_t, size_t);
static void *(*real_aligned_alloc)(size_t, size_t);

/* dlsym may allocate: such blocks come from here and are never freed. */
static char bootstrap[BOOTSTRAP_BYTES];
static size_t bootstrap_used;

static struct sums *_Atomic all;
static uint64_t longest = UINT64_MAX;
static double ns_per_tick = 1;
static __thread struct sums *mine __attribute__((tls_model("initial-exec")));

static inline uint64_t begin(void)
{
    _mm_lfence();
    return __rdtsc();
}

static inline uint64_t end(void)
{
    unsigned processor;
    return __rdtscp(&processor);
}

static void *bootstrap_take(size_t size)
{
    size_t at = (bootstrap_used + 15) & ~(size_t)15;
    if (at + size > sizeof bootstrap)
        abort();
    bootstrap_used = at + size;
    return bootstrap + at;
}

/* Other libraries' constructors may come before ours. False: we are inside, or it is too early. */
static bool find_real(void)
{
    static bool inside;
    if (inside || real_aligned_alloc)
        return real_aligned_alloc;
    inside = true;
    *(void **)&real_calloc = dlsym(RTLD_NEXT, "calloc");
    *(void **)&real_malloc = dlsym(RTLD_NEXT, "malloc");
    *(void **)&real_realloc = dlsym(RTLD_NEXT, "realloc");
    *(void **)&real_free = dlsym(RTLD_NEXT, "free");
    *(void **)&real_memalign = dlsym(RTLD_NEXT, "memalign");
    *(void **)&real_posix_memalign = dlsym(RTLD_NEXT, "posix_memalign");
    *(void **)&real_aligned_alloc = dlsym(RTLD_NEXT, "aligned_alloc");
    inside = false;
    return real_aligned_alloc;
}

static struct sums *sums_make(void)
{
    struct sums *sums = real_calloc(1, sizeof *sums);
    if (!sums)
        abort();
    sums->random = 1;
    sums->next = atomic_load(&all);
    while (!atomic_compare_exchange_weak(&all, &sums->next, sums))
        ;
    return mine = sums;
}

/* By call and by where it was made; a full table lets further callers go. */
static void count_caller(struct sums *sums, uintptr_t address, uint64_t weight, int64_t ticks)
{
    for (unsigned i = 0; i < 8; i++) {
        struct caller *caller = &sums->callers[((address >> 2) + i) % CALLERS];
        if (!caller->address)
            caller->address = address;
        if (caller->address == address) {
            caller->calls += weight;
            caller->ticks += ticks * (int64_t)weight;
            return;
        }
    }
}

/* The first write to a new block is a part of its price: the beginning, and each page that it reaches. */
static inline void touch(char *block, size_t size)
{
    if (!block || !size)
        return;
    *(volatile char *)block = 0;
    for (size_t at = PAGE_BYTES, pages = 0; at < size && pages < TOUCH_PAGES; at += PAGE_BYTES, pages++)
        *(volatile char *)(block + at) = 0;
}

static void count(struct sums *sums, enum call call, uintptr_t address, size_t size, uint64_t ticks, uint64_t empty)
{
    if (__builtin_expect(ticks > longest, 0) && ticks > longest + (size >> 16) * longest * 10) {
        sums->cut_calls++;
        sums->cut_ticks += ticks;
        return;
    }
    uint64_t weight = size >= LARGE_BYTES ? 1 : PERIOD;
    sums->timed[call] += weight;
    sums->ticks[call] += ((int64_t)ticks - (int64_t)empty) * (int64_t)weight;
    count_caller(sums, address, weight, (int64_t)ticks - (int64_t)empty);
}

/* Whether this call is timed: every PERIODth on average, at distances that no loop of the program can match. */
static inline bool is_timed(struct sums *sums, enum call call, size_t size)
{
    sums->calls[call]++;
    if (size >= LARGE_BYTES)
        return true;
    if (sums->left--)
        return false;
    sums->random = sums->random * 1664525u + 1013904223u;
    sums->left = (sums->random >> 16) % (2 * PERIOD - 1);
    return true;
}

static inline struct sums *sums_mine(void)
{
    return __builtin_expect(mine != NULL, 1) ? mine : sums_make();
}

static __attribute__((noinline)) void *empty(size_t size)
{
    __asm__ volatile("" : "+r"(size));
    return (void *)size;
}
static void *(*volatile empty_call)(size_t) = empty;

/* What the clock takes here and now; the first time warms it up. */
static inline uint64_t empty_ticks(void)
{
    uint64_t ticks = 0;
    for (int i = 0; i < 2; i++) {
        uint64_t from = begin();
        empty_call(16);
        ticks = end() - from;
    }
    return ticks;
}

#define CALLER (uintptr_t)__builtin_return_address(0)

/* `first_touch`: a part of the price, which the program pays where the call is not timed. */
#define TIMED(call, size, expression, first_touch)                                                 \
    do {                                                                                           \
        struct sums *sums = sums_mine();                                                           \
        if (!is_timed(sums, call, size)) {                                                         \
            expression;                                                                            \
            break;                                                                                 \
        }                                                                                          \
        uint64_t none = empty_ticks(), from = begin();                                             \
        expression;                                                                                \
        first_touch;                                                                               \
        uint64_t ticks = end() - from;                                                             \
        count(sums, call, CALLER, size, ticks, none);                                              \
    } while (0)

void *malloc(size_t size)
{
    void *block;
    if (__builtin_expect(!real_aligned_alloc, 0) && !find_real())
        return bootstrap_take(size);
    TIMED(CALL_MALLOC, size, block = real_malloc(size), touch(block, size));
    return block;
}

void *calloc(size_t count_, size_t size)
{
    void *block;
    if (__builtin_expect(!real_aligned_alloc, 0) && !find_real())
        return bootstrap_take(count_ * size);
    TIMED(CALL_CALLOC, count_ * size, block = real_calloc(count_, size), touch(block, count_ * size));
    return block;
}

void *realloc(void *old, size_t size)
{
    void *block;
    if (!old)
        return malloc(size);
    if ((char *)old >= bootstrap && (char *)old < bootstrap + sizeof bootstrap) {
        block = real_malloc(size);
        return block ? memcpy(block, old, size) : NULL;
    }
    TIMED(CALL_REALLOC, size, block = real_realloc(old, size), (void)0);
    return block;
}

void free(void *block)
{
    if (!block || ((char *)block >= bootstrap && (char *)block < bootstrap + sizeof bootstrap))
        return;
    TIMED(CALL_FREE, 0, real_free(block), (void)0);
}

void *memalign(size_t align, size_t size)
{
    void *block;
    if (!find_real())
        return NULL;
    TIMED(CALL_ALIGNED, size, block = real_memalign(align, size), touch(block, size));
    return block;
}

void *aligned_alloc(size_t align, size_t size)
{
    void *block;
    if (!find_real())
        return NULL;
    TIMED(CALL_ALIGNED, size, block = real_aligned_alloc(align, size), touch(block, size));
    return block;
}

int posix_memalign(void **ret_block, size_t align, size_t size)
{
    int error;
    if (!find_real())
        return ENOMEM;
    TIMED(CALL_ALIGNED, size, error = real_posix_memalign(ret_block, align, size), touch(error ? NULL : *ret_block, size));
    return error;
}

static double now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC_RAW, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static __attribute__((constructor)) void start(void)
{
    find_real();
    double ns = now_ns();
    uint64_t ticks = begin();
    while (now_ns() - ns < 20e6)
        ;
    ns_per_tick = (now_ns() - ns) / (double)(end() - ticks);
    longest = (uint64_t)(LONGEST_NS / ns_per_tick);
}

static void caller_add(struct sums *sums, const struct caller *from)
{
    for (unsigned i = 0; i < CALLERS; i++) {
        struct caller *caller = &sums->callers[((from->address >> 2) + i) % CALLERS];
        if (caller->address && caller->address != from->address)
            continue;
        caller->address = from->address;
        caller->calls += from->calls;
        caller->ticks += from->ticks;
        return;
    }
}

static __attribute__((destructor)) void finish(void)
{
    const char *path = getenv("PAIR_TIMER");
    if (!path)
        return;
    static struct sums sum;
    for (struct sums *each = atomic_load(&all); each; each = each->next) {
        for (int i = 0; i < CALL_COUNT; i++) {
            sum.calls[i] += each->calls[i];
            sum.timed[i] += each->timed[i];
            sum.ticks[i] += each->ticks[i];
        }
        for (unsigned i = 0; i < CALLERS; i++)
            if (each->callers[i].calls)
                caller_add(&sum, &each->callers[i]);
        sum.cut_calls += each->cut_calls;
        sum.cut_ticks += each->cut_ticks;
    }
    FILE *file = fopen(path, "w");
    if (!file)
        return;
    static const char *const names[] = {"malloc", "calloc", "realloc", "aligned", "free"};
    fprintf(file, "{\"cut_calls\": %llu, \"cut_ns\": %.0f", (unsigned long long)sum.cut_calls, (double)sum.cut_ticks * ns_per_tick);
    for (int i = 0; i < CALL_COUNT; i++)
        fprintf(file, ", \"%s\": {\"calls\": %llu, \"ns\": %.0f}", names[i],
                (unsigned long long)sum.calls[i],
                (double)sum.ticks[i] * ns_per_tick * (sum.timed[i] ? (double)sum.calls[i] / (double)sum.timed[i] : 0));
    fprintf(file, ", \"callers\": [");
    const char *separator = "";
    for (unsigned i = 0; i < CALLERS; i++) {
        const struct caller *caller = &sum.callers[i];
        Dl_info info;
        if (!caller->calls || !dladdr((void *)caller->address, &info))
            continue;
        fprintf(file, "%s{\"file\": \"%s\", \"offset\": %llu, \"calls\": %llu, \"ns\": %.0f}", separator, info.dli_fname,
                (unsigned long long)(caller->address - (uintptr_t)info.dli_fbase), (unsigned long long)caller->calls,
                (double)caller->ticks * ns_per_tick);
        separator = ", ";
    }
    fprintf(file, "]}\n");
    fclose(file);
}
