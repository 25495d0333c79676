/* SPDX-License-Identifier: MIT */
/* A module that is unloaded: see unload.c. */
#include "poolwise/pool.h"

void plugin_pairs(pwise_pool *pool);

void plugin_pairs(pwise_pool *pool)
{
    for (int i = 0; i < 1000; i++)
        pwise_put(pool, pwise_get(pool));
}
