/* SPDX-License-Identifier: MIT */
/*
 * buffer_bench: what pools of buffers cost and what they keep. All figures of one run come from one
 * process, the kinds in turn, so that what disturbs the machine disturbs all.
 *
 *   pair    get+put of a buffer pool against that of a plain pool of 64-byte items, ns, calls both
 *   render  200 lines of "row=%d val=%d\n", the result in a block of its own, us
 *   stream  one payload of 1 MiB in 10,000, the others 1 byte to 1 KiB, 32 in use at once: the peak
 *           of the bytes that are idle against the peak of the bytes in use
 */
/* What is called is compared with what is called. */
#define PWISE_NO_INLINE
#include <stdio.h>
#include <time.h>

#include "poolwise/buffer.h"

#define ROUNDS 401

static double now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static int by_value(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static void print_row(const char *name, double *values, const char *unit)
{
    qsort(values, ROUNDS, sizeof(*values), by_value);
    printf("%-28s %9.2f  (%.2f; %.2f..%.2f) %s\n", name, values[ROUNDS / 2], values[0],
           values[ROUNDS / 4], values[ROUNDS * 3 / 4], unit);
}

static __attribute__((noinline, noclone)) double plain_pairs(pwise_pool *pool, int count)
{
    double start_ns = now_ns();
    for (int i = 0; i < count; i++) {
        void *item = pwise_get(pool);
        *(volatile char *)item = 1;
        pwise_put(pool, item);
    }
    return (now_ns() - start_ns) / count;
}

/* `length` is what each use claims to have used. One copy of this code for all lengths: where a loop lies
 * in memory moves its figure more than what it does. */
static __attribute__((noinline, noclone)) double buffer_pairs(pwise_buffer_pool *pool, int count,
                                                              size_t length)
{
    double start_ns = now_ns();
    for (int i = 0; i < count; i++) {
        struct pwise_buffer *buffer = pwise_buffer_pool_get(pool);
        *(volatile char *)buffer->data = 1;
        buffer->length = length;
        pwise_buffer_pool_put(pool, buffer);
    }
    return (now_ns() - start_ns) / count;
}

static void measure_pairs(void)
{
    enum { COUNT = 20000 }; /* some 100 us: mostly between two time slices */
    struct pwise_options options = {.item_size = 64};
    struct pwise_buffer_pool_options large = {.start_capacity = 32768};
    pwise_pool *plain = pwise_pool_create(&options);
    pwise_buffer_pool *buffers = pwise_buffer_pool_create(NULL);
    pwise_buffer_pool *larger = pwise_buffer_pool_create(&large);
    double of_plain[ROUNDS], of_buffers[ROUNDS], of_larger[ROUNDS], ratio[ROUNDS], ratio2[ROUNDS];
    for (int round = 0; round < ROUNDS; round++) {
        of_plain[round] = plain_pairs(plain, COUNT);
        of_buffers[round] = buffer_pairs(buffers, COUNT, 200);
        of_larger[round] = buffer_pairs(larger, COUNT, 20000);
        ratio[round] = of_buffers[round] / of_plain[round];
        ratio2[round] = of_larger[round] / of_plain[round];
    }
    print_row("plain pool pair", of_plain, "ns");
    print_row("buffer pool pair, 256 B", of_buffers, "ns");
    print_row("buffer pool pair, 32 KiB", of_larger, "ns");
    print_row("256 B / plain, by round", ratio, "(budget 1.30)");
    print_row("32 KiB / plain, by round", ratio2, "(budget 1.30)");
    pwise_pool_destroy(plain);
    pwise_buffer_pool_destroy(buffers);
    pwise_buffer_pool_destroy(larger);
}

#define LINES 200

/* As much of the result as a compiler must not leave out. */
static volatile char sink;

static double render_fresh(int count)
{
    double start_ns = now_ns();
    for (int k = 0; k < count; k++) {
        size_t length = 0, capacity = 64;
        char *data = malloc(capacity);
        for (int i = 0; i < LINES; i++) {
            int took = snprintf(data + length, capacity - length, "row=%d val=%d\n", i, i * 7);
            while ((size_t)took >= capacity - length) {
                data = realloc(data, capacity *= 2);
                took = snprintf(data + length, capacity - length, "row=%d val=%d\n", i, i * 7);
            }
            length += (size_t)took;
        }
        sink = data[length - 2];
        free(data);
    }
    return (now_ns() - start_ns) / count / 1e3;
}

static double render_memstream(int count)
{
    double start_ns = now_ns();
    for (int k = 0; k < count; k++) {
        char *data;
        size_t length;
        FILE *stream = open_memstream(&data, &length);
        for (int i = 0; i < LINES; i++)
            fprintf(stream, "row=%d val=%d\n", i, i * 7);
        fclose(stream);
        sink = data[length - 2];
        free(data);
    }
    return (now_ns() - start_ns) / count / 1e3;
}

/* The same buffer functions without a pool: what the formatter alone is worth. */
static double render_unpooled(int count)
{
    double start_ns = now_ns();
    for (int k = 0; k < count; k++) {
        struct pwise_buffer buffer = PWISE_BUFFER_INIT;
        for (int i = 0; i < LINES; i++)
            pwise_buffer_printf(&buffer, "row=%d val=%d\n", i, i * 7);
        sink = buffer.data[buffer.length - 2];
        pwise_buffer_done(&buffer);
    }
    return (now_ns() - start_ns) / count / 1e3;
}

static double render_pooled(pwise_buffer_pool *pool, int count)
{
    double start_ns = now_ns();
    for (int k = 0; k < count; k++) {
        PWISE_SCOPED_BUFFER(pool, buffer);
        for (int i = 0; i < LINES; i++)
            pwise_buffer_printf(buffer, "row=%d val=%d\n", i, i * 7);
        char *copy = malloc(buffer->length + 1);
        memcpy(copy, buffer->data, buffer->length + 1);
        sink = copy[buffer->length - 2];
        free(copy);
    }
    return (now_ns() - start_ns) / count / 1e3;
}

static void measure_render(void)
{
    enum { COUNT = 10 };
    pwise_buffer_pool *pool = pwise_buffer_pool_create(NULL);
    double fresh[ROUNDS], stream[ROUNDS], unpooled[ROUNDS], pooled[ROUNDS];
    for (int round = 0; round < ROUNDS; round++) {
        fresh[round] = render_fresh(COUNT);
        stream[round] = render_memstream(COUNT);
        unpooled[round] = render_unpooled(COUNT);
        pooled[round] = render_pooled(pool, COUNT);
    }
    print_row("growing malloc, snprintf", fresh, "us");
    print_row("open_memstream, fprintf", stream, "us");
    print_row("pwise_buffer, no pool", unpooled, "us");
    print_row("pooled buffer, copied out", pooled, "us");
    pwise_buffer_pool_destroy(pool);
}

enum { IN_USE = 32, PAYLOADS = 1000000, OUTLIER_EVERY = 10000 };

static void *payload_create(void *context)
{
    return calloc(1, sizeof(struct pwise_buffer));
}

static void payload_destroy(void *item, void *context)
{
    pwise_buffer_done(item);
    free(item);
}

static size_t payload_bytes(const void *item, void *context)
{
    return ((const struct pwise_buffer *)item)->capacity;
}

static size_t payload_used(const void *item, void *context)
{
    return ((const struct pwise_buffer *)item)->length;
}

static uint64_t random_state;

static uint32_t next_random(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33);
}

static size_t next_length(void)
{
    return next_random() % OUTLIER_EVERY == 0 ? (size_t)1 << 20 : 1 + next_random() % 1024;
}

/* One of `pool` and `buffers` is NULL. */
static void measure_stream(const char *name, pwise_pool *pool, pwise_buffer_pool *buffers)
{
    uint64_t peak_idle = 0, peak_used = 0;
    double sum_idle = 0, sum_used = 0;
    random_state = 20;
    for (int done = 0; done < PAYLOADS; done += IN_USE) {
        struct pwise_buffer *held[IN_USE];
        uint64_t used = 0;
        for (int i = 0; i < IN_USE; i++) {
            size_t length = next_length();
            held[i] = pool ? pwise_get(pool) : pwise_buffer_pool_get(buffers);
            pwise_buffer_reset(held[i]);
            if (pwise_buffer_reserve(held[i], length) != 0)
                exit(1);
            held[i]->length = length;
            used += length;
        }
        for (int i = 0; i < IN_USE; i++) {
            if (pool)
                pwise_put(pool, held[i]);
            else
                pwise_buffer_pool_put(buffers, held[i]);
        }
        struct pwise_stats stats = {.size = sizeof(stats)};
        if (pool)
            pwise_pool_stats(pool, &stats);
        else
            pwise_buffer_pool_stats(buffers, &stats);
        peak_idle = stats.idle_bytes > peak_idle ? stats.idle_bytes : peak_idle;
        peak_used = used > peak_used ? used : peak_used;
        sum_idle += (double)stats.idle_bytes;
        sum_used += (double)used;
    }
    printf("%-28s peak idle %9.1f KiB, in use %7.1f KiB: %6.2f x   mean idle %9.1f KiB, in use "
           "%5.1f KiB: %6.2f x\n",
           name, (double)peak_idle / 1024, (double)peak_used / 1024,
           (double)peak_idle / (double)peak_used, sum_idle / (PAYLOADS / IN_USE) / 1024,
           sum_used / (PAYLOADS / IN_USE) / 1024, sum_idle / sum_used);
}

static void measure_streams(void)
{
    struct pwise_options options = {
        .create = payload_create, .destroy = payload_destroy, .size_of = payload_bytes};
    pwise_pool *plain = pwise_pool_create(&options);
    options.max_item_bytes = 65536;
    pwise_pool *capped = pwise_pool_create(&options);
    options.max_item_bytes = 0;
    options.flags = PWISE_ADAPTIVE;
    pwise_pool *by_size = pwise_pool_create(&options);
    options.used_of = payload_used;
    pwise_pool *adaptive = pwise_pool_create(&options);
    struct pwise_buffer_pool_options uncapped = {.max_capacity = SIZE_MAX};
    pwise_buffer_pool *buffers = pwise_buffer_pool_create(NULL);
    pwise_buffer_pool *buffers_uncapped = pwise_buffer_pool_create(&uncapped);
    measure_stream("plain pool", plain, NULL);
    measure_stream("capped at 64 KiB", capped, NULL);
    measure_stream("adaptive, used_of", adaptive, NULL);
    measure_stream("adaptive, size_of alone", by_size, NULL);
    measure_stream("buffer pool", NULL, buffers);
    measure_stream("buffer pool, uncapped", NULL, buffers_uncapped);
    pwise_pool_destroy(plain);
    pwise_pool_destroy(capped);
    pwise_pool_destroy(by_size);
    pwise_pool_destroy(adaptive);
    pwise_buffer_pool_destroy(buffers);
    pwise_buffer_pool_destroy(buffers_uncapped);
}

int main(void)
{
    pwise_set_reclaim(PWISE_MANUAL, 0);
    printf("backend %s, medians of %d rounds (least; quartiles)\n\n", pwise_backend(), ROUNDS);
    measure_pairs();
    printf("\n");
    measure_render();
    printf("\n");
    measure_streams();
    return 0;
}
