/* SPDX-License-Identifier: MIT */
/*
 * Property: while several threads look up the same and different addresses in a table too small for
 * them all, and another forgets all rules over and over, every rule that a lookup returns is the
 * one that compiling gives.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "modules.h"
#include "unwind.h"

#define THREADS       3
#define ADDRESSES     2000
#define HOT           300 /* addresses that half of the lookups go to */
#define TABLE_ENTRIES 1024
#define LOOKUPS       2000000

static struct wanted {
    uint64_t pc;
    struct unwind_rule rule[2]; /* for a return address, and exact */
} wanted[ADDRESSES];
static _Atomic unsigned running;

static void make_wanted(void)
{
    const void *header;
    uint64_t start, end;
    uint32_t count;
    int module = modules_find((uint64_t)qsort, &header, &start, &end);

    memcpy(&count, (const char *)header + 8, 4);
    for (unsigned i = 0; i < ADDRESSES; i++) {
        int32_t first;
        memcpy(&first, (const char *)header + 12 + (size_t)(i % count) * 8, 4);
        wanted[i].pc = (uint64_t)header + (uint64_t)(int64_t)first + i % 13;
        for (int exact = 0; exact < 2; exact++) {
            unwind_rule_compile(wanted[i].pc, exact, header, start, end, &wanted[i].rule[exact]);
            wanted[i].rule[exact].module = (uint16_t)module;
        }
    }
}

static void *look_up(void *argument)
{
    uint64_t state = (uint64_t)argument;
    unsigned wrong = 0;

    for (unsigned i = 0; i < LOOKUPS; i++) {
        state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
        /* So that slots change hands: the window in which a copy may tear is short. */
        unsigned index =
            state >> 63 ? (unsigned)(state >> 40) % HOT : (unsigned)(state >> 40) % ADDRESSES;
        bool exact = state >> 62 & 1;
        struct unwind_rule scratch;
        const struct unwind_rule *got = unwind_rule_find(wanted[index].pc, exact, &scratch);
        wrong += memcmp(got, &wanted[index].rule[exact], sizeof *got) != 0;
    }
    atomic_fetch_sub(&running, 1);
    return (void *)(uintptr_t)wrong;
}

int main(void)
{
    pthread_t threads[THREADS];
    unsigned long forgotten = 0;

    modules_read();
    CHECK_EQUAL(unwind_init(modules_find, TABLE_ENTRIES), 0);
    make_wanted();
    atomic_store(&running, THREADS);
    for (uintptr_t i = 0; i < THREADS; i++) {
        CHECK_EQUAL(pthread_create(&threads[i], NULL, look_up, (void *)(i * 77 + 5)), 0);
    }
    while (atomic_load(&running) > 0) {
        unwind_forget();
        forgotten++;
        for (volatile int i = 0; i < 300; i++) {
        }
    }
    for (unsigned i = 0; i < THREADS; i++) {
        void *wrong;
        pthread_join(threads[i], &wrong);
        CHECK_EQUAL((uintptr_t)wrong, 0);
    }
    CHECK_EQUAL(forgotten > 0, true);
    printf("%d lookups, forgotten %lu times, %u failures\n", THREADS * LOOKUPS, forgotten,
           failed_count);
    return failed_count ? 1 : 0;
}
