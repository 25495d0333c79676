/* SPDX-License-Identifier: MIT */
/* One run of the analysis; for the files that carry it out, in this order. */
#pragma once

#include "escape.h"
#include "judge.h"
#include "lift.h"
#include "solve.h"

#define NOTES_MAX 64u

struct escape {
    struct program program;
    struct rules rules;
    struct llvm llvm;
    struct site_list sites;
    struct escape_counts counts;
    char *notes[NOTES_MAX + 1];
    size_t note_count;
    jmp_buf failed;
    struct arena scratch; /* of the function that is solved */
};

/* What the command line says of functions and fields. 0, -EINVAL with ret_message, -ENOMEM. */
int run_rules(struct escape *escape, const struct libc_user *user, char *ret_message,
              size_t message_size);
/* The inputs' units, several at once; what is wrong with single ones becomes notes. */
int run_read(struct escape *escape, const struct escape_input *inputs, size_t count,
             const struct escape_options *options, char *clang, char *ret_message,
             size_t message_size);
/* Callees before callers, cycles of calls together; who calls whom; who is called through pointers. */
void run_order(struct escape *escape);
/* Sorted, a site once, paths as the user would write them. */
void run_sites(struct escape *escape);
