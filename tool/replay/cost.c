/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <malloc.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <poolwise/pool.h>

#include "cost.h"

#define ROUNDS      9 /* per size and side; odd, for the median */
#define MANY_BLOCKS 4096
#define MANY_BYTES  (4u << 20) /* of one batch at most */
#define FEW_BLOCKS  8          /* so many are served from the allocator's own cache */
#define PAGE_BYTES  4096u
#define PAGES       512u /* 2 MiB, of which no large page is made */

/* 16 B to 4 MiB in steps of at most 2x: glibc's tcache ends at 1 KiB, its mmap threshold is 128
 * KiB. */
static const size_t sizes[] = {16,     32,     64,     128,     256,     512,    1024,  1536,
                               2048,   4096,   8192,   16384,   32768,   65536,  98304, 131072,
                               196608, 262144, 524288, 1048576, 2097152, 4194304};
#define SIZES (sizeof sizes / sizeof *sizes)
_Static_assert(SIZES <= COST_CLASSES, "the table must hold every size measured");

/* The pool whose pairs are timed: of the size in hand, so that its bounds are what a user's would be. */
static pwise_pool *pool;

static double now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static size_t batch_count(size_t size)
{
    size_t count = MANY_BYTES / size;
    return count > MANY_BLOCKS ? MANY_BLOCKS : count < FEW_BLOCKS ? FEW_BLOCKS : count;
}

/* All loops touch the first byte, as any user does; volatile keeps the pair from being elided. */
static bool malloc_pairs(size_t size, unsigned long pairs)
{
    for (unsigned long i = 0; i < pairs; i++) {
        volatile char *block = malloc(size);
        if (!block)
            return false;
        *block = (char)i;
        free((void *)block);
    }
    return true;
}

static bool pool_pairs(size_t size, unsigned long pairs)
{
    for (unsigned long i = 0; i < pairs; i++) {
        volatile char *block = pwise_get(pool);
        if (!block)
            return false;
        *block = (char)i;
        pwise_put(pool, (void *)block);
    }
    return true;
}

/* `batches` times: makes many blocks, then frees them in the order they were made. */
static bool malloc_batches(size_t size, unsigned long batches)
{
    static volatile char *blocks[MANY_BLOCKS];
    size_t count = batch_count(size);
    for (unsigned long batch = 0; batch < batches; batch++) {
        size_t made = 0;
        for (; made < count && (blocks[made] = malloc(size)); made++)
            *blocks[made] = (char)made;
        for (size_t i = 0; i < made; i++)
            free((void *)blocks[i]);
        if (made < count)
            return false;
    }
    return true;
}

typedef bool (*pair_loop)(size_t size, unsigned long pairs);

/* As many pairs as take about `slice_ns`, found by doubling; this warms the caches of both sides
 * up. The first few are not looked at: they make the pool's item and its memory, which would pass for a
 * slice that is used up, and then the clock alone would be priced. */
static unsigned long calibrate(pair_loop loop, size_t size, double slice_ns)
{
    if (!loop(size, 4))
        return 0;
    for (unsigned long pairs = 1;; pairs *= 2) {
        double start = now_ns();
        if (!loop(size, pairs))
            return 0;
        double spent = now_ns() - start;
        if (spent * 2 >= slice_ns || pairs >= 1ul << 24)
            return pairs;
    }
}

static int compare_doubles(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, compare_doubles);
    return values[count / 2];
}

enum side { SIDE_MALLOC, SIDE_MANY, SIDE_POOL, SIDE_COUNT };

static bool measure_size(size_t size, double slice_ns, double ret_pair_ns[SIDE_COUNT])
{
    static const pair_loop loops[SIDE_COUNT] = {malloc_pairs, malloc_batches, pool_pairs};
    const double pairs_a_turn[SIDE_COUNT] = {1, (double)batch_count(size), 1};
    double taken[SIDE_COUNT][ROUNDS];
    unsigned long turns[SIDE_COUNT];

    pool = pwise_pool_create(&(struct pwise_options){.name = "price", .item_size = size});
    if (!pool)
        return false;
    for (int side = 0; side < SIDE_COUNT; side++)
        if ((turns[side] = calibrate(loops[side], size, slice_ns)) == 0)
            return false;
    for (int round = 0; round < ROUNDS; round++)
        for (int place = 0; place < SIDE_COUNT; place++) {
            int side = (place + round) % SIDE_COUNT; /* a drift of the clock hits all alike */
            double start = now_ns();
            if (!loops[side](size, turns[side]))
                return false;
            taken[side][round] = (now_ns() - start) / ((double)turns[side] * pairs_a_turn[side]);
        }
    pwise_pool_destroy(pool);
    for (int side = 0; side < SIDE_COUNT; side++)
        ret_pair_ns[side] = median(taken[side], ROUNDS);
    return true;
}

/* Memory that is mapped anew each round, since only the first touch costs. */
static bool measure_page(double *ret_page_ns)
{
    double taken[ROUNDS];
    for (int round = 0; round < ROUNDS; round++) {
        char *pages = mmap(NULL, (size_t)PAGES * PAGE_BYTES, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (pages == MAP_FAILED)
            return false;
        madvise(pages, (size_t)PAGES * PAGE_BYTES, MADV_NOHUGEPAGE);
        double start = now_ns();
        for (size_t i = 0; i < PAGES; i++)
            ((volatile char *)pages)[i * PAGE_BYTES] = 1;
        taken[round] = (now_ns() - start) / PAGES;
        munmap(pages, (size_t)PAGES * PAGE_BYTES);
    }
    *ret_page_ns = median(taken, ROUNDS);
    return true;
}

/* In the child. The heap keeps its pages, as that of a program in its stride does: what is priced
 * is the allocator, not the kernel. Calibration takes about two slices a side, the rounds one each.
 */
static bool measure_all(unsigned budget_ms, struct cost_table *ret_table)
{
    double slice_ns = (double)budget_ms * 1e6 / (double)(SIZES * SIDE_COUNT * (ROUNDS + 2));
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
    mallopt(M_MMAP_THRESHOLD, 16 << 20);
    pwise_set_reclaim(PWISE_MANUAL, 0); /* no cycle in the middle of a round */
    for (size_t i = 0; i < SIZES; i++) {
        double pair_ns[SIDE_COUNT];
        if (!measure_size(sizes[i], slice_ns, pair_ns))
            return false;
        ret_table->size[i] = sizes[i];
        ret_table->malloc_pair_ns[i] = pair_ns[SIDE_MALLOC];
        ret_table->malloc_many_ns[i] = pair_ns[SIDE_MANY];
        ret_table->pool_pair_ns[i] = pair_ns[SIDE_POOL];
    }
    ret_table->count = SIZES;
    return measure_page(&ret_table->page_ns);
}

static bool write_all(int fd, const void *bytes, size_t size)
{
    const char *at = bytes;
    while (size) {
        ssize_t written = write(fd, at, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        at += written;
        size -= (size_t)written;
    }
    return true;
}

static bool read_all(int fd, void *bytes, size_t size)
{
    char *at = bytes;
    while (size) {
        ssize_t got = read(fd, at, size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        at += got;
        size -= (size_t)got;
    }
    return true;
}

static bool table_is_valid(const struct cost_table *table)
{
    if (table->count == 0 || table->count > COST_CLASSES || !isfinite(table->page_ns) ||
        table->page_ns <= 0)
        return false;
    for (size_t i = 0; i < table->count; i++)
        if (!isfinite(table->malloc_pair_ns[i]) || table->malloc_pair_ns[i] <= 0 ||
            !isfinite(table->malloc_many_ns[i]) || table->malloc_many_ns[i] <= 0 ||
            !isfinite(table->pool_pair_ns[i]) || table->pool_pair_ns[i] <= 0 ||
            (i > 0 && table->size[i] <= table->size[i - 1]))
            return false;
    return true;
}

int cost_measure(unsigned budget_ms, struct cost_table *ret_table)
{
    int ends[2];
    if (pipe(ends) < 0)
        return -errno;
    pid_t child = fork();
    if (child < 0) {
        int error = -errno;
        close(ends[0]);
        close(ends[1]);
        return error;
    }
    if (child == 0) {
        struct cost_table table = {.count = 0};
        close(ends[0]);
        bool done = measure_all(budget_ms, &table) && write_all(ends[1], &table, sizeof table);
        _exit(done ? 0 : 1);
    }

    close(ends[1]);
    struct cost_table table = {.count = 0};
    bool got = read_all(ends[0], &table, sizeof table);
    close(ends[0]);
    int status = 0;
    pid_t ended;
    do
        ended = waitpid(child, &status, 0);
    while (ended < 0 && errno == EINTR);
    /* Whoever ignores SIGCHLD has no status to wait for; the table itself tells. */
    bool ended_well = ended < 0 ? errno == ECHILD : status == 0;
    if (!got || !ended_well || !table_is_valid(&table))
        return -EIO;
    *ret_table = table;
    return 0;
}

/* Linear in the logarithm of the size; flat outside the sizes measured. */
static double interpolate(const struct cost_table *table, const double *pair_ns, size_t size)
{
    if (table->count == 0)
        return 0;
    size_t last = table->count - 1;
    if (size <= table->size[0])
        return pair_ns[0];
    if (size >= table->size[last])
        return pair_ns[last];
    size_t above = 1;
    while (table->size[above] < size)
        above++;
    double from = log2((double)table->size[above - 1]), to = log2((double)table->size[above]);
    double part = (log2((double)size) - from) / (to - from);
    return pair_ns[above - 1] + part * (pair_ns[above] - pair_ns[above - 1]);
}

double cost_malloc_pair_ns(const struct cost_table *table, size_t size)
{
    return interpolate(table, table->malloc_pair_ns, size);
}

double cost_malloc_live_ns(const struct cost_table *table, size_t size, uint64_t live)
{
    double few = interpolate(table, table->malloc_pair_ns, size);
    double many = interpolate(table, table->malloc_many_ns, size);
    if (live <= FEW_BLOCKS || many <= few)
        return few;
    if (live >= MANY_BLOCKS)
        return many;
    double part = log2((double)live / FEW_BLOCKS) / log2((double)MANY_BLOCKS / FEW_BLOCKS);
    return few + part * (many - few);
}

double cost_pool_pair_ns(const struct cost_table *table, size_t size)
{
    return interpolate(table, table->pool_pair_ns, size);
}

double cost_grow_step_ns(const struct cost_table *table, size_t first, size_t final)
{
    double sum = 0;
    unsigned steps = 0;
    for (size_t size = first ? first : 1; size < final && steps < 64; size *= 2, steps++)
        sum += cost_malloc_pair_ns(table, size > final / 2 ? final : size * 2);
    return steps ? sum / steps : cost_malloc_pair_ns(table, final);
}
