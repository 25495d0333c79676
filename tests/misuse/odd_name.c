/* SPDX-License-Identifier: MIT */
/* Misuse: a double put into a pool whose name is two lines: what is printed stays one. */
#include "poolwise/pool.h"

int main(void)
{
    struct pwise_options options = {.name = "two\nlines", .item_size = 64};
    pwise_pool *pool = pwise_pool_create(&options);
    void *item = pwise_get(pool);
    pwise_put(pool, item); /* first put */
    pwise_put(pool, item); /* second put */
    return 0;
}
