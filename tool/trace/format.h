/* SPDX-License-Identifier: MIT */
/* The bytes of a trace file; docs/trace-format.md describes them. All numbers are little-endian. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define FORMAT_MAGIC   "PWTRACE\n"
#define FORMAT_VERSION 1u

struct format_header {
    char magic[8];
    uint32_t version;
    uint32_t header_bytes; /* of this header: a later one may be longer */
    uint64_t unix_time_s;  /* when the recording began */
    uint32_t flags;        /* FORMAT_* */
    uint32_t check;        /* format_check over this header */
};
_Static_assert(sizeof(struct format_header) == 32, "the header is 32 bytes on disk");

#define FORMAT_HEADER_MAX  65536u
#define FORMAT_SITE        1u /* recorded with return addresses alone */

#define FORMAT_BLOCK_MAGIC 0x424b5750u /* "PWKB" */

enum format_block_type {
    FORMAT_DATA = 1, /* definitions, then events */
    FORMAT_END = 2,  /* struct trace_end as varints, in the definitions' place; the last block */
};

struct format_block {
    uint32_t magic;
    uint32_t type;
    uint32_t definition_bytes, definition_raw; /* of the zstd frame, and of its contents */
    uint32_t event_bytes, event_raw;
    uint32_t event_count;
    uint32_t check;   /* format_check over this header */
    uint64_t from_ns; /* time of the earliest event, and of the latest, as a reader gets them */
    uint64_t to_ns;
};
_Static_assert(sizeof(struct format_block) == 48, "a block header is 48 bytes on disk");

#define FORMAT_BLOCK_EVENTS 65536u     /* in a block at most */
#define FORMAT_RAW_MAX      (8u << 20) /* bytes of a part, packed or not: more is refused */
#define FORMAT_TEXT_MAX     65535u     /* bytes of a path: more is cut off */
#define FORMAT_COUNT_MAX    (1u << 24) /* processes, modules, threads: more are refused */

/* Columns of a block's events, each preceded by its length. */
enum format_column {
    FORMAT_HEAD,    /* a byte an event: kind 2 bits | call 3 bits | FORMAT_SAME_* flags */
    FORMAT_THREAD,  /* varint, where it changed */
    FORMAT_TIME,    /* zigzag varint, units of 2^FORMAT_TIME_SHIFT ns since the event before */
    FORMAT_STACK,   /* varint, where not predicted: node */
    FORMAT_SIZE,    /* varint, where not all the rest is predicted: 0, or size + 1 */
    FORMAT_BLOCK,   /* zigzag varint against the prediction, likewise */
    FORMAT_ADDRESS, /* against the prediction, likewise; see address_put in writer.c */
    FORMAT_COLUMNS,
};

#define FORMAT_TIME_SHIFT  4
#define FORMAT_SAME_THREAD 0x20u
#define FORMAT_SAME_STACK  0x40u
#define FORMAT_SAME_REST   0x80u /* size, block and address are all as predicted */

/* Tags of definitions. */
enum format_definition {
    FORMAT_PROCESS = 'P',
    FORMAT_MODULE = 'M',
    FORMAT_THREAD_START = 'T',
    FORMAT_NODES = 'N',
};

/* FNV-1a over a header, its last four-byte `check` at `check_offset` taken as 0. */
static inline uint32_t format_check(const void *header, size_t size, size_t check_offset)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < size; i++) {
        uint8_t byte = i - check_offset < sizeof(uint32_t) ? 0 : ((const uint8_t *)header)[i];
        hash = (hash ^ byte) * 16777619u;
    }
    return hash;
}

static inline uint32_t format_header_check(const struct format_header *header)
{
    return format_check(header, sizeof *header, offsetof(struct format_header, check));
}

static inline uint32_t format_block_check(const struct format_block *block)
{
    return format_check(block, sizeof *block, offsetof(struct format_block, check));
}
