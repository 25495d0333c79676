/* SPDX-License-Identifier: MIT */
/*
 * A trace that an earlier build wrote still reads the same. `test_golden TRACE EXPECTED`;
 * `test_golden --regenerate TRACE EXPECTED` writes both anew: for a new version of the format only,
 * beside the old ones.
 */
#include <stdlib.h>

#include "check.h"
#include "file.h"
#include "format.h"

static int dump_process(void *context, const struct trace_process *process)
{
    fprintf(context, "process %" PRIu32 " parent %" PRIu32 " pid %" PRId32 " \"%s\"\n", process->id,
            process->parent, process->pid, process->program);
    return 0;
}

static int dump_module(void *context, const struct trace_module *module)
{
    fprintf(context,
            "module %" PRIu32 " process %" PRIu32 " bias %#" PRIx64 " at %#" PRIx64 " to %#" PRIx64
            " path of %zu bytes \"%.40s\" build id ",
            module->id, module->process, module->bias, module->start, module->end,
            strlen(module->path), module->path);
    for (uint32_t i = 0; i < module->build_id_size; i++)
        fprintf(context, "%02x", module->build_id[i]);
    fputs(".\n", context);
    return 0;
}

static int dump_thread(void *context, const struct trace_thread *thread)
{
    fprintf(context, "thread %" PRIu32 " process %" PRIu32 " tid %" PRId32 " start %" PRIu64 "\n",
            thread->id, thread->process, thread->tid, thread->start_ns);
    return 0;
}

static int dump_nodes(void *context, const struct trace_node *nodes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        fprintf(context,
                "node %" PRIu32 " parent %" PRIu32 " thread %" PRIu32 " module %" PRId32
                " flags %" PRIu32 " slot %#" PRIx64 " address %#" PRIx64 "\n",
                nodes[i].id, nodes[i].parent, nodes[i].thread, (int32_t)nodes[i].module,
                nodes[i].flags, nodes[i].slot, nodes[i].address);
    return 0;
}

static int dump_events(void *context, const struct trace_event *events, size_t count)
{
    for (size_t i = 0; i < count; i++)
        fprintf(context,
                "event %" PRIu64 " kind %u call %u thread %" PRIu32 " stack %" PRIu32
                " block %" PRId32 " size %" PRIu64 " address %#" PRIx64 "\n",
                events[i].time_ns, events[i].kind, events[i].call, events[i].thread,
                events[i].stack, (int32_t)events[i].block, events[i].size, events[i].address);
    return 0;
}

static int dump_end(void *context, const struct trace_end *end)
{
    fprintf(context,
            "end wall %" PRIu64 " cpu %" PRIu64 " events %" PRIu64 " allocations %" PRIu64
            " frees %" PRIu64 " reallocs %" PRIu64 " unknown %" PRIu64 " dropped %" PRIu64
            " lost threads %" PRIu64 " recording %" PRIu64 " hits %" PRIu64 " status %" PRId32
            " threads %" PRIu32 " processes %" PRIu32 "\n",
            end->wall_ns, end->cpu_ns, end->events, end->allocations, end->frees, end->reallocs,
            end->unknown_frees, end->dropped, end->lost_threads, end->recording_ns, end->stack_hits,
            end->exit_status, end->threads, end->processes);
    return 0;
}

static char *dump(const char *path)
{
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    if (!stream)
        abort();
    struct trace_sink sink = {stream,     dump_process, dump_module, dump_thread,
                              dump_nodes, dump_events,  dump_end};
    const struct trace_sink *sinks[] = {&sink};
    struct reader_result result;
    int status = reader_read(path, 0, UINT64_MAX, sinks, 1, &result);
    CHECK_EQUAL(status, 0);
    fprintf(stream, "version %" PRIu32 " complete %d message \"%s\"\n", result.version,
            result.complete, result.message);
    fclose(stream);
    return text;
}

int main(int argc, char **argv)
{
    bool regenerate = argc == 4 && !strcmp(argv[1], "--regenerate");
    if (argc != 3 && !regenerate) {
        fprintf(stderr, "usage: test_golden [--regenerate] TRACE EXPECTED\n");
        return 2;
    }
    const char *trace = argv[argc - 2], *expected = argv[argc - 1];
    if (regenerate) {
        const struct stream_options options = {
            .seed = 1, .events = 400, .pause_ns = 1500000000, .pause_every = 150};
        CHECK_EQUAL(file_write(trace, &options, NULL), 0);
    }
    char *got = dump(trace);
    FILE *file = fopen(expected, regenerate ? "we" : "re");
    if (!file) {
        perror(expected);
        return 2;
    }
    if (regenerate) {
        fputs(got, file);
    } else {
        char *line = NULL, *at = got;
        size_t capacity = 0, number = 1;
        for (ssize_t size; (size = getline(&line, &capacity, file)) > 0; number++) {
            size_t length = strcspn(at, "\n");
            length += at[length] == '\n';
            if (length != (size_t)size || memcmp(at, line, length)) {
                printf("%s:%d: %s:%zu is\n%.*swant\n%s", __FILE__, __LINE__, expected, number,
                       (int)length, at, line);
                failed_count++;
                break;
            }
            at += length;
        }
        CHECK_EQUAL(failed_count || number > 400, true);
        CHECK_EQUAL(failed_count ? 0 : strlen(at), 0);
        free(line);
    }
    fclose(file);
    free(got);
    return failed_count != 0;
}
