/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "escape.h"

#define NAMES_MAX 64

static void help(FILE *stream)
{
    fputs("usage: poolwise escape [OPTION...] FILE.c... [-- COMPILER-FLAG...]\n"
          "       poolwise escape [OPTION...] -p compile_commands.json [FILE.c...]\n"
          "       poolwise escape [OPTION...] FILE.bc...\n\n"
          "Says for each call that makes a block whether the block can outlive the function that "
          "makes it, from\n"
          "the source, as `go build -gcflags=-m` does for Go. Needs clang.\n\n"
          "  -m 1|2               1: a line for each call (default); 2: and the chain of reasons "
          "under it\n"
          "  --json               one JSON document instead, for scripts and for `poolwise advise "
          "--static`\n"
          "  -p FILE              a compilation database: the whole program, or the files named of "
          "it\n"
          "  -w NAME[:KIND[:N]]   NAME allocates: malloc (size in argument N, from 0), calloc, "
          "realloc:P,N, strdup\n"
          "  -f NAME[:N]          NAME frees its argument N\n"
          "  -n NAME              NAME keeps none of its arguments\n"
          "  --hook FIELD=KIND    what is called through FIELD allocates or frees: STRUCT:OFFSET "
          "or VARIABLE:OFFSET, and a\n"
          "                       kind as for -w, or free[:N]\n"
          "  --closed             the files are the whole program: a call through a pointer "
          "reaches only their functions\n"
          "  -j N                 N at once (default: one per CPU)\n"
          "  --no-cache           compile everything anew (otherwise bitcode is kept in "
          "~/.cache/poolwise, by content)\n"
          "  --stats              what it took, on standard error\n\n"
          "What it assumes: docs/escape.md\n",
          stream);
}

struct names {
    const char *items[NAMES_MAX + 1];
    int count;
};

struct escape_command {
    const struct command_globals *globals;
    struct escape_options options;
    struct names allocators, frees, keepless, hooks;
    const char *database;
    unsigned detail;
    bool json, stats;
};

static int name_add(struct names *names, const char *option, const char *name)
{
    if (names->count == NAMES_MAX)
        return command_error("more than %d %s", NAMES_MAX, option);
    names->items[names->count++] = name;
    return 0;
}

static int option_take(struct escape_command *command, int option, char **argv)
{
    char *end;
    switch (option) {
    case 'm':
        command->detail = (unsigned)strtoul(optarg, &end, 10);
        if (end == optarg || *end || command->detail < 1 || command->detail > 2)
            return command_error("-m %s: it is 1 or 2", optarg);
        return 0;
    case 'p':
        command->database = optarg;
        return 0;
    case 'j':
        command->options.jobs = (unsigned)strtoul(optarg, &end, 10);
        if (end == optarg || *end || !command->options.jobs || *optarg == '-')
            return command_error("-j %s: it takes a number above 0", optarg);
        return 0;
    case 'w':
        return name_add(&command->allocators, "-w", optarg);
    case 'f':
        return name_add(&command->frees, "-f", optarg);
    case 'n':
        return name_add(&command->keepless, "-n", optarg);
    case COMMAND_OPTION_OWN:
        command->json = true;
        return 0;
    case COMMAND_OPTION_OWN + 1:
        return name_add(&command->hooks, "--hook", optarg);
    case COMMAND_OPTION_OWN + 2:
        command->options.closed = true;
        return 0;
    case COMMAND_OPTION_OWN + 3:
        command->options.cache = false;
        return 0;
    case COMMAND_OPTION_OWN + 4:
        command->stats = true;
        return 0;
    case ':':
        return command_error("%s needs a value (see poolwise escape --help)", argv[optind - 1]);
    default:
        return command_error("unknown option %s (see poolwise escape --help)", argv[optind - 1]);
    }
}

static void progress(void *context, size_t done, size_t total, const char *what)
{
    command_progress(context, "%s: %zu of %zu", what, done, total);
}

static bool named(const char *file, char **names, int count)
{
    for (int i = 0; i < count; i++) {
        size_t length = strlen(file), wanted = strlen(names[i]);
        if (length >= wanted && !strcmp(file + length - wanted, names[i]) &&
            (length == wanted || file[length - wanted - 1] == '/'))
            return true;
    }
    return !count;
}

static void stats_print(const struct escape_counts *counts)
{
    fprintf(
        stderr,
        "%zu files (%zu from the cache), %zu functions (%zu followed without fields, %zu not at "
        "all), %zu instructions; compiling %.2f s, "
        "reading %.2f s, "
        "analysing %.2f s; %.1f MB\n"
        "%zu sites: %zu do not escape, %zu may, %zu escape\n",
        counts->units, counts->cached, counts->functions, counts->coarse, counts->opaque,
        counts->instructions, counts->compile_s, counts->read_s, counts->solve_s,
        (double)counts->peak_bytes / 1e6, counts->sites, counts->by_class[ESCAPE_NOT],
        counts->by_class[ESCAPE_MAY],
        counts->sites - counts->by_class[ESCAPE_NOT] - counts->by_class[ESCAPE_MAY]);
}

static int analyse(struct escape_command *command, const struct escape_input *inputs, size_t count)
{
    struct escape *escape;
    char message[2048];
    int status = escape_run(inputs, count, &command->options, &escape, message, sizeof message);
    command_progress_done(command->globals);
    if (status)
        return command_error("%s", message);
    for (const char *const *note = escape_notes(escape); *note; note++)
        fprintf(stderr, "poolwise: left out: %s\n", *note);
    status = command->json
                 ? escape_json(escape, stdout)
                 : escape_text(escape, command->detail, command->globals->colour_out, stdout);
    if (!status && fflush(stdout))
        status = -errno;
    if (command->stats)
        stats_print(escape_counts(escape));
    else if (!command->json && !command->globals->quiet && !escape_counts(escape)->sites)
        fprintf(
            stderr,
            "poolwise: no call here makes a block (allocators of the program's own: -w, --hook)\n");
    escape_destroy(escape);
    if (status == -EPIPE)
        return EXIT_PROBLEM;
    return status ? command_error("standard output: %s", strerror(-status)) : EXIT_DONE;
}

static int from_database(struct escape_command *command, char **names, int name_count)
{
    struct escape_database *database;
    char message[1024];
    if (escape_database_open(command->database, &database, message, sizeof message))
        return command_error("%s", message);
    const struct escape_input *all;
    size_t total = escape_database_inputs(database, &all), count = 0;
    struct escape_input *chosen = calloc(total + 1, sizeof *chosen);
    for (size_t i = 0; chosen && i < total; i++)
        if (named(all[i].file, names, name_count))
            chosen[count++] = all[i];
    int status = !chosen ? command_error("out of memory")
                 : count ? analyse(command, chosen, count)
                         : command_error("%s holds none of the files named", command->database);
    free(chosen);
    escape_database_close(database);
    return status;
}

int cmd_escape(const struct command_globals *globals, int argc, char **argv)
{
    static const struct option options[] = {
        {"json", no_argument, NULL, COMMAND_OPTION_OWN},
        {"hook", required_argument, NULL, COMMAND_OPTION_OWN + 1},
        {"closed", no_argument, NULL, COMMAND_OPTION_OWN + 2},
        {"no-cache", no_argument, NULL, COMMAND_OPTION_OWN + 3},
        {"stats", no_argument, NULL, COMMAND_OPTION_OWN + 4},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0}};
    struct escape_command command = {.globals = globals, .detail = 1, .options = {.cache = true}};
    /* Files come before --, the compiler's flags after it; getopt would take the flags for more files. */
    int own = 1;
    while (own < argc && strcmp(argv[own], "--"))
        own++;
    const char *const *flags = own < argc ? (const char *const *)argv + own + 1 : NULL;
    int option;
    opterr = 0;
    while ((option = getopt_long(own, argv, ":hm:p:j:w:f:n:", options, NULL)) != -1) {
        if (option == 'h') {
            help(stdout);
            return EXIT_DONE;
        }
        int status = option_take(&command, option, argv);
        if (status)
            return status;
    }
    command.options.user = (struct libc_user){command.allocators.items, command.frees.items,
                                              command.keepless.items, command.hooks.items};
    command.options.progress = progress;
    command.options.context = (void *)(uintptr_t)globals;
    if (command.database)
        return from_database(&command, argv + optind, own - optind);
    if (optind == own) {
        help(stderr);
        return EXIT_PROBLEM;
    }
    size_t count = (size_t)(own - optind);
    struct escape_input *inputs = calloc(count, sizeof *inputs);
    if (!inputs)
        return command_error("out of memory");
    for (size_t i = 0; i < count; i++)
        inputs[i] = (struct escape_input){.file = argv[optind + (int)i], .flags = flags};
    int status = analyse(&command, inputs, count);
    free(inputs);
    return status;
}
