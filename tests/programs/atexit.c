/* SPDX-License-Identifier: MIT */
/*
 * Allocation where main is not running: in a constructor, in thread-local destructors (of a thread
 * and of the main thread), in atexit handlers, in a destructor. The number said for each is right
 * only if nothing before or after main is missed.
 */
#include <pthread.h>

#include "programs.h"

#define MANY 50

static pthread_key_t key;

static OWN_FRAME void allocate(size_t size)
{
    for (int i = 0; i < MANY; i++) {
        void *block = malloc(size);
        KEEP(block);
        free(block);
    }
}

static __attribute__((constructor)) OWN_FRAME void before_main(void)
{
    allocate(13001);
    KEEP(&key);
}

static __attribute__((destructor)) OWN_FRAME void after_main(void)
{
    allocate(13002);
    SAY("{\"paths\": [{\"size\": 13001, \"through\": \"before_main\", \"count\": %d}, "
        "{\"size\": 13002, \"through\": \"after_main\", \"count\": %d}, "
        "{\"size\": 13003, \"through\": \"at_exit\", \"count\": %d}, "
        "{\"size\": 13004, \"through\": \"at_thread_end\", \"count\": %d}]}\n",
        MANY, MANY, MANY, MANY);
}

static OWN_FRAME void at_exit(void)
{
    allocate(13003);
    KEEP(&key);
}

static OWN_FRAME void at_thread_end(void *value)
{
    allocate(13004);
    KEEP(value);
}

static void *thread(void *value)
{
    CHECK(pthread_setspecific(key, value) == 0);
    return NULL;
}

int main(void)
{
    pthread_t handle;
    CHECK(atexit(at_exit) == 0);
    CHECK(pthread_key_create(&key, at_thread_end) == 0);
    CHECK(pthread_create(&handle, NULL, thread, &key) == 0);
    CHECK(pthread_join(handle, NULL) == 0);
    return 0;
}
