/* SPDX-License-Identifier: MIT */
/* Misuse: the pool is NULL; found outside debug mode as well. */
#include "poolwise/pool.h"

int main(void)
{
    pwise_get(NULL);
    return 0;
}
