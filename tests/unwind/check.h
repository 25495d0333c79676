/* SPDX-License-Identifier: MIT */
/* Prints file, line and both values of a comparison that failed, and counts it. */
#pragma once

#include <inttypes.h>
#include <stdio.h>

static unsigned failed_count;

#define CHECK_EQUAL(got, want)                                                                     \
    do {                                                                                           \
        uint64_t got_ = (uint64_t)(got), want_ = (uint64_t)(want);                                 \
        if (got_ != want_) {                                                                       \
            printf("%s:%d: %s is %#" PRIx64 ", want %s = %#" PRIx64 "\n", __FILE__, __LINE__,      \
                   #got, got_, #want, want_);                                                      \
            failed_count++;                                                                        \
        }                                                                                          \
    } while (0)
