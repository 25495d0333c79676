/* SPDX-License-Identifier: MIT */
/*
 * Where the library's memory comes from. Everything here may be called by any thread. The items of
 * pools without `create` come from item_block_*: from the pool's slabs where it has them.
 */
#pragma once

#include <stddef.h>

struct pool;

/* Zeroed, aligned to `align` (a power of two); NULL + ENOMEM. */
void *memory_take(size_t bytes, size_t align);
void memory_give(void *block);

/* A zeroed block of the pool's item size and alignment; NULL + ENOMEM. */
void *item_block_take(struct pool *pool);
void item_block_give(struct pool *pool, void *block);

/* Asks libc to return what it holds idle to the system. */
void memory_trim(void);
