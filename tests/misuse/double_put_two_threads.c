/* SPDX-License-Identifier: MIT */
/* Misuse: two threads that share an item both put it. */
#include <pthread.h>

#include "poolwise/pool.h"

static pwise_pool *pool;
static void *item;
static pthread_barrier_t barrier;

static void *finish(void *unused)
{
    pthread_barrier_wait(&barrier);
    pwise_put(pool, item); /* either put */
    return NULL;
}

int main(void)
{
    struct pwise_options options = {.name = "shared", .item_size = 64};
    pthread_t threads[2];
    pool = pwise_pool_create(&options);
    item = pwise_get(pool);
    pthread_barrier_init(&barrier, NULL, 2);
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, finish, NULL);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    return 0;
}
