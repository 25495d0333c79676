/* SPDX-License-Identifier: MIT */
/* Misuse: a pool is destroyed twice while an item is out; found outside debug mode as well. */
#include "poolwise/pool.h"

int main(void)
{
    struct pwise_options options = {.name = "requests", .item_size = 64};
    pwise_pool *pool = pwise_pool_create(&options);
    void *item = pwise_get(pool);
    pwise_pool_destroy(pool);
    pwise_pool_destroy(pool);
    pwise_put(pool, item);
    return 0;
}
