/* SPDX-License-Identifier: MIT */
/* Misuse: an item is freed although the pool has it, and its memory is given out again. */
#include "poolwise/pool.h"

/* An allocator of one block, which may be given out again once it has been freed. */
static char block[64];

static void *allocate(void *context)
{
    return block;
}

int main(void)
{
    struct pwise_options requests = {.name = "requests", .create = allocate};
    struct pwise_options replies = {.name = "replies", .create = allocate};
    pwise_pool *first = pwise_pool_create(&requests);
    pwise_pool *second = pwise_pool_create(&replies);
    void *item = pwise_get(first);
    pwise_put(first, item); /* the put */
    /* Here the program would call free(item). */
    return !pwise_get(second);
}
