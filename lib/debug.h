/* SPDX-License-Identifier: MIT */
/*
 * Debug mode as the rest of the library sees it: hooks, each called only for a pool whose `debug`
 * is not NULL. docs/debug-mode.md lists what is found and how.
 *
 * `place` is the return address of the public function that the user called. Where nothing else is
 * said: any thread, no lock held. Lock order: thread, cycle, registry, depot, then debug mode's own
 * (rings, then shards); no callback and no call into the loader happens under those.
 */
#pragma once

#include "pool_internal.h"

#pragma GCC visibility push(hidden)

/* Whether a pool with these flags is one for debug mode. Reads PWISE_DEBUG once; aborts with a line
 * where it cannot be understood. */
bool debug_wanted(unsigned flags);

/* Sets pool->debug, at its making. 0 or -ENOMEM. */
int debug_pool_make(struct pool *pool);

/* Before the pool's memory goes: forgets its items. Only when nobody uses it any more. */
void debug_pool_gone(struct pool *pool);

/* The handle of a pool that is freed stays in memory for a while, so that its misuse is found. */
void debug_keep_handle(struct pwise_pool *handle, const char *pool_name);
_Noreturn void debug_destroyed_twice(const char *pool_name, void *place);

/* A put into a pool that is freed: no item of it can be out. Returns where that may be innocent. */
void debug_put_after_free(const char *pool_name, const void *item, void *place);

/* A fresh item, before anyone has it. */
void debug_made(struct pool *pool, void *item, void *place);

/* An item out of the cache, accessible to the checkers: checks it and gives it its contents back.
 */
void debug_get(struct pool *pool, void *item, void *place);

/* First of all at a put. True: the item is to be destroyed at once. */
bool debug_put(struct pool *pool, void *item, void *place);

/* Then, before it becomes inaccessible to the checkers: takes its contents away. */
void debug_hide(struct pool *pool, void *item);

/* Then, before it goes to the cache: the item that is to go there, which may be another one, or
 * NULL. True in *ret_closed: the pool is closed, and the item returned is to be destroyed. */
void *debug_delay(struct pool *pool, void *item, bool *ret_closed);

/* What debug_delay holds back: how many, and all of it, one by one; NULL: none. */
size_t debug_delayed(struct pool *pool);
void *debug_undelay(struct pool *pool);

/* An idle item that will be destroyed, accessible to the checkers: as debug_get. */
void debug_leave(struct pool *pool, void *item);

/* The blocks of a pool that makes its items itself, in place of item_block_take and _give. */
void *debug_block_take(struct pool *pool);
void debug_block_give(struct pool *pool, void *block);

/* The pool has been closed and drained: what is out may be reason to abort. */
void debug_closed(struct pool *pool);

/* With the registry's and the depots' locks held. */
void debug_fork_lock(void);
void debug_fork_unlock(void);

#pragma GCC visibility pop
