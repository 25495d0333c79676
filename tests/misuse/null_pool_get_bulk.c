/* SPDX-License-Identifier: MIT */
/* Misuse: the pool is NULL; found outside debug mode as well. */
#include "poolwise/pool.h"

int main(void)
{
    void *items[1] = {NULL};
    pwise_get_bulk(NULL, items, 1);
    return 0;
}
