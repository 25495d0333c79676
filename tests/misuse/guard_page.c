/* SPDX-License-Identifier: MIT */
/* Misuse: an item is read after the put; with guard pages the read itself is stopped. */
#include "poolwise/pool.h"

int main(void)
{
    struct pwise_options options = {.name = "requests", .item_size = 64};
    pwise_pool *pool = pwise_pool_create(&options);
    volatile char *item = pwise_get(pool);
    pwise_put(pool, (void *)item);
    return item[0];
}
