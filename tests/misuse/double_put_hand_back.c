/* SPDX-License-Identifier: MIT */
/* Misuse: a pool that destroys what it was given is given an item twice. */
#include <stdlib.h>

#include "poolwise/pool.h"

static void unmake(void *item, void *context)
{
    free(item);
}

int main(void)
{
    struct pwise_options options = {.name = "given", .destroy = unmake};
    pwise_pool *pool = pwise_pool_create(&options);
    void *item = malloc(64);
    pwise_put(pool, item); /* first put */
    pwise_put(pool, item); /* second put */
    return 0;
}
