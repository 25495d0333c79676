/* SPDX-License-Identifier: MIT */
/* Debug mode: first in, first out, and the lock of all such queues. */
#include "debug_internal.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

void rings_lock(void)
{
    pthread_mutex_lock(&mutex);
}

void rings_unlock(void)
{
    pthread_mutex_unlock(&mutex);
}

bool ring_push(struct ring *ring, struct ring_entry entry, struct ring_entry *ret_out)
{
    if (ring->capacity == 0) {
        *ret_out = entry;
        return true;
    }
    bool full = ring->count == ring->capacity;
    if (full) {
        *ret_out = ring->entries[ring->first];
        ring->first = (ring->first + 1) % ring->capacity;
        ring->count--;
    }
    ring->entries[(ring->first + ring->count) % ring->capacity] = entry;
    ring->count++;
    return full;
}

bool ring_pop(struct ring *ring, struct ring_entry *ret_out)
{
    if (ring->count == 0)
        return false;
    *ret_out = ring->entries[ring->first];
    ring->first = (ring->first + 1) % ring->capacity;
    ring->count--;
    return true;
}
