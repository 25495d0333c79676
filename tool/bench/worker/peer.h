/* SPDX-License-Identifier: MIT */
/*
 * The ways to get and put an item that the patterns compare. A pattern is written once, as an
 * always-inlined function of a get and a put; PEER_CALL compiles it for each way, so that none pays
 * for an indirect call.
 */
#pragma once

#include <stdlib.h>

#include "empty.h"
#include "worker.h"

enum peer { PEER_MALLOC, PEER_POOL, PEER_CALLED, PEER_EMPTY, PEER_FLOOR, PEER_EXTRA };

/* The variants in the order of the enum; a case names those that make sense for it. */
#define PEERS_FREE "malloc pool called extra"
#define PEERS_ALL  "malloc pool called empty floor extra"

extern enum peer peer;
extern size_t peer_bytes;    /* of an item */
extern pwise_pool peer_pool; /* a static one, as most programs would have it */

/* Chooses the peer by worker->variant; makes the pool. 0 or -errno. */
int peer_setup(struct worker *worker, size_t item_bytes);

/* A further peer, linked in where its library is found (extra_*.c); setup gives -ENOSYS in the plain
 * worker. Threads that use it call extra_thread once. */
int extra_setup(size_t item_bytes);
void extra_thread(void);
void *extra_get(void);
void extra_put(void *item);

static inline void *peer_malloc_get(void)
{
    return malloc(peer_bytes);
}

static inline void peer_malloc_put(void *item)
{
    free(item);
}

static inline __attribute__((always_inline)) void *peer_pool_get(void)
{
    return pwise_get(&peer_pool);
}

static inline __attribute__((always_inline)) void peer_pool_put(void *item)
{
    pwise_put(&peer_pool, item);
}

/* The same behind calls into the library: through pointers, which the compiler cannot see through. */
extern void *(*peer_library_get)(pwise_pool *pool);
extern void (*peer_library_put)(pwise_pool *pool, void *item);

static inline void *peer_called_get(void)
{
    return peer_library_get(&peer_pool);
}

static inline void peer_called_put(void *item)
{
    peer_library_put(&peer_pool, item);
}

/* Two calls into a library that does nothing. */
static inline void *peer_empty_get(void)
{
    static char bytes[4096];
    return empty_get(bytes);
}

static inline void peer_empty_put(void *item)
{
    empty_put(item);
}

/* A plain array for each thread, bounded and shared with nobody. */
struct floor_stack {
    size_t count;
    void *items[128];
};
extern __thread struct floor_stack floor_stack;

static inline void *peer_floor_get(void)
{
    if (__builtin_expect(floor_stack.count == 0, 0))
        return malloc(peer_bytes);
    return floor_stack.items[--floor_stack.count];
}

static inline void peer_floor_put(void *item)
{
    if (__builtin_expect(floor_stack.count == 128, 0))
        free(item);
    else
        floor_stack.items[floor_stack.count++] = item;
}

#define PEER_CALL(pattern, ...)                                                                    \
    do {                                                                                           \
        switch (peer) {                                                                            \
        case PEER_MALLOC:                                                                          \
            pattern(peer_malloc_get, peer_malloc_put, __VA_ARGS__);                                \
            break;                                                                                 \
        case PEER_POOL:                                                                            \
            pattern(peer_pool_get, peer_pool_put, __VA_ARGS__);                                    \
            break;                                                                                 \
        case PEER_CALLED:                                                                          \
            pattern(peer_called_get, peer_called_put, __VA_ARGS__);                                \
            break;                                                                                 \
        case PEER_EMPTY:                                                                           \
            pattern(peer_empty_get, peer_empty_put, __VA_ARGS__);                                  \
            break;                                                                                 \
        case PEER_FLOOR:                                                                           \
            pattern(peer_floor_get, peer_floor_put, __VA_ARGS__);                                  \
            break;                                                                                 \
        case PEER_EXTRA:                                                                           \
            pattern(extra_get, extra_put, __VA_ARGS__);                                            \
            break;                                                                                 \
        }                                                                                          \
    } while (0)

typedef void *get_function(void);
typedef void put_function(void *item);

#define PATTERN static inline __attribute__((always_inline)) void
