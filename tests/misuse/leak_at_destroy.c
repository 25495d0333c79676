/* SPDX-License-Identifier: MIT */
/* Misuse: items are still out when their pool is destroyed. */
#include "poolwise/pool.h"

int main(void)
{
    struct pwise_options options = {.name = "requests", .item_size = 64};
    pwise_pool *pool = pwise_pool_create(&options);
    void *first = pwise_get(pool); /* the get */
    void *second = pwise_get(pool);
    void *third = pwise_get(pool);
    pwise_put(pool, second);
    pwise_pool_destroy(pool);
    return first == third;
}
