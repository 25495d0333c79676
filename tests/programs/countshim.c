/* SPDX-License-Identifier: MIT */
/*
 * Counts allocations, exactly and slowly, so that the recorder has something to be compared with.
 * Under LD_PRELOAD every process leaves a file COUNTSHIM_OUT.<pid>.<n> (n: the n-th image of that
 * pid) of JSON lines: one that names the program, then one per kind of event, entry point and size
 * asked for:
 *
 *   {"kind": "alloc", "call": "malloc", "size": 24, "count": 3}
 *
 * An event is a success: a result that is not NULL, a free of what is not NULL. realloc(NULL, n) is
 * an alloc, realloc(p, 0) with a NULL result a free, any other success of realloc a realloc.
 * reallocarray is implemented here, because libc's own would call realloc and be counted twice.
 *
 * The file is mapped shared and its numbers are counted up in place, as text: it is whole at any
 * moment, so SIGKILL, _exit and a closed descriptor lose nothing. One lock serves all threads. It
 * is not to be entered from a signal handler that interrupted it; the programs here raise their
 * signals themselves.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ENTRY_COUNT  65536u /* a power of two: distinct (kind, call, size) */
#define FILE_BYTES   (16u << 20)
#define GROW_BYTES   (64u << 10)
#define COUNT_DIGITS 15
#define ARENA_BYTES  (64u << 10)

struct entry {
    const char *kind, *call;
    size_t size;
    char *last_digit; /* of the count, in the mapping; NULL: free entry */
};

static void *(*real_malloc)(size_t);
static void *(*real_calloc)(size_t, size_t);
static void *(*real_realloc)(void *, size_t);
static void (*real_free)(void *);
static int (*real_posix_memalign)(void **, size_t, size_t);
static void *(*real_aligned_alloc)(size_t, size_t);
static void *(*real_memalign)(size_t, size_t);
static void *(*real_valloc)(size_t);
static void *(*real_pvalloc)(size_t);

static atomic_flag lock = ATOMIC_FLAG_INIT;
static struct entry entries[ENTRY_COUNT];
static char *file_map;
static size_t file_used, file_size;
static char file_path[4096];

/* dlsym may allocate while the real functions are being looked up. */
static _Alignas(16) char arena[ARENA_BYTES];
static size_t arena_used;
static bool resolving;

static void fail(const char *what)
{
    char line[256];
    int length = snprintf(line, sizeof line, "countshim: %s: %s\n", what, strerror(errno));
    if (write(STDERR_FILENO, line, (size_t)length) < 0)
        _exit(98);
    _exit(99);
}

static void lock_take(void)
{
    while (atomic_flag_test_and_set_explicit(&lock, memory_order_acquire))
        sched_yield();
}

static void lock_drop(void)
{
    atomic_flag_clear_explicit(&lock, memory_order_release);
}

/* Appends text to the file; the rest of what the file has been grown by is blank lines. Lock held.
 */
static char *file_append(const char *text, size_t length)
{
    if (file_used + length > file_size) {
        if (file_size + GROW_BYTES > FILE_BYTES) {
            errno = EFBIG;
            fail(file_path);
        }
        if (truncate(file_path, (off_t)(file_size + GROW_BYTES)) < 0)
            fail(file_path);
        memset(file_map + file_size, '\n', GROW_BYTES);
        file_size += GROW_BYTES;
    }
    char *at = file_map + file_used;
    memcpy(at, text, length);
    file_used += length;
    return at;
}

/* A file of its own for this process image. Lock held, or no thread beside this one. */
static void file_start(void)
{
    const char *base = getenv("COUNTSHIM_OUT");
    if (base == NULL || base[0] != '/') {
        errno = EINVAL;
        fail("COUNTSHIM_OUT must be an absolute path");
    }
    int fd = -1;
    for (int image = 0; fd < 0; image++) {
        snprintf(file_path, sizeof file_path, "%s.%d.%d", base, (int)getpid(), image);
        fd = open(file_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        if (fd < 0 && errno != EEXIST)
            fail(file_path);
    }
    if (ftruncate(fd, GROW_BYTES) < 0)
        fail(file_path);
    file_map = mmap(NULL, FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (file_map == MAP_FAILED)
        fail(file_path);
    close(fd);
    file_size = GROW_BYTES;
    file_used = 0;
    memset(file_map, '\n', file_size);
    memset(entries, 0, sizeof entries);
    char program[1024], line[1400];
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    program[length < 0 ? 0 : length] = '\0';
    length = snprintf(line, sizeof line, "{\"program\": \"%s\", \"pid\": %d, \"ppid\": %d}\n",
                      program, (int)getpid(), (int)getppid());
    file_append(line, (size_t)length);
}

/* The child has one thread, and whoever held the lock at the fork stayed behind. */
static void child_start(void)
{
    munmap(file_map, FILE_BYTES);
    file_start();
    lock_drop();
}

/* Copied as bytes: C knows no conversion from an object's address to a function's. */
static void resolve(void *ret_function, const char *name)
{
    void *symbol = dlsym(RTLD_NEXT, name);
    if (symbol == NULL) {
        errno = ENOSYS;
        fail(name);
    }
    memcpy(ret_function, &symbol, sizeof symbol);
}

/* First call of any entry point: the process has one thread, because making another allocates. */
static void start(void)
{
    resolving = true;
    resolve(&real_malloc, "malloc");
    resolve(&real_calloc, "calloc");
    resolve(&real_realloc, "realloc");
    resolve(&real_free, "free");
    resolve(&real_posix_memalign, "posix_memalign");
    resolve(&real_aligned_alloc, "aligned_alloc");
    resolve(&real_memalign, "memalign");
    resolve(&real_valloc, "valloc");
    resolve(&real_pvalloc, "pvalloc");
    file_start();
    pthread_atfork(NULL, NULL, child_start);
    resolving = false;
}

/* True while the caller is to be served from the arena, uncounted. */
static bool booting(void)
{
    if (real_pvalloc == NULL && !resolving)
        start();
    return resolving;
}

static void *arena_take(size_t size)
{
    size = (size + 15) & ~(size_t)15;
    if (size > ARENA_BYTES - arena_used)
        return NULL;
    void *block = arena + arena_used;
    arena_used += size;
    return block;
}

static bool in_arena(const void *block)
{
    return (uintptr_t)block - (uintptr_t)arena < ARENA_BYTES;
}

static struct entry *entry_find(const char *kind, const char *call, size_t size)
{
    uint64_t hash = (size + 1) * 0x9e3779b97f4a7c15u ^ (uintptr_t)kind * 31 ^ (uintptr_t)call * 131;
    for (unsigned probe = 0; probe < ENTRY_COUNT; probe++) {
        struct entry *entry = &entries[((hash >> 20) + probe) & (ENTRY_COUNT - 1)];
        if (entry->last_digit == NULL ||
            (entry->size == size && entry->kind == kind && entry->call == call))
            return entry;
    }
    errno = ENOSPC;
    fail("too many distinct sizes");
    return NULL;
}

/* kind and call are compared as pointers: pass the string literals below only. */
static void count(const char *kind, const char *call, size_t size)
{
    int error = errno;
    lock_take();
    struct entry *entry = entry_find(kind, call, size);
    if (entry->last_digit == NULL) {
        char line[256];
        int length =
            snprintf(line, sizeof line,
                     "{\"kind\": \"%s\", \"call\": \"%s\", \"size\": %zu, \"count\": %*s}\n", kind,
                     call, size, COUNT_DIGITS, "0");
        *entry = (struct entry){kind, call, size, file_append(line, (size_t)length) + length - 3};
    }
    char *digit = entry->last_digit;
    while (*digit == '9')
        *digit-- = '0';
    *digit = *digit == ' ' ? '1' : (char)(*digit + 1);
    lock_drop();
    errno = error;
}

static const char ALLOC[] = "alloc", FREE[] = "free", REALLOC[] = "realloc";

static void *count_alloc(void *block, const char *call, size_t size)
{
    if (block != NULL)
        count(ALLOC, call, size);
    return block;
}

static const char MALLOC_NAME[] = "malloc", CALLOC_NAME[] = "calloc", REALLOC_NAME[] = "realloc",
                  ARRAY_NAME[] = "reallocarray", FREE_NAME[] = "free",
                  POSIX_NAME[] = "posix_memalign", ALIGNED_NAME[] = "aligned_alloc",
                  MEMALIGN_NAME[] = "memalign", VALLOC_NAME[] = "valloc",
                  PVALLOC_NAME[] = "pvalloc";

void *malloc(size_t size)
{
    if (booting())
        return arena_take(size);
    return count_alloc(real_malloc(size), MALLOC_NAME, size);
}

void *calloc(size_t number, size_t size)
{
    if (booting())
        return arena_take(number * size); /* the arena is zero and nothing returns to it */
    return count_alloc(real_calloc(number, size), CALLOC_NAME, number * size);
}

static void *resize(void *old, size_t size, const char *call)
{
    void *block;
    if (booting() || in_arena(old)) {
        block = booting() ? arena_take(size) : real_malloc(size);
        size_t room = old == NULL ? 0 : (size_t)(arena + ARENA_BYTES - (char *)old);
        if (block != NULL && old != NULL)
            memcpy(block, old, size < room ? size : room);
        return block;
    }
    block = real_realloc(old, size);
    if (old == NULL)
        return count_alloc(block, call, size);
    if (block != NULL)
        count(REALLOC, call, size);
    else if (size == 0)
        count(FREE, call, 0);
    return block;
}

void *realloc(void *old, size_t size)
{
    return resize(old, size, REALLOC_NAME);
}

void *reallocarray(void *old, size_t number, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(number, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return resize(old, bytes, ARRAY_NAME);
}

void free(void *block)
{
    if (block == NULL || in_arena(block) || booting())
        return;
    count(FREE, FREE_NAME, 0);
    real_free(block);
}

int posix_memalign(void **ret_block, size_t alignment, size_t size)
{
    if (booting())
        return ENOMEM;
    int status = real_posix_memalign(ret_block, alignment, size);
    if (status == 0 && *ret_block != NULL)
        count(ALLOC, POSIX_NAME, size);
    return status;
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return booting() ? NULL : count_alloc(real_aligned_alloc(alignment, size), ALIGNED_NAME, size);
}

void *memalign(size_t alignment, size_t size)
{
    return booting() ? NULL : count_alloc(real_memalign(alignment, size), MEMALIGN_NAME, size);
}

void *valloc(size_t size)
{
    return booting() ? NULL : count_alloc(real_valloc(size), VALLOC_NAME, size);
}

void *pvalloc(size_t size)
{
    return booting() ? NULL : count_alloc(real_pvalloc(size), PVALLOC_NAME, size);
}
