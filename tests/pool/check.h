/* SPDX-License-Identifier: MIT */
/* Checks that print file, line and both values, and abort: also in threads. */
#pragma once

#include <inttypes.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define CHECK_INT(actual, relation, expected)                                                      \
    do {                                                                                           \
        intmax_t actual_ = (intmax_t)(actual), expected_ = (intmax_t)(expected);                   \
        if (!(actual_ relation expected_)) {                                                       \
            fprintf(stderr, "%s:%d: %s is %" PRIdMAX ", expected %s %s, which is %" PRIdMAX "\n",  \
                    __FILE__, __LINE__, #actual, actual_, #relation, #expected, expected_);        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

#define CHECK_PTR(actual, relation, expected)                                                      \
    do {                                                                                           \
        const void *actual_ = (actual), *expected_ = (expected);                                   \
        if (!(actual_ relation expected_)) {                                                       \
            fprintf(stderr, "%s:%d: %s is %p, expected %s %s, which is %p\n", __FILE__, __LINE__,  \
                    #actual, actual_, #relation, #expected, expected_);                            \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

#ifdef CPU_SET
/* For a test that wants the item back that it has just put: one thread, on one CPU from here on. */
static inline __attribute__((unused)) void check_on_one_cpu(void)
{
    int cpu = sched_getcpu();
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu < 0 ? 0 : cpu, &set);
    CHECK_INT(sched_setaffinity(0, sizeof(set), &set), ==, 0);
}
#endif
