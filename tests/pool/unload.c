/* SPDX-License-Identifier: MIT */
/*
 * Property: code that has used a pool may be unloaded. The kernel looks at the descriptor of the last
 * section of a thread when the thread next runs; where the module that held it is gone by then and
 * left it armed, the kernel kills the process.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "check.h"
#include "poolwise/pool.h"

enum { ROUNDS = 50 };

static pwise_pool *pool;
static pthread_barrier_t used, unloaded;
static void (*pairs)(pwise_pool *pool);

static void *use(void *argument)
{
    for (int round = 0; round < ROUNDS; round++) {
        pairs(pool);
        pthread_barrier_wait(&used);
        pthread_barrier_wait(&unloaded); /* sleeps, and is scheduled again after the unloading */
    }
    return NULL;
}

int main(int argc, char **argv)
{
    CHECK_INT(argc, ==, 2);
    CHECK_INT(pwise_set_reclaim(PWISE_MANUAL, 0), ==, 0);
    struct pwise_options options = {.item_size = 64};
    pool = pwise_pool_create(&options);
    CHECK_PTR(pool, !=, NULL);
    pthread_barrier_init(&used, NULL, 2);
    pthread_barrier_init(&unloaded, NULL, 2);
    pthread_t thread;
    for (int round = 0; round < ROUNDS; round++) {
        void *plugin = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
        CHECK_PTR(plugin, !=, NULL);
        *(void **)&pairs = dlsym(plugin, "plugin_pairs");
        CHECK_PTR(*(void **)&pairs, !=, NULL);
        if (round == 0)
            CHECK_INT(pthread_create(&thread, NULL, use, NULL), ==, 0);
        else
            pthread_barrier_wait(&unloaded);
        pthread_barrier_wait(&used);
        pairs(pool);
        CHECK_INT(dlclose(plugin), ==, 0);
        CHECK_PTR(dlopen(argv[1], RTLD_NOW | RTLD_NOLOAD), ==, NULL);
        usleep(1000);
    }
    pthread_barrier_wait(&unloaded);
    pthread_join(thread, NULL);
    pwise_pool_destroy(pool);
    return 0;
}
