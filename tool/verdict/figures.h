/* SPDX-License-Identifier: MIT */
/*
 * Numbers as people read them. Each returns its text by value, so several fit in one printf:
 *     printf("%s of %s", figure_count(a).text, figure_count(b).text)
 * Any thread; neither allocates nor fails. Not a number and infinity come out as an en dash.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define FIGURE_UNKNOWN "\xe2\x80\x93" /* an en dash, for values that are not known */

struct figure {
    char text[40];
};

struct figure figure_count(uint64_t count);    /* "9,997" */
struct figure figure_compact(double count);    /* "847", "10.0 k", "1.2 M" */
struct figure figure_bytes(uint64_t bytes);    /* "64 B", "1.5 KiB", "1 MiB" */
struct figure figure_ns(double ns);            /* "9.8 ns", "3.1 µs", "1.25 s" */
struct figure figure_share(double share);      /* 0.123: "12.3 %", "<0.01 %", "-0.4 %" */
struct figure figure_ratio(double ratio);      /* "1.0x", "38x" */

/* Bytes of the word at `text`, which ends at a blank, a newline or the end; a number and its unit are
 * one word, so that no line is broken between them. 0 at a blank. */
size_t figure_word(const char *text);
