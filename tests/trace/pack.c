/* SPDX-License-Identifier: MIT */
#include "pack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "file.h"
#include "format.h"

struct output {
    unsigned char *data;
    size_t size, capacity;
};

static unsigned char *output_room(struct output *out, size_t more)
{
    if (out->capacity - out->size < more) {
        out->capacity = (out->size + more) * 2 + 256;
        out->data = realloc(out->data, out->capacity);
        if (!out->data)
            abort();
    }
    return out->data + out->size;
}

static void output_add(struct output *out, const void *data, size_t size)
{
    if (!size)
        return;
    memcpy(output_room(out, size), data, size);
    out->size += size;
}

static void part_open(struct output *out, const unsigned char *part, uint32_t bytes, uint32_t raw)
{
    size_t got = bytes ? ZSTD_decompress(output_room(out, raw + 1u), raw, part, bytes) : 0;
    if (got != raw) {
        fprintf(stderr, "pack_open: %zu bytes from a part, want %u\n", got, raw);
        abort();
    }
    out->size += got;
}

unsigned char *pack_open(const unsigned char *trace, size_t size, size_t *ret_size)
{
    struct output out = {0};
    size_t at = sizeof(struct format_header);
    output_add(&out, trace, at);
    while (at < size) {
        struct format_block block;
        memcpy(&block, trace + at, sizeof block);
        output_add(&out, &block, sizeof block);
        at += sizeof block;
        part_open(&out, trace + at, block.definition_bytes, block.definition_raw);
        at += block.definition_bytes;
        part_open(&out, trace + at, block.event_bytes, block.event_raw);
        at += block.event_bytes;
    }
    *ret_size = out.size;
    return out.data;
}

static uint32_t part_close(struct output *out, const unsigned char *part, size_t size)
{
    if (!size)
        return 0;
    size_t bound = ZSTD_compressBound(size);
    size_t got = ZSTD_compress(output_room(out, bound), bound, part, size, 1);
    if (ZSTD_isError(got))
        abort();
    out->size += got;
    return (uint32_t)got;
}

unsigned char *pack_close(const unsigned char *plain, size_t size, size_t *ret_size)
{
    struct output out = {0};
    struct format_header header;
    size_t at = size < sizeof header ? size : sizeof header;
    memset(&header, 0, sizeof header);
    memcpy(&header, plain, at);
    memcpy(header.magic, FORMAT_MAGIC, sizeof header.magic);
    header.version = FORMAT_VERSION;
    header.header_bytes = sizeof header;
    header.check = format_header_check(&header);
    output_add(&out, &header, sizeof header);
    while (at + sizeof(struct format_block) <= size) {
        struct format_block block;
        memcpy(&block, plain + at, sizeof block);
        at += sizeof block;
        size_t left = size - at;
        block.magic = FORMAT_BLOCK_MAGIC;
        block.definition_raw = block.definition_raw < left ? block.definition_raw : (uint32_t)left;
        left -= block.definition_raw;
        block.event_raw = block.event_raw < left ? block.event_raw : (uint32_t)left;
        size_t header_at = out.size;
        output_add(&out, &block, sizeof block);
        block.definition_bytes = part_close(&out, plain + at, block.definition_raw);
        at += block.definition_raw;
        block.event_bytes = part_close(&out, plain + at, block.event_raw);
        at += block.event_raw;
        block.check = format_block_check(&block);
        memcpy(out.data + header_at, &block, sizeof block);
    }
    *ret_size = out.size;
    return out.data;
}

static void try_window(const char *path, uint64_t from_ns, uint64_t to_ns, struct tape *tape)
{
    struct reader_result result;
    tape_init(tape, false);
    const struct trace_sink *sinks[] = {&tape->sink};
    int status = reader_read(path, from_ns, to_ns, sinks, 1, &result);
    if (tape->broken || result.events != tape->event_count || tape->end_count != (status == 0) ||
        (status && !result.message[0])) {
        fprintf(stderr,
                "a rule is broken: %s; status %d, %zu events of %zu said, %u ends, \"%s\"\n",
                tape->message, status, tape->event_count, (size_t)result.events, tape->end_count,
                result.message);
        abort();
    }
}

size_t pack_try(const unsigned char *trace, size_t size)
{
    static struct file file;
    if (!file.path[0])
        file_open(&file);
    file_set(&file, trace, size);
    struct tape tape;
    try_window(file.path, UINT64_C(2000000000), UINT64_C(3100000000), &tape);
    tape_done(&tape);
    try_window(file.path, 0, UINT64_MAX, &tape);
    size_t count = tape.event_count;
    tape_done(&tape);
    return count;
}
