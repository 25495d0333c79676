/* SPDX-License-Identifier: MIT */
/*
 * tally_run [--oracle] [--site] [--lossy] [--children] [--stacks] OUT COMMAND...: records a command
 * into a tally and writes it to OUT. Exits as `poolwise record` is to: 0 when it was recorded, however
 * the command ended, else 2 with the reason.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "record.h"
#include "tally.h"

int main(int argc, char **argv)
{
    struct record_options options = {.timeout_s = 120};
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
    const struct trace_sink *sinks[] = {tally_sink(tally)};
    struct record_result result;
    int status = record_run(&options, sinks, 1, &result);
    if (status < 0 || result.timed_out) {
        fprintf(stderr, "tally_run: %s\n", result.timed_out ? "the command ran too long" : result.message);
        return 2;
    }
    tally_print(tally, stacks, out);
    if (options.oracle)
        fprintf(out, "{\"oracle\": {\"checked\": %" PRIu64 ", \"wrong\": %" PRIu64 ", \"truncated\": %" PRIu64 "}}\n",
                result.oracle_checked, result.oracle_wrong, result.oracle_truncated);
    tally_destroy(tally);
    return fclose(out) == 0 ? 0 : 2;
}
