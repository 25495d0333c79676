/* SPDX-License-Identifier: MIT */
#include "decode.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "varint.h"

/* Calls the member of each sink that has one; `status` is that of the first that fails. */
#define PUSH(decode, status, member, ...)                                                          \
    do {                                                                                           \
        for (size_t sink_ = 0; sink_ < (decode)->sink_count && !(status); sink_++) {               \
            const struct trace_sink *to_ = (decode)->sinks[sink_];                                 \
            if (to_->member)                                                                       \
                (status) = to_->member(to_->context, __VA_ARGS__);                                 \
        }                                                                                          \
    } while (0)

/* `count` items fit into *data afterwards; new ones are zero. 0 or -ENOMEM. */
static int room(void *data, size_t *capacity, size_t count, size_t item_size)
{
    void *old, *grown;
    memcpy(&old, data, sizeof old);
    size_t target = *capacity ? *capacity : 1024;
    while (target < count)
        target *= 2;
    grown = realloc(old, target * item_size);
    if (!grown)
        return -ENOMEM;
    memset((char *)grown + *capacity * item_size, 0, (target - *capacity) * item_size);
    memcpy(data, &grown, sizeof grown);
    *capacity = target;
    return 0;
}

/* ---- definitions ---- */

/* Text in a buffer that lives until the next call. */
static const char *text_take(struct decode *decode, struct reading *in)
{
    uint64_t size = varint_take(in);
    const uint8_t *text = size <= FORMAT_TEXT_MAX ? bytes_take(in, size) : NULL;
    if (!text) {
        in->bad = true;
        return NULL;
    }
    memcpy(decode->text, text, size);
    decode->text[size] = '\0';
    return decode->text;
}

static int process_take(struct decode *decode, struct reading *in)
{
    struct trace_process process = {.id = varint_take32(in), .parent = varint_take32(in)};
    process.pid = (int32_t)varint_take32(in);
    process.program = text_take(decode, in);
    if (in->bad || process.id != decode->processes || process.parent > process.id ||
        process.id >= FORMAT_COUNT_MAX)
        return DECODE_DAMAGED;
    decode->processes++;
    decode->seen.processes++;
    int status = 0;
    PUSH(decode, status, process, &process);
    return status;
}

static int module_take(struct decode *decode, struct reading *in)
{
    struct trace_module module = {.id = varint_take32(in), .process = varint_take32(in)};
    module.bias = varint_take(in);
    module.start = varint_take(in);
    module.end = varint_take(in);
    module.path = text_take(decode, in);
    uint64_t size = varint_take(in);
    const uint8_t *build_id = size <= TRACE_BUILD_ID_MAX ? bytes_take(in, size) : NULL;
    if (in->bad || !build_id || module.id != decode->modules ||
        module.process >= decode->processes || module.id >= FORMAT_COUNT_MAX)
        return DECODE_DAMAGED;
    memcpy(module.build_id, build_id, size);
    module.build_id_size = (uint32_t)size;
    decode->modules++;
    int status = 0;
    PUSH(decode, status, module, &module);
    return status;
}

static int thread_take(struct decode *decode, struct reading *in)
{
    struct trace_thread thread = {.id = varint_take32(in), .process = varint_take32(in)};
    thread.tid = (int32_t)varint_take32(in);
    thread.start_ns = varint_take(in);
    if (in->bad || thread.id != decode->threads || thread.process >= decode->processes ||
        thread.id >= FORMAT_COUNT_MAX)
        return DECODE_DAMAGED;
    if (thread.id >= decode->thread_capacity &&
        room(&decode->thread_times, &decode->thread_capacity, thread.id + 1u,
             sizeof *decode->thread_times))
        return -ENOMEM;
    decode->threads++;
    decode->seen.threads++;
    int status = 0;
    PUSH(decode, status, thread, &thread);
    return status;
}

static int node_take(struct decode *decode, struct reading *in, struct trace_node *ret_node)
{
    uint32_t up = varint_take32(in), thread = varint_take32(in), module = varint_take32(in);
    uint32_t flags = varint_take32(in);
    uint64_t slot = decode->last_slot + (uint64_t)unzigzag(varint_take(in));
    uint64_t address = decode->last_address + (uint64_t)unzigzag(varint_take(in));
    if (in->bad || decode->nodes == UINT32_MAX)
        return DECODE_DAMAGED;
    uint32_t id = decode->nodes + 1;
    if (!up || up > id || thread >= decode->threads || module > decode->modules)
        return DECODE_DAMAGED;
    if (up < id && decode->node_threads[id - up] != thread)
        return DECODE_DAMAGED;
    if (id >= decode->node_capacity &&
        room(&decode->node_threads, &decode->node_capacity, id + (size_t)1, sizeof(uint32_t)))
        return -ENOMEM;
    decode->node_threads[id] = thread;
    *ret_node = (struct trace_node){.id = id,
                                    .parent = id - up,
                                    .thread = thread,
                                    .module = module ? module - 1 : TRACE_NO_MODULE,
                                    .flags = flags,
                                    .slot = slot,
                                    .address = address};
    decode->nodes = id;
    decode->last_slot = slot;
    decode->last_address = address;
    return 0;
}

static int nodes_take(struct decode *decode, struct reading *in)
{
    uint64_t count = varint_take(in);
    int status = in->bad ? DECODE_DAMAGED : 0;
    while (count && !status) {
        size_t taken = 0;
        while (taken < count && taken < DECODE_BATCH && !status) {
            status = node_take(decode, in, &decode->node_batch[taken]);
            taken += !status;
        }
        count -= taken;
        int pushed = 0;
        if (taken)
            PUSH(decode, pushed, nodes, decode->node_batch, taken);
        status = pushed ? pushed : status;
    }
    return status;
}

int decode_definitions(struct decode *decode, const uint8_t *data, size_t size)
{
    struct reading in = {data, data + size, false};
    int status = 0;
    while (in.at < in.end && !status) {
        switch (varint_take(&in)) {
        case FORMAT_PROCESS:
            status = process_take(decode, &in);
            break;
        case FORMAT_MODULE:
            status = module_take(decode, &in);
            break;
        case FORMAT_THREAD_START:
            status = thread_take(decode, &in);
            break;
        case FORMAT_NODES:
            status = nodes_take(decode, &in);
            break;
        default:
            status = DECODE_DAMAGED;
        }
    }
    return status;
}

/* ---- events ---- */

static int blocks_grow(struct decode *decode, size_t count)
{
    size_t live = decode->block_capacity, shown = live, unused = live;
    size_t capacity = live ? live : 4096;
    while (capacity < count)
        capacity *= 2;
    if (room(&decode->live, &live, capacity, sizeof *decode->live))
        return -ENOMEM;
    if (decode->windowed && (room(&decode->shown, &shown, capacity, sizeof *decode->shown) ||
                             room(&decode->unused, &unused, capacity, sizeof *decode->unused)))
        return -ENOMEM;
    /* Last, as it is this capacity that is kept. */
    return room(&decode->addresses, &decode->block_capacity, capacity, sizeof *decode->addresses);
}

/* The number may be new: the next one, or, where events were left out, any that they may have used.
 */
static int block_add(struct decode *decode, uint32_t block)
{
    uint64_t limit = decode->skipped ? decode->passed + 1 : decode->block_count + 1;
    if (block >= limit || block == TRACE_NO_BLOCK)
        return DECODE_DAMAGED;
    if (block >= decode->block_capacity) {
        int status = blocks_grow(decode, (size_t)block + 1);
        if (status)
            return status;
    }
    size_t more = block + 1 - decode->block_count;
    memset(decode->live + decode->block_count, 0, more);
    if (decode->windowed)
        memset(decode->shown + decode->block_count, 0xff, more * sizeof *decode->shown);
    decode->block_count = (size_t)block + 1;
    return 0;
}

static inline bool block_is_live(const struct decode *decode, uint32_t block)
{
    return block < decode->block_count && decode->live[block];
}

/* Checks that the event can follow what was read, and keeps the live blocks. */
static inline int event_apply(struct decode *decode, struct trace_event *event)
{
    uint32_t block = event->block;
    if (event->kind == TRACE_FREE) {
        if (block == TRACE_NO_BLOCK) {
            decode->seen.unknown_frees++;
        } else if (block_is_live(decode, block)) {
            event->address = decode->addresses[block];
            decode->live[block] = 0;
        } else if (!decode->skipped) {
            return DECODE_DAMAGED;
        }
        decode->seen.frees++;
    } else if (event->kind == TRACE_REALLOC) {
        if (!block_is_live(decode, block) && !decode->skipped)
            return DECODE_DAMAGED;
        if (block >= decode->block_count) {
            int status = block_add(decode, block);
            if (status)
                return status;
        }
        decode->live[block] = 1;
        decode->addresses[block] = event->address;
        decode->seen.reallocs++;
    } else {
        if (block >= decode->block_count) {
            int status = block_add(decode, block);
            if (status)
                return status;
        } else if (decode->live[block] && !decode->skipped) {
            return DECODE_DAMAGED;
        }
        decode->live[block] = 1;
        decode->addresses[block] = event->address;
        decode->seen.allocations++;
    }
    decode->seen.events++;
    return 0;
}

/*
 * Gives the event the number that the sinks know its block by. A block from before the window, or
 * from events left out, is unknown to them: its free is an unknown one, its realloc makes it.
 * Whether the sinks get the event.
 */
static bool event_show(struct decode *decode, struct trace_event *event)
{
    bool inside =
        event->time_ns >= decode->window_from_ns && event->time_ns <= decode->window_to_ns;
    if (event->block == TRACE_NO_BLOCK)
        return inside;
    if (event->block >= decode->block_count) { /* a free of a block that was made while skipping */
        event->block = TRACE_NO_BLOCK;
        return inside;
    }
    uint32_t *shown = &decode->shown[event->block];
    if (event->kind == TRACE_ALLOC)
        *shown = TRACE_NO_BLOCK;
    uint32_t number = *shown;
    if (event->kind == TRACE_FREE) {
        *shown = TRACE_NO_BLOCK;
        if (inside && number != TRACE_NO_BLOCK)
            decode->unused[decode->unused_count++] = number;
    } else if (inside && number == TRACE_NO_BLOCK) {
        event->kind = TRACE_ALLOC;
        number =
            decode->unused_count ? decode->unused[--decode->unused_count] : decode->shown_count++;
        *shown = number;
    }
    event->block = number;
    return inside;
}

/* Undoes address_put of the writer. */
static inline uint64_t address_take(struct reading *in)
{
    uint64_t value = varint_take(in);
    uint64_t difference = (uint64_t)unzigzag(value >> 1) << 4;
    if (value & 1) {
        const uint8_t *rest = bytes_take(in, 1);
        difference += rest ? *rest & 15 : 0;
    }
    return difference;
}

/* The event as the writer put it, but for the address of a free of a known block. It is made in its
 * place: copied as a whole right after its members were set it would wait for all those stores. */
static inline bool event_take(struct decode *decode, struct reading *columns,
                              struct trace_event *event)
{
    struct model *model = &decode->model;
    uint8_t head = *columns[FORMAT_HEAD].at++;
    uint8_t kind = head & 3;
    bool same = head & FORMAT_SAME_REST;
    event->kind = kind;
    event->call = head >> 2 & 7;
    model->time += (uint64_t)unzigzag(varint_take(&columns[FORMAT_TIME]));
    event->time_ns = model->time << FORMAT_TIME_SHIFT;
    if (!(head & FORMAT_SAME_THREAD))
        model->thread = varint_take32(&columns[FORMAT_THREAD]);
    uint32_t thread = event->thread = model->thread;
    uint32_t stack = event->stack = head & FORMAT_SAME_STACK
                                        ? model_guess_stack(model, thread)
                                        : varint_take32(&columns[FORMAT_STACK]);
    if (kind > TRACE_REALLOC || event->call >= TRACE_CALL_COUNT || thread >= decode->threads ||
        stack > decode->nodes)
        return false;
    model_learn_stack(model, thread, stack);
    if (kind == TRACE_FREE) {
        uint32_t block = model_guess_freed_block(model);
        if (!same)
            block += (uint32_t)unzigzag(varint_take(&columns[FORMAT_BLOCK]));
        event->size = 0;
        event->block = block;
        event->address = 0;
        if (block == TRACE_NO_BLOCK) {
            event->address = model_guess_unknown_address(model);
            if (!same)
                event->address += address_take(&columns[FORMAT_ADDRESS]);
        }
        model_learn_free(model, event);
    } else {
        bool fresh = kind == TRACE_ALLOC;
        uint64_t size = model_guess_size(model, stack);
        uint32_t block = fresh ? model_guess_new_block(model) : model_guess_resized_block(model);
        if (!same) {
            uint64_t written = varint_take(&columns[FORMAT_SIZE]);
            size = written ? written - 1 : size;
            block += (uint32_t)unzigzag(varint_take(&columns[FORMAT_BLOCK]));
        }
        uint64_t address = fresh ? model_guess_new_address(model, size)
                                 : model_guess_resized_address(model, block);
        if (!same)
            address += address_take(&columns[FORMAT_ADDRESS]);
        event->size = size;
        event->block = block;
        event->address = address;
        if (fresh)
            model_learn_alloc(model, event);
        else
            model_learn_realloc(model, event);
    }
    return !(columns[FORMAT_THREAD].bad | columns[FORMAT_TIME].bad | columns[FORMAT_STACK].bad |
             columns[FORMAT_SIZE].bad | columns[FORMAT_BLOCK].bad | columns[FORMAT_ADDRESS].bad);
}

static int columns_split(const struct format_block *block, const uint8_t *data, size_t size,
                         struct reading *ret_columns)
{
    struct reading in = {data, data + size, false};
    for (unsigned i = 0; i < FORMAT_COLUMNS; i++) {
        uint64_t bytes = varint_take(&in);
        const uint8_t *at = bytes_take(&in, bytes);
        if (in.bad)
            return DECODE_DAMAGED;
        ret_columns[i] = (struct reading){at, at + bytes, false};
    }
    size_t heads = (size_t)(ret_columns[FORMAT_HEAD].end - ret_columns[FORMAT_HEAD].at);
    return heads == block->event_count ? 0 : DECODE_DAMAGED;
}

static int batch_push(struct decode *decode, size_t *count)
{
    int status = 0;
    if (*count)
        PUSH(decode, status, events, decode->event_batch, *count);
    decode->pushed += *count;
    *count = 0;
    return status;
}

int decode_events(struct decode *decode, const struct format_block *block, const uint8_t *data,
                  size_t size)
{
    struct reading columns[FORMAT_COLUMNS];
    int status = columns_split(block, data, size, columns);
    if (status)
        return status;
    model_reset(&decode->model);
    size_t batch = 0;
    for (uint32_t i = 0; i < block->event_count && !status; i++) {
        struct trace_event *event = &decode->event_batch[batch];
        status = event_take(decode, columns, event) ? event_apply(decode, event) : DECODE_DAMAGED;
        if (status)
            break;
        /* Within a thread time never goes back, whatever the bytes say. */
        uint64_t *time_ns = &decode->thread_times[event->thread];
        *time_ns = event->time_ns = event->time_ns > *time_ns ? event->time_ns : *time_ns;
        if (event->time_ns > decode->seen.wall_ns)
            decode->seen.wall_ns = event->time_ns;
        decode->passed++;
        batch += !decode->windowed || event_show(decode, event);
        if (batch == DECODE_BATCH)
            status = batch_push(decode, &batch);
    }
    int pushed = status && status != DECODE_DAMAGED ? 0 : batch_push(decode, &batch);
    return pushed ? pushed : status;
}

void decode_skip(struct decode *decode, const struct format_block *block)
{
    if (!block->event_count)
        return;
    decode->skipped = true;
    decode->passed += block->event_count;
}

/* ---- the end ---- */

int decode_end(struct decode *decode, const uint8_t *data, size_t size)
{
    struct reading in = {data, data + size, false};
    struct trace_end end = {0};
    uint64_t *const numbers[] = {&end.wall_ns,       &end.cpu_ns,    &end.events,
                                 &end.allocations,   &end.frees,     &end.reallocs,
                                 &end.unknown_frees, &end.dropped,   &end.lost_threads,
                                 &end.recording_ns,  &end.stack_hits};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        *numbers[i] = varint_take(&in);
    end.exit_status = (int32_t)varint_take32(&in);
    end.threads = varint_take32(&in);
    end.processes = varint_take32(&in);
    if (in.at < in.end) /* not in older recordings */
        end.minor_faults = varint_take(&in);
    if (in.at < in.end)
        end.peak_bytes = varint_take(&in);
    if (in.bad)
        return DECODE_DAMAGED;
    int status = 0;
    PUSH(decode, status, end, &end);
    return status;
}

int decode_cut(struct decode *decode)
{
    decode->seen.exit_status = -1;
    int status = 0;
    PUSH(decode, status, end, &decode->seen);
    return status;
}

void decode_done(struct decode *decode)
{
    free(decode->node_threads);
    free(decode->thread_times);
    free(decode->addresses);
    free(decode->live);
    free(decode->shown);
    free(decode->unused);
}
