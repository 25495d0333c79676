/* SPDX-License-Identifier: MIT */
#include "runs.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/mman.h>

#include "next.h"
#include "range.h"

#define MAP_WORDS 8u /* blocks of at least a page: 512 to a chunk */

/* One chunk. used_count = bits set in `used`. */
struct run {
    struct run *next;
    char *base;
    uint32_t used_count;
    uint64_t used[MAP_WORDS];
};

struct runs {
    struct home *owner; /* constant, as the next two */
    size_t bytes;
    uint32_t block_count;
    struct run *first; /* under the lock */
};

/* One for all: making and unmaking a block of this size moves pages, which costs more than waiting. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

struct runs *runs_create(struct home *owner, size_t bytes)
{
    struct runs *runs = next.calloc(1, sizeof *runs);
    if (runs)
        *runs = (struct runs){
            .owner = owner, .bytes = bytes, .block_count = (uint32_t)(RANGE_CHUNK_BYTES / bytes)};
    return runs;
}

static struct run *run_add_locked(struct runs *runs)
{
    struct run *run = next.calloc(1, sizeof *run);
    if (!run)
        return NULL;
    run->base = range_take(runs->owner);
    if (!run->base) {
        next.free(run);
        return NULL;
    }
    run->next = runs->first;
    runs->first = run;
    return run;
}

static uint32_t free_block(const struct run *run, uint32_t block_count)
{
    for (uint32_t word = 0; word * 64 < block_count; word++)
        if (run->used[word] != UINT64_MAX) {
            uint32_t block = word * 64 + (uint32_t)__builtin_ctzll(~run->used[word]);
            return block < block_count ? block : UINT32_MAX;
        }
    return UINT32_MAX;
}

void *runs_take(struct runs *runs)
{
    void *block = NULL;
    pthread_mutex_lock(&lock);
    struct run *run = runs->first;
    while (run && run->used_count == runs->block_count)
        run = run->next;
    if (run || (run = run_add_locked(runs))) {
        uint32_t number = free_block(run, runs->block_count);
        run->used[number / 64] |= UINT64_C(1) << number % 64;
        run->used_count++;
        block = run->base + number * runs->bytes;
    }
    pthread_mutex_unlock(&lock);
    if (!block)
        errno = ENOMEM;
    return block;
}

void runs_give(struct runs *runs, void *block)
{
    char *base = (char *)((uintptr_t)block & ~(RANGE_CHUNK_BYTES - 1));
    uint32_t number = (uint32_t)((size_t)((char *)block - base) / runs->bytes);
    madvise(block, runs->bytes, MADV_DONTNEED); /* while it is still ours */
    pthread_mutex_lock(&lock);
    struct run **link = &runs->first;
    while ((*link)->base != base)
        link = &(*link)->next;
    struct run *run = *link;
    run->used[number / 64] &= ~(UINT64_C(1) << number % 64);
    if (--run->used_count == 0 && runs->first->next) {
        *link = run->next;
        range_give(run->base);
        next.free(run);
    }
    pthread_mutex_unlock(&lock);
}

void runs_lock(void)
{
    pthread_mutex_lock(&lock);
}

void runs_unlock(void)
{
    pthread_mutex_unlock(&lock);
}
