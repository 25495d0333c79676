/* SPDX-License-Identifier: MIT */
/* Misuse: an item is written to when the pool has destroyed it already; with guard pages the write
 * itself is stopped. */
#include "poolwise/pool.h"

int main(void)
{
    struct pwise_options options = {.name = "requests", .item_size = 64};
    pwise_pool *pool = pwise_pool_create(&options);
    volatile char *item = pwise_get(pool);
    pwise_put(pool, (void *)item);
    pwise_trim();
    item[0] = 1;
    return 0;
}
