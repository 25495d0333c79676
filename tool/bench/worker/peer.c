/* SPDX-License-Identifier: MIT */
#include "peer.h"

#include <errno.h>
#include <string.h>

enum peer peer;
size_t peer_bytes;
pwise_pool peer_pool = PWISE_POOL_INIT(.name = "bench");
__thread struct floor_stack floor_stack;

int peer_setup(struct worker *worker, size_t item_bytes)
{
    static const char *const names[] = {"malloc", "pool", "called", "empty", "floor", "extra"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (variant_is(worker, names[i]))
            peer = (enum peer)i;
    peer_bytes = item_bytes;
    if (peer == PEER_EXTRA)
        return extra_setup(item_bytes);
    peer_pool.options.item_size = item_bytes; /* before its first use */
    return 0;
}

void *(*peer_library_get)(pwise_pool *pool) = pwise_get;
void (*peer_library_put)(pwise_pool *pool, void *item) = pwise_put;
