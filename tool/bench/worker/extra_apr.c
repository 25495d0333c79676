/* SPDX-License-Identifier: MIT */
/*
 * APR's pools are arenas: an allocation is cheap, and memory comes back only with the whole pool.
 * So a put clears the thread's pool once as many items were put as got, which is how a server uses
 * one for each request. No item may outlive its thread's others: only Pair and Depth make sense.
 */
#include <errno.h>

#include <apr_general.h>
#include <apr_pools.h>

#include "peer.h"

static __thread apr_pool_t *pool;
static __thread unsigned out;

int extra_setup(size_t item_bytes)
{
    return apr_initialize() == APR_SUCCESS ? 0 : -EIO;
}

void extra_thread(void)
{
    apr_allocator_t *allocator;
    if (pool)
        return;
    if (apr_allocator_create(&allocator) != APR_SUCCESS ||
        apr_pool_create_ex(&pool, NULL, NULL, allocator) != APR_SUCCESS)
        abort();
}

void *extra_get(void)
{
    out++;
    return apr_palloc(pool, peer_bytes);
}

void extra_put(void *item)
{
    if (--out == 0)
        apr_pool_clear(pool);
}
