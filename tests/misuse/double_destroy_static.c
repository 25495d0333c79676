/* SPDX-License-Identifier: MIT */
/* Misuse: a static pool is destroyed twice. */
#include "poolwise/pool.h"

static pwise_pool pool =
    PWISE_POOL_INIT(.name = "static ones", .item_size = 64, .flags = PWISE_DEBUG);

int main(void)
{
    pwise_put(&pool, pwise_get(&pool));
    pwise_pool_destroy(&pool);
    pwise_pool_destroy(&pool); /* second destroy */
    return 0;
}
