/* SPDX-License-Identifier: MIT */
/* The plain worker has no further peer. */
#include <errno.h>

#include "peer.h"

int extra_setup(size_t item_bytes)
{
    return -ENOSYS;
}

void extra_thread(void)
{
}

void *extra_get(void)
{
    return NULL;
}

void extra_put(void *item)
{
}
