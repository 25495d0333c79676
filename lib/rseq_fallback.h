/* SPDX-License-Identifier: MIT */
/*
 * The take for machines and checkers without restartable sequences, in C11 atomics. The exchange
 * makes the magazine private whoever else looks at the slot, so the CPU's number is only a good
 * guess and no fence is needed; get and put are then a take, a plain push or pop, and an install
 * (slow.c).
 */
#pragma once

#include <sched.h>

#include "rseq.h"

static inline uint32_t fallback_id(void)
{
    int cpu = sched_getcpu();
    return cpu < 0 ? 0 : (uint32_t)cpu % slot_count;
}

static inline struct magazine *fallback_take(struct slot *slots, struct slot **ret_slot)
{
    struct slot *slot = &slots[fallback_id()];
    *ret_slot = slot;
    /* acquire: the install that published the magazine */
    return atomic_exchange_explicit(&slot->loaded, MAGAZINE_EMPTY, memory_order_acquire);
}
