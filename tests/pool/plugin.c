/* SPDX-License-Identifier: MIT */
/* A module that is unloaded: see unload.c. */
#include "poolwise/pool.h"

#if PWISE_HAVE_SECTIONS && !defined(POOLWISE_POOL_INLINE_H)
#error "the fast path is not compiled in"
#endif

void plugin_pairs(pwise_pool *pool);

void plugin_pairs(pwise_pool *pool)
{
    for (int i = 0; i < 1000; i++)
        pwise_put(pool, pwise_get(pool));
}
