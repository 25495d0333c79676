/* SPDX-License-Identifier: MIT */
/* LEB128 numbers, and byte buffers to collect or take them from. */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

struct bytes {
    uint8_t *data;
    size_t size, capacity;
};

/* Room for `more` bytes behind the end. 0 or -ENOMEM. */
static inline int bytes_reserve(struct bytes *bytes, size_t more)
{
    if (bytes->capacity - bytes->size >= more)
        return 0;
    size_t capacity = bytes->size + more + 256;
    if (capacity < bytes->capacity + bytes->capacity / 2)
        capacity = bytes->capacity + bytes->capacity / 2;
    uint8_t *data = realloc(bytes->data, capacity);
    if (!data)
        return -ENOMEM;
    bytes->data = data;
    bytes->capacity = capacity;
    return 0;
}

#define VARINT_MAX   10u /* bytes of any number, and of one below 2^32 */
#define VARINT_MAX32 5u

/* Behind `at`, where room was reserved; where it ends. */
static inline uint8_t *varint_write(uint8_t *at, uint64_t value)
{
    while (value >= 0x80) {
        *at++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *at++ = (uint8_t)value;
    return at;
}

/* Room was reserved. */
static inline void varint_put(struct bytes *bytes, uint64_t value)
{
    bytes->size = (size_t)(varint_write(bytes->data + bytes->size, value) - bytes->data);
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
    if (reading->at < reading->end && *reading->at < 0x80)
        return *reading->at++;
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (reading->at == reading->end)
            break;
        uint8_t byte = *reading->at++;
        if (shift == 63 && byte > 1)
            break;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return value;
    }
    reading->bad = true;
    return 0;
}

static inline uint32_t varint_take32(struct reading *reading)
{
    uint64_t value = varint_take(reading);
    if (value > UINT32_MAX) {
        reading->bad = true;
        return 0;
    }
    return (uint32_t)value;
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
