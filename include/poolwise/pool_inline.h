/* SPDX-License-Identifier: MIT */
/*
 * poolwise/pool_inline.h: pwise_get and pwise_put compiled into the program. The contract is that
 * of <poolwise/pool.h>; what is saved are the two calls into a shared library of each pair, which
 * on many machines cost more than the pool does. Where the machine or the pool needs more than the
 * fast path, they call the library.
 *
 * The program takes the layout of version 0 of the library in: link it with libpoolwise.so.0. Not
 * for code that is unloaded by dlclose: the kernel may still look at its descriptors then. (C11 and
 * C++17 with the GNU extensions; elsewhere these are the calls.)
 */
#ifndef POOLWISE_POOL_INLINE_H
#define POOLWISE_POOL_INLINE_H

#include "poolwise/pool.h"
#include "poolwise/sections.h"

#ifdef __cplusplus
extern "C" {
#endif

/* As pwise_get. */
static inline void *pwise_get_inline(pwise_pool *pool)
{
#if PWISE_HAVE_SECTIONS
    void *slots = pool ? __atomic_load_n(&pool->slots_, __ATOMIC_ACQUIRE) : NULL;
    void *item;
    if (__builtin_expect(slots != NULL, 1) &&
        __builtin_expect(pwise_section_pop_(slots, pool->id_at_, pool->cs_at_, &item), 1))
        return item;
#endif
    return pwise_get(pool);
}

/* As pwise_put. */
static inline void pwise_put_inline(pwise_pool *pool, void *item)
{
#if PWISE_HAVE_SECTIONS
    void *slots = pool ? __atomic_load_n(&pool->slots_, __ATOMIC_ACQUIRE) : NULL;
    if (__builtin_expect(slots != NULL && item != NULL, 1) &&
        __builtin_expect(pwise_section_push_(slots, pool->id_at_, pool->cs_at_, item), 1))
        return;
#endif
    pwise_put(pool, item);
}

#ifdef __cplusplus
}
#endif

/* The plain names, where a program is to be changed by an include alone. */
#ifdef PWISE_INLINE_ALL
#define pwise_get(pool)       pwise_get_inline(pool)
#define pwise_put(pool, item) pwise_put_inline(pool, item)
#endif

#endif
