/* SPDX-License-Identifier: MIT */
/* A failed check says where, and both values; the program's status tells how many failed. */
#pragma once

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static int failures;

#define CHECK_TEXT(what, got, want) check_text(__FILE__, __LINE__, what, got, want)
#define CHECK_NUMBER(what, got, want)                                                              \
    check_number(__FILE__, __LINE__, what, (uint64_t)(got), (uint64_t)(want))

static inline void check_text(const char *file, int line, const char *what, const char *got,
                              const char *want)
{
    if ((!got && !want) || (got && want && strcmp(got, want) == 0))
        return;
    failures++;
    fprintf(stderr, "%s:%d: %s: got \"%s\", want \"%s\"\n", file, line, what, got ? got : "(null)",
            want ? want : "(null)");
}

static inline void check_number(const char *file, int line, const char *what, uint64_t got,
                                uint64_t want)
{
    if (got == want)
        return;
    failures++;
    fprintf(stderr, "%s:%d: %s: got %" PRIu64 " (%#" PRIx64 "), want %" PRIu64 " (%#" PRIx64 ")\n",
            file, line, what, got, got, want, want);
}
