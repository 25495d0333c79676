/* SPDX-License-Identifier: MIT */
/* From solved functions to sites. */
#pragma once

#include "escape.h"
#include "solve.h"

struct site_list {
    struct escape_site *items;
    uint32_t count, capacity;
};

/* The sites of one function; strings and steps are in the program's arena. */
void judge_function(struct solve *solve, struct site_list *sites);
