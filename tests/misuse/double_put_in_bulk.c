/* SPDX-License-Identifier: MIT */
/* Misuse: an array that is put as a whole holds an item twice. */
#include "poolwise/pool.h"

int main(void)
{
    struct pwise_options options = {.name = "requests", .item_size = 64};
    pwise_pool *pool = pwise_pool_create(&options);
    void *items[6];
    pwise_get_bulk(pool, items, 6);
    items[4] = items[1];
    pwise_put_bulk(pool, items, 6); /* bulk put */
    return 0;
}
