/* SPDX-License-Identifier: MIT */
/* Misuse: an item goes into another pool than it came from. */
#include "poolwise/pool.h"

int main(void)
{
    struct pwise_options requests = {.name = "requests", .item_size = 64};
    struct pwise_options replies = {.name = "replies", .item_size = 256};
    pwise_pool *right = pwise_pool_create(&requests);
    pwise_pool *wrong = pwise_pool_create(&replies);
    void *item = pwise_get(right);
    pwise_put(right, item); /* right put */
    item = pwise_get(right);
    pwise_put(wrong, item); /* wrong put */
    return 0;
}
