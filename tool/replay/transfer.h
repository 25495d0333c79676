/* SPDX-License-Identifier: MIT */
/* All bytes of a message through a pipe, or false: the other side has gone. */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <unistd.h>

static inline bool transfer(bool writing, int fd, void *bytes, size_t size)
{
    char *at = bytes;
    while (size) {
        ssize_t moved = writing ? write(fd, at, size) : read(fd, at, size);
        if (moved < 0 && errno == EINTR)
            continue;
        if (moved <= 0)
            return false;
        at += moved;
        size -= (size_t)moved;
    }
    return true;
}
