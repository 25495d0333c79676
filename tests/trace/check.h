/* SPDX-License-Identifier: MIT */
/* Prints file, line and both values of a comparison that failed, and counts it. */
#pragma once

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static unsigned failed_count;

#define CHECK_EQUAL(got, want)                                                                     \
    do {                                                                                           \
        int64_t got_ = (int64_t)(got), want_ = (int64_t)(want);                                    \
        if (got_ != want_) {                                                                       \
            printf("%s:%d: %s is %" PRId64 ", want %s = %" PRId64 "\n", __FILE__, __LINE__, #got,  \
                   got_, #want, want_);                                                            \
            failed_count++;                                                                        \
        }                                                                                          \
    } while (0)

#define CHECK_CONTAINS(text, part)                                                                 \
    do {                                                                                           \
        const char *text_ = (text), *part_ = (part);                                               \
        if (!strstr(text_, part_)) {                                                               \
            printf("%s:%d: %s is \"%s\", want \"%s\" in it\n", __FILE__, __LINE__, #text, text_,   \
                   part_);                                                                         \
            failed_count++;                                                                        \
        }                                                                                          \
    } while (0)
