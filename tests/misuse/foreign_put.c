/* SPDX-License-Identifier: MIT */
/* Misuse: an item comes from malloc, not from the pool that it is put into. */
#include <stdlib.h>

#include "poolwise/pool.h"

int main(void)
{
    struct pwise_options options = {.name = "requests", .item_size = 64};
    pwise_pool *pool = pwise_pool_create(&options);
    void *item = malloc(64);
    pwise_put(pool, item); /* foreign put */
    return 0;
}
