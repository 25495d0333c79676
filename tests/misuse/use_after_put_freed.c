/* SPDX-License-Identifier: MIT */
/* Misuse: as use_after_put, when the pool has destroyed the item already. */
#include "poolwise/pool.h"

int main(void)
{
    struct pwise_options options = {.name = "requests", .item_size = 64};
    pwise_pool *pool = pwise_pool_create(&options);
    char *item = pwise_get(pool);
    pwise_put(pool, item); /* the put */
    pwise_trim();
    item[0] = 1;
    pwise_pool_destroy(pool);
    return 0;
}
