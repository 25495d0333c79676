/* SPDX-License-Identifier: MIT */
/*
 * From a call of malloc to the rule of its site.
 *
 * Sites are told by their innermost return addresses. Most calls are none's and one look at a table of malloc's own
 * return address says so. Where that address belongs to a wrapper and sites differ further up, the frames in between
 * are stepped over one by one, by unwind rules that were compiled when the table was built: nothing is guessed, so
 * nothing has to be verified, and a frame costs a load or two.
 *
 * A table is constant once published. A new one takes its place when modules come or go; old ones are kept, since
 * threads may be looking at them.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "homes.h"
#include "plan.h"

struct rule {
    uint32_t kind; /* enum plan_rule */
    uint32_t site; /* in the plan; UINT32_MAX: everything */
    /* Larger requests, and those of 0, are left to the program's allocator; PLAN_PASS: 0; PLAN_PRESIZE: the size
     * asked for. */
    size_t most_bytes;
    _Atomic(struct home *) home;    /* PLAN_ONE_SIZE: *single, once it is made */
    struct group *group;            /* PLAN_CLASSES */
    _Atomic(struct home *) *single; /* PLAN_ONE_SIZE: shared by the rules of a group */
};

struct site_node;

struct site_entry {
    uint64_t ra;                    /* 0: none */
    struct rule *rule;              /* NULL: this frame alone does not decide */
    const struct site_node *deeper; /* NULL: it alone does */
    _Atomic uint32_t seen;
};

/* Looked up by linear probing; at most one cell in eight is in use, so most look-ups end at the first. */
struct site_table {
    unsigned shift;
    bool look_again;        /* a module is being loaded: see sites_loading() */
    struct rule *otherwise; /* for calls of no site; NULL: none */
    struct site_entry entries[];
};

#pragma GCC visibility push(hidden)

extern _Atomic(struct site_table *) sites_now; /* never NULL */
/* This library's code; constant once the plan is known. */
extern uint64_t sites_own_start, sites_own_bytes;
extern bool sites_presize; /* some site has PLAN_PRESIZE; constant once the plan is known */

/* Reads the plan and builds the first table. 0 or -errno. Once, by one thread. */
int sites_init(struct plan *plan);

/* A module was unloaded. Any thread; not from inside the dynamic linker. */
void sites_unloaded(void);

/* A module is about to be loaded. Its constructors may allocate, so the next calls look whether it has come. */
void sites_loading(void);

/* What table->otherwise leads to: the rule for a call that is no site's. NULL: the program's allocator. */
struct rule *sites_otherwise_slow(uint64_t ra);

/* The entry that decides a call from inside a wrapper, or NULL. `sp` and `fp` are those of malloc's caller. */
struct site_entry *sites_deeper(struct site_entry *entry, uint64_t sp, uint64_t fp);

/* A block of this site was asked for, for the first time. */
void sites_seen_slow(struct site_entry *entry);

/* Around fork, as pthread_atfork's handlers. */
void sites_lock(void);
void sites_unlock(void);

#pragma GCC visibility pop

static inline size_t sites_index(const struct site_table *table, uint64_t ra)
{
    return (size_t)(ra * UINT64_C(0x9e3779b97f4a7c15) >> table->shift);
}

/* NULL: the call is of no site. There is always an empty cell at the end. */
static inline struct site_entry *sites_find(struct site_table *table, uint64_t ra)
{
    struct site_entry *entry = &table->entries[sites_index(table, ra)];
    while (__builtin_expect(entry->ra != 0, 0)) {
        if (entry->ra == ra)
            return entry;
        entry++;
    }
    return NULL;
}
