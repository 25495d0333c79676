/* SPDX-License-Identifier: MIT */
/*
 * tally_run [--oracle] [--site] [--lossy] [--children] [--stacks] [--file TRACE] OUT COMMAND...
 * records a command into a tally and writes it to OUT. With --file the recording goes into a trace,
 * too, and the trace read back has to give the same tally to the letter. Exits with 0 when the
 * command was recorded, however it ended, with 1 when the two tallies differ, else with 2 and the
 * reason.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "format.h"
#include "reader.h"
#include "record.h"
#include "tally.h"
#include "writer.h"

static char *printed(const struct tally *tally)
{
    char *text;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    if (stream == NULL)
        return NULL;
    tally_print(tally, true, stream);
    return fclose(stream) == 0 ? text : NULL;
}

/* Whether the trace says what was recorded; the first line that differs goes to standard error. */
static int compare_with_file(const struct tally *recorded, const char *path)
{
    struct tally *read = tally_create();
    if (read == NULL)
        return 2;
    const struct trace_sink *sinks[] = {tally_sink(read)};
    struct reader_result result;
    int status = reader_read(path, 0, UINT64_MAX, sinks, 1, &result);
    if (status < 0 || !result.complete || result.message[0] != '\0') {
        fprintf(stderr, "%s: %s; %s\n", path, strerror(-status), result.message);
        tally_destroy(read);
        return 2;
    }
    char *before = printed(recorded), *after = printed(read);
    tally_destroy(read);
    if (before == NULL || after == NULL)
        return 2;
    size_t at = 0;
    while (before[at] != '\0' && before[at] == after[at])
        at++;
    bool same = before[at] == after[at];
    while (!same && at > 0 && before[at - 1] != '\n')
        at--;
    if (!same)
        fprintf(stderr, "recorded: %.*s\nread:     %.*s\n", (int)strcspn(before + at, "\n"),
                before + at, (int)strcspn(after + at, "\n"), after + at);
    free(before);
    free(after);
    return same ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct record_options options = {.timeout_s = 120};
    const char *file = NULL;
    bool stacks = false;
    int at = 1;
    for (; at < argc && argv[at][0] == '-'; at++) {
        if (strcmp(argv[at], "--oracle") == 0)
            options.oracle = true;
        else if (strcmp(argv[at], "--site") == 0)
            options.site = true;
        else if (strcmp(argv[at], "--lossy") == 0)
            options.lossy = true;
        else if (strcmp(argv[at], "--children") == 0)
            options.children = true;
        else if (strcmp(argv[at], "--stacks") == 0)
            stacks = true;
        else if (strcmp(argv[at], "--file") == 0 && at + 1 < argc)
            file = argv[++at];
        else
            break;
    }
    if (argc - at < 2) {
        fprintf(stderr, "usage: tally_run [OPTION...] OUT COMMAND...\n");
        return 2;
    }
    FILE *out = fopen(argv[at], "we");
    struct tally *tally = tally_create();
    if (out == NULL || tally == NULL) {
        perror(argv[at]);
        return 2;
    }
    options.command = &argv[at + 1];
    struct writer *writer =
        file == NULL ? NULL : writer_create(file, options.site ? FORMAT_SITE : 0);
    if (file != NULL && writer == NULL) {
        perror(file);
        return 2;
    }
    const struct trace_sink *sinks[] = {tally_sink(tally),
                                        writer == NULL ? NULL : writer_sink(writer)};
    struct record_result result;
    int status = record_run(&options, sinks, writer == NULL ? 1 : 2, &result);
    int closed = writer == NULL ? 0 : writer_close(writer);
    if (status < 0 || result.timed_out) {
        fprintf(stderr, "tally_run: %s\n",
                result.timed_out ? "the command ran too long" : result.message);
        return 2;
    }
    if (closed < 0) {
        fprintf(stderr, "tally_run: %s: %s\n", file, strerror(-closed));
        return 2;
    }
    tally_print(tally, stacks, out);
    if (options.oracle)
        fprintf(out,
                "{\"oracle\": {\"checked\": %" PRIu64 ", \"wrong\": %" PRIu64
                ", \"truncated\": %" PRIu64 "}}\n",
                result.oracle_checked, result.oracle_wrong, result.oracle_truncated);
    int differs = file == NULL ? 0 : compare_with_file(tally, file);
    tally_destroy(tally);
    return fclose(out) == 0 ? differs : 2;
}
