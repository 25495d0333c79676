/* SPDX-License-Identifier: MIT */
#pragma once

#include <libelf.h>
#include <stdint.h>

/* Where a stripped program begins, and its main() as the C library's start code names it to
 * __libc_start_main. Each 0: not known (a shared library, another machine, another start code). */
void entry_points_read(Elf *elf, uint64_t *ret_start, uint64_t *ret_main);
