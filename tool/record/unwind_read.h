/* SPDX-License-Identifier: MIT */
/*
 * Reading unwind data that may be broken: a cursor never leaves its range. A read past the end
 * gives 0, marks the cursor broken and leaves it at its end, so that loops over it stop.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct unwind_cursor {
    const uint8_t *at, *end;
    bool broken;
};

static inline struct unwind_cursor unwind_cursor(uint64_t start, uint64_t end)
{
    return (struct unwind_cursor){(const uint8_t *)start, (const uint8_t *)end, false};
}

static inline uint64_t unwind_left(const struct unwind_cursor *cursor)
{
    return (uint64_t)(cursor->end - cursor->at);
}

static inline uint64_t unwind_break(struct unwind_cursor *cursor)
{
    cursor->broken = true;
    cursor->at = cursor->end;
    return 0;
}

static inline uint8_t unwind_u8(struct unwind_cursor *cursor)
{
    return cursor->at < cursor->end ? *cursor->at++ : (uint8_t)unwind_break(cursor);
}

/* Little-endian, 1 to 8 bytes. */
static inline uint64_t unwind_unsigned(struct unwind_cursor *cursor, unsigned bytes)
{
    uint64_t value = 0;

    if (unwind_left(cursor) < bytes) {
        return unwind_break(cursor);
    }
    for (unsigned i = 0; i < bytes; i++) {
        value |= (uint64_t)cursor->at[i] << (8 * i);
    }
    cursor->at += bytes;
    return value;
}

static inline int64_t unwind_signed(struct unwind_cursor *cursor, unsigned bytes)
{
    unsigned unused_bits = 64 - 8 * bytes;

    return (int64_t)(unwind_unsigned(cursor, bytes) << unused_bits) >> unused_bits;
}

/* At most 10 bytes, what 64 bits take. */
static inline uint64_t unwind_leb(struct unwind_cursor *cursor, unsigned *ret_bits,
                                  uint8_t *ret_last)
{
    uint64_t value = 0;
    unsigned shift = 0;
    uint8_t byte;

    do {
        byte = unwind_u8(cursor);
        if (shift >= 64) {
            byte = (uint8_t)unwind_break(cursor);
            break;
        }
        value |= (uint64_t)(byte & 0x7f) << shift;
        shift += 7;
    } while (byte & 0x80);
    *ret_bits = shift;
    *ret_last = byte;
    return value;
}

static inline uint64_t unwind_uleb(struct unwind_cursor *cursor)
{
    unsigned bits;
    uint8_t last;

    return unwind_leb(cursor, &bits, &last);
}

static inline int64_t unwind_sleb(struct unwind_cursor *cursor)
{
    unsigned bits;
    uint8_t last;
    uint64_t value = unwind_leb(cursor, &bits, &last);

    if (bits < 64 && (last & 0x40)) {
        value |= UINT64_MAX << bits;
    }
    return (int64_t)value;
}

static inline void unwind_skip(struct unwind_cursor *cursor, uint64_t bytes)
{
    if (unwind_left(cursor) < bytes) {
        unwind_break(cursor);
    } else {
        cursor->at += bytes;
    }
}
