/* SPDX-License-Identifier: MIT */
/*
 * threads [THREADS [ITEMS]]: producers make blocks and hand them through one queue to consumers,
 * who free them: every block of size 6001 is freed by a thread that did not make it. Each thread
 * makes and frees blocks of its own, too. Then 1000 threads come and go one after the other, so
 * that thread-local memory, stacks and thread ids are used again.
 */
#include <pthread.h>
#include <stdbool.h>

#include "programs.h"

#define QUEUE_ITEMS   256
#define CHURN_THREADS 1000

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static void *queue[QUEUE_ITEMS];
static unsigned queue_head, queue_count, producers_left;
static int items_each = 20000;

static OWN_FRAME void own_work(void)
{
    void *block = malloc(6002);
    KEEP(block);
    free(block);
}

static OWN_FRAME void *make_item(void)
{
    void *item = malloc(6001);
    KEEP(item);
    return item;
}

static void *produce(void *unused)
{
    for (int i = 0; i < items_each; i++) {
        void *item = make_item();
        own_work();
        pthread_mutex_lock(&mutex);
        while (queue_count == QUEUE_ITEMS)
            pthread_cond_wait(&changed, &mutex);
        queue[(queue_head + queue_count++) % QUEUE_ITEMS] = item;
        pthread_cond_broadcast(&changed);
        pthread_mutex_unlock(&mutex);
    }
    pthread_mutex_lock(&mutex);
    producers_left--;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
    return unused;
}

static void *consume(void *unused)
{
    for (;;) {
        pthread_mutex_lock(&mutex);
        while (queue_count == 0 && producers_left > 0)
            pthread_cond_wait(&changed, &mutex);
        if (queue_count == 0) {
            pthread_mutex_unlock(&mutex);
            return unused;
        }
        void *item = queue[queue_head];
        queue_head = (queue_head + 1) % QUEUE_ITEMS;
        queue_count--;
        pthread_cond_broadcast(&changed);
        pthread_mutex_unlock(&mutex);
        own_work();
        free(item);
    }
}

static void *short_life(void *unused)
{
    void *block = malloc(6003);
    KEEP(block);
    free(block);
    return unused;
}

int main(int argc, char **argv)
{
    int threads = argc > 1 ? atoi(argv[1]) : 4;
    items_each = argc > 2 ? atoi(argv[2]) : items_each;
    CHECK(threads >= 2 && threads <= 64 && threads % 2 == 0 && items_each > 0);
    pthread_t handles[64];
    producers_left = (unsigned)threads / 2;
    for (int i = 0; i < threads; i++)
        CHECK(pthread_create(&handles[i], NULL, i % 2 == 0 ? produce : consume, NULL) == 0);
    for (int i = 0; i < threads; i++)
        CHECK(pthread_join(handles[i], NULL) == 0);
    CHECK(queue_count == 0);
    for (int i = 0; i < CHURN_THREADS; i++) {
        CHECK(pthread_create(&handles[0], NULL, short_life, NULL) == 0);
        CHECK(pthread_join(handles[0], NULL) == 0);
    }
    int items = threads / 2 * items_each;
    SAY("{\"threads\": %d, \"paths\": [{\"size\": 6001, \"through\": \"make_item\", \"count\": %d, "
        "\"freed_by_other_thread\": true}, {\"size\": 6002, \"through\": \"own_work\", \"count\": "
        "%d}, "
        "{\"size\": 6003, \"through\": \"short_life\", \"count\": %d}]}\n",
        1 + threads + CHURN_THREADS, items, 2 * items, CHURN_THREADS);
    return 0;
}
