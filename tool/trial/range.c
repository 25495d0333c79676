/* SPDX-License-Identifier: MIT */
#include "range.h"

#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>

/* Not canonical on any 64-bit processor we know: nothing a program may free lies there. */
uintptr_t range_base = UINTPTR_MAX - RANGE_BYTES;
struct home *range_owners[RANGE_CHUNKS];

/* All under the lock. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t used[RANGE_CHUNKS / 64];
static size_t lowest; /* no word of `used` below this one has a bit clear */
static bool reserved;

int range_init(void)
{
    char *mapping = mmap(NULL, RANGE_BYTES + RANGE_CHUNK_BYTES, PROT_NONE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapping == MAP_FAILED)
        return -ENOMEM;
    range_base = ((uintptr_t)mapping + RANGE_CHUNK_BYTES - 1) & ~(RANGE_CHUNK_BYTES - 1);
    reserved = true;
    return 0;
}

static char *chunk_address(size_t number)
{
    return (char *)range_base + (number << RANGE_CHUNK_SHIFT);
}

/* Maps over what is there: fresh zeroed memory, or none. */
static bool chunk_map(size_t number, int protection)
{
    return mmap(chunk_address(number), RANGE_CHUNK_BYTES, protection,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) != MAP_FAILED;
}

void *range_take(struct home *owner)
{
    void *chunk = NULL;
    pthread_mutex_lock(&lock);
    while (lowest < RANGE_CHUNKS / 64 && used[lowest] == UINT64_MAX)
        lowest++;
    if (reserved && lowest < RANGE_CHUNKS / 64) {
        size_t number = lowest * 64 + (size_t)__builtin_ctzll(~used[lowest]);
        if (chunk_map(number, PROT_READ | PROT_WRITE)) {
            used[lowest] |= UINT64_C(1) << number % 64;
            range_owners[number] = owner;
            chunk = chunk_address(number);
        }
    }
    pthread_mutex_unlock(&lock);
    return chunk;
}

void range_give(void *chunk)
{
    size_t number = ((uintptr_t)chunk - range_base) >> RANGE_CHUNK_SHIFT;
    pthread_mutex_lock(&lock);
    range_owners[number] = NULL;
    /* A chunk that cannot be unmapped (too many mappings) is emptied, and not used again. */
    if (chunk_map(number, PROT_NONE)) {
        used[number / 64] &= ~(UINT64_C(1) << number % 64);
        if (number / 64 < lowest)
            lowest = number / 64;
    } else {
        madvise(chunk, RANGE_CHUNK_BYTES, MADV_DONTNEED);
    }
    pthread_mutex_unlock(&lock);
}

void range_lock(void)
{
    pthread_mutex_lock(&lock);
}

void range_unlock(void)
{
    pthread_mutex_unlock(&lock);
}
