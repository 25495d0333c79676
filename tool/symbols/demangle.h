/* SPDX-License-Identifier: MIT */
/* From the names that linkers know to the names that people write. */
#pragma once

#include <stddef.h>

/* A malloc'd string for display: demangled (C++; Rust's older form), without parameters, return
 * type, template arguments that are defaults of the standard library, symbol version (@@V) and the
 * compiler's suffixes
 * (.part.0, .isra.0, .cold, ...). A name in no known form comes back as it is. NULL: out of memory.
 */
char *demangle(const char *linkage_name);
