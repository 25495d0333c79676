/* SPDX-License-Identifier: MIT */
/* LEB128 numbers, and byte buffers to collect or take them from. */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct bytes {
    uint8_t *data;
    size_t size, capacity;
};

/* Room for `more` bytes behind the end. 0 or -ENOMEM. */
static inline int bytes_reserve(struct bytes *bytes, size_t more)
{
    if (bytes->capacity - bytes->size >= more)
        return 0;
    size_t capacity = bytes->capacity * 2 > bytes->size + more ? bytes->capacity * 2 : bytes->size + more + 256;
    uint8_t *data = realloc(bytes->data, capacity);
    if (!data)
        return -ENOMEM;
    bytes->data = data;
    bytes->capacity = capacity;
    return 0;
}

#define VARINT_MAX 10u

/* Room was reserved. */
static inline void varint_put(struct bytes *bytes, uint64_t value)
{
    uint8_t *at = bytes->data + bytes->size;
    while (value >= 0x80) {
        *at++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *at++ = (uint8_t)value;
    bytes->size = (size_t)(at - bytes->data);
}

static inline uint64_t zigzag(int64_t value)
{
    return (uint64_t)value << 1 ^ (uint64_t)(value >> 63);
}

static inline int64_t unzigzag(uint64_t value)
{
    return (int64_t)(value >> 1 ^ (0 - (value & 1)));
}

/* What is left to read. Reading past the end sets `bad` and gives 0. */
struct reading {
    const uint8_t *at, *end;
    bool bad;
};

static inline uint64_t varint_take(struct reading *reading)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (reading->at == reading->end)
            break;
        uint8_t byte = *reading->at++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return value;
    }
    reading->bad = true;
    return 0;
}

/* `size` bytes in place, or NULL. */
static inline const uint8_t *bytes_take(struct reading *reading, uint64_t size)
{
    if (size > (uint64_t)(reading->end - reading->at)) {
        reading->bad = true;
        return NULL;
    }
    const uint8_t *at = reading->at;
    reading->at += size;
    return at;
}
