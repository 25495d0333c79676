/* SPDX-License-Identifier: MIT */
/*
 * printf for the plain conversions that make up most formats: %d %i %u %x with hh, h, l, ll or z;
 * %c; %s, %.Ns and %.*s; %%. No flags, widths, or other precisions. What it prints is what libc
 * prints. libc takes some 50 ns to set itself up for each call; this takes none.
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <sys/types.h>

#pragma GCC visibility push(hidden)

/*
 * Lays as much as fits into at[0..room) and returns the length of the whole, without a NUL; `at` may
 * be NULL where room is 0. FORMAT_OTHER: the format asks for more than this does, or the whole is
 * longer than INT_MAX; what was laid in is then of no meaning.
 */
#define FORMAT_OTHER (-1)
ssize_t format_plain(char *at, size_t room, const char *format, va_list arguments);

#pragma GCC visibility pop
