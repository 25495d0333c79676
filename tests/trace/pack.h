/* SPDX-License-Identifier: MIT */
/*
 * A trace with its blocks unpacked and back: changes made in between get past the checksums, to the
 * code behind them. Plain, each block is its header, definitions and events as they are.
 */
#pragma once

#include <stddef.h>

/* Each gives malloc'ed bytes. Unpacking is for valid traces; packing takes anything, and mends
 * lengths and checksums on the way. */
unsigned char *pack_open(const unsigned char *trace, size_t size, size_t *ret_size);
unsigned char *pack_close(const unsigned char *plain, size_t size, size_t *ret_size);

/* Reads bytes as a trace and aborts when what comes out breaks a rule of trace.h. How many events
 * came. */
size_t pack_try(const unsigned char *trace, size_t size);
