/* SPDX-License-Identifier: MIT */
/*
 * Blocks made larger than asked for, so that they need not grow. They come from the program's own allocator, as they
 * would if its author asked for more. That one would cut such a block down at the next realloc to a size below it, so
 * its last word carries a mark; a mark that the program overwrites only means that the block is resized as any other.
 * Leaving a block where it is is right whenever the new size fits, mark or not.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#pragma GCC visibility push(hidden)

void *presize_malloc(size_t size, size_t first_bytes);
void *presize_calloc(size_t size, size_t first_bytes);

/* Whether the block is a marked one and `size`, not 0, fits into it. */
bool presize_fits(void *block, size_t size);

#pragma GCC visibility pop
