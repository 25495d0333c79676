/* SPDX-License-Identifier: MIT */
/* The declarations of the pool's interface that snippets use, to check that snippets compile. */
#pragma once

#include <stddef.h>

typedef struct pwise_pool pwise_pool;

struct pwise_options {
    const char *name;
    size_t item_size;
    size_t item_align;
    void *(*create)(void *context);
    void (*destroy)(void *item, void *context);
    void (*reset)(void *item, void *context);
    size_t (*size_of)(const void *item, void *context);
    void *context;
    size_t max_item_bytes;
    size_t max_idle_bytes;
    unsigned per_cpu_items;
    unsigned flags;
};

pwise_pool *pwise_pool_create(const struct pwise_options *options);
void pwise_pool_destroy(pwise_pool *pool);
void *pwise_get(pwise_pool *pool);
void pwise_put(pwise_pool *pool, void *item);

#define PWISE_DEFINE_POOL(name, type, ...)                                                         \
    extern pwise_pool *name##_object;                                                              \
    static const struct pwise_options name##_options = {.item_size = sizeof(type), __VA_ARGS__};   \
    static inline type *name##_get(void)                                                           \
    {                                                                                              \
        (void)name##_options;                                                                      \
        return pwise_get(name##_object);                                                           \
    }                                                                                              \
    static inline void name##_put(type *item)                                                      \
    {                                                                                              \
        pwise_put(name##_object, item);                                                            \
    }                                                                                              \
    struct name##_end_of_definition
