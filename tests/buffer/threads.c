/* SPDX-License-Identifier: MIT */
/* Property: under threads, cycles and hand-overs no block and no buffer has two holders, none is
 * lost, and at the end as many have been destroyed as made. */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "fixture.h"

enum { THREADS = 4, ROUNDS = 30000, HELD = 16, SHARED = 64 };

static pwise_blocks *blocks;
static pwise_buffer_pool *buffers;

/* Blocks that one thread leaves for another to put. */
struct held {
    unsigned char *block;
    size_t size;
};
static _Atomic(struct held *) shared[SHARED];

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static struct held *take_block(uint32_t *state, unsigned char mark)
{
    size_t size = (size_t)1 << (next_random(state) % 12);
    size += next_random(state) % size;
    size_t capacity;
    struct held *held = malloc(sizeof(*held));
    *held = (struct held){pwise_blocks_get(blocks, size, &capacity), size};
    CHECK_PTR(held->block, !=, NULL);
    memset(held->block, mark, size);
    return held;
}

/* Whoever else had the block meanwhile would have laid its own mark in. */
static void give_block(struct held *held)
{
    for (size_t i = 1; i < held->size; i++)
        CHECK_INT(held->block[i], ==, held->block[0]);
    pwise_blocks_put(blocks, held->block, held->size);
    free(held);
}

static void *worker(void *argument)
{
    uint32_t state = (uint32_t)(uintptr_t)argument;
    struct held *held[HELD] = {NULL};
    for (int round = 0; round < ROUNDS; round++) {
        uint32_t i = next_random(&state) % HELD;
        if (held[i]) {
            struct held *other = atomic_exchange(&shared[next_random(&state) % SHARED], held[i]);
            if (other)
                give_block(other);
        }
        held[i] = take_block(&state, (unsigned char)next_random(&state));
        PWISE_SCOPED_BUFFER(buffers, buffer);
        CHECK_PTR(buffer, !=, NULL);
        uint32_t number = next_random(&state) % 3000;
        for (uint32_t k = 0; k < number % 100; k++)
            CHECK_INT(pwise_buffer_printf(buffer, "%u,", number), ==, 0);
        CHECK_INT(strtoul(buffer->length ? buffer->data : "0", NULL, 10), ==,
                  buffer->length ? number : 0);
        if (number < 3)
            pwise_reclaim();
        if (number == 3)
            pwise_trim();
        if (number == 4)
            CHECK_INT(pwise_buffer_reserve(buffer, 50000), ==, 0);
        if (number == 5)
            free(pwise_buffer_detach(buffer, NULL));
    }
    for (int i = 0; i < HELD; i++)
        if (held[i])
            give_block(held[i]);
    return NULL;
}

int main(void)
{
    struct pwise_blocks_options options = {.max_idle_bytes = 20000, .max_block_bytes = 2048};
    pwise_set_reclaim(PWISE_MANUAL, 0);
    blocks = pwise_blocks_create(&options);
    buffers = pwise_buffer_pool_create(NULL);
    pthread_t ids[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++)
        CHECK_INT(pthread_create(&ids[i], NULL, worker, (void *)(i + 1)), ==, 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(ids[i], NULL);
    for (int i = 0; i < SHARED; i++) {
        struct held *held = atomic_load(&shared[i]);
        if (held)
            give_block(held);
    }
    pwise_trim();
    struct pwise_stats stats = {.size = sizeof(stats)};
    CHECK_INT(pwise_blocks_stats(blocks, &stats), ==, 0);
    CHECK_INT(stats.gets, ==, stats.puts);
    CHECK_INT(stats.idle_items, ==, 0);
    CHECK_INT(stats.creates, ==,
              stats.destroys_oversize + stats.destroys_bound + stats.destroys_reclaim);
    stats = buffer_stats(buffers);
    CHECK_INT(stats.gets, ==, THREADS * ROUNDS);
    CHECK_INT(stats.puts, ==, THREADS * ROUNDS);
    CHECK_INT(stats.idle_items, ==, 0);
    CHECK_INT(stats.idle_bytes, ==, 0);
    CHECK_INT(stats.creates, ==,
              stats.destroys_oversize + stats.destroys_bound + stats.destroys_reclaim +
                  stats.destroys_unused);
    pwise_blocks_destroy(blocks);
    pwise_buffer_pool_destroy(buffers);
    return 0;
}
