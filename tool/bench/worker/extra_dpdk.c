/* SPDX-License-Identifier: MIT */
/* DPDK's mempool: a cache of 128 objects for each thread that it knows, before a shared ring. It
 * runs without huge pages here, which costs it TLB misses but needs no set-up of the machine. */
#include <errno.h>

#include <rte_eal.h>
#include <rte_lcore.h>
#include <rte_mempool.h>

#include "peer.h"

#define OBJECTS 65535
#define CACHE   128

static struct rte_mempool *mempool;
static __thread bool registered;

int extra_setup(size_t item_bytes)
{
    static char *arguments[] = {
        "bench-worker",  "--no-huge", "--no-shconf", "--no-pci", "--no-telemetry", "-m", "128",
        "--log-level=1", "-l",        "0",           NULL};
    if (rte_eal_init((int)(sizeof arguments / sizeof *arguments) - 1, arguments) < 0)
        return -EIO;
    mempool = rte_mempool_create("bench", OBJECTS, (unsigned)item_bytes, CACHE, 0, NULL, NULL, NULL,
                                 NULL, SOCKET_ID_ANY, 0);
    return mempool ? 0 : -ENOMEM;
}

void extra_thread(void)
{
    if (!registered)
        registered = rte_thread_register() == 0;
}

void *extra_get(void)
{
    void *item;
    return rte_mempool_get(mempool, &item) ? NULL : item;
}

void extra_put(void *item)
{
    rte_mempool_put(mempool, item);
}
