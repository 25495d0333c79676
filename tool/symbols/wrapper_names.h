/* SPDX-License-Identifier: MIT */
#pragma once

/* Whole names, and patterns where * stands for any text; each ends with NULL. */
extern const char *const wrapper_names[];
extern const char *const wrapper_globs[];
