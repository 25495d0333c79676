/* SPDX-License-Identifier: MIT */
/* Misuse: PWISE_DEBUG holds a word that is not known. */
#include "poolwise/pool.h"

int main(void)
{
    struct pwise_options options = {.name = "requests", .item_size = 64};
    return !pwise_pool_create(&options);
}
