/* SPDX-License-Identifier: MIT */
/*
 * What there is of a module in memory, from what _dl_find_object says of it. Mostly that is the whole mapping. Of a program
 * whose segments lie apart (as linkers make it for pages of 2 MiB, and some older ones at the end of what is made read-only
 * later) the C library knows only the segment that holds the address; the rest comes from the program's own headers.
 *
 * Any thread, any signal handler: neither locks nor allocates.
 */
#pragma once

#include <dlfcn.h>
#include <link.h>
#include <stdbool.h>
#include <stdint.h>

typedef ElfW(Phdr) elf_segment; /* a program header */

#pragma GCC visibility push(hidden)

/* The program headers; how many. 0: not found. */
unsigned mapping_segments(const struct dl_find_object *object, const elf_segment **ret_segments);

/* Whether all of `part` lies in a segment that is loaded. */
bool mapping_is_loaded(const elf_segment *segments, unsigned count, const elf_segment *part);

/* Readable memory around the module's unwind data, as unwind_find_module is to say. */
void mapping_around_unwind_data(const struct dl_find_object *object, uint64_t *ret_start,
                                uint64_t *ret_end);

#pragma GCC visibility pop
