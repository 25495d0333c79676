/* SPDX-License-Identifier: MIT */
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"

static const struct {
    const char *name, *summary;
    int (*run)(const struct command_globals *globals, int argc, char **argv);
} commands[] = {
    {"advise", "record a program, or read a trace, and say which allocation sites deserve a pool", cmd_advise},
    {"escape", "say from the source which blocks need not be on the heap", cmd_escape},
    {"record", "record a program into a trace file", cmd_record},
    {"try", "run a program with the advice applied, in turn with itself, and say what it saves", cmd_try},
    {"replay", "replay a trace against malloc, pools and other allocators: what each site would cost", cmd_replay},
    {"bench", "measure here where pooling pays: three workloads, Go's pool, the allocators", cmd_bench},
};

static void help(FILE *stream)
{
    fputs("usage: poolwise [--color=auto|always|never] [-q] COMMAND [OPTION...] [-- PROGRAM [ARGUMENT...]]\n\n"
          "Object pools for C that know when they pay.\n\n",
          stream);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        fprintf(stream, "  %-9s %s\n", commands[i].name, commands[i].summary);
    fputs("\nStart with:  poolwise advise -- ./your-program its arguments\n"
          "Each command has a --help of its own. Options come before --, the program after it.\n"
          "\n"
          "  --color=WHEN   auto: on a terminal only (default), always, never\n"
          "  -q, --quiet    nothing but results and errors\n"
          "  --version      print the version\n",
          stream);
}

int main(int argc, char **argv)
{
    enum { OPTION_COLOUR = 1, OPTION_VERSION, OPTION_HELP };
    static const struct option options[] = {{"color", required_argument, NULL, OPTION_COLOUR},
                                            {"colour", required_argument, NULL, OPTION_COLOUR},
                                            {"quiet", no_argument, NULL, 'q'},
                                            {"version", no_argument, NULL, OPTION_VERSION},
                                            {"help", no_argument, NULL, OPTION_HELP},
                                            {NULL, 0, NULL, 0}};
    struct command_globals globals = {.colour_out = isatty(STDOUT_FILENO) && !getenv("NO_COLOR")};
    const char *terminal = getenv("TERM");
    if (terminal && !strcmp(terminal, "dumb"))
        globals.colour_out = false;
    int option;
    opterr = 0;
    while ((option = getopt_long(argc, argv, "+qh", options, NULL)) != -1) {
        switch (option) {
        case OPTION_COLOUR:
            if (!strcmp(optarg, "always"))
                globals.colour_out = true;
            else if (!strcmp(optarg, "never"))
                globals.colour_out = false;
            else if (strcmp(optarg, "auto"))
                return command_error("--color=%s: it is auto, always or never", optarg);
            break;
        case 'q':
            globals.quiet = true;
            break;
        case OPTION_VERSION:
            puts("poolwise " POOLWISE_VERSION);
            return EXIT_DONE;
        case 'h':
        case OPTION_HELP:
            help(stdout);
            return EXIT_DONE;
        default:
            return command_error("unknown option %s (see poolwise --help)", argv[optind - 1]);
        }
    }
    if (optind == argc) {
        help(stderr);
        return EXIT_PROBLEM;
    }
    const char *name = argv[optind];
    signal(SIGPIPE, SIG_IGN); /* a closed pipe is an error of a write like others */
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(commands[i].name, name))
            continue;
        char **rest = argv + optind;
        int count = argc - optind;
        optind = 0; /* getopt starts over, with the command's own options */
        return commands[i].run(&globals, count, rest);
    }
    return command_error("there is no command '%s' (see poolwise --help)", name);
}
