/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <getopt.h>
#include <string.h>

#include "command.h"
#include "format.h"
#include "target.h"
#include "writer.h"

static void help(FILE *stream)
{
    fprintf(stream,
            "usage: poolwise record [OPTION...] -- PROGRAM [ARGUMENT...]\n\n"
            "Runs the program with every allocation recorded and writes a trace, which\n"
            "'poolwise advise TRACE' judges.\n\n"
            "  -o TRACE             the file to write (default: poolwise.trace; -: standard output)\n%s",
            command_recording_help);
}

int cmd_record(const struct command_globals *globals, int argc, char **argv)
{
    static const struct option options[] = {COMMAND_RECORD_OPTIONS,
                                            {"output", required_argument, NULL, 'o'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    struct command_recording recording = {0};
    const char *path = "poolwise.trace";
    int option;
    opterr = 0;
    while ((option = getopt_long(argc, argv, "+:o:h", options, NULL)) != -1) {
        int taken = command_recording_option(&recording, option, optarg);
        if (taken < 0)
            return EXIT_PROBLEM;
        if (taken)
            continue;
        switch (option) {
        case 'o':
            path = optarg;
            break;
        case 'h':
            help(stdout);
            return EXIT_DONE;
        case ':':
            return command_error("%s needs a value (see poolwise record --help)", argv[optind - 1]);
        default:
            return command_error("unknown option %s (see poolwise record --help)", argv[optind - 1]);
        }
    }
    if (optind == argc)
        return command_error("which program? poolwise record [OPTION...] -- PROGRAM [ARGUMENT...]");
    recording.options.command = argv + optind;
    /* Before a file that may exist is overwritten. */
    struct target target;
    char message[512];
    if (target_check(argv[optind], &target, message, sizeof message))
        return command_error("%s", message);
    struct writer *writer = writer_create(path, recording.options.site ? FORMAT_SITE : 0);
    if (!writer)
        return command_error("%s: %s", path, strerror(errno));
    const struct trace_sink *sink = writer_sink(writer);
    struct record_result result;
    int status = command_recording_run(globals, &recording, &sink, 1, &result);
    uint64_t bytes = writer_bytes(writer);
    int closed = writer_close(writer);
    if (status)
        return EXIT_PROBLEM;
    if (closed)
        return command_error("%s: %s", path, strerror(-closed));
    if (result.end.dropped)
        command_error("%llu events were dropped (a ring was full, or more threads than rings)",
                      (unsigned long long)result.end.dropped);
    if (!globals->quiet)
        fprintf(stderr, "poolwise: %.1f M events, %.1f MB in %s\n", (double)result.end.events * 1e-6,
                (double)bytes * 1e-6, path);
    if (command_recording_stats(&recording, &result, bytes))
        return EXIT_PROBLEM;
    return command_recording_exit(&recording, &result);
}
