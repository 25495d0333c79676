/* SPDX-License-Identifier: MIT */
#include "endpoints.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <poolwise/pool.h>

/* Where pools are built in, an item comes from one; else from malloc. */
struct text {
    char *data;
    size_t length, capacity;
};

static int text_reserve(struct text *text, size_t needed)
{
    size_t capacity = text->capacity ? text->capacity : 64;
    while (capacity < needed)
        capacity *= 2;
    if (capacity == text->capacity)
        return 0;
    char *data = realloc(text->data, capacity);
    if (!data)
        return -1;
    text->data = data;
    text->capacity = capacity;
    return 0;
}

static __attribute__((format(printf, 2, 3))) int text_printf(struct text *text, const char *format,
                                                             ...)
{
    va_list arguments;
    for (;;) {
        va_start(arguments, format);
        int length =
            vsnprintf(text->data + text->length, text->capacity - text->length, format, arguments);
        va_end(arguments);
        if (length < 0)
            return -1;
        if (text->length + (size_t)length < text->capacity) {
            text->length += (size_t)length;
            return 0;
        }
        if (text_reserve(text, text->length + (size_t)length + 1))
            return -1;
    }
}

/* /render: a page of 200 lines, sent as it is. */
#define PAGE_BYTES 4096

#if POOLS == POOLS_EVERYTHING
static void text_destroy(void *item, void *context)
{
    free(((struct text *)item)->data);
    free(item);
}

static void *text_create(void *context)
{
    return calloc(1, sizeof(struct text));
}

static pwise_pool pages =
    PWISE_POOL_INIT(.name = "pages", .create = text_create, .destroy = text_destroy);
#endif

static int page_write(struct text *page)
{
    int failed = 0;
    for (int i = 0; i < 200; i++)
        failed |= text_printf(page, "row=%d val=%d\n", i, i * 7);
    return failed;
}

int endpoint_render(struct answer *ret_answer)
{
#if POOLS == POOLS_EVERYTHING
    /* The answer outlives this call, so what the pool saves it must copy. */
    struct text *page = pwise_get(&pages);
    char *copy = NULL;
    if (!page)
        return -1;
    page->length = 0;
    int failed = text_reserve(page, 1) || page_write(page) || !(copy = malloc(page->length));
    if (!failed) {
        memcpy(copy, page->data, page->length);
        ret_answer->data = copy;
        ret_answer->length = page->length;
    }
    pwise_put(&pages, page);
    return failed ? -1 : 0;
#else
    struct text page = {NULL, 0, 0};
    if (text_reserve(&page, POOLS == POOLS_ADVISED ? PAGE_BYTES : 1) || page_write(&page)) {
        free(page.data);
        return -1;
    }
    ret_answer->data = page.data;
    ret_answer->length = page.length;
    return 0;
#endif
}

/* /event: a hundred records, each made, counted, and gone. */
#define EVENTS 100

struct event {
    int64_t id;
    uint8_t kind;
    uint16_t source;
};

#if POOLS == POOLS_EVERYTHING
PWISE_DEFINE_POOL(event_pool, struct event);
#endif

static __attribute__((noinline)) void event_count(const struct event *event, uint64_t *sum)
{
    *sum += (uint64_t)event->id * 31 + event->source + event->kind;
}

int endpoint_event(struct answer *ret_answer)
{
    uint64_t sum = 0;
    for (int64_t id = 0; id < EVENTS; id++) {
#if POOLS == POOLS_ADVISED
        struct event here, *event = &here;
#elif POOLS == POOLS_EVERYTHING
        struct event *event = event_pool_get();
#else
        struct event *event = malloc(sizeof *event);
#endif
        if (!event)
            return -1;
        *event = (struct event){.id = id, .kind = (uint8_t)(id % 5), .source = (uint16_t)(id * 7)};
        event_count(event, &sum);
#if POOLS == POOLS_EVERYTHING
        event_pool_put(event);
#elif POOLS == POOLS_NONE
        free(event);
#endif
    }
    ret_answer->length = (size_t)snprintf(ret_answer->small, sizeof ret_answer->small, "%llu\n",
                                          (unsigned long long)sum);
    return 0;
}

/* /frame: a hundred payloads through a queue of eight; one in 10,000 is of 1 MiB. */
#define FRAMES     100
#define WAITING    8
#define LARGE      (1024 * 1024)
#define KEPT_BYTES (64 * 1024)
#define HEAD       64

struct payload {
    char *data;
    size_t capacity;
};

static __thread uint64_t sequence = 88172645463325252u;

static size_t payload_size(void)
{
    sequence ^= sequence << 13;
    sequence ^= sequence >> 7;
    sequence ^= sequence << 17;
    return sequence % 10000 == 0 ? LARGE : 640 + (sequence >> 32) % 385;
}

#if POOLS != POOLS_NONE
static void *payload_create(void *context)
{
    return calloc(1, sizeof(struct payload));
}

static void payload_destroy(void *item, void *context)
{
    free(((struct payload *)item)->data);
    free(item);
}

static pwise_pool payloads =
    PWISE_POOL_INIT(.name = "payloads", .create = payload_create, .destroy = payload_destroy);

static struct payload *payload_get(size_t size)
{
    struct payload *payload = pwise_get(&payloads);
    if (payload && payload->capacity < size) {
        free(payload->data);
        payload->data = malloc(size);
        payload->capacity = payload->data ? size : 0;
    }
    if (payload && !payload->data) {
        pwise_put(&payloads, payload);
        return NULL;
    }
    return payload;
}

static void payload_put(struct payload *payload)
{
#if POOLS == POOLS_ADVISED
    if (payload && payload->capacity > KEPT_BYTES) {
        free(payload->data);
        *payload = (struct payload){NULL, 0};
    }
#endif
    pwise_put(&payloads, payload);
}
#endif

int endpoint_frame(struct answer *ret_answer)
{
    uint64_t sum = 0;
    int failed = 0;
#if POOLS == POOLS_NONE
    char *waiting[WAITING] = {NULL};
#else
    struct payload *waiting[WAITING] = {NULL};
#endif
    for (int i = 0; i < FRAMES + WAITING; i++) {
        int slot = i % WAITING;
        if (waiting[slot]) {
#if POOLS == POOLS_NONE
            sum += (uint8_t)waiting[slot][HEAD / 2];
            free(waiting[slot]);
#else
            sum += (uint8_t)waiting[slot]->data[HEAD / 2];
            payload_put(waiting[slot]);
#endif
            waiting[slot] = NULL;
        }
        if (i >= FRAMES || failed)
            continue;
        size_t size = payload_size();
#if POOLS == POOLS_NONE
        char *data = waiting[slot] = malloc(size);
#else
        waiting[slot] = payload_get(size);
        char *data = waiting[slot] ? waiting[slot]->data : NULL;
#endif
        if (!data) {
            failed = 1;
            continue;
        }
        memset(data, i, HEAD);
        for (size_t at = 4096; at < size; at += 4096)
            data[at] = 1; /* a payload arrives in whole */
    }
    ret_answer->length = (size_t)snprintf(ret_answer->small, sizeof ret_answer->small, "%llu\n",
                                          (unsigned long long)sum);
    return failed ? -1 : 0;
}

/* /ping: nothing worth allocating. */
#if POOLS == POOLS_EVERYTHING
struct context {
    char scratch[64];
};
PWISE_DEFINE_POOL(context_pool, struct context);
#endif

int endpoint_ping(struct answer *ret_answer)
{
#if POOLS == POOLS_EVERYTHING
    struct context *context = context_pool_get();
    if (!context)
        return -1;
    memcpy(context->scratch, "pong\n", 5);
    memcpy(ret_answer->small, context->scratch, 5);
    context_pool_put(context);
#else
    memcpy(ret_answer->small, "pong\n", 5);
#endif
    ret_answer->length = 5;
    return 0;
}
