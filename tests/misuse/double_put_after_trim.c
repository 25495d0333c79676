/* SPDX-License-Identifier: MIT */
/* Misuse: an item is put again after the pool has destroyed it. */
#include <stdlib.h>

#include "poolwise/pool.h"

static void *make(void *context)
{
    return malloc(64);
}

int main(void)
{
    struct pwise_options options = {.name = "requests", .create = make};
    pwise_pool *pool = pwise_pool_create(&options);
    void *item = pwise_get(pool);
    pwise_put(pool, item); /* first put */
    pwise_trim();
    pwise_put(pool, item); /* second put */
    return 0;
}
