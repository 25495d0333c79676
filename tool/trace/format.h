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
    uint32_t header_bytes; /* of this header: a newer minor form may be longer */
    uint64_t unix_time_s;  /* when the recording began */
    uint32_t flags;        /* FORMAT_* */
    uint32_t reserved;
};
_Static_assert(sizeof(struct format_header) == 32, "the header is 32 bytes on disk");

#define FORMAT_SITE 1u /* recorded with return addresses alone */

#define FORMAT_BLOCK_MAGIC 0x424b5750u /* "PWKB" */

enum format_block_type {
    FORMAT_DATA = 1,  /* definitions, then events */
    FORMAT_END = 2,   /* struct trace_end as varints, in the definitions' place */
    FORMAT_INDEX = 3, /* one entry per data block, likewise */
};

struct format_block {
    uint32_t magic;
    uint32_t type;
    uint32_t definition_bytes, definition_raw; /* of the zstd frame, and of its contents */
    uint32_t event_bytes, event_raw;
    uint32_t event_count;
    uint32_t check;       /* FNV-1a over this header with check as 0 */
    uint64_t first_ns;    /* time of the first event */
    uint64_t last_ns;
};
_Static_assert(sizeof(struct format_block) == 48, "a block header is 48 bytes on disk");

struct format_trailer {
    uint64_t index_offset;
    char magic[8]; /* "PWINDEX\n" */
};
#define FORMAT_TRAILER_MAGIC "PWINDEX\n"

#define FORMAT_BLOCK_EVENTS 65536u
#define FORMAT_RAW_MAX      (32u << 20) /* of a part, decompressed: more is refused */

/* Columns of a block's events, each preceded by its length. */
enum format_column {
    FORMAT_HEAD,    /* a byte an event: kind 2 bits | call 3 bits | FORMAT_SAME_* flags */
    FORMAT_THREAD,  /* varint, where it changed */
    FORMAT_TIME,    /* varint, units of 2^FORMAT_TIME_SHIFT ns since the event before */
    FORMAT_STACK,   /* varint, where not predicted: node */
    FORMAT_SIZE,    /* varint, where not predicted */
    FORMAT_BLOCK,   /* zigzag varint against the prediction, where not predicted */
    FORMAT_ADDRESS, /* zigzag varint of (address - prediction) / 8, where not predicted */
    FORMAT_COLUMNS,
};

#define FORMAT_TIME_SHIFT   4
#define FORMAT_SAME_THREAD  0x20u
#define FORMAT_SAME_STACK   0x40u
#define FORMAT_SAME_REST    0x80u /* size, block and address are all as predicted */

/* Tags of definitions. */
enum format_definition {
    FORMAT_PROCESS = 'P',
    FORMAT_MODULE = 'M',
    FORMAT_THREAD_START = 'T',
    FORMAT_NODES = 'N',
};

static inline uint32_t format_check(const struct format_block *block)
{
    struct format_block copy = *block;
    copy.check = 0;
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < sizeof copy; i++)
        hash = (hash ^ ((const unsigned char *)&copy)[i]) * 16777619u;
    return hash;
}
