/* SPDX-License-Identifier: MIT */
/*
 * poolwise/buffer.h: growable buffers, a pool of them, and blocks of any size from pools.
 *
 * pwise_buffer       a growable run of bytes; usable without any pool.
 * pwise_buffer_pool  a pool of buffers for work of which one never knows how long it gets: it
 *                    learns how large its fresh buffers should be, and lets go of those that one
 *                    outlier has made large.
 * pwise_blocks       blocks of any size, from one pool for each size class.
 *
 * What they are not for: text that fits into an array of known size (use the array), a result that
 * is kept (detach it, or format it where it is kept), a general allocator.
 *
 * A buffer is one thread's at a time, like any other struct; the pools may be used by any number of
 * threads at once. No function here may be called from a signal handler.
 */
#ifndef POOLWISE_BUFFER_H
#define POOLWISE_BUFFER_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "poolwise/pool.h"

#ifdef __cplusplus
extern "C" {
#endif
#ifdef __GNUC__
#pragma GCC visibility push(default)
#define PWISE_FORMAT_(text, first) __attribute__((format(printf, text, first)))
#define PWISE_LIKELY_(condition)   __builtin_expect(!!(condition), 1)
#else
#define PWISE_FORMAT_(text, first)
#define PWISE_LIKELY_(condition) (condition)
#endif

/*
 * A growable buffer. All zero is an empty one, so `struct pwise_buffer b = PWISE_BUFFER_INIT;` and a
 * zeroed struct are usable at once. The members may be read at any time, and written to as follows:
 * up to capacity - 1 bytes may be laid into data, and length set to what is in use.
 *
 * length < capacity, or both are 0 and data is NULL. After every append, printf, reserve, reset and
 * get that succeeds, data[length] is a NUL byte: room for it is always kept, and it does not count
 * as length. Who writes to data directly writes it too, if it is wanted.
 */
struct pwise_buffer {
    char *data;      /* from malloc, or NULL while capacity is 0 */
    size_t length;   /* bytes in use */
    size_t capacity; /* bytes of data */
};

#define PWISE_BUFFER_INIT                                                                          \
    {                                                                                              \
        NULL, 0, 0                                                                                 \
    }

/* Makes the struct an empty buffer, whatever was in it. Cannot fail. */
static inline void pwise_buffer_init(struct pwise_buffer *buffer)
{
    buffer->data = NULL;
    buffer->length = 0;
    buffer->capacity = 0;
}

/* Frees what the buffer holds and leaves it empty. A buffer from a pool goes back by
 * pwise_buffer_pool_put instead, which may follow this. */
static inline void pwise_buffer_done(struct pwise_buffer *buffer)
{
    free(buffer->data);
    pwise_buffer_init(buffer);
}

/* Forgets the contents and keeps the memory. Cannot fail. */
static inline void pwise_buffer_reset(struct pwise_buffer *buffer)
{
    buffer->length = 0;
    if (buffer->data)
        buffer->data[0] = '\0';
}

/*
 * Sees to it that `count` more bytes can be laid in at data + length without growing. May move data.
 * Grows to the next size of pwise_blocks, so at most a quarter more than is needed.
 * 0, or, with the buffer as it was,
 *   -EOVERFLOW  no block can be that large;
 *   -ENOMEM     no memory.
 */
int pwise_buffer_reserve(struct pwise_buffer *buffer, size_t count);

/* The part of pwise_buffer_append that grows. */
int pwise_buffer_append_slow_(struct pwise_buffer *buffer, const void *bytes, size_t count);

/*
 * Appends `count` bytes, which may lie in the buffer itself; with a count of 0, `bytes` may be NULL.
 * May move data; grows to powers of two. 0, or, with the buffer as it was, -EOVERFLOW or -ENOMEM as
 * pwise_buffer_reserve.
 */
static inline int pwise_buffer_append(struct pwise_buffer *buffer, const void *bytes, size_t count)
{
    if (PWISE_LIKELY_(count < buffer->capacity - buffer->length)) {
        char *end = buffer->data + buffer->length;
        if (count != 0)
            memcpy(end, bytes, count);
        end[count] = '\0';
        buffer->length += count;
        return 0;
    }
    return pwise_buffer_append_slow_(buffer, bytes, count);
}

/*
 * Appends what printf would print, formatted straight into the room behind data + length; grows,
 * as append does, only when that does not do. No argument may point into the buffer. Plain
 * conversions (%d %i %u %x %c %s %% with h, l, ll, z, and %.*s or %.Ns) cost a fraction of what
 * libc takes for them; a format with any other goes to vsnprintf as a whole.
 * 0, or, with the buffer as it was,
 *   -EOVERFLOW, -ENOMEM  as pwise_buffer_reserve;
 *   -EILSEQ and others   what vsnprintf left in errno.
 */
int pwise_buffer_printf(struct pwise_buffer *buffer, const char *format, ...) PWISE_FORMAT_(2, 3);
int pwise_buffer_vprintf(struct pwise_buffer *buffer, const char *format, va_list arguments)
    PWISE_FORMAT_(2, 0);

/*
 * Hands over the block: the caller owns it and frees it with free(). The buffer is left empty, with
 * no memory. *ret_length, unless NULL, is set to the length. NULL when the buffer has no memory.
 */
static inline char *pwise_buffer_detach(struct pwise_buffer *buffer, size_t *ret_length)
{
    char *data = buffer->data;
    if (ret_length)
        *ret_length = buffer->length;
    pwise_buffer_init(buffer);
    return data;
}

/*
 * A pool of buffers.
 *
 * What counts as used is the length at put: do not reset a buffer before it is put, the pool does.
 *
 * Fresh buffers are as large as 31 of 32 recent uses needed; above 4 KiB only as far as three in
 * eight fill a quarter of that, since the rest would be let go again at once. "Recent"
 * weighs the last fifty thousand uses or so; one use in 128 is looked at. Uses of length 0, and those that
 * outgrew max_capacity, teach nothing.
 *
 * A buffer that is put stays unless its capacity is over max_capacity, or the pool's buffers would
 * come to more than max_idle_bytes, or it is larger than 4 KiB and not being used: at each put of
 * such a one less than a quarter of which was used it gets a strike, at the fourth in a row it goes; at the
 * 120th, where at least one recent use in 32 was as large as such a quarter.
 * What stays ages like every pool's items, by the same cycles.
 *
 * A get and a put together cost about 1.3 times those of a plain pool (bench/results).
 */
typedef struct pwise_buffer_pool pwise_buffer_pool;

/* Zero means the default, field by field. */
struct pwise_buffer_pool_options {
    const char *name;      /* shown in statistics; copied, at most 47 bytes; NULL: "buffers" */
    size_t start_capacity; /* bytes of fresh buffers until there is something to learn from;
                            * 0: 256; at most max_capacity */
    size_t max_capacity;   /* bytes; a larger buffer is freed at put. 0: 64 KiB, since larger ones
                            * are rare in most programs, and just one for each cache would come to
                            * more than all the others; SIZE_MAX: no bound */
    size_t max_idle_bytes; /* capacities of all buffers that were put and not freed, whether idle or
                            * handed out again; 0: 64 MiB */
    unsigned per_cpu_items; /* buffers idle in one CPU's cache, at most 65534; 0: 64 */
    unsigned flags;         /* PWISE_NO_STEAL */
};

/*
 * Makes a pool of buffers. `options` is copied; NULL means all defaults. The pool is the caller's
 * until pwise_buffer_pool_destroy; NULL with errno
 *   EINVAL  start_capacity over max_capacity, per_cpu_items over 65534, or an unknown flag;
 *   ENOMEM  no memory.
 */
pwise_buffer_pool *pwise_buffer_pool_create(const struct pwise_buffer_pool_options *options);

/* Frees every idle buffer and the pool. Buffers that are out stay valid; their put frees them, and
 * the last one the pool. A get meanwhile gives NULL (EINVAL). NULL does nothing. Any thread, once. */
void pwise_buffer_pool_destroy(pwise_buffer_pool *pool);

/*
 * Hands out an empty buffer with memory; the caller owns it until it is put back. NULL with errno
 *   EINVAL  the pool is destroyed;
 *   ENOMEM  no memory.
 * Any thread. Usually neither blocks nor allocates.
 */
struct pwise_buffer *pwise_buffer_pool_get(pwise_buffer_pool *pool);

/* Gives back a buffer that came from this pool; its contents are forgotten. NULL does nothing.
 * Leaves errno alone. Any thread. Usually neither blocks nor allocates. */
void pwise_buffer_pool_put(pwise_buffer_pool *pool, struct pwise_buffer *buffer);

/* As pwise_pool_stats. idle_bytes are the capacities of all buffers that were put and not freed,
 * those handed out again included; destroys_unused are those that went by strikes. */
int pwise_buffer_pool_stats(const pwise_buffer_pool *pool, struct pwise_stats *ret_stats);

/* Bytes that a fresh buffer would get now. */
size_t pwise_buffer_pool_start_capacity(const pwise_buffer_pool *pool);

#ifdef __GNUC__
/*
 * The recommended use: an empty buffer that is put back when the scope ends, whichever way it does.
 *     PWISE_SCOPED_BUFFER(pages, page);    declares struct pwise_buffer *const page
 *     if (!page)                           as pwise_buffer_pool_get: errno says why
 *         return -errno;
 * pwise_buffer_detach takes the contents out, should they be kept. (C11 and C++17 with the GNU
 * extensions.)
 */
#define PWISE_SCOPED_BUFFER(pool, name)                                                            \
    __attribute__((                                                                                \
        cleanup(pwise_buffer_scope_end_))) struct pwise_buffer_scope_ pwise_scope_of_##name =      \
        pwise_buffer_scope_begin_(pool);                                                           \
    struct pwise_buffer *const name = pwise_scope_of_##name.buffer

struct pwise_buffer_scope_ {
    pwise_buffer_pool *pool;
    struct pwise_buffer *buffer;
};

static inline struct pwise_buffer_scope_ pwise_buffer_scope_begin_(pwise_buffer_pool *pool)
{
    struct pwise_buffer_scope_ scope = {pool, pwise_buffer_pool_get(pool)};
    return scope;
}

static inline void pwise_buffer_scope_end_(struct pwise_buffer_scope_ *scope)
{
    pwise_buffer_pool_put(scope->pool, scope->buffer);
}
#endif

/*
 * Blocks of any size, from one pool for each class of sizes. Classes are 16, 32, 48 and 64 bytes,
 * then four to each doubling: 80, 96, 112, 128, 160, 192, 224, 256, 320, ...
 *
 * A block is the smallest class that holds the size asked for, so it wastes at most 15 bytes up to
 * 64 and less than a fifth of the block above (a quarter of the size asked for). Every block is
 * aligned as malloc's are. Sizes over max_block_bytes go straight to malloc and free. Contents are
 * undefined. A class's pool is made at its first use, is named NAME/SIZE, ages by the same cycles
 * as all pools, and appears in pwise_each_pool.
 */
typedef struct pwise_blocks pwise_blocks;

/* Zero means the default, field by field. */
struct pwise_blocks_options {
    const char *name;       /* copied, at most 31 bytes; NULL: "blocks" */
    size_t max_block_bytes; /* the largest class is the last one not above this; 0: 1 MiB; at most
                             * 1 GiB, at least 16 */
    size_t max_idle_bytes;  /* of each class; 0: 8 MiB, or 8 blocks where that is more */
    unsigned per_cpu_items; /* blocks of a class idle in one CPU's cache; 0: as pwise_options */
    unsigned flags;         /* PWISE_NO_STEAL */
};

/* NULL with errno
 *   EINVAL  max_block_bytes out of range, per_cpu_items over 65534, or an unknown flag;
 *   ENOMEM  no memory. */
pwise_blocks *pwise_blocks_create(const struct pwise_blocks_options *options);

/* Destroys every idle block. Blocks that are out stay valid; their put frees them. Once the last of
 * those from classes is put, all is freed: larger ones must be put before that. A get meanwhile
 * gives NULL (EINVAL). NULL does nothing. Any thread, once. */
void pwise_blocks_destroy(pwise_blocks *blocks);

/*
 * Hands out a block of at least `size` bytes (0 counts as 1); the caller owns it until it is put.
 * *ret_capacity, unless ret_capacity is NULL, is set to its true size, all of which may be used.
 * NULL with errno
 *   EINVAL  destroyed;
 *   ENOMEM  no memory.
 * Any thread. Usually neither blocks nor allocates.
 */
void *pwise_blocks_get(pwise_blocks *blocks, size_t size, size_t *ret_capacity);

/*
 * Gives a block back. `capacity` is what pwise_blocks_get said, or the size it was asked for: both
 * lead to the same class. A NULL block does nothing. Leaves errno alone. Any thread. Usually neither
 * blocks nor allocates.
 */
void pwise_blocks_put(pwise_blocks *blocks, void *block, size_t capacity);

/*
 * The sums over all classes, as pwise_pool_stats fills them. Blocks over max_block_bytes count as
 * gets, creates, puts and destroys_oversize. create_ns_mean, destroy_ns_mean and saved_ns are over
 * the classes alone; 0 or -EINVAL.
 */
int pwise_blocks_stats(const pwise_blocks *blocks, struct pwise_stats *ret_stats);

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif

#endif
