/* SPDX-License-Identifier: MIT */
/* Misuse: a pool is destroyed twice. */
#include "poolwise/pool.h"

int main(void)
{
    struct pwise_options options = {.name = "requests", .item_size = 64};
    pwise_pool *pool = pwise_pool_create(&options);
    pwise_put(pool, pwise_get(pool));
    pwise_pool_destroy(pool);
    pwise_pool_destroy(pool); /* second destroy */
    return 0;
}
