/* SPDX-License-Identifier: MIT */
/* Where functions begin and end, as the unwind tables (.eh_frame) have it: known even when all
 * names are stripped. */
#pragma once

#include <libelf.h>
#include <stddef.h>
#include <stdint.h>

struct frame_extent {
    uint64_t start, end;
};

/* All extents, sorted, in a malloc'd array; 0 with NULL when there are none or they cannot be read.
 */
size_t frame_extents_read(Elf *elf, struct frame_extent **ret_extents);

/* NULL: none covers address. */
const struct frame_extent *frame_extents_find(const struct frame_extent *extents, size_t count,
                                              uint64_t address);
