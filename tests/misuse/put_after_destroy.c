/* SPDX-License-Identifier: MIT */
/* Misuse: an item is put back, then its pool is destroyed, then the item is put again. */
#include "poolwise/pool.h"

int main(void)
{
    struct pwise_options options = {.name = "requests", .item_size = 64};
    pwise_pool *pool = pwise_pool_create(&options);
    void *item = pwise_get(pool);
    pwise_put(pool, item);
    pwise_pool_destroy(pool);
    pwise_put(pool, item); /* late put */
    return 0;
}
