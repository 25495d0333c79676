/* SPDX-License-Identifier: MIT */
#include "writer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zstd.h>

#include "format.h"
#include "model.h"
#include "varint.h"

#define LEVEL 1 /* zstd: the columns are mostly predicted away before it sees them */
#define BLOCK_SPAN_NS                                                                              \
    1000000000u                /* a block is closed after this long, so that a kill loses little */
#define NODES_AT_ONCE    4096u /* so that definitions pass the bound below by little */
#define DEFINITIONS_FULL (FORMAT_RAW_MAX / 2)

/* The most that an event can take of each column; an address may have a byte for its low bits. */
static const uint8_t column_width[FORMAT_COLUMNS] = {
    [FORMAT_HEAD] = 1,
    [FORMAT_THREAD] = VARINT_MAX32,
    [FORMAT_TIME] = VARINT_MAX,
    [FORMAT_STACK] = VARINT_MAX32,
    [FORMAT_SIZE] = VARINT_MAX,
    [FORMAT_BLOCK] = VARINT_MAX,
    [FORMAT_ADDRESS] = VARINT_MAX + 1,
};

struct writer {
    struct trace_sink sink;
    int fd;
    bool regular; /* a file of our own: what a failed write left of a block can be cut off again */
    int error;    /* the first failure; nothing is written after it */
    uint64_t offset;
    struct bytes definitions, packed, events;
    uint8_t *columns; /* room for a block's events */
    uint8_t *column_start[FORMAT_COLUMNS], *column_end[FORMAT_COLUMNS];
    uint32_t event_count;
    uint64_t opened_ns;               /* time of the block's first event */
    uint64_t from_ns, to_ns;          /* its earliest and latest */
    uint64_t last_slot, last_address; /* of nodes, for differences */
    ZSTD_CCtx *zstd;
    struct model model;
};

/* All or nothing where the file can be cut. */
static int write_all(struct writer *writer, const void *data, size_t size)
{
    const char *at = data;
    size_t left = size;
    while (left) {
        ssize_t wrote = write(writer->fd, at, left);
        if (wrote > 0) {
            at += wrote;
            left -= (size_t)wrote;
            continue;
        }
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0 && errno == EAGAIN) { /* standard output may be set so by others */
            struct pollfd writable = {.fd = writer->fd, .events = POLLOUT};
            poll(&writable, 1, -1);
            continue;
        }
        writer->error = wrote < 0 ? -errno : -EIO;
        if (writer->regular && ftruncate(writer->fd, (off_t)writer->offset))
            return writer->error; /* a reader copes with the rest of a block, too */
        return writer->error;
    }
    writer->offset += size;
    return 0;
}

/* Appends `raw` to `packed` as one zstd frame. */
static int pack(struct writer *writer, const struct bytes *raw, uint32_t *ret_size)
{
    *ret_size = 0;
    if (!raw->size)
        return 0;
    size_t bound = ZSTD_compressBound(raw->size);
    int status = bytes_reserve(&writer->packed, bound);
    if (status)
        return status;
    size_t size = ZSTD_compress2(writer->zstd, writer->packed.data + writer->packed.size, bound,
                                 raw->data, raw->size);
    if (ZSTD_isError(size))
        return -ENOMEM; /* with room for the bound nothing else can fail */
    writer->packed.size += size;
    *ret_size = (uint32_t)size;
    return 0;
}

static int block_write(struct writer *writer, enum format_block_type type,
                       const struct bytes *definitions, const struct bytes *events)
{
    struct format_block block = {.magic = FORMAT_BLOCK_MAGIC,
                                 .type = type,
                                 .event_count = writer->event_count,
                                 .from_ns = writer->from_ns,
                                 .to_ns = writer->to_ns,
                                 .definition_raw = (uint32_t)definitions->size,
                                 .event_raw = (uint32_t)events->size};
    writer->packed.size = 0;
    int status = bytes_reserve(&writer->packed, sizeof block);
    if (!status) {
        writer->packed.size = sizeof block;
        status = pack(writer, definitions, &block.definition_bytes);
    }
    if (!status)
        status = pack(writer, events, &block.event_bytes);
    if (status) {
        writer->error = status;
        return status;
    }
    block.check = format_block_check(&block);
    memcpy(writer->packed.data, &block, sizeof block);
    return write_all(writer, writer->packed.data, writer->packed.size);
}

/* The columns one behind the other, each after its length. */
static int columns_join(struct writer *writer)
{
    struct bytes *events = &writer->events;
    events->size = 0;
    size_t total = 0;
    for (unsigned i = 0; i < FORMAT_COLUMNS; i++)
        total += (size_t)(writer->column_end[i] - writer->column_start[i]) + VARINT_MAX;
    int status = bytes_reserve(events, total);
    if (status)
        return status;
    for (unsigned i = 0; i < FORMAT_COLUMNS; i++) {
        size_t size = (size_t)(writer->column_end[i] - writer->column_start[i]);
        varint_put(events, size);
        memcpy(events->data + events->size, writer->column_start[i], size);
        events->size += size;
        writer->column_end[i] = writer->column_start[i];
    }
    return 0;
}

static int data_flush(struct writer *writer)
{
    if (writer->error)
        return writer->error;
    if (!writer->event_count && !writer->definitions.size)
        return 0;
    writer->events.size = 0;
    if (writer->event_count) {
        writer->error = columns_join(writer);
        if (writer->error)
            return writer->error;
    }
    int status = block_write(writer, FORMAT_DATA, &writer->definitions, &writer->events);
    writer->definitions.size = 0;
    writer->event_count = 0;
    writer->from_ns = writer->to_ns = 0;
    model_reset(&writer->model);
    return status;
}

/* Room for a definition of `more` bytes. */
static int definition_begin(struct writer *writer, size_t more)
{
    if (!writer->error && writer->definitions.size > DEFINITIONS_FULL)
        data_flush(writer);
    if (!writer->error)
        writer->error = bytes_reserve(&writer->definitions, more);
    return writer->error;
}

static size_t text_length(const char *text)
{
    return strnlen(text, FORMAT_TEXT_MAX);
}

static void text_put(struct bytes *bytes, const void *text, size_t size)
{
    varint_put(bytes, size);
    memcpy(bytes->data + bytes->size, text, size);
    bytes->size += size;
}

static int on_process(void *context, const struct trace_process *process)
{
    struct writer *writer = context;
    struct bytes *out = &writer->definitions;
    size_t length = text_length(process->program);
    int status = definition_begin(writer, length + 5 * VARINT_MAX);
    if (status)
        return status;
    varint_put(out, FORMAT_PROCESS);
    varint_put(out, process->id);
    varint_put(out, process->parent);
    varint_put(out, (uint32_t)process->pid);
    text_put(out, process->program, length);
    return 0;
}

static int on_module(void *context, const struct trace_module *module)
{
    struct writer *writer = context;
    struct bytes *out = &writer->definitions;
    size_t length = text_length(module->path);
    int status = definition_begin(writer, length + module->build_id_size + 8 * VARINT_MAX);
    if (status)
        return status;
    varint_put(out, FORMAT_MODULE);
    varint_put(out, module->id);
    varint_put(out, module->process);
    varint_put(out, module->bias);
    varint_put(out, module->start);
    varint_put(out, module->end);
    text_put(out, module->path, length);
    text_put(out, module->build_id, module->build_id_size);
    return 0;
}

static int on_thread(void *context, const struct trace_thread *thread)
{
    struct writer *writer = context;
    struct bytes *out = &writer->definitions;
    int status = definition_begin(writer, 5 * VARINT_MAX);
    if (status)
        return status;
    varint_put(out, FORMAT_THREAD_START);
    varint_put(out, thread->id);
    varint_put(out, thread->process);
    varint_put(out, (uint32_t)thread->tid);
    varint_put(out, thread->start_ns);
    return 0;
}

static void node_put(struct writer *writer, const struct trace_node *node)
{
    struct bytes *out = &writer->definitions;
    varint_put(out, node->id - node->parent);
    varint_put(out, node->thread);
    varint_put(out, node->module == TRACE_NO_MODULE ? 0 : (uint64_t)node->module + 1);
    varint_put(out, node->flags);
    varint_put(out, zigzag((int64_t)(node->slot - writer->last_slot)));
    varint_put(out, zigzag((int64_t)(node->address - writer->last_address)));
    writer->last_slot = node->slot;
    writer->last_address = node->address;
}

static int on_nodes(void *context, const struct trace_node *nodes, size_t count)
{
    struct writer *writer = context;
    while (count) {
        size_t some = count < NODES_AT_ONCE ? count : NODES_AT_ONCE;
        int status = definition_begin(writer, 2 * VARINT_MAX + some * 6 * VARINT_MAX);
        if (status)
            return status;
        varint_put(&writer->definitions, FORMAT_NODES);
        varint_put(&writer->definitions, some);
        for (size_t i = 0; i < some; i++)
            node_put(writer, &nodes[i]);
        nodes += some;
        count -= some;
    }
    return writer->error;
}

/* The difference in units of 16, as most allocators align; a flag in the lowest bit says that a
 * byte with the rest follows. */
static inline uint8_t *address_put(uint8_t *at, uint64_t difference)
{
    uint64_t rest = difference & 15;
    at = varint_write(at, zigzag((int64_t)difference >> 4) << 1 | (rest != 0));
    if (rest)
        *at++ = (uint8_t)rest;
    return at;
}

/* Ends of the columns: in registers, or at least nobody else's, while events are put. */
struct ends {
    uint8_t *head, *thread, *time, *stack, *size, *block, *address;
};

static inline void event_put(struct model *model, struct ends *ends,
                             const struct trace_event *event)
{
    uint8_t head = (uint8_t)(event->kind | event->call << 2);
    /* Between threads time may step back a little. */
    uint64_t time = event->time_ns >> FORMAT_TIME_SHIFT;
    ends->time = varint_write(ends->time, zigzag((int64_t)(time - model->time)));
    model->time = time;
    if (event->thread == model->thread)
        head |= FORMAT_SAME_THREAD;
    else
        ends->thread = varint_write(ends->thread, event->thread);
    model->thread = event->thread;
    if (model_guess_stack(model, event->thread) == event->stack)
        head |= FORMAT_SAME_STACK;
    else
        ends->stack = varint_write(ends->stack, event->stack);
    model_learn_stack(model, event->thread, event->stack);
    if (event->kind == TRACE_FREE) {
        uint32_t block = model_guess_freed_block(model);
        uint64_t address = model_guess_unknown_address(model);
        /* A free's address is that of its block; it is written only where the block is unknown. */
        bool unknown = event->block == TRACE_NO_BLOCK;
        if (block == event->block && (!unknown || address == event->address)) {
            head |= FORMAT_SAME_REST;
        } else {
            ends->block = varint_write(ends->block, zigzag((int32_t)(event->block - block)));
            if (unknown)
                ends->address = address_put(ends->address, event->address - address);
        }
        model_learn_free(model, event);
    } else {
        bool fresh = event->kind == TRACE_ALLOC;
        uint64_t size = model_guess_size(model, event->stack);
        uint32_t block = fresh ? model_guess_new_block(model) : model_guess_resized_block(model);
        uint64_t address = fresh ? model_guess_new_address(model, event->size)
                                 : model_guess_resized_address(model, event->block);
        if (size == event->size && block == event->block && address == event->address) {
            head |= FORMAT_SAME_REST;
        } else {
            ends->size = varint_write(ends->size, size == event->size ? 0 : event->size + 1);
            ends->block = varint_write(ends->block, zigzag((int32_t)(event->block - block)));
            ends->address = address_put(ends->address, event->address - address);
        }
        if (fresh)
            model_learn_alloc(model, event);
        else
            model_learn_realloc(model, event);
    }
    *ends->head++ = head;
}

/* As many of the events as belong into the open block, for which there is room; how many. */
static size_t events_put(struct writer *writer, const struct trace_event *events, size_t count)
{
    uint8_t **end = writer->column_end;
    struct ends ends = {end[FORMAT_HEAD], end[FORMAT_THREAD], end[FORMAT_TIME],   end[FORMAT_STACK],
                        end[FORMAT_SIZE], end[FORMAT_BLOCK],  end[FORMAT_ADDRESS]};
    if (!writer->event_count) {
        writer->opened_ns = writer->to_ns = events[0].time_ns;
        writer->from_ns = events[0].time_ns;
    }
    uint64_t from_ns = writer->from_ns, to_ns = writer->to_ns;
    size_t i;
    for (i = 0; i < count; i++) {
        uint64_t time_ns = events[i].time_ns;
        if (time_ns > writer->opened_ns && time_ns - writer->opened_ns > BLOCK_SPAN_NS)
            break;
        from_ns = time_ns < from_ns ? time_ns : from_ns;
        to_ns = time_ns > to_ns ? time_ns : to_ns;
        event_put(&writer->model, &ends, &events[i]);
    }
    writer->from_ns = from_ns >> FORMAT_TIME_SHIFT << FORMAT_TIME_SHIFT;
    writer->to_ns = to_ns >> FORMAT_TIME_SHIFT << FORMAT_TIME_SHIFT;
    writer->event_count += (uint32_t)i;
    end[FORMAT_HEAD] = ends.head;
    end[FORMAT_THREAD] = ends.thread;
    end[FORMAT_TIME] = ends.time;
    end[FORMAT_STACK] = ends.stack;
    end[FORMAT_SIZE] = ends.size;
    end[FORMAT_BLOCK] = ends.block;
    end[FORMAT_ADDRESS] = ends.address;
    return i;
}

static int on_events(void *context, const struct trace_event *events, size_t count)
{
    struct writer *writer = context;
    while (count && !writer->error) {
        size_t room = FORMAT_BLOCK_EVENTS - writer->event_count;
        size_t put = events_put(writer, events, count < room ? count : room);
        events += put;
        count -= put;
        if (count || writer->event_count == FORMAT_BLOCK_EVENTS)
            data_flush(writer);
    }
    return writer->error;
}

static int on_end(void *context, const struct trace_end *end)
{
    struct writer *writer = context;
    int status = data_flush(writer);
    const uint64_t numbers[] = {end->wall_ns,       end->cpu_ns,     end->events,
                                end->allocations,   end->frees,      end->reallocs,
                                end->unknown_frees, end->dropped,    end->lost_threads,
                                end->recording_ns,  end->stack_hits, (uint32_t)end->exit_status,
                                end->threads,       end->processes, end->minor_faults,
                                end->peak_bytes};
    const size_t number_count = sizeof numbers / sizeof *numbers;
    if (!status)
        status = definition_begin(writer, number_count * VARINT_MAX);
    if (status)
        return status;
    for (size_t i = 0; i < number_count; i++)
        varint_put(&writer->definitions, numbers[i]);
    const struct bytes none = {0};
    status = block_write(writer, FORMAT_END, &writer->definitions, &none);
    writer->definitions.size = 0;
    return status;
}

static int header_write(struct writer *writer, uint32_t flags)
{
    struct format_header header = {.version = FORMAT_VERSION,
                                   .header_bytes = sizeof header,
                                   .unix_time_s = (uint64_t)time(NULL),
                                   .flags = flags};
    memcpy(header.magic, FORMAT_MAGIC, sizeof header.magic);
    header.check = format_header_check(&header);
    return write_all(writer, &header, sizeof header);
}

static int buffers_create(struct writer *writer)
{
    size_t total = 0;
    for (unsigned i = 0; i < FORMAT_COLUMNS; i++)
        total += column_width[i];
    writer->columns = malloc(total * FORMAT_BLOCK_EVENTS);
    writer->zstd = ZSTD_createCCtx();
    if (!writer->columns || !writer->zstd)
        return -ENOMEM;
    uint8_t *at = writer->columns;
    for (unsigned i = 0; i < FORMAT_COLUMNS; i++) {
        writer->column_start[i] = writer->column_end[i] = at;
        at += (size_t)column_width[i] * FORMAT_BLOCK_EVENTS;
    }
    ZSTD_CCtx_setParameter(writer->zstd, ZSTD_c_compressionLevel, LEVEL);
    ZSTD_CCtx_setParameter(writer->zstd, ZSTD_c_checksumFlag, 1);
    model_reset(&writer->model);
    return 0;
}

struct writer *writer_create(const char *path, uint32_t flags)
{
    struct writer *writer = calloc(1, sizeof *writer);
    if (!writer)
        return NULL;
    bool standard_output = !strcmp(path, "-");
    writer->fd = standard_output ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)
                                 : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (writer->fd < 0) {
        int error = errno;
        free(writer);
        errno = error;
        return NULL;
    }
    struct stat file;
    writer->regular = !standard_output && !fstat(writer->fd, &file) && S_ISREG(file.st_mode);
    int status = buffers_create(writer);
    if (!status)
        status = header_write(writer, flags);
    if (status) {
        writer->error = status;
        writer_close(writer);
        errno = -status;
        return NULL;
    }
    writer->sink = (struct trace_sink){.context = writer,
                                       .process = on_process,
                                       .module = on_module,
                                       .thread = on_thread,
                                       .nodes = on_nodes,
                                       .events = on_events,
                                       .end = on_end};
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
    free(writer->columns);
    free(writer->definitions.data);
    free(writer->packed.data);
    free(writer->events.data);
    ZSTD_freeCCtx(writer->zstd);
    free(writer);
    return status;
}
