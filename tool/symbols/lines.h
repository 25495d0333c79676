/* SPDX-License-Identifier: MIT */
/* An address's source line and the calls inlined there, from DWARF. */
#pragma once

#include "module_file.h"
#include "symbols.h"

/* Opens file's debug information if it is not; false: it has none. The file must have been opened.
 */
bool line_index_open(struct module_file *file);
void line_index_close(struct module_file *file);

/* Fills at most max lines, innermost first, the last one the function itself (if max allows);
 * strings go to `strings`. function is NULL where DWARF knows no name. 0: address lies in no unit.
 */
size_t line_index_find(struct line_index *index, struct string_set *strings, uint64_t address,
                       struct symbols_line *ret_lines, size_t max);
