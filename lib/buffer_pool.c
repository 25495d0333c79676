/* SPDX-License-Identifier: MIT */
/*
 * The pool of buffers: a pool of headers, each of which owns a buffer's memory and remembers what
 * the rules need to know of it. Most puts touch the header alone; what changes seldom (a capacity, a
 * strike) or is sampled goes through put_slow.
 */
#undef PWISE_NO_INLINE /* one call from the program is enough */
#include "poolwise/buffer.h"

#include <errno.h>

#include "adaptive.h"
#include "classes.h"
#include "learn.h"
#include "memory.h"
#include "poolwise/pool.h"

#define START_BYTES_DEFAULT    256u
#define MAX_BYTES_DEFAULT      ((size_t)64 << 10)
#define MAX_IDLE_BYTES_DEFAULT ((size_t)64 << 20)
#define PER_CPU_ITEMS_DEFAULT  64u
/* Uses from one sample to the next, on average; at first 8 times 1, 8 times 2, 4, ... A sample costs
 * some 40 ns, most of it for the branch that nothing could foresee. */
#define SAMPLE_EVERY           128u
#define SAMPLES_AT_INTERVAL    8u
#define SAMPLES_HELD           7u /* by a header, before they go to the learner */

struct header {
    struct pwise_buffer buffer; /* first: users have its address */
    /* The capacity that is counted in retained_bytes. This and all below: by who has the header. */
    size_t noted_bytes;
    /* Uses of this length and more, at that capacity, need no look at the rules. SIZE_MAX: every use
     * does, since it was never put or a checker watches. */
    size_t good_bytes;
    uint32_t uses_left; /* puts until one is a sample, that one included */
    uint32_t interval;  /* mean uses from one sample to the next: what a sample stands for */
    uint32_t random;
    uint16_t strikes;
    uint16_t samples_taken; /* until interval is SAMPLE_EVERY */
    /* Classes of samples that the learner has not seen: its counters are shared, and cost more than
     * all the rest of a put. All stand for SAMPLE_EVERY uses. */
    uint8_t samples[SAMPLES_HELD];
    uint8_t sample_count;
};
_Static_assert(sizeof(struct header) == 64, "a header is one cache line");

struct pwise_buffer_pool {
    /* Constant. */
    pwise_pool *headers; /* of struct header; lives while any is out */
    size_t max_bytes;
    size_t max_retained_bytes;
    bool watched; /* a memory checker wants to know which memory is idle */

    /* The sum of noted_bytes: never over max_retained_bytes at rest. Any thread, relaxed; changed
     * only when a buffer's capacity has. */
    _Alignas(CACHE_LINE_BYTES) _Atomic size_t retained_bytes;
    _Atomic uint32_t made_count; /* seeds `random`; any thread, relaxed */
    struct learner learner;
};

static void *header_create(void *context)
{
    pwise_buffer_pool *pool = context;
    size_t bytes = learner_answer(&pool->learner);
    struct header *header = aligned_alloc(CACHE_LINE_BYTES, sizeof(*header));
    char *data = malloc(bytes);
    if (!header || !data) {
        free(header);
        free(data);
        errno = ENOMEM;
        return NULL;
    }
    uint32_t number = atomic_fetch_add_explicit(&pool->made_count, 1, memory_order_relaxed);
    data[0] = '\0';
    *header = (struct header){
        .buffer = {data, 0, bytes},
        .good_bytes = SIZE_MAX,
        .uses_left = 1,
        .interval = 1,
        .random = number * 0x9e3779b9u + 1,
    };
    return header;
}

static void header_destroy(void *item, void *context)
{
    pwise_buffer_pool *pool = context;
    struct header *header = item;
    atomic_fetch_sub_explicit(&pool->retained_bytes, header->noted_bytes, memory_order_relaxed);
    if (pool->watched && header->buffer.data)
        checkers_show(header->buffer.data, header->buffer.capacity);
    free(header->buffer.data);
    free(header);
}

/* With a checker that watches: before a used header is handed out. */
static void header_show(void *item, void *context)
{
    struct header *header = item;
    checkers_show(header->buffer.data, header->buffer.capacity);
    header->buffer.data[0] = '\0';
}

static void pool_is_freed(void *context)
{
    memory_give(context);
}

pwise_buffer_pool *pwise_buffer_pool_create(const struct pwise_buffer_pool_options *options)
{
    static const struct pwise_buffer_pool_options defaults;
    if (!options)
        options = &defaults;
    size_t max_bytes = options->max_capacity ? options->max_capacity : MAX_BYTES_DEFAULT;
    size_t start_bytes = options->start_capacity;
    if (start_bytes == 0)
        start_bytes = START_BYTES_DEFAULT < max_bytes ? START_BYTES_DEFAULT : max_bytes;
    if (start_bytes > max_bytes || (options->flags & ~PWISE_NO_STEAL)) {
        errno = EINVAL;
        return NULL;
    }
    pwise_buffer_pool *pool = memory_take(sizeof(*pool), _Alignof(struct pwise_buffer_pool));
    if (!pool)
        return NULL;
    pool->max_bytes = max_bytes;
    pool->max_retained_bytes =
        options->max_idle_bytes ? options->max_idle_bytes : MAX_IDLE_BYTES_DEFAULT;
    pool->watched = checkers_watch();
    learner_init(&pool->learner, start_bytes, max_bytes);
    /* The bytes are bounded here, by retained_bytes; the pool bounds the headers alone. */
    struct pwise_options inner = {
        .name = options->name ? options->name : "buffers",
        .item_size = sizeof(struct header),
        .create = header_create,
        .destroy = header_destroy,
        .reset = pool->watched ? header_show : NULL,
        .context = pool,
        .per_cpu_items = options->per_cpu_items ? options->per_cpu_items : PER_CPU_ITEMS_DEFAULT,
        .flags = options->flags,
    };
    pool->headers = pool_create_inside(&inner, &pool->retained_bytes, pool_is_freed, pool);
    if (!pool->headers) {
        memory_give(pool);
        return NULL;
    }
    return pool;
}

void pwise_buffer_pool_destroy(pwise_buffer_pool *pool)
{
    if (pool)
        pwise_pool_destroy(pool->headers);
}

__attribute__((aligned(64))) struct pwise_buffer *pwise_buffer_pool_get(pwise_buffer_pool *pool)
{
    if (unlikely(!pool))
        misuse("poolwise: pwise_buffer_pool_get: the pool is NULL\n");
    return pwise_get(pool->headers);
}

/* The next sample is some 1 to 2 * interval - 1 uses away: a load's rhythm must not hide a part of
 * it. */
static void draw_next_sample(struct header *header)
{
    if (header->interval < SAMPLE_EVERY && ++header->samples_taken % SAMPLES_AT_INTERVAL == 0)
        header->interval *= 2;
    header->random = header->random * 1664525u + 1013904223u;
    header->uses_left =
        1 + (uint32_t)(((uint64_t)header->random * (2 * header->interval - 1)) >> 32);
}

static void hand_in_samples(pwise_buffer_pool *pool, struct header *header)
{
    for (unsigned i = 0; i < header->sample_count; i++) {
        size_t bytes = class_bytes(header->samples[i]);
        if (bytes > pool->max_bytes)
            bytes = pool->max_bytes;
        learner_note(&pool->learner, bytes, SAMPLE_EVERY);
    }
    header->sample_count = 0;
}

/* This use is a sample, of a buffer that stays. */
static __attribute__((noinline)) void note_sample(pwise_buffer_pool *pool, struct header *header,
                                                  size_t used)
{
    if (used != 0 && header->interval < SAMPLE_EVERY) {
        learner_note(&pool->learner, used + 1, header->interval);
    } else if (used != 0) {
        header->samples[header->sample_count++] = (uint8_t)class_of(used + 1);
        if (header->sample_count == SAMPLES_HELD)
            hand_in_samples(pool, header);
    }
    draw_next_sample(header);
}

/* Counts the capacity that the header has now. False: over the pool's bound. */
static bool note_capacity(pwise_buffer_pool *pool, struct header *header)
{
    size_t grown = header->buffer.capacity - header->noted_bytes; /* modulo 2^64 */
    size_t retained =
        atomic_fetch_add_explicit(&pool->retained_bytes, grown, memory_order_relaxed) + grown;
    bool smaller = header->buffer.capacity <= header->noted_bytes;
    header->noted_bytes = header->buffer.capacity;
    return smaller || retained <= pool->max_retained_bytes;
}

static uint16_t strikes_allowed(const pwise_buffer_pool *pool, const struct header *header)
{
    bool regular = adaptive_good_bytes(header->buffer.capacity) <= learner_regular(&pool->learner);
    return regular ? ADAPTIVE_STRIKES_REGULAR : ADAPTIVE_STRIKES;
}

/* The rules, one after the other. True: the buffer stays; else *ret_cause says why not. */
static bool keeps(pwise_buffer_pool *pool, struct header *header, bool used_well,
                  enum destroy_cause *ret_cause)
{
    if (header->buffer.capacity > pool->max_bytes) {
        *ret_cause = DESTROY_OVERSIZE;
        return false;
    }
    if (header->buffer.capacity != header->noted_bytes && !note_capacity(pool, header)) {
        *ret_cause = DESTROY_BOUND;
        return false;
    }
    if (used_well) {
        header->strikes = 0;
    } else if (++header->strikes >= strikes_allowed(pool, header)) {
        *ret_cause = DESTROY_UNUSED;
        return false;
    }
    return true;
}

/* A buffer whose block was detached gets another. */
static void refill(pwise_buffer_pool *pool, struct header *header)
{
    size_t bytes = learner_answer(&pool->learner);
    char *data = malloc(bytes);
    if (data)
        header->buffer = (struct pwise_buffer){data, 0, bytes};
}

/* What the fast path leaves: a change of capacity, a use of little of a large buffer, a sample, or a
 * checker that watches. */
static __attribute__((noinline)) void put_slow(pwise_buffer_pool *pool, struct header *header)
{
    int saved_errno = errno;
    enum destroy_cause cause = DESTROY_BOUND;
    size_t used = header->buffer.length;
    bool is_empty = header->buffer.capacity == 0;
    if (is_empty)
        refill(pool, header);
    bool used_well = is_empty || adaptive_use_is_good(header->buffer.capacity, used);
    bool stays = header->buffer.capacity != 0 && keeps(pool, header, used_well, &cause);
    if (!stays) {
        hand_in_samples(pool, header);
        /* No later use of it can be a sample: this one stands for itself. */
        if (used != 0)
            learner_note(&pool->learner, used + 1, 1);
        pool_discard(pool->headers, header, cause);
        errno = saved_errno;
        return;
    }
    if (header->uses_left-- <= 1)
        note_sample(pool, header, used);
    header->good_bytes = adaptive_good_bytes(header->buffer.capacity);
    pwise_buffer_reset(&header->buffer);
    if (pool->watched) {
        header->good_bytes = SIZE_MAX;
        checkers_hide(header->buffer.data, header->buffer.capacity);
    }
    pwise_put(pool->headers, header);
    errno = saved_errno;
}

__attribute__((aligned(64))) void pwise_buffer_pool_put(pwise_buffer_pool *pool,
                                                        struct pwise_buffer *buffer)
{
    if (unlikely(!pool))
        misuse("poolwise: pwise_buffer_pool_put: the pool is NULL\n");
    if (unlikely(!buffer))
        return;
    struct header *header = (struct header *)buffer;
    size_t capacity = buffer->capacity;
    if (unlikely(capacity != header->noted_bytes || buffer->length < header->good_bytes)) {
        put_slow(pool, header);
        return;
    }
    if (unlikely(--header->uses_left == 0))
        note_sample(pool, header, buffer->length);
    if (unlikely(header->strikes != 0))
        header->strikes = 0;
    buffer->length = 0;
    buffer->data[0] = '\0';
    pwise_put(pool->headers, header);
}

int pwise_buffer_pool_stats(const pwise_buffer_pool *pool, struct pwise_stats *ret_stats)
{
    return pool ? pwise_pool_stats(pool->headers, ret_stats) : -EINVAL;
}

size_t pwise_buffer_pool_start_capacity(const pwise_buffer_pool *pool)
{
    return learner_answer(&pool->learner);
}
