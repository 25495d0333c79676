/* SPDX-License-Identifier: MIT */
/* Misuse: a write behind the end of an item that is out; with guard pages it is stopped. */
#include "poolwise/pool.h"

int main(void)
{
    struct pwise_options options = {.name = "requests", .item_size = 6000, .item_align = 16};
    pwise_pool *pool = pwise_pool_create(&options);
    volatile char *item = pwise_get(pool);
    for (int i = 0; i < 6000; i++)
        item[i] = 1;
    item[6000] = 1;
    return 0;
}
