/* SPDX-License-Identifier: MIT */
#include "reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "format.h"
#include "model.h"
#include "varint.h"

#define BATCH      4096u
#define TEXT_MAX   4096u
#define COUNT_MAX  (1u << 24) /* processes, modules, threads: more are refused */

struct reader {
    FILE *file;
    const struct trace_sink *const *sinks;
    size_t sink_count;
    struct reader_result *result;
    struct bytes packed, definitions, events;
    ZSTD_DCtx *zstd;
    struct model model;
    uint32_t processes, modules, threads, nodes;
    uint64_t last_slot, last_address;
    uint64_t *addresses; /* of live blocks, by number; 0: unknown */
    uint8_t *live;
    uint32_t block_count, block_capacity;
    uint64_t window_from_ns, window_to_ns;
    bool partial; /* blocks outside the window are skipped: what was live before is not known */
    struct trace_node node_batch[BATCH];
    struct trace_event event_batch[BATCH];
    struct trace_end seen; /* counted here, for files that end early */
    int error;
};

#define PUSH(reader, member, ...)                                                                  \
    do {                                                                                             \
        for (size_t sink = 0; sink < (reader)->sink_count && !(reader)->error; sink++)               \
            if ((reader)->sinks[sink]->member)                                                       \
                (reader)->error = (reader)->sinks[sink]->member((reader)->sinks[sink]->context, __VA_ARGS__); \
    } while (0)

/* Text in a buffer that lives until the next call; NULL when it does not fit. */
static const char *text_take(struct reading *in, char *buffer)
{
    uint64_t size = varint_take(in);
    const uint8_t *text = size < TEXT_MAX ? bytes_take(in, size) : NULL;
    if (!text) {
        in->bad = true;
        return NULL;
    }
    memcpy(buffer, text, size);
    buffer[size] = '\0';
    return buffer;
}

static void process_read(struct reader *reader, struct reading *in)
{
    char text[TEXT_MAX];
    struct trace_process process = {.id = (uint32_t)varint_take(in), .parent = (uint32_t)varint_take(in),
                                    .pid = (int32_t)varint_take(in)};
    process.program = text_take(in, text);
    if (in->bad || process.id != reader->processes || process.parent > process.id || process.id >= COUNT_MAX) {
        in->bad = true;
        return;
    }
    reader->processes++;
    reader->seen.processes++;
    PUSH(reader, process, &process);
}

static void module_read(struct reader *reader, struct reading *in)
{
    char text[TEXT_MAX];
    struct trace_module module = {.id = (uint32_t)varint_take(in), .process = (uint32_t)varint_take(in)};
    module.bias = varint_take(in);
    module.start = varint_take(in);
    module.end = varint_take(in);
    module.path = text_take(in, text);
    uint64_t size = varint_take(in);
    const uint8_t *build_id = size <= TRACE_BUILD_ID_MAX ? bytes_take(in, size) : NULL;
    if (in->bad || !build_id || module.id != reader->modules || module.process >= reader->processes ||
        module.id >= COUNT_MAX) {
        in->bad = true;
        return;
    }
    memcpy(module.build_id, build_id, size);
    module.build_id_size = (uint32_t)size;
    reader->modules++;
    PUSH(reader, module, &module);
}

static void thread_read(struct reader *reader, struct reading *in)
{
    struct trace_thread thread = {.id = (uint32_t)varint_take(in), .process = (uint32_t)varint_take(in),
                                  .tid = (int32_t)varint_take(in)};
    thread.start_ns = varint_take(in);
    if (in->bad || thread.id != reader->threads || thread.process >= reader->processes || thread.id >= COUNT_MAX) {
        in->bad = true;
        return;
    }
    reader->threads++;
    reader->seen.threads++;
    PUSH(reader, thread, &thread);
}

static void nodes_read(struct reader *reader, struct reading *in)
{
    uint64_t count = varint_take(in);
    size_t batch = 0;
    for (uint64_t i = 0; i < count && !in->bad && !reader->error; i++) {
        uint32_t id = reader->nodes + 1;
        uint64_t up = varint_take(in), thread = varint_take(in), module = varint_take(in), flags = varint_take(in);
        reader->last_slot += (uint64_t)unzigzag(varint_take(in));
        reader->last_address += (uint64_t)unzigzag(varint_take(in));
        if (in->bad || !up || up > id || thread >= reader->threads || module > reader->modules || id == UINT32_MAX) {
            in->bad = true;
            break;
        }
        reader->nodes = id;
        reader->node_batch[batch++] = (struct trace_node){
            .id = id, .parent = id - (uint32_t)up, .thread = (uint32_t)thread,
            .module = module ? (uint32_t)module - 1 : TRACE_NO_MODULE, .flags = (uint32_t)flags,
            .slot = reader->last_slot, .address = reader->last_address};
        if (batch == BATCH) {
            PUSH(reader, nodes, reader->node_batch, batch);
            batch = 0;
        }
    }
    if (batch)
        PUSH(reader, nodes, reader->node_batch, batch);
}

static bool definitions_read(struct reader *reader)
{
    struct reading in = {reader->definitions.data, reader->definitions.data + reader->definitions.size, false};
    while (in.at < in.end && !in.bad && !reader->error) {
        switch (varint_take(&in)) {
        case FORMAT_PROCESS:
            process_read(reader, &in);
            break;
        case FORMAT_MODULE:
            module_read(reader, &in);
            break;
        case FORMAT_THREAD_START:
            thread_read(reader, &in);
            break;
        case FORMAT_NODES:
            nodes_read(reader, &in);
            break;
        default:
            in.bad = true;
        }
    }
    return !in.bad;
}

static int blocks_grow(struct reader *reader)
{
    uint32_t capacity = reader->block_capacity ? reader->block_capacity * 2 : 4096;
    uint64_t *addresses = realloc(reader->addresses, capacity * sizeof *addresses);
    if (addresses)
        reader->addresses = addresses;
    uint8_t *live = realloc(reader->live, capacity);
    if (live)
        reader->live = live;
    if (!addresses || !live)
        return -ENOMEM;
    reader->block_capacity = capacity;
    return 0;
}

/* Whether the event is one that can follow what was read; keeps the live blocks. */
static bool event_apply(struct reader *reader, struct trace_event *event)
{
    struct trace_end *seen = &reader->seen;
    seen->events++;
    if (event->kind == TRACE_FREE) {
        seen->frees++;
        if (event->block == TRACE_NO_BLOCK) {
            seen->unknown_frees++;
            return true;
        }
        if (event->block >= reader->block_count || !reader->live[event->block])
            return reader->partial;
        event->address = reader->addresses[event->block];
        reader->live[event->block] = 0;
        return true;
    }
    if (event->kind == TRACE_REALLOC) {
        seen->reallocs++;
        if (event->block >= reader->block_count || !reader->live[event->block])
            return reader->partial;
        reader->addresses[event->block] = event->address;
        return true;
    }
    seen->allocations++;
    while (event->block >= reader->block_count && (event->block == reader->block_count || reader->partial)) {
        if (reader->block_count == reader->block_capacity && blocks_grow(reader)) {
            reader->error = -ENOMEM;
            return false;
        }
        reader->live[reader->block_count++] = 0;
    }
    if (event->block >= reader->block_count || (reader->live[event->block] && !reader->partial))
        return false;
    reader->live[event->block] = 1;
    reader->addresses[event->block] = event->address;
    return true;
}

static bool events_read(struct reader *reader, const struct format_block *block)
{
    struct reading in = {reader->events.data, reader->events.data + reader->events.size, false};
    struct reading columns[FORMAT_COLUMNS];
    for (unsigned i = 0; i < FORMAT_COLUMNS; i++) {
        uint64_t size = varint_take(&in);
        const uint8_t *at = bytes_take(&in, size);
        if (!at)
            return false;
        columns[i] = (struct reading){at, at + size, false};
    }
    if ((uint64_t)(columns[FORMAT_HEAD].end - columns[FORMAT_HEAD].at) != block->event_count)
        return false;
    struct model *model = &reader->model;
    model_reset(model);
    model->time = block->first_ns >> FORMAT_TIME_SHIFT;
    size_t batch = 0;
    for (uint32_t i = 0; i < block->event_count && !reader->error; i++) {
        uint8_t head = *columns[FORMAT_HEAD].at++;
        struct trace_event event = {.kind = head & 3, .call = head >> 2 & 7};
        model->time += (uint64_t)unzigzag(varint_take(&columns[FORMAT_TIME]));
        event.time_ns = model->time << FORMAT_TIME_SHIFT;
        if (!(head & FORMAT_SAME_THREAD))
            model->thread = (uint32_t)varint_take(&columns[FORMAT_THREAD]);
        event.thread = model->thread;
        event.stack = head & FORMAT_SAME_STACK ? model_guess_stack(model, event.thread)
                                               : (uint32_t)varint_take(&columns[FORMAT_STACK]);
        event.size = model_guess_size(model, event.kind, event.stack);
        event.block = model_guess_block(model, event.kind);
        uint64_t address_change = 0;
        bool same = head & FORMAT_SAME_REST;
        if (!same) {
            uint64_t size = event.kind == TRACE_FREE ? 0 : varint_take(&columns[FORMAT_SIZE]);
            if (size)
                event.size = size - 1;
            event.block += (uint32_t)unzigzag(varint_take(&columns[FORMAT_BLOCK]));
            if (event.kind != TRACE_FREE || event.block == TRACE_NO_BLOCK)
                address_change = (uint64_t)unzigzag(varint_take(&columns[FORMAT_ADDRESS])) << 3;
        }
        event.address = model_guess_address(model, event.kind, event.size, event.block) + address_change;
        bool bad = event.kind > TRACE_REALLOC || event.call >= TRACE_CALL_COUNT || event.thread >= reader->threads ||
                   event.stack > reader->nodes;
        for (unsigned c = 0; c < FORMAT_COLUMNS; c++)
            bad |= columns[c].bad;
        if (bad || !event_apply(reader, &event))
            break;
        if (model_learn(model, &event)) {
            reader->error = -ENOMEM;
            break;
        }
        if (event.time_ns >= reader->window_from_ns && event.time_ns <= reader->window_to_ns)
            reader->event_batch[batch++] = event;
        if (batch == BATCH) {
            PUSH(reader, events, reader->event_batch, batch);
            batch = 0;
        }
        reader->result->events++;
        if (i + 1 == block->event_count) {
            if (batch)
                PUSH(reader, events, reader->event_batch, batch);
            reader->seen.wall_ns = event.time_ns;
            return true;
        }
    }
    if (batch)
        PUSH(reader, events, reader->event_batch, batch);
    return block->event_count == 0;
}

static bool end_read(struct reader *reader)
{
    struct reading in = {reader->definitions.data, reader->definitions.data + reader->definitions.size, false};
    struct trace_end end = {0};
    uint64_t *const numbers[] = {&end.wall_ns, &end.cpu_ns, &end.events, &end.allocations, &end.frees, &end.reallocs,
                                 &end.unknown_frees, &end.dropped, &end.lost_threads, &end.recording_ns,
                                 &end.stack_hits};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        *numbers[i] = varint_take(&in);
    end.exit_status = (int32_t)varint_take(&in);
    end.threads = (uint32_t)varint_take(&in);
    end.processes = (uint32_t)varint_take(&in);
    if (in.bad)
        return false;
    reader->result->complete = 1;
    PUSH(reader, end, &end);
    return true;
}

/* Decompresses `size` bytes at `data` into `raw`, which must come out as `raw_size` bytes. */
static bool unpack(struct reader *reader, const uint8_t *data, uint32_t size, uint32_t raw_size, struct bytes *raw)
{
    raw->size = 0;
    if (!size)
        return raw_size == 0;
    if (bytes_reserve(raw, raw_size + 1)) {
        reader->error = -ENOMEM;
        return false;
    }
    size_t got = ZSTD_decompressDCtx(reader->zstd, raw->data, raw_size, data, size);
    raw->size = ZSTD_isError(got) ? 0 : got;
    return !ZSTD_isError(got) && got == raw_size;
}

enum block_status { BLOCK_GOOD, BLOCK_CUT, BLOCK_BAD, BLOCK_LAST };

static enum block_status block_read(struct reader *reader)
{
    struct format_block block;
    size_t got = fread(&block, 1, sizeof block, reader->file);
    if (got < sizeof block)
        return got || ferror(reader->file) ? BLOCK_CUT : BLOCK_LAST;
    if (block.magic != FORMAT_BLOCK_MAGIC || block.check != format_check(&block) ||
        block.definition_raw > FORMAT_RAW_MAX || block.event_raw > FORMAT_RAW_MAX ||
        block.definition_bytes > FORMAT_RAW_MAX || block.event_bytes > FORMAT_RAW_MAX)
        return BLOCK_BAD;
    size_t size = (size_t)block.definition_bytes + block.event_bytes;
    reader->packed.size = 0;
    if (bytes_reserve(&reader->packed, size + 1)) {
        reader->error = -ENOMEM;
        return BLOCK_BAD;
    }
    if (fread(reader->packed.data, 1, size, reader->file) != size)
        return BLOCK_CUT;
    if (block.type == FORMAT_DATA &&
        (block.last_ns < reader->window_from_ns || block.first_ns > reader->window_to_ns)) {
        block.event_bytes = block.event_raw = block.event_count = 0;
        reader->partial = true;
    }
    const uint8_t *data = reader->packed.data;
    if (!unpack(reader, data, block.definition_bytes, block.definition_raw, &reader->definitions) ||
        !unpack(reader, data + block.definition_bytes, block.event_bytes, block.event_raw, &reader->events))
        return BLOCK_BAD;
    reader->result->read_bytes += sizeof block + size;
    switch (block.type) {
    case FORMAT_DATA:
        if (!definitions_read(reader))
            return BLOCK_BAD;
        return !block.event_count || events_read(reader, &block) ? BLOCK_GOOD : BLOCK_BAD;
    case FORMAT_END:
        return end_read(reader) ? BLOCK_GOOD : BLOCK_BAD;
    case FORMAT_INDEX:
        return BLOCK_LAST; /* behind it is only the trailer */
    default:
        return BLOCK_GOOD; /* a kind that a later minor version added: skipped */
    }
}

static int header_read(struct reader *reader, const char *path)
{
    struct reader_result *result = reader->result;
    struct format_header header;
    size_t got = fread(&header, 1, sizeof header, reader->file);
    if (got < sizeof header.magic || memcmp(header.magic, FORMAT_MAGIC, sizeof header.magic)) {
        snprintf(result->message, sizeof result->message, got ? "%.180s is not a poolwise trace" : "%.180s is empty: no trace in it", path);
        return -EBADMSG;
    }
    if (got < sizeof header) {
        snprintf(result->message, sizeof result->message, "%.180s ends inside its header: nothing was recorded in it", path);
        return -EBADMSG;
    }
    if (header.version > FORMAT_VERSION) {
        snprintf(result->message, sizeof result->message,
                 "%.160s has trace format %u; this poolwise reads up to %u: use a newer one", path, header.version, FORMAT_VERSION);
        return -ENOTSUP;
    }
    if (!header.version || header.header_bytes < sizeof header || header.header_bytes > 65536) {
        snprintf(result->message, sizeof result->message, "%.180s has a damaged header", path);
        return -EBADMSG;
    }
    for (uint32_t skip = header.header_bytes - (uint32_t)sizeof header; skip; skip--)
        if (fgetc(reader->file) == EOF)
            break;
    result->version = header.version;
    result->flags = header.flags;
    result->unix_time_s = header.unix_time_s;
    result->read_bytes = header.header_bytes;
    return 0;
}

static int blocks_read(struct reader *reader)
{
    struct reader_result *result = reader->result;
    enum block_status status;
    do
        status = block_read(reader);
    while (status == BLOCK_GOOD && !reader->error);
    if (reader->error)
        return reader->error;
    if (ferror(reader->file)) {
        snprintf(result->message, sizeof result->message, "reading failed after %llu bytes",
                 (unsigned long long)result->read_bytes);
        return -EIO;
    }
    if (!result->complete) {
        uint64_t lost = result->file_bytes > result->read_bytes ? result->file_bytes - result->read_bytes : 0;
        snprintf(result->message, sizeof result->message,
                 status == BLOCK_BAD ? "the trace is damaged after %llu bytes: %llu events were read, the last %llu bytes are lost"
                                     : "the trace was cut after %llu bytes: %llu events were read, the last %llu bytes and what was to follow are lost",
                 (unsigned long long)result->read_bytes, (unsigned long long)result->events, (unsigned long long)lost);
        reader->seen.exit_status = -1;
        PUSH(reader, end, &reader->seen);
    } else if (status == BLOCK_BAD || status == BLOCK_CUT) {
        snprintf(result->message, sizeof result->message, "the trace's index is missing or damaged; no event is lost");
    }
    return reader->error;
}

int reader_read(const char *path, uint64_t window_from_ns, uint64_t window_to_ns, const struct trace_sink *const *sinks,
                size_t sink_count, struct reader_result *ret_result)
{
    struct reader_result *result = ret_result;
    *result = (struct reader_result){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat file;
    if (fd < 0 || fstat(fd, &file)) {
        int error = errno;
        snprintf(result->message, sizeof result->message, "%.180s: %s", path, strerror(error));
        if (fd >= 0)
            close(fd);
        return -error;
    }
    if (S_ISDIR(file.st_mode)) {
        snprintf(result->message, sizeof result->message, "%.180s is a directory, not a trace", path);
        close(fd);
        return -EISDIR;
    }
    result->file_bytes = (uint64_t)file.st_size;
    struct reader *reader = calloc(1, sizeof *reader);
    int status = -ENOMEM;
    if (reader) {
        reader->file = fdopen(fd, "rb");
        reader->zstd = ZSTD_createDCtx();
        reader->sinks = sinks;
        reader->sink_count = sink_count;
        reader->result = result;
        reader->window_from_ns = window_from_ns;
        reader->window_to_ns = window_to_ns;
        if (reader->file && reader->zstd && !model_init(&reader->model)) {
            status = header_read(reader, path);
            if (!status)
                status = blocks_read(reader);
        }
        model_done(&reader->model);
        free(reader->packed.data);
        free(reader->definitions.data);
        free(reader->events.data);
        free(reader->addresses);
        free(reader->live);
        ZSTD_freeDCtx(reader->zstd);
        if (reader->file)
            fclose(reader->file);
        else
            close(fd);
        free(reader);
    } else {
        close(fd);
    }
    if (status && !result->message[0])
        snprintf(result->message, sizeof result->message, "%.180s: %s", path, strerror(-status));
    return status;
}
