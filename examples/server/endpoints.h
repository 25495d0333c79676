/* SPDX-License-Identifier: MIT */
/*
 * What the server answers. Each endpoint allocates in its own way; POOLS says what the build does
 * about it:
 *
 *              POOLS_NONE            POOLS_EVERYTHING          POOLS_ADVISED
 *     /render  a buffer that grows   the buffer from a pool    one of its final size
 *     /event   100 small records     each from a pool          each on the stack
 *     /frame   payloads in a queue   each from a pool          from a pool, large ones dropped
 *     /ping    nothing               a context from a pool     nothing
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define POOLS_NONE       0
#define POOLS_EVERYTHING 1
#define POOLS_ADVISED    2

/* An answer: `data` is from malloc and the caller's, or NULL: `length` bytes were written to `small`. */
struct answer {
    char *data;
    size_t length;
    char small[64];
};

/* Any thread. 0, or -1 when memory ran out. */
int endpoint_render(struct answer *ret_answer);
int endpoint_event(struct answer *ret_answer);
int endpoint_frame(struct answer *ret_answer);
int endpoint_ping(struct answer *ret_answer);
