/* SPDX-License-Identifier: MIT */
#include "presize.h"

#include <stdint.h>
#include <string.h>

#include "next.h"

#define MARK_BYTES sizeof(uint64_t)

static uint64_t mark_of(const void *block, size_t usable)
{
    return ((uint64_t)(uintptr_t)block + usable) * UINT64_C(0x9e3779b97f4a7c15) ^
           UINT64_C(0x70726573697a6564);
}

static void *marked(void *block)
{
    if (!block || !next.usable_size)
        return block;
    size_t usable = next.usable_size(block);
    uint64_t mark = mark_of(block, usable);
    memcpy((char *)block + usable - MARK_BYTES, &mark, sizeof mark);
    return block;
}

void *presize_malloc(size_t size, size_t first_bytes)
{
    return size >= first_bytes ? next.malloc(size) : marked(next.malloc(first_bytes + MARK_BYTES));
}

void *presize_calloc(size_t size, size_t first_bytes)
{
    return size >= first_bytes ? next.calloc(1, size)
                               : marked(next.calloc(1, first_bytes + MARK_BYTES));
}

bool presize_fits(void *block, size_t size)
{
    if (!size || !next.usable_size)
        return false;
    size_t usable = next.usable_size(block);
    uint64_t mark;
    if (usable < MARK_BYTES || size > usable - MARK_BYTES)
        return false;
    memcpy(&mark, (char *)block + usable - MARK_BYTES, sizeof mark);
    return mark == mark_of(block, usable);
}
