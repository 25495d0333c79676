/* SPDX-License-Identifier: MIT */
/*
 * The operations on a slot that its id does for itself, and the fence that stops all others.
 *
 * <poolwise/sections.h> says what section_pop and section_push do. Beside them, with `id` read from
 * the thread's rseq area, all or nothing:
 *
 *   section_take(slots, &slot)
 *       slot = &slots[id]
 *       return exchange(slot->loaded, &magazine_empty)                             (commit)
 *
 * No section checks its id. An id is below slot_count, or it is one of the two negative numbers
 * that stand for a thread without registration: each pool has that many guard slots before
 * slots[0], in which magazine_empty stays loaded.
 *
 * None may run before rseq_init() has chosen a backend with sections, and none with the locked one:
 * arming a section writes to where rseq_cs_offset says.
 *
 * The magazine that section_take returns is private to the caller, unless it is magazine_empty.
 * Bodies: rseq_x86_64.h, rseq_aarch64.h. rseq_fallback.h has the take in C11 for every other case:
 * there the slot is the running CPU's at a glance, and the exchange alone gives privacy.
 */
#pragma once

#include "inject.h"
#include "pool_internal.h"

enum backend {
    BACKEND_LOCKED,
    BACKEND_CPU_ID,
    BACKEND_MM_CID,
};

#pragma GCC visibility push(hidden)

/* All constant once rseq_init() has returned. */
extern bool rseq_active;         /* the backend has sections */
extern ptrdiff_t rseq_id_offset; /* from the thread pointer to the id */
extern ptrdiff_t rseq_cs_offset; /* from the thread pointer to the armed descriptor */
extern uint32_t slot_count;      /* slots of every pool, at least 1, without the guards */
extern enum backend rseq_backend;

/* Chooses the backend once; any thread. Leaves errno alone. */
void rseq_init(void);

/* Again, in a forked child. */
void rseq_init_child(void);

/* Returns when no section that was running when it was called can still commit: those of `id`, or
 * all of them where id < 0. Does nothing for the locked backend, which needs none. */
void rseq_fence(int id);

/* Whether the kernel aborts a section that a signal interrupts. */
bool rseq_self_test(void);

#pragma GCC visibility pop

#ifdef PWISE_NO_SECTIONS
#define HAVE_SECTIONS 0
#else
#include "poolwise/sections.h"
#define HAVE_SECTIONS PWISE_HAVE_SECTIONS
#endif

#if HAVE_SECTIONS
#ifdef __x86_64__
#include "rseq_x86_64.h"
#else
#include "rseq_aarch64.h"
#endif

static inline __attribute__((always_inline)) bool section_pop(struct slot *slots, void **ret_item)
{
    return pwise_section_pop_(slots, rseq_id_offset, rseq_cs_offset, ret_item);
}

static inline __attribute__((always_inline)) bool section_push(struct slot *slots, void *item)
{
    return pwise_section_push_(slots, rseq_id_offset, rseq_cs_offset, item);
}
#endif

#include "rseq_fallback.h"

/* The slot this thread would use now: a hint, the thread may have moved on already. NULL: none. */
static inline struct slot *slot_hint(struct slot *slots)
{
#if HAVE_SECTIONS
    if (rseq_active) {
        int32_t id = section_id();
        return id >= 0 ? &slots[id] : NULL;
    }
#endif
    return &slots[fallback_id()];
}

/* The loaded magazine of this thread's slot, now private to the caller, or &magazine_empty.
 * *ret_slot: where it came from, or NULL for a guard. */
static inline struct magazine *slot_take(struct slot *slots, struct slot **ret_slot)
{
#if HAVE_SECTIONS
    if (rseq_active) {
        struct magazine *magazine = section_take(slots, ret_slot);
        if (unlikely(*ret_slot < slots))
            *ret_slot = NULL;
        return magazine;
    }
#endif
    return fallback_take(slots, ret_slot);
}
