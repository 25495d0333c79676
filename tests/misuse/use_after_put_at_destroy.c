/* SPDX-License-Identifier: MIT */
/* Misuse: as use_after_put, and the pool's destruction finds it. */
#include <stdlib.h>

#include "poolwise/pool.h"

static void *make(void *context)
{
    return calloc(1, 128);
}

int main(void)
{
    struct pwise_options options = {.name = "requests", .item_size = 128, .create = make};
    pwise_pool *pool = pwise_pool_create(&options);
    char *item = pwise_get(pool);
    pwise_put(pool, item); /* the put */
    item[127] = 1;
    pwise_pool_destroy(pool);
    return 0;
}
