/* SPDX-License-Identifier: MIT */
/* Whether a program can have another allocator put before its own. */
#pragma once

/* The name of the checker that the program was built with and that brings an allocator of its own ("AddressSanitizer");
 * NULL: none, or the file cannot be read as a program. */
const char *victim_checker(const char *path);
