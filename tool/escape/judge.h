/* SPDX-License-Identifier: MIT */
/* From solved functions to sites. */
#pragma once

#include "escape.h"
#include "solve.h"

struct site_list {
    struct escape_site *items;
    uint32_t count, capacity;
};

struct site_draft { /* a site whose chain goes no further than its own function */
    struct escape_site site;
    struct chain chain;
};

/* Drafts the sites of one function. Strings are in the program's arena. */
void judge_function(struct solve *solve);
/* Once all summaries are final: follows the chains through them. */
void judge_finish(struct program *program, const struct function *function,
                  struct site_list *sites);
