/* SPDX-License-Identifier: MIT */
/* Misuse: a pointer that was kept is written through after the put; the next get finds it. */
#include "poolwise/pool.h"

int main(void)
{
    struct pwise_options options = {.name = "requests", .item_size = 64};
    pwise_pool *pool = pwise_pool_create(&options);
    char *item = pwise_get(pool);
    pwise_put(pool, item); /* the put */
    item[24] = 1;
    return !pwise_get(pool);
}
