/* SPDX-License-Identifier: MIT */
#include "reader.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "decode.h"
#include "format.h"
#include "varint.h"

#define CHUNK                                                                                      \
    (1u << 20) /* room is made as bytes come: a header cannot ask for what the file lacks */

struct reader {
    int fd;
    bool regular;
    struct reader_result *result;
    struct bytes packed, definitions, events;
    ZSTD_DCtx *zstd;
    struct decode decode;
};

/* How a block came out. What else can go wrong is a -errno. */
enum block_status {
    BLOCK_GOOD,
    BLOCK_END,  /* it was the last */
    BLOCK_NONE, /* the file ends here */
    BLOCK_CUT,  /* the file ends inside it */
    BLOCK_DAMAGED,
};

/* Up to `size` bytes; fewer only at the end of the file. 0 or -errno. */
static int read_fully(struct reader *reader, void *data, size_t size, size_t *ret_got)
{
    size_t got = 0;
    while (got < size) {
        ssize_t some = read(reader->fd, (char *)data + got, size - got);
        if (some < 0 && errno == EINTR)
            continue;
        if (some < 0)
            return -errno;
        if (!some)
            break;
        got += (size_t)some;
    }
    if (!reader->regular)
        reader->result->file_bytes += got;
    *ret_got = got;
    return 0;
}

/* `size` bytes into `packed`, or what there is of them. */
static int packed_read(struct reader *reader, size_t size)
{
    struct bytes *packed = &reader->packed;
    packed->size = 0;
    while (packed->size < size) {
        size_t more = size - packed->size < CHUNK ? size - packed->size : CHUNK, got;
        int status = bytes_reserve(packed, more);
        if (!status)
            status = read_fully(reader, packed->data + packed->size, more, &got);
        if (status)
            return status;
        packed->size += got;
        if (got < more)
            break;
    }
    return 0;
}

/* Decompresses a frame that must come out as `raw_size` bytes. 0, DECODE_DAMAGED or -ENOMEM. */
static int unpack(struct reader *reader, const uint8_t *data, uint32_t size, uint32_t raw_size,
                  struct bytes *raw)
{
    raw->size = 0;
    if (!size)
        return raw_size ? DECODE_DAMAGED : 0;
    if (ZSTD_getFrameContentSize(data, size) != raw_size)
        return DECODE_DAMAGED;
    int status = bytes_reserve(raw, (size_t)raw_size + 1);
    if (status)
        return status;
    size_t got = ZSTD_decompressDCtx(reader->zstd, raw->data, raw_size, data, size);
    if (ZSTD_isError(got) || got != raw_size)
        return DECODE_DAMAGED;
    raw->size = raw_size;
    return 0;
}

static bool header_good(const struct format_block *block)
{
    return block->magic == FORMAT_BLOCK_MAGIC && block->check == format_block_check(block) &&
           block->definition_raw <= FORMAT_RAW_MAX && block->event_raw <= FORMAT_RAW_MAX &&
           block->definition_bytes <= FORMAT_RAW_MAX && block->event_bytes <= FORMAT_RAW_MAX &&
           block->event_count <= FORMAT_BLOCK_EVENTS && block->event_count <= block->event_raw &&
           !block->event_count == !block->event_raw &&
           (block->type != FORMAT_END || !block->event_count);
}

static int data_read(struct reader *reader, const struct format_block *block, bool outside)
{
    struct decode *decode = &reader->decode;
    const uint8_t *data = reader->packed.data;
    int status =
        unpack(reader, data, block->definition_bytes, block->definition_raw, &reader->definitions);
    if (!status && !outside)
        status = unpack(reader, data + block->definition_bytes, block->event_bytes,
                        block->event_raw, &reader->events);
    if (!status)
        status = decode_definitions(decode, reader->definitions.data, reader->definitions.size);
    if (status || !block->event_count)
        return status;
    if (outside)
        decode_skip(decode, block);
    else
        status = decode_events(decode, block, reader->events.data, reader->events.size);
    return status;
}

static int end_read(struct reader *reader, const struct format_block *block)
{
    int status = unpack(reader, reader->packed.data, block->definition_bytes, block->definition_raw,
                        &reader->definitions);
    if (!status)
        status = decode_end(&reader->decode, reader->definitions.data, reader->definitions.size);
    return status;
}

static int block_read(struct reader *reader, enum block_status *ret_status)
{
    const struct decode *decode = &reader->decode;
    struct format_block block;
    size_t got;
    int status = read_fully(reader, &block, sizeof block, &got);
    if (status)
        return status;
    if (got < sizeof block) {
        *ret_status = got ? BLOCK_CUT : BLOCK_NONE;
        return 0;
    }
    *ret_status = BLOCK_DAMAGED;
    if (!header_good(&block))
        return 0;
    size_t size = (size_t)block.definition_bytes + block.event_bytes;
    status = packed_read(reader, size);
    if (status)
        return status;
    if (reader->packed.size < size) {
        *ret_status = BLOCK_CUT;
        return 0;
    }
    if (block.type == FORMAT_DATA)
        status =
            data_read(reader, &block,
                      block.to_ns < decode->window_from_ns || block.from_ns > decode->window_to_ns);
    else if (block.type == FORMAT_END)
        status = end_read(reader, &block);
    if (status)
        return status == DECODE_DAMAGED ? 0 : status;
    reader->result->read_bytes += sizeof block + size;
    *ret_status = block.type == FORMAT_END ? BLOCK_END : BLOCK_GOOD;
    return 0;
}

static int header_read(struct reader *reader, const char *path)
{
    struct reader_result *result = reader->result;
    struct format_header header;
    char *message = result->message;
    const size_t room = sizeof result->message;
    size_t got;
    int status = read_fully(reader, &header, sizeof header, &got);
    if (status)
        return status;
    if (!got) {
        snprintf(message, room, "%.180s is empty: no trace in it", path);
        return -EBADMSG;
    }
    size_t magic = got < sizeof header.magic ? got : sizeof header.magic;
    if (memcmp(header.magic, FORMAT_MAGIC, magic)) {
        snprintf(message, room, "%.180s is not a poolwise trace", path);
        return -EBADMSG;
    }
    if (got < sizeof header) {
        snprintf(message, room,
                 "%.180s is a trace cut off inside its header: nothing is left of it", path);
        return -EBADMSG;
    }
    if (header.version > FORMAT_VERSION) {
        snprintf(message, room,
                 "%.160s has trace format %" PRIu32
                 "; this poolwise reads up to %u: use a newer one",
                 path, header.version, FORMAT_VERSION);
        return -ENOTSUP;
    }
    if (!header.version || header.check != format_header_check(&header) ||
        header.header_bytes < sizeof header || header.header_bytes > FORMAT_HEADER_MAX) {
        snprintf(message, room, "%.180s is a trace with a damaged header", path);
        return -EBADMSG;
    }
    status = packed_read(reader, header.header_bytes - sizeof header);
    result->version = header.version;
    result->flags = header.flags;
    result->unix_time_s = header.unix_time_s;
    result->read_bytes = sizeof header + reader->packed.size;
    return status;
}

/* What was lost, in words. */
static void loss_tell(struct reader_result *result, enum block_status last)
{
    uint64_t lost =
        result->file_bytes > result->read_bytes ? result->file_bytes - result->read_bytes : 0;
    char *message = result->message;
    const size_t room = sizeof result->message;
    if (last == BLOCK_DAMAGED)
        snprintf(message, room,
                 "the trace is damaged behind byte %" PRIu64 ": %" PRIu64
                 " events were read, the last %" PRIu64 " bytes are lost",
                 result->read_bytes, result->events, lost);
    else if (last == BLOCK_CUT)
        snprintf(message, room,
                 "the trace was cut off: %" PRIu64 " events were read, the last %" PRIu64
                 " bytes are lost and what was to follow them",
                 result->events, lost);
    else
        snprintf(message, room,
                 "the trace was cut off: %" PRIu64
                 " events were read, what was to follow them is lost",
                 result->events);
}

static int blocks_read(struct reader *reader)
{
    struct reader_result *result = reader->result;
    struct decode *decode = &reader->decode;
    enum block_status last;
    int status;
    do {
        status = block_read(reader, &last);
        result->events = decode->pushed;
    } while (!status && last == BLOCK_GOOD);
    if (status)
        return status;
    if (last != BLOCK_END) {
        if (!reader->regular) { /* to say how much is lost */
            do
                status = packed_read(reader, CHUNK);
            while (!status && reader->packed.size == CHUNK);
        }
        loss_tell(result, last);
        return decode_cut(decode);
    }
    result->complete = 1;
    char more;
    size_t got;
    if (!read_fully(reader, &more, 1, &got) && got)
        snprintf(result->message, sizeof result->message,
                 "something follows the trace's end and was left out; no event is lost");
    return 0;
}

static int file_open(struct reader *reader, const char *path)
{
    struct stat file;
    reader->fd = strcmp(path, "-") ? open(path, O_RDONLY | O_CLOEXEC)
                                   : fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
    if (reader->fd < 0 || fstat(reader->fd, &file))
        return -errno;
    if (S_ISDIR(file.st_mode)) {
        snprintf(reader->result->message, sizeof reader->result->message,
                 "%.180s is a directory, not a trace", path);
        return -EISDIR;
    }
    reader->regular = S_ISREG(file.st_mode);
    if (reader->regular)
        reader->result->file_bytes = (uint64_t)file.st_size;
    reader->zstd = ZSTD_createDCtx();
    return reader->zstd ? 0 : -ENOMEM;
}

int reader_read(const char *path, uint64_t window_from_ns, uint64_t window_to_ns,
                const struct trace_sink *const *sinks, size_t sink_count,
                struct reader_result *ret_result)
{
    *ret_result = (struct reader_result){0};
    struct reader *reader = calloc(1, sizeof *reader);
    int status = -ENOMEM;
    if (reader) {
        reader->result = ret_result;
        reader->decode.sinks = sinks;
        reader->decode.sink_count = sink_count;
        reader->decode.window_from_ns = window_from_ns;
        reader->decode.window_to_ns = window_to_ns;
        reader->decode.windowed = window_from_ns || window_to_ns != UINT64_MAX;
        status = file_open(reader, path);
        if (!status)
            status = header_read(reader, path);
        if (!status)
            status = blocks_read(reader);
        decode_done(&reader->decode);
        ZSTD_freeDCtx(reader->zstd);
        free(reader->packed.data);
        free(reader->definitions.data);
        free(reader->events.data);
        if (reader->fd >= 0)
            close(reader->fd);
        free(reader);
    }
    if (status && !ret_result->message[0])
        snprintf(ret_result->message, sizeof ret_result->message, "%.180s: %s", path,
                 strerror(-status));
    return status;
}
