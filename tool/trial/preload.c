/* SPDX-License-Identifier: MIT */
/*
 * libpoolwise-trial.so: the allocator's entry points. Blocks of the chosen sites come from pools, all others from the
 * program's own allocator, behind as few instructions as that takes.
 *
 * A block is told from others by its address alone, so it does not matter who gives it back, or when.
 */
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "environment.h"
#include "next.h"
#include "presize.h"
#include "range.h"
#include "runs.h"
#include "sites.h"

#define EXPORT              __attribute__((visibility("default"), noinline))
#define ALWAYS_INLINE       static inline __attribute__((always_inline))
#define LOOK_BYTES          ((size_t)16 << 20)
#define likely(condition)   __builtin_expect(!!(condition), 1)
#define unlikely(condition) __builtin_expect(!!(condition), 0)

/* The state of the frame that called this entry point. The frame pointer is kept in this file, so the word at the
 * frame address is the caller's own. */
#define CALLER_RA           (uint64_t)(uintptr_t) __builtin_return_address(0)
#define CALLER_SP           (uint64_t)(uintptr_t) __builtin_dwarf_cfa()
#define CALLER_FP           (*(const uint64_t *)__builtin_frame_address(0))

static struct plan *plan;

/* The rule for a call, or NULL. */
ALWAYS_INLINE struct rule *rule_of(uint64_t ra, uint64_t sp, uint64_t fp)
{
    struct site_table *table = atomic_load_explicit(&sites_now, memory_order_acquire);
    struct site_entry *entry = sites_find(table, ra);
    if (likely(!entry))
        return likely(!table->otherwise) ? NULL : sites_otherwise_slow(ra);
    if (entry->deeper && !(entry = sites_deeper(entry, sp, fp)))
        return table->otherwise ? sites_otherwise_slow(ra) : NULL;
    if (unlikely(!atomic_load_explicit(&entry->seen, memory_order_relaxed)))
        sites_seen_slow(entry);
    return entry->rule;
}

static struct home *single_home_slow(struct rule *rule)
{
    size_t bytes = (rule->most_bytes + 15) & ~(size_t)15;
    struct home *home = home_get_slow(rule->single, bytes ? bytes : 16, 0, NULL);
    atomic_store_explicit(&rule->home, home, memory_order_release);
    return home;
}

/* Asked for by this thread since it last looked at what lies idle. */
static __thread size_t unlooked __attribute__((tls_model("initial-exec")));

static __attribute__((noinline)) void look_at_idle(void)
{
    int saved_errno = errno;
    unlooked = 0;
    homes_relieve();
    errno = saved_errno;
}

/* A block by the rule, or NULL: not within it, or no memory. */
ALWAYS_INLINE void *block_take(struct rule *rule, size_t size)
{
    struct home *home;
    if (size - 1 >= rule->most_bytes)
        return NULL;
    if (unlikely((unlooked += size) >= LOOK_BYTES))
        look_at_idle();
    if (rule->kind == PLAN_CLASSES) {
        home = group_home(rule->group, size);
    } else {
        home = atomic_load_explicit(&rule->home, memory_order_acquire);
        if (unlikely(!home))
            home = single_home_slow(rule);
    }
    return likely(home != NULL) ? pwise_get(&home->pool) : NULL;
}

/* Whether this call may be a site's. No is what most calls get, by two loads. */
ALWAYS_INLINE bool maybe_chosen(uint64_t ra)
{
    const struct site_table *table = atomic_load_explicit(&sites_now, memory_order_acquire);
    return table->entries[sites_index(table, ra)].ra || table->otherwise;
}

static __attribute__((noinline)) void *malloc_slow(size_t size, uint64_t ra, uint64_t sp,
                                                   uint64_t fp)
{
    struct rule *rule = rule_of(ra, sp, fp);
    if (!rule)
        return next.malloc(size);
    if (unlikely(rule->kind == PLAN_PRESIZE))
        return presize_malloc(size, rule->most_bytes);
    void *block = block_take(rule, size);
    return likely(block != NULL) ? block : next.malloc(size);
}

/* A block of the home, if its pool has one at hand. */
ALWAYS_INLINE void *at_hand(struct home *home)
{
    void *block = NULL;
#if PWISE_HAVE_SECTIONS
    void *slots = __atomic_load_n(&home->pool.slots_, __ATOMIC_ACQUIRE);
    if (unlikely(!slots) ||
        unlikely(!pwise_section_pop_(slots, home->pool.id_at_, PWISE_CS_AT_(&home->pool), &block)))
        return NULL;
#endif
    return block;
}

/* What is not at hand goes the slow way, from the start. Nothing returns to here, so no registers are saved. */
ALWAYS_INLINE void *malloc_by(struct rule *rule, size_t size, uint64_t ra, uint64_t sp, uint64_t fp)
{
    struct home *home;
    if (unlikely(rule->kind == PLAN_PRESIZE))
        return malloc_slow(size, ra, sp, fp);
    if (size - 1 >= rule->most_bytes)
        return next.malloc(size);
    if (rule->kind == PLAN_CLASSES)
        home = atomic_load_explicit(&rule->group->homes[class_of(size)], memory_order_acquire);
    else
        home = atomic_load_explicit(&rule->home, memory_order_acquire);
    size_t asked = unlooked + size;
    if (unlikely(!home) || unlikely(asked >= LOOK_BYTES))
        return malloc_slow(size, ra, sp, fp);
    void *block = at_hand(home);
    if (unlikely(!block))
        return malloc_slow(size, ra, sp, fp);
    unlooked = asked;
    return block;
}

/*
 * Rules that calls from inside wrappers have had lately, by return address and stack pointer. To step over a wrapper
 * takes some ten loads, each of which needs the one before; the pool's own would have to wait for the last of them.
 * Compared with a guess they are only checked meanwhile: the branch is predicted. The advised code, which needs no
 * look-up, has none of that wait, so without it a trial would say less than is true.
 */
#define GUESSES 64u
static _Atomic(struct rule *) guesses[GUESSES];

ALWAYS_INLINE struct rule *rule_guessed(struct rule *rule, uint64_t ra, uint64_t sp)
{
    _Atomic(struct rule *) *cell =
        &guesses[(ra ^ sp << 8) * UINT64_C(0x9e3779b97f4a7c15) >> 32 & (GUESSES - 1)];
    struct rule *guess = atomic_load_explicit(cell, memory_order_relaxed);
    if (likely(guess == rule)) {
        __asm__ volatile("" : "+r"(guess)); /* the compiler is not to use `rule` instead */
        return guess;
    }
    atomic_store_explicit(cell, rule, memory_order_relaxed);
    return rule;
}

static __attribute__((noinline)) void *malloc_deeper(size_t size, uint64_t ra, uint64_t sp,
                                                     uint64_t fp, struct site_entry *entry)
{
    entry = sites_deeper(entry, sp, fp);
    if (unlikely(!entry) || unlikely(!atomic_load_explicit(&entry->seen, memory_order_relaxed)))
        return malloc_slow(size, ra, sp, fp);
    return malloc_by(rule_guessed(entry->rule, ra, sp), size, ra, sp, fp);
}

/* Apart, so that the calls that do not come here save no registers. */
static __attribute__((noinline)) void *malloc_maybe(size_t size, uint64_t ra, uint64_t sp,
                                                    uint64_t fp, struct site_table *table,
                                                    struct site_entry *entry)
{
    if (!entry->ra) {
        if (unlikely(table->look_again) || unlikely(ra - sites_own_start < sites_own_bytes))
            return malloc_slow(size, ra, sp, fp);
        return malloc_by(table->otherwise, size, ra, sp, fp);
    }
    if (unlikely(entry->ra != ra))
        return malloc_slow(size, ra, sp, fp);
    if (entry->deeper)
        return malloc_deeper(size, ra, sp, fp, entry);
    if (unlikely(!atomic_load_explicit(&entry->seen, memory_order_relaxed)))
        return malloc_slow(size, ra, sp, fp);
    return malloc_by(entry->rule, size, ra, sp, fp);
}

EXPORT void *malloc(size_t size)
{
    struct site_table *table = atomic_load_explicit(&sites_now, memory_order_acquire);
    struct site_entry *entry = &table->entries[sites_index(table, CALLER_RA)];
    if (likely(!entry->ra) && likely(!table->otherwise))
        return next.malloc(size);
    return malloc_maybe(size, CALLER_RA, CALLER_SP, CALLER_FP, table, entry);
}

EXPORT void *calloc(size_t count, size_t size)
{
    if (likely(!maybe_chosen(CALLER_RA)))
        return next.calloc(count, size);
    struct rule *rule = rule_of(CALLER_RA, CALLER_SP, CALLER_FP);
    size_t bytes;
    if (likely(!rule) || __builtin_mul_overflow(count, size, &bytes))
        return next.calloc(count, size);
    if (unlikely(rule->kind == PLAN_PRESIZE))
        return presize_calloc(bytes, rule->most_bytes);
    void *block = block_take(rule, bytes);
    return likely(block != NULL) ? memset(block, 0, bytes) : next.calloc(count, size);
}

EXPORT void free(void *block)
{
    if (likely(!range_holds(block))) {
        if (likely(!next_arena_holds(block)))
            next.free(block);
        return;
    }
    pwise_put(&range_owner(block)->pool, block);
}

/* A pooled block to another size. It stays where it is unless it does not fit, or would waste most of its room and there are
 * smaller classes: of items of one size that room is the point. */
static void *resize_pooled(void *old, size_t size)
{
    struct home *home = range_owner(old);
    if (size == 0) {
        pwise_put(&home->pool, old);
        return NULL;
    }
    if (size <= home->bytes && (!home->group || size >= home->bytes / 4 || home->bytes <= 256))
        return old;
    void *block = NULL;
    if (home->group && size <= home->group->most_bytes) {
        struct home *larger = group_home(home->group, size);
        block = larger ? pwise_get(&larger->pool) : NULL;
    }
    if (!block)
        block = next.malloc(size);
    if (!block)
        return NULL;
    memcpy(block, old, size < home->bytes ? size : home->bytes);
    pwise_put(&home->pool, old);
    return block;
}

ALWAYS_INLINE void *resize(void *old, size_t size, struct rule *rule_if_new)
{
    if (!old) {
        struct rule *rule = rule_if_new;
        if (likely(!rule))
            return next.realloc(NULL, size);
        if (unlikely(rule->kind == PLAN_PRESIZE))
            return presize_malloc(size, rule->most_bytes);
        void *block = block_take(rule, size);
        return likely(block != NULL) ? block : next.realloc(NULL, size);
    }
    if (unlikely(range_holds(old)))
        return resize_pooled(old, size);
    if (unlikely(next_arena_holds(old)))
        return next_arena_resize(old, size);
    if (unlikely(sites_presize) && presize_fits(old, size))
        return old;
    return next.realloc(old, size);
}

EXPORT void *realloc(void *old, size_t size)
{
    return resize(old, size, old ? NULL : rule_of(CALLER_RA, CALLER_SP, CALLER_FP));
}

EXPORT void *reallocarray(void *old, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return resize(old, bytes, old ? NULL : rule_of(CALLER_RA, CALLER_SP, CALLER_FP));
}

/* A block by the rule at multiples of `align`, or NULL. */
ALWAYS_INLINE void *aligned_take(struct rule *rule, size_t align, size_t size)
{
    if (likely(!rule) || rule->kind == PLAN_PRESIZE || size - 1 >= rule->most_bytes ||
        align & (align - 1))
        return NULL;
    if (align <= 16)
        return block_take(rule, size);
    struct home *home = homes_aligned(size, align);
    return home ? pwise_get(&home->pool) : NULL;
}

EXPORT int posix_memalign(void **ret_block, size_t align, size_t size)
{
    struct rule *rule = rule_of(CALLER_RA, CALLER_SP, CALLER_FP);
    void *block = align >= sizeof(void *) ? aligned_take(rule, align, size) : NULL;
    if (!block)
        return next.posix_memalign(ret_block, align, size);
    *ret_block = block;
    return 0;
}

EXPORT void *aligned_alloc(size_t align, size_t size)
{
    void *block = aligned_take(rule_of(CALLER_RA, CALLER_SP, CALLER_FP), align, size);
    return block ? block : next.aligned_alloc(align, size);
}

EXPORT void *memalign(size_t align, size_t size)
{
    void *block = aligned_take(rule_of(CALLER_RA, CALLER_SP, CALLER_FP), align, size);
    return block ? block : next.memalign(align, size);
}

EXPORT void *valloc(size_t size)
{
    void *block = aligned_take(rule_of(CALLER_RA, CALLER_SP, CALLER_FP), 4096, size);
    return block ? block : next.valloc(size);
}

EXPORT void *pvalloc(size_t size)
{
    size_t bytes = (size + 4095) & ~(size_t)4095;
    void *block = aligned_take(rule_of(CALLER_RA, CALLER_SP, CALLER_FP), 4096, bytes);
    return block ? block : next.pvalloc(size);
}

EXPORT size_t malloc_usable_size(void *block)
{
    if (range_holds(block))
        return range_owner(block)->bytes;
    return next.usable_size ? next.usable_size(block) : 0;
}

/* C23; glibc 2.43 has them. */
void free_sized(void *block, size_t size);
EXPORT void free_sized(void *block, size_t size)
{
    free(block);
}

void free_aligned_sized(void *block, size_t align, size_t size);
EXPORT void free_aligned_sized(void *block, size_t align, size_t size)
{
    free(block);
}

/* Goes on as a jump, so that the real one sees who called. */
EXPORT void *dlopen(const char *file, int mode)
{
    static void *(*_Atomic real)(const char *, int);
    void *(*function)(const char *, int) = atomic_load_explicit(&real, memory_order_relaxed);
    if (!function) {
        function = (void *(*)(const char *, int))(uintptr_t)dlsym(RTLD_NEXT, "dlopen");
        atomic_store_explicit(&real, function, memory_order_relaxed);
    }
    sites_loading();
    return function(file, mode);
}

EXPORT int dlclose(void *handle)
{
    int status = next.dlclose(handle);
    sites_unloaded();
    return status;
}

static struct plan *plan_open(const char *path)
{
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
    struct stat status;
    struct plan *opened = NULL;
    if (fd < 0)
        return NULL;
    if (!fstat(fd, &status) && (uint64_t)status.st_size == sizeof *opened) {
        opened = mmap(NULL, sizeof *opened, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (opened == MAP_FAILED)
            opened = NULL;
    }
    syscall(SYS_close, fd);
    if (opened && (opened->magic != PLAN_MAGIC || opened->bytes != sizeof *opened)) {
        munmap(opened, sizeof *opened);
        opened = NULL;
    }
    return opened;
}

/* prepare handlers run in the reverse order of registration: the library's locks are taken before ours, as everywhere. */
static void fork_prepare(void)
{
    sites_lock();
    runs_lock();
    range_lock();
}

static void fork_done(void)
{
    range_unlock();
    runs_unlock();
    sites_unlock();
}

void next_ready(void)
{
}

/* Debug mode of pools keeps stacks by backtrace(), which loads a library at its first call, which allocates. */
static void debug_prepare(void)
{
    void *frames[4];
    if (environment_get("PWISE_DEBUG"))
        backtrace(frames, 4);
}

/*
 * Before the program's constructors, and before the library's. A process of the run keeps our variables, since it may
 * exec another program in its own place, which is then the one that was meant; what it starts beside itself goes
 * without us.
 */
__attribute__((constructor(101))) static void start(void)
{
    int saved_errno = errno;
    next_look_up();
    pthread_atfork(fork_prepare, fork_done, fork_done);
    const char *path = environment_get(PLAN_ENVIRONMENT);
    struct plan *opened = path ? plan_open(path) : NULL;
    if (opened && opened->main_pid != (int32_t)syscall(SYS_getpid)) {
        munmap(opened, sizeof *opened);
        opened = NULL;
    }
    if (opened) {
        plan = opened;
        debug_prepare();
        homes_init(plan->max_idle_bytes);
        if (range_init() || sites_init(plan))
            atomic_store_explicit(&plan->answer.full, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&plan->answer.attached, 1, memory_order_relaxed);
    } else if (path) {
        environment_remove(PLAN_ENVIRONMENT);
        environment_remove_preload();
    }
    errno = saved_errno;
}

/* After the program's own: frees that come later still work, and are not counted. */
__attribute__((destructor(101))) static void finish(void)
{
    if (!plan || plan->main_pid != (int32_t)syscall(SYS_getpid))
        return;
    uint64_t gets, hits, idle_bytes;
    homes_counts(&gets, &hits, &idle_bytes);
    atomic_store_explicit(&plan->answer.served, gets, memory_order_relaxed);
    atomic_store_explicit(&plan->answer.reused, hits, memory_order_relaxed);
    atomic_store_explicit(&plan->answer.idle_peak, idle_bytes, memory_order_relaxed);
}
