/* SPDX-License-Identifier: MIT */
/* Misuse: an item is put twice, with no get between. */
#include "poolwise/pool.h"

int main(void)
{
    struct pwise_options options = {.name = "requests", .item_size = 64};
    pwise_pool *pool = pwise_pool_create(&options);
    void *item = pwise_get(pool);
    pwise_put(pool, item); /* first put */
    pwise_put(pool, item); /* second put */
    return 0;
}
