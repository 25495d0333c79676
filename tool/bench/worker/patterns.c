/* SPDX-License-Identifier: MIT */
/*
 * Ways in which programs use small items of one size, from the simplest to those that hurt
 * allocators: freed elsewhere, by threads that come and go, written to side by side.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "peer.h"

#define ITEM_BYTES 64

static int item_setup(struct worker *worker)
{
    return peer_setup(worker, ITEM_BYTES);
}

/* Pair: one item, got and put. */
PATTERN pair_pattern(get_function *get, put_function *put, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        void *item = get();
        touch(item);
        put(item);
    }
}

static void pair_loop(struct worker *worker, int thread, uint64_t count)
{
    extra_thread();
    PEER_CALL(pair_pattern, count);
}

/* DepthN: N items out at once; an operation is one of them got and put. */
#define DEPTH_MAX 100

PATTERN depth_pattern(get_function *get, put_function *put, uint64_t count, unsigned depth)
{
    void *items[DEPTH_MAX];
    for (uint64_t i = 0; i < count; i += depth) {
        for (unsigned k = 0; k < depth; k++) {
            items[k] = get();
            touch(items[k]);
        }
        for (unsigned k = depth; k-- > 0;)
            put(items[k]);
    }
}

static void depth_1_loop(struct worker *worker, int thread, uint64_t count)
{
    extra_thread();
    PEER_CALL(depth_pattern, count, 1);
}

static void depth_10_loop(struct worker *worker, int thread, uint64_t count)
{
    extra_thread();
    PEER_CALL(depth_pattern, count, 10);
}

static void depth_100_loop(struct worker *worker, int thread, uint64_t count)
{
    extra_thread();
    PEER_CALL(depth_pattern, count, 100);
}

/* Flow: one thread gets, another puts, a ring of pointers between them. */
#define RING       4096
#define RING_BATCH 64

static void *ring[RING];
static _Alignas(128) _Atomic uint64_t ring_head; /* written by the producer */
static _Alignas(128) _Atomic uint64_t ring_tail; /* written by the consumer */

PATTERN produce(get_function *get, put_function *put, uint64_t count)
{
    uint64_t room = RING;
    for (uint64_t i = 0; i < count; i++) {
        while (i == room) {
            room = atomic_load_explicit(&ring_tail, memory_order_acquire) + RING;
            if (i == room)
                sched_yield();
        }
        void *item = get();
        touch(item);
        ring[i % RING] = item;
        if (i % RING_BATCH == RING_BATCH - 1)
            atomic_store_explicit(&ring_head, i + 1, memory_order_release);
    }
    atomic_store_explicit(&ring_head, count, memory_order_release);
}

PATTERN consume(get_function *get, put_function *put, uint64_t count)
{
    uint64_t ready = 0;
    for (uint64_t i = 0; i < count; i++) {
        while (i == ready) {
            ready = atomic_load_explicit(&ring_head, memory_order_acquire);
            if (i == ready)
                sched_yield();
        }
        void *item = ring[i % RING];
        touch(item);
        put(item);
        if (i % RING_BATCH == RING_BATCH - 1)
            atomic_store_explicit(&ring_tail, i + 1, memory_order_release);
    }
}

static pthread_barrier_t flow_line;

static void *flow_producer(void *argument)
{
    extra_thread();
    pin_to(0);
    pthread_barrier_wait(&flow_line);
    PEER_CALL(produce, *(uint64_t *)argument);
    return NULL;
}

static double flow_whole(struct worker *worker)
{
    pthread_t id;
    uint64_t count = worker->count;
    extra_thread();
    pin_to(1);
    atomic_store(&ring_head, 0);
    atomic_store(&ring_tail, 0);
    pthread_barrier_init(&flow_line, NULL, 2);
    if (pthread_create(&id, NULL, flow_producer, &count))
        abort();
    pthread_barrier_wait(&flow_line);
    double start_ns = now_ns();
    PEER_CALL(consume, count);
    double took_ns = now_ns() - start_ns;
    pthread_join(id, NULL);
    return took_ns;
}

/* Churn: an operation is a thread that starts, gets and puts 100 items, and ends. */
static void *churn_thread(void *argument)
{
    extra_thread();
    PEER_CALL(depth_pattern, 100, 10);
    return NULL;
}

static void churn_loop(struct worker *worker, int thread, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        pthread_t id;
        if (pthread_create(&id, NULL, churn_thread, NULL) || pthread_join(id, NULL))
            abort();
    }
}

/*
 * Sharing: items of 16 bytes, written to a hundred times while held. An allocator that gives
 * neighbours in one cache line to two threads makes them fight for it. The first item of each thread
 * comes from one thread, so that what is freed elsewhere stays a neighbour for as long as the
 * allocator lets it.
 */
#define SHARED_BYTES  16
#define SHARED_WRITES 100

static void *first_items[WORKER_THREADS_MAX];

PATTERN sharing_first(get_function *get, put_function *put, int threads)
{
    for (int i = 0; i < threads; i++)
        first_items[i] = get();
}

static int sharing_setup(struct worker *worker)
{
    int status = peer_setup(worker, SHARED_BYTES);
    if (!status)
        PEER_CALL(sharing_first, worker->threads);
    return status;
}

PATTERN sharing_pattern(get_function *get, put_function *put, uint64_t count, void **first)
{
    void *item = *first;
    *first = NULL;
    for (uint64_t i = 0; i < count; i++) {
        if (!item)
            item = get();
        for (int k = 0; k < SHARED_WRITES; k++)
            ++*(volatile char *)item;
        put(item);
        item = NULL;
    }
}

static void sharing_loop(struct worker *worker, int thread, uint64_t count)
{
    PEER_CALL(sharing_pattern, count, &first_items[thread]);
}

/*
 * Larson: what a server does. 1000 items for each thread are alive; an operation replaces a random
 * one, which mostly another thread made, by a new one.
 */
#define LARSON_SLOTS 1000

static _Atomic(void *) larson_slots[WORKER_THREADS_MAX * LARSON_SLOTS];

PATTERN larson_pattern(get_function *get, put_function *put, uint64_t count, uint64_t slots,
                       uint64_t random)
{
    for (uint64_t i = 0; i < count; i++) {
        void *item = get();
        touch(item);
        void *old = atomic_exchange_explicit(&larson_slots[random_next(&random) % slots], item,
                                             memory_order_acq_rel);
        if (old)
            put(old);
    }
}

static void larson_loop(struct worker *worker, int thread, uint64_t count)
{
    extra_thread();
    PEER_CALL(larson_pattern, count, (uint64_t)worker->threads * LARSON_SLOTS,
              88172645463325252u + (uint64_t)thread * 7919 + worker->done);
}

/*
 * Xmalloc: every thread makes batches of 100 items and hands each to the next thread, which puts
 * them: nothing is ever put where it was got. An operation is one item.
 */
#define BATCH 100

struct batch {
    void *items[BATCH];
};
static struct mailbox {
    _Alignas(128) _Atomic(struct batch *) full;
} mailboxes[WORKER_THREADS_MAX];

PATTERN batch_put(get_function *get, put_function *put, struct batch *batch)
{
    for (int k = 0; k < BATCH; k++)
        put(batch->items[k]);
}

PATTERN xmalloc_pattern(get_function *get, put_function *put, uint64_t count, struct mailbox *mine,
                        struct mailbox *next)
{
    struct batch *empty = NULL;
    for (uint64_t i = 0; i < count; i += BATCH) {
        struct batch *batch = empty ? empty : malloc(sizeof *batch);
        empty = NULL;
        for (int k = 0; k < BATCH; k++) {
            batch->items[k] = get();
            touch(batch->items[k]);
        }
        /* What the next thread has not fetched yet comes back, and is put here after all. */
        batch = atomic_exchange_explicit(&next->full, batch, memory_order_acq_rel);
        if (batch) {
            batch_put(get, put, batch);
            empty = batch;
        }
        batch = atomic_exchange_explicit(&mine->full, NULL, memory_order_acq_rel);
        if (batch) {
            batch_put(get, put, batch);
            if (empty)
                free(empty);
            empty = batch;
        }
    }
    free(empty);
}

static void xmalloc_loop(struct worker *worker, int thread, uint64_t count)
{
    extra_thread();
    PEER_CALL(xmalloc_pattern, count, &mailboxes[thread],
              &mailboxes[(thread + 1) % worker->threads]);
}

const struct worker_case pattern_cases[] = {
    {.name = "Pair", .variants = PEERS_ALL, .setup = item_setup, .loop = pair_loop},
    {.name = "Depth1", .variants = PEERS_FREE, .setup = item_setup, .loop = depth_1_loop},
    {.name = "Depth10", .variants = PEERS_FREE, .setup = item_setup, .loop = depth_10_loop},
    {.name = "Depth100", .variants = PEERS_FREE, .setup = item_setup, .loop = depth_100_loop},
    {.name = "Flow",
     .variants = PEERS_FREE,
     .setup = item_setup,
     .whole = flow_whole,
     .two_threads = true},
    {.name = "Churn", .variants = PEERS_FREE, .setup = item_setup, .loop = churn_loop},
    {.name = "Sharing", .variants = PEERS_FREE, .setup = sharing_setup, .loop = sharing_loop},
    {.name = "Larson", .variants = PEERS_FREE, .setup = item_setup, .loop = larson_loop},
    {.name = "Xmalloc", .variants = PEERS_FREE, .setup = item_setup, .loop = xmalloc_loop},
    {.name = NULL},
};
