/* SPDX-License-Identifier: MIT */
/*
 * The fast path of pwise_get and pwise_put, compiled into the program; <poolwise/pool.h> includes
 * this. What it saves are the two calls into a shared library of each pair, which cost more than the
 * pool does. Where the machine or the pool needs more than the fast path, the library is called.
 *
 * gnu_inline: these bodies serve for inlining alone; without optimization, and where the address of
 * a function is taken, the library's function is meant.
 */
#ifndef POOLWISE_POOL_INLINE_H
#define POOLWISE_POOL_INLINE_H

#ifndef POOLWISE_POOL_H
#error "include <poolwise/pool.h>"
#endif

/* The compiler's own measure of what is worth inlining leaves them out where a function is large. */
#ifdef __OPTIMIZE__
#define PWISE_INLINE_ extern __inline__ __attribute__((__gnu_inline__, __always_inline__))
#else
#define PWISE_INLINE_ extern __inline__ __attribute__((__gnu_inline__))
#endif

extern void *pwise_get_call_(pwise_pool *pool) __asm__("pwise_get");
extern void pwise_put_call_(pwise_pool *pool, void *item) __asm__("pwise_put");

/* Where the C library says at once where its rseq area lies, the compiler may keep that in a
 * register; elsewhere the pool knows. */
#if defined(__GLIBC_PREREQ)
#if __GLIBC_PREREQ(2, 35)
extern const ptrdiff_t __rseq_offset;
#define PWISE_CS_AT_(pool) (__rseq_offset + 8)
#endif
#endif
#ifndef PWISE_CS_AT_
#define PWISE_CS_AT_(pool) ((pool)->cs_at_)
#endif

PWISE_INLINE_ void *pwise_get(pwise_pool *pool)
{
    void *slots = pool ? __atomic_load_n(&pool->slots_, __ATOMIC_ACQUIRE) : NULL;
    void *item;
    if (__builtin_expect(slots != NULL, 1) &&
        __builtin_expect(pwise_section_pop_(slots, pool->id_at_, PWISE_CS_AT_(pool), &item), 1))
        return item;
    return pwise_get_call_(pool);
}

PWISE_INLINE_ void pwise_put(pwise_pool *pool, void *item)
{
    void *slots = pool ? __atomic_load_n(&pool->slots_, __ATOMIC_ACQUIRE) : NULL;
    if (__builtin_expect(slots != NULL && item != NULL, 1) &&
        __builtin_expect(pwise_section_push_(slots, pool->id_at_, PWISE_CS_AT_(pool), item), 1))
        return;
    pwise_put_call_(pool, item);
}

#endif
