/* SPDX-License-Identifier: MIT */
/* Misuse: an item that is idle in its pool is given to one that takes anything. */
#include "poolwise/pool.h"

int main(void)
{
    struct pwise_options requests = {.name = "requests", .item_size = 64};
    struct pwise_options spares = {.name = "spares"};
    pwise_pool *first = pwise_pool_create(&requests);
    pwise_pool *second = pwise_pool_create(&spares);
    void *item = pwise_get(first);
    pwise_put(first, item);  /* right put */
    pwise_put(second, item); /* wrong put */
    return 0;
}
