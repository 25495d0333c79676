/* SPDX-License-Identifier: MIT */
/* What the reader gives is what the writer got, event for event, times in steps of 16 ns. */
#include <stdlib.h>

#include "check.h"
#include "file.h"
#include "format.h"
#include "writer.h"

static void whole(const struct stream_options *options)
{
    struct file file;
    struct tape written, read;
    struct reader_result result;
    file_open(&file);
    CHECK_EQUAL(file_write(file.path, options, &written), 0);
    CHECK_EQUAL(file_read(file.path, &read, true, &result), 0);
    unsigned failed = failed_count;
    CHECK_EQUAL(result.complete, 1);
    CHECK_EQUAL(strlen(result.message), 0);
    CHECK_EQUAL(result.events, options->events);
    CHECK_EQUAL(result.read_bytes, result.file_bytes);
    CHECK_EQUAL(read.events.count, written.events.count);
    CHECK_EQUAL(read.processes.count, written.processes.count);
    CHECK_EQUAL(read.modules.count, written.modules.count);
    CHECK_EQUAL(read.threads.count, written.threads.count);
    CHECK_EQUAL(read.nodes.count, written.nodes.count);
    CHECK_EQUAL(tape_same(&written, &read, written.events.count), true);
    CHECK_EQUAL(read.end_count, 1);
    CHECK_EQUAL(memcmp(&read.end, &written.end, sizeof read.end), 0);
    if (failed != failed_count)
        printf("  with seed %" PRIu64 ", %zu events: %s\n", options->seed, options->events,
               result.message);
    tape_done(&written);
    tape_done(&read);
    file_close(&file);
}

/* Nodes pushed at once, more than fit a part; and text longer than the format takes. */
static void large_definitions(void)
{
    const size_t node_count = 1200000;
    struct trace_node *nodes = calloc(node_count, sizeof *nodes);
    char *path = malloc(FORMAT_TEXT_MAX + 101);
    if (!nodes || !path)
        abort();
    memset(path, 'x', FORMAT_TEXT_MAX + 100);
    path[FORMAT_TEXT_MAX + 100] = '\0';
    uint64_t random = 5;
    for (size_t i = 0; i < node_count; i++)
        nodes[i] = (struct trace_node){.id = (uint32_t)i + 1,
                                       .parent = (uint32_t)(stream_random(&random) % (i + 1)),
                                       .module = i % 2 ? 0 : TRACE_NO_MODULE,
                                       .slot = stream_random(&random),
                                       .address = stream_random(&random)};
    struct file file;
    struct tape read;
    struct reader_result result;
    file_open(&file);
    struct writer *writer = writer_create(file.path, FORMAT_SITE);
    if (!writer)
        abort();
    const struct trace_sink *sink = writer_sink(writer);
    CHECK_EQUAL(sink->process(sink->context, &(struct trace_process){.program = path}), 0);
    CHECK_EQUAL(sink->module(sink->context, &(struct trace_module){.path = ""}), 0);
    CHECK_EQUAL(sink->thread(sink->context, &(struct trace_thread){0}), 0);
    CHECK_EQUAL(sink->nodes(sink->context, nodes, node_count), 0);
    struct trace_event event = {.stack = (uint32_t)node_count, .size = UINT64_MAX - 1};
    CHECK_EQUAL(sink->events(sink->context, &event, 1), 0);
    CHECK_EQUAL(sink->end(sink->context, &(struct trace_end){0}), 0);
    CHECK_EQUAL(writer_close(writer), 0);
    CHECK_EQUAL(file_read(file.path, &read, true, &result), 0);
    CHECK_EQUAL(result.complete, 1);
    CHECK_EQUAL(result.flags, FORMAT_SITE);
    CHECK_EQUAL(strlen(result.message), 0);
    CHECK_EQUAL(read.nodes.count, node_count);
    for (size_t i = 0; i < read.nodes.count; i++) {
        const struct trace_node *node = (struct trace_node *)read.nodes.items + i;
        if (memcmp(node, &nodes[i], sizeof *node)) {
            CHECK_EQUAL(node->id, nodes[i].id);
            CHECK_EQUAL(node->parent, nodes[i].parent);
            CHECK_EQUAL(node->module, nodes[i].module);
            CHECK_EQUAL(node->slot, nodes[i].slot);
            CHECK_EQUAL(node->address, nodes[i].address);
            break;
        }
    }
    const struct trace_process *process = read.processes.items;
    CHECK_EQUAL(read.processes.count, 1);
    CHECK_EQUAL(read.processes.count == 1 ? strlen(process->program) : 0, FORMAT_TEXT_MAX);
    CHECK_EQUAL(read.events.count, 1);
    if (read.events.count == 1)
        CHECK_EQUAL(((struct trace_event *)read.events.items)->size, UINT64_MAX - 1);
    tape_done(&read);
    file_close(&file);
    free(nodes);
    free(path);
}

int main(void)
{
    static const size_t edges[] = {0,
                                   1,
                                   2,
                                   FORMAT_BLOCK_EVENTS - 1,
                                   FORMAT_BLOCK_EVENTS,
                                   FORMAT_BLOCK_EVENTS + 1,
                                   2 * FORMAT_BLOCK_EVENTS,
                                   3 * FORMAT_BLOCK_EVENTS + 17};
    for (size_t i = 0; i < sizeof edges / sizeof *edges; i++) {
        whole(&(struct stream_options){.seed = i, .events = edges[i]});
        whole(&(struct stream_options){.seed = i, .events = edges[i], .batch = 1});
        whole(&(struct stream_options){.seed = i, .events = edges[i], .batch = 100000});
    }
    for (uint64_t seed = 100; seed < 140; seed++)
        whole(&(struct stream_options){.seed = seed,
                                       .events = 3000,
                                       .batch = seed % 7 * 300,
                                       .pause_ns = 1500000000,
                                       .pause_every = seed % 5 * 100});
    large_definitions();
    return failed_count != 0;
}
