/* SPDX-License-Identifier: MIT */
/* Text in columns of a terminal: UTF-8 counted by characters, not bytes. */
#pragma once

#include <stddef.h>
#include <stdio.h>

/* Terminal columns of `text`, each character one; a byte that is no UTF-8 counts as one. */
size_t layout_columns(const char *text);

/* Copies `text` into at most `columns` columns and `size` bytes: longer text loses its middle to an
 * ellipsis, invalid bytes become U+FFFD, control characters '?'. Terminates ret_text. */
void layout_fit(const char *text, size_t columns, char *ret_text, size_t size);

/* Writes `text` filled to lines of `width` columns (0: no limit), the first one after `first`
 * blanks that the caller has already written, the others after `indent` blanks; each newline of
 * `text` begins a new line. Ends with a newline. A word that is longer than a line is cut in its
 * middle. */
void layout_fill(FILE *stream, const char *text, size_t first, size_t indent, size_t width);

/* Bytes of the UTF-8 character at `text`, or 0 when there is no valid one. */
size_t layout_character(const char *text);
