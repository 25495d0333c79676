/* SPDX-License-Identifier: MIT */
#include "writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zstd.h>

#include "format.h"
#include "model.h"
#include "varint.h"

#define LEVEL          1          /* zstd: the columns are mostly predicted away before it sees them */
#define BLOCK_SPAN_NS  1000000000u /* a block is closed after this long, so that a kill loses little */

struct index_entry {
    uint64_t offset, first_ns;
    uint32_t events;
};

struct writer {
    struct trace_sink sink;
    int fd;
    uint64_t offset;
    struct bytes definitions, packed;
    struct bytes columns[FORMAT_COLUMNS];
    uint32_t event_count;
    uint64_t first_ns, last_ns;
    uint64_t last_slot, last_address; /* of nodes, for differences */
    struct model model;
    ZSTD_CCtx *zstd;
    struct index_entry *index;
    size_t index_count, index_capacity;
};

static int write_all(struct writer *writer, const void *data, size_t size)
{
    const char *at = data;
    while (size) {
        ssize_t wrote = write(writer->fd, at, size);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return -errno;
        at += wrote;
        size -= (size_t)wrote;
        writer->offset += (uint64_t)wrote;
    }
    return 0;
}

/* Appends `raw` to `packed` as one zstd frame. */
static int pack(struct writer *writer, const struct bytes *raw, uint32_t *ret_size)
{
    if (!raw->size) {
        *ret_size = 0;
        return 0;
    }
    size_t bound = ZSTD_compressBound(raw->size);
    int status = bytes_reserve(&writer->packed, bound);
    if (status)
        return status;
    size_t size = ZSTD_compress2(writer->zstd, writer->packed.data + writer->packed.size, bound, raw->data, raw->size);
    if (ZSTD_isError(size))
        return -EIO;
    writer->packed.size += size;
    *ret_size = (uint32_t)size;
    return 0;
}

static int block_write(struct writer *writer, enum format_block_type type, const struct bytes *definitions,
                       const struct bytes *events)
{
    struct format_block block = {.magic = FORMAT_BLOCK_MAGIC, .type = type, .event_count = writer->event_count,
                                 .first_ns = writer->first_ns, .last_ns = writer->last_ns,
                                 .definition_raw = (uint32_t)definitions->size, .event_raw = (uint32_t)events->size};
    writer->packed.size = 0;
    int status = pack(writer, definitions, &block.definition_bytes);
    if (!status)
        status = pack(writer, events, &block.event_bytes);
    if (status)
        return status;
    block.check = format_check(&block);
    status = write_all(writer, &block, sizeof block);
    return status ? status : write_all(writer, writer->packed.data, writer->packed.size);
}

static int data_flush(struct writer *writer)
{
    if (!writer->event_count && !writer->definitions.size)
        return 0;
    if (writer->index_count == writer->index_capacity) {
        size_t capacity = writer->index_capacity ? writer->index_capacity * 2 : 64;
        struct index_entry *index = realloc(writer->index, capacity * sizeof *index);
        if (!index)
            return -ENOMEM;
        writer->index = index;
        writer->index_capacity = capacity;
    }
    writer->index[writer->index_count++] =
        (struct index_entry){writer->offset, writer->first_ns, writer->event_count};
    struct bytes events = {0};
    size_t total = 0;
    for (unsigned i = 0; i < FORMAT_COLUMNS; i++)
        total += writer->columns[i].size + VARINT_MAX;
    int status = writer->event_count ? bytes_reserve(&events, total) : 0;
    if (!status) {
        for (unsigned i = 0; i < FORMAT_COLUMNS && writer->event_count; i++) {
            varint_put(&events, writer->columns[i].size);
            if (writer->columns[i].size)
                memcpy(events.data + events.size, writer->columns[i].data, writer->columns[i].size);
            events.size += writer->columns[i].size;
        }
        status = block_write(writer, FORMAT_DATA, &writer->definitions, &events);
    }
    free(events.data);
    for (unsigned i = 0; i < FORMAT_COLUMNS; i++)
        writer->columns[i].size = 0;
    writer->definitions.size = 0;
    writer->event_count = 0;
    model_reset(&writer->model);
    return status;
}

static void string_put(struct bytes *bytes, const char *text, size_t size)
{
    varint_put(bytes, size);
    memcpy(bytes->data + bytes->size, text, size);
    bytes->size += size;
}

static int on_process(void *context, const struct trace_process *process)
{
    struct writer *writer = context;
    struct bytes *out = &writer->definitions;
    size_t length = strlen(process->program);
    int status = bytes_reserve(out, length + 5 * VARINT_MAX);
    if (status)
        return status;
    varint_put(out, FORMAT_PROCESS);
    varint_put(out, process->id);
    varint_put(out, process->parent);
    varint_put(out, (uint32_t)process->pid);
    string_put(out, process->program, length);
    return 0;
}

static int on_module(void *context, const struct trace_module *module)
{
    struct writer *writer = context;
    struct bytes *out = &writer->definitions;
    size_t length = strlen(module->path);
    int status = bytes_reserve(out, length + module->build_id_size + 8 * VARINT_MAX);
    if (status)
        return status;
    varint_put(out, FORMAT_MODULE);
    varint_put(out, module->id);
    varint_put(out, module->process);
    varint_put(out, module->bias);
    varint_put(out, module->start);
    varint_put(out, module->end);
    string_put(out, module->path, length);
    string_put(out, (const char *)module->build_id, module->build_id_size);
    return 0;
}

static int on_thread(void *context, const struct trace_thread *thread)
{
    struct writer *writer = context;
    struct bytes *out = &writer->definitions;
    int status = bytes_reserve(out, 5 * VARINT_MAX);
    if (status)
        return status;
    varint_put(out, FORMAT_THREAD_START);
    varint_put(out, thread->id);
    varint_put(out, thread->process);
    varint_put(out, (uint32_t)thread->tid);
    varint_put(out, thread->start_ns);
    return 0;
}

static int on_nodes(void *context, const struct trace_node *nodes, size_t count)
{
    struct writer *writer = context;
    struct bytes *out = &writer->definitions;
    int status = bytes_reserve(out, 2 * VARINT_MAX + count * 6 * VARINT_MAX);
    if (status)
        return status;
    varint_put(out, FORMAT_NODES);
    varint_put(out, count);
    for (size_t i = 0; i < count; i++) {
        const struct trace_node *node = &nodes[i];
        varint_put(out, node->id - node->parent);
        varint_put(out, node->thread);
        varint_put(out, node->module == TRACE_NO_MODULE ? 0 : (uint64_t)node->module + 1);
        varint_put(out, node->flags);
        varint_put(out, zigzag((int64_t)(node->slot - writer->last_slot)));
        varint_put(out, zigzag((int64_t)(node->address - writer->last_address)));
        writer->last_slot = node->slot;
        writer->last_address = node->address;
    }
    if (out->size > FORMAT_RAW_MAX / 2) /* so that a part never reaches the reader's bound */
        return data_flush(writer);
    return 0;
}

static int event_put(struct writer *writer, const struct trace_event *event)
{
    struct bytes *columns = writer->columns;
    struct model *model = &writer->model;
    for (unsigned i = 0; i < FORMAT_COLUMNS; i++) {
        int status = bytes_reserve(&columns[i], VARINT_MAX);
        if (status)
            return status;
    }
    uint8_t head = (uint8_t)(event->kind | event->call << 2);
    uint64_t time = event->time_ns >> FORMAT_TIME_SHIFT;
    if (!writer->event_count++) {
        writer->first_ns = event->time_ns;
        model->time = time;
    }
    writer->last_ns = event->time_ns;
    /* Between threads time may step back a little. */
    varint_put(&columns[FORMAT_TIME], zigzag((int64_t)(time - model->time)));
    model->time = time;
    if (event->thread == model->thread)
        head |= FORMAT_SAME_THREAD;
    else
        varint_put(&columns[FORMAT_THREAD], event->thread);
    model->thread = event->thread;
    if (model_guess_stack(model, event->thread) == event->stack)
        head |= FORMAT_SAME_STACK;
    else
        varint_put(&columns[FORMAT_STACK], event->stack);
    uint64_t size = model_guess_size(model, event->kind, event->stack);
    uint32_t block = model_guess_block(model, event->kind);
    uint64_t address = model_guess_address(model, event->kind, event->size, event->block);
    /* A free's address is that of its block; it is written only where the block is unknown. */
    bool known = event->kind == TRACE_FREE && event->block != TRACE_NO_BLOCK;
    if (size == event->size && block == event->block && (known || address == event->address)) {
        head |= FORMAT_SAME_REST;
    } else {
        if (event->kind != TRACE_FREE)
            varint_put(&columns[FORMAT_SIZE], size == event->size ? 0 : event->size + 1);
        varint_put(&columns[FORMAT_BLOCK], zigzag((int32_t)(event->block - block)));
        if (!known)
            varint_put(&columns[FORMAT_ADDRESS], zigzag((int64_t)(event->address - address) >> 3));
    }
    columns[FORMAT_HEAD].data[columns[FORMAT_HEAD].size++] = head;
    return model_learn(model, event);
}

static int on_events(void *context, const struct trace_event *events, size_t count)
{
    struct writer *writer = context;
    for (size_t i = 0; i < count; i++) {
        if (writer->event_count == FORMAT_BLOCK_EVENTS ||
            (writer->event_count && events[i].time_ns > writer->first_ns + BLOCK_SPAN_NS)) {
            int status = data_flush(writer);
            if (status)
                return status;
        }
        int status = event_put(writer, &events[i]);
        if (status)
            return status;
    }
    return 0;
}

static int on_end(void *context, const struct trace_end *end)
{
    struct writer *writer = context;
    int status = data_flush(writer);
    const uint64_t numbers[] = {end->wall_ns, end->cpu_ns, end->events, end->allocations, end->frees, end->reallocs,
                                end->unknown_frees, end->dropped, end->lost_threads, end->recording_ns,
                                end->stack_hits, (uint32_t)end->exit_status, end->threads, end->processes};
    struct bytes none = {0}, out = {0};
    if (!status)
        status = bytes_reserve(&out, (2 + sizeof numbers / sizeof *numbers) * VARINT_MAX);
    if (!status) {
        for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
            varint_put(&out, numbers[i]);
        status = block_write(writer, FORMAT_END, &out, &none);
    }
    uint64_t index_offset = writer->offset;
    out.size = 0;
    if (!status)
        status = bytes_reserve(&out, (1 + writer->index_count * 3) * VARINT_MAX);
    if (!status) {
        varint_put(&out, writer->index_count);
        for (size_t i = 0; i < writer->index_count; i++) {
            varint_put(&out, writer->index[i].offset);
            varint_put(&out, writer->index[i].first_ns);
            varint_put(&out, writer->index[i].events);
        }
        status = block_write(writer, FORMAT_INDEX, &out, &none);
    }
    free(out.data);
    if (!status) {
        struct format_trailer trailer = {.index_offset = index_offset};
        memcpy(trailer.magic, FORMAT_TRAILER_MAGIC, sizeof trailer.magic);
        status = write_all(writer, &trailer, sizeof trailer);
    }
    return status;
}

struct writer *writer_create(const char *path, uint32_t flags)
{
    struct writer *writer = calloc(1, sizeof *writer);
    if (!writer)
        return NULL;
    writer->fd = strcmp(path, "-") ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)
                                   : fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    if (writer->fd < 0) {
        int error = errno;
        free(writer);
        errno = error;
        return NULL;
    }
    writer->zstd = ZSTD_createCCtx();
    struct format_header header = {.version = FORMAT_VERSION, .header_bytes = sizeof header,
                                   .unix_time_s = (uint64_t)time(NULL), .flags = flags};
    memcpy(header.magic, FORMAT_MAGIC, sizeof header.magic);
    int status = writer->zstd ? model_init(&writer->model) : -ENOMEM;
    if (!status) {
        model_reset(&writer->model);
        ZSTD_CCtx_setParameter(writer->zstd, ZSTD_c_compressionLevel, LEVEL);
        ZSTD_CCtx_setParameter(writer->zstd, ZSTD_c_checksumFlag, 1);
        status = write_all(writer, &header, sizeof header);
    }
    if (status) {
        writer->event_count = 0;
        writer_close(writer);
        errno = -status;
        return NULL;
    }
    writer->sink = (struct trace_sink){.context = writer, .process = on_process, .module = on_module,
                                       .thread = on_thread, .nodes = on_nodes, .events = on_events, .end = on_end};
    return writer;
}

const struct trace_sink *writer_sink(struct writer *writer)
{
    return &writer->sink;
}

uint64_t writer_bytes(const struct writer *writer)
{
    return writer->offset;
}

int writer_close(struct writer *writer)
{
    int status = data_flush(writer);
    if (close(writer->fd) && !status)
        status = -errno;
    for (unsigned i = 0; i < FORMAT_COLUMNS; i++)
        free(writer->columns[i].data);
    free(writer->definitions.data);
    free(writer->packed.data);
    free(writer->index);
    model_done(&writer->model);
    ZSTD_freeCCtx(writer->zstd);
    free(writer);
    return status;
}
