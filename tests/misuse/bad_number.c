/* SPDX-License-Identifier: MIT */
/* Misuse: PWISE_DEBUG gives a number that is none. */
#include "poolwise/pool.h"

int main(void)
{
    struct pwise_options options = {.name = "requests", .item_size = 64};
    return !pwise_pool_create(&options);
}
