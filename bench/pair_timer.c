/* SPDX-License-Identifier: MIT */
/*
 * What a program's own allocator calls cost where they are made: a library to preload that times each
 * call by the time-stamp counter and writes the sums to the file that PAIR_TIMER names, when the program
 * ends. Clock and wrapper are timed against empty calls, and taken off. Calls that took longer than
 * LONGEST_NS were interrupted: they are counted apart.
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

enum call { CALL_MALLOC, CALL_CALLOC, CALL_REALLOC, CALL_ALIGNED, CALL_FREE, CALL_COUNT };

struct sums {
    uint64_t calls[CALL_COUNT], ticks[CALL_COUNT];
    struct caller {
        uintptr_t address; /* 0: unused */
        uint64_t calls, ticks;
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
    sums->next = atomic_load(&all);
    while (!atomic_compare_exchange_weak(&all, &sums->next, sums))
        ;
    return mine = sums;
}

/* By call and by where it was made; a full table lets further callers go. */
static void count_caller(struct sums *sums, uintptr_t address, uint64_t ticks)
{
    for (unsigned i = 0; i < 8; i++) {
        struct caller *caller = &sums->callers[((address >> 2) + i) % CALLERS];
        if (!caller->address)
            caller->address = address;
        if (caller->address == address) {
            caller->calls++;
            caller->ticks += ticks;
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

static inline void count(enum call call, uintptr_t address, size_t size, uint64_t ticks)
{
    struct sums *sums = __builtin_expect(mine != NULL, 1) ? mine : sums_make();
    if (__builtin_expect(ticks > longest, 0) && ticks > longest + (size >> 16) * longest * 10) {
        sums->cut_calls++;
        sums->cut_ticks += ticks;
        return;
    }
    sums->calls[call]++;
    sums->ticks[call] += ticks;
    count_caller(sums, address, ticks);
}

#define CALLER (uintptr_t)__builtin_return_address(0)

#define TIMED(call, size, expression)                                                              \
    do {                                                                                           \
        uint64_t from = begin();                                                                   \
        expression;                                                                                \
        uint64_t ticks = end() - from;                                                             \
        count(call, CALLER, size, ticks);                                                          \
    } while (0)

void *malloc(size_t size)
{
    void *block;
    if (__builtin_expect(!real_aligned_alloc, 0) && !find_real())
        return bootstrap_take(size);
    TIMED(CALL_MALLOC, size, (block = real_malloc(size), touch(block, size)));
    return block;
}

void *calloc(size_t count_, size_t size)
{
    void *block;
    if (__builtin_expect(!real_aligned_alloc, 0) && !find_real())
        return bootstrap_take(count_ * size);
    TIMED(CALL_CALLOC, count_ * size, (block = real_calloc(count_, size), touch(block, count_ * size)));
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
    TIMED(CALL_REALLOC, size, block = real_realloc(old, size));
    return block;
}

void free(void *block)
{
    if (!block || ((char *)block >= bootstrap && (char *)block < bootstrap + sizeof bootstrap))
        return;
    TIMED(CALL_FREE, 0, real_free(block));
}

void *memalign(size_t align, size_t size)
{
    void *block;
    if (!find_real())
        return NULL;
    TIMED(CALL_ALIGNED, size, (block = real_memalign(align, size), touch(block, size)));
    return block;
}

void *aligned_alloc(size_t align, size_t size)
{
    void *block;
    if (!find_real())
        return NULL;
    TIMED(CALL_ALIGNED, size, (block = real_aligned_alloc(align, size), touch(block, size)));
    return block;
}

int posix_memalign(void **ret_block, size_t align, size_t size)
{
    int error;
    if (!find_real())
        return ENOMEM;
    TIMED(CALL_ALIGNED, size, (error = real_posix_memalign(ret_block, align, size), touch(error ? NULL : *ret_block, size)));
    return error;
}

static double now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC_RAW, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static __attribute__((noinline)) void *empty(size_t size)
{
    __asm__ volatile("" : "+r"(size));
    return (void *)size;
}
static void *(*volatile empty_call)(size_t) = empty;

/* Ticks of an empty call between the two readings: the lower half's mean of many. */
static double own_ticks(void)
{
    double best = 1e9;
    for (int round = 0; round < 50; round++) {
        uint64_t sum = 0;
        for (int i = 0; i < 2000; i++) {
            uint64_t from = begin();
            empty_call(16);
            sum += end() - from;
        }
        double mean = (double)sum / 2000;
        best = mean < best ? mean : best;
    }
    return best;
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
            sum.ticks[i] += each->ticks[i];
        }
        for (unsigned i = 0; i < CALLERS; i++)
            if (each->callers[i].calls)
                caller_add(&sum, &each->callers[i]);
        sum.cut_calls += each->cut_calls;
        sum.cut_ticks += each->cut_ticks;
    }
    double own = own_ticks();
    FILE *file = fopen(path, "w");
    if (!file)
        return;
    static const char *const names[] = {"malloc", "calloc", "realloc", "aligned", "free"};
    fprintf(file, "{\"own_ns\": %.2f, \"cut_calls\": %llu, \"cut_ns\": %.0f", own * ns_per_tick,
            (unsigned long long)sum.cut_calls, (double)sum.cut_ticks * ns_per_tick);
    for (int i = 0; i < CALL_COUNT; i++)
        fprintf(file, ", \"%s\": {\"calls\": %llu, \"ns\": %.0f}", names[i],
                (unsigned long long)sum.calls[i],
                ((double)sum.ticks[i] - own * (double)sum.calls[i]) * ns_per_tick);
    fprintf(file, ", \"callers\": [");
    const char *separator = "";
    for (unsigned i = 0; i < CALLERS; i++) {
        const struct caller *caller = &sum.callers[i];
        Dl_info info;
        if (!caller->calls || !dladdr((void *)caller->address, &info))
            continue;
        fprintf(file, "%s{\"file\": \"%s\", \"offset\": %llu, \"calls\": %llu, \"ns\": %.0f}", separator, info.dli_fname,
                (unsigned long long)(caller->address - (uintptr_t)info.dli_fbase), (unsigned long long)caller->calls,
                ((double)caller->ticks - own * (double)caller->calls) * ns_per_tick);
        separator = ", ";
    }
    fprintf(file, "]}\n");
    fclose(file);
}
