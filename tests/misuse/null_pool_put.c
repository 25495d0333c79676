/* SPDX-License-Identifier: MIT */
/* Misuse: the pool is NULL; found outside debug mode as well. */
#include "poolwise/pool.h"

int main(void)
{
    int item;
    pwise_put(NULL, &item);
    return 0;
}
