/* SPDX-License-Identifier: MIT */
#include "try_options.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "try_runs.h"

#define EVERYTHING_BYTES 1024u

void try_options_help(FILE *stream)
{
    fputs(
        "usage: poolwise try [OPTION...] -- PROGRAM [ARGUMENT...]\n\n"
        "Runs the program as it is, with the trial library serving nothing (the control), and with "
        "sites\n"
        "served from pools, in turn, and says what that saves. Without a site it asks poolwise "
        "advise\n"
        "first and tries what that finds, SLAB candidates among them, together and one by one.\n\n"
        "  --site ID[,ID]...   these sites, by their ids in the advice (more than once, too)\n"
        "  --as KIND           how --site's are tried: pool, classes, slab, presize (default: as "
        "advised)\n"
        "  --all[=BYTES]       every block of up to BYTES (1024), wherever it is asked for\n"
        "  --from FILE         the advice, from poolwise advise --json, or a trace; else it is "
        "made anew\n"
        "  -n PAIRS            this many rounds of all arms (default: by time)\n"
        "  --time SECONDS      for all rounds together (30; 90 when the sites are to be found)\n"
        "  --within PCT        fewer rounds, once what is saved is known within so many points\n"
        "  --bench COMMAND     the program is a server: this shell command is the load, once it "
        "listens\n"
        "  --metric COMMAND    this number decides, not CPU time: a shell command that reads the "
        "standard\n"
        "                      output of --bench, or of the program, and prints it\n"
        "  --higher            more of --metric is better\n"
        "  --require PCT       status 1 unless at least this much is saved, by the lower end of "
        "the interval\n"
        "  --timeout SECONDS   for one run\n"
        "  --wrapper REGEX     as for advise\n"
        "  --json              a document instead of a page\n"
        "  -o FILE             where to write it\n"
        "  --help              this text\n",
        stream);
}

static int number_read(const char *option, const char *text, double low, double high,
                       double *ret_value)
{
    char *end;
    errno = 0;
    double value = strtod(text, &end);
    if (errno || end == text || *end || !(value >= low && value <= high))
        return command_error("%s %s: a number from %g to %g is wanted", option, text, low, high);
    *ret_value = value;
    return 0;
}

static int sites_add(struct try_options *options, char *list)
{
    for (char *rest = NULL, *id = strtok_r(list, ", ", &rest); id;
         id = strtok_r(NULL, ", ", &rest)) {
        if (options->site_word_count == TRY_SITES_MOST)
            return command_error("more than %u sites", TRY_SITES_MOST);
        if (strlen(id) < 4)
            return command_error("--site %s: at least the first four digits of an id are needed",
                                 id);
        options->site_words[options->site_word_count++] = id;
    }
    return 0;
}

enum {
    OPTION_SITE = 1,
    OPTION_AS,
    OPTION_ALL,
    OPTION_FROM,
    OPTION_TIME,
    OPTION_WITHIN,
    OPTION_BENCH,
    OPTION_METRIC,
    OPTION_HIGHER,
    OPTION_REQUIRE,
    OPTION_TIMEOUT,
    OPTION_WRAPPER,
    OPTION_JSON,
};

static int option_take(struct try_options *options, int option, char *value, const char *word)
{
    double number = 0;
    int status = 0;
    switch (option) {
    case OPTION_SITE:
        return sites_add(options, value);
    case OPTION_AS:
        options->as = value;
        if (strcmp(value, "pool") && strcmp(value, "classes") && strcmp(value, "slab") &&
            strcmp(value, "presize"))
            return command_error("--as %s: it is pool, classes, slab or presize", value);
        return 0;
    case OPTION_ALL:
        options->all = true;
        if (value && (status = number_read("--all", value, 1, 1 << 20, &number)))
            return status;
        options->all_bytes = value ? (uint64_t)number : EVERYTHING_BYTES;
        return 0;
    case OPTION_FROM:
        options->from = value;
        return 0;
    case 'n':
        status = number_read("-n", value, 1, TRY_ROUNDS_MOST, &number);
        options->rounds = (unsigned)number;
        return status;
    case OPTION_TIME:
        return number_read("--time", value, 1, 1e6, &options->time_s);
    case OPTION_WITHIN:
        return number_read("--within", value, 0.01, 100, &options->within_pct);
    case OPTION_BENCH:
        options->command.bench = value;
        return 0;
    case OPTION_METRIC:
        options->command.metric = value;
        return 0;
    case OPTION_HIGHER:
        options->higher = true;
        return 0;
    case OPTION_REQUIRE:
        return number_read("--require", value, 0, 100, &options->require_pct);
    case OPTION_TIMEOUT:
        return number_read("--timeout", value, 0.001, 1e9, &options->command.timeout_s);
    case OPTION_WRAPPER:
        if (options->wrapper_count == TRY_WRAPPERS_MOST)
            return command_error("too many --wrapper");
        options->wrapper[options->wrapper_count++] = value;
        return 0;
    case OPTION_JSON:
        options->json = true;
        return 0;
    case 'o':
        options->output = value;
        return 0;
    default:
        if (optopt)
            return command_error("%s needs a value (see poolwise try --help)", word);
        return command_error("unknown option %s (see poolwise try --help)", word);
    }
}

static int contradiction(const struct try_options *options)
{
    if (options->all && options->as)
        return command_error("--as says how the sites of --site are tried; --all has none");
    if (options->within_pct > 0 && options->rounds)
        return command_error("--within says when there are enough rounds, and so does -n");
    if (options->as && !options->site_word_count)
        return command_error("--as wants --site");
    if (options->higher && !options->command.metric)
        return command_error("--higher is about --metric");
    return 0;
}

int try_options_take(int argc, char **argv, struct try_options *ret_options)
{
    static const struct option table[] = {{"site", required_argument, NULL, OPTION_SITE},
                                          {"as", required_argument, NULL, OPTION_AS},
                                          {"all", optional_argument, NULL, OPTION_ALL},
                                          {"from", required_argument, NULL, OPTION_FROM},
                                          {"time", required_argument, NULL, OPTION_TIME},
                                          {"within", required_argument, NULL, OPTION_WITHIN},
                                          {"bench", required_argument, NULL, OPTION_BENCH},
                                          {"metric", required_argument, NULL, OPTION_METRIC},
                                          {"higher", no_argument, NULL, OPTION_HIGHER},
                                          {"require", required_argument, NULL, OPTION_REQUIRE},
                                          {"timeout", required_argument, NULL, OPTION_TIMEOUT},
                                          {"wrapper", required_argument, NULL, OPTION_WRAPPER},
                                          {"json", no_argument, NULL, OPTION_JSON},
                                          {"output", required_argument, NULL, 'o'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    *ret_options = (struct try_options){.require_pct = -1, .command.input = -1};
    int option;
    opterr = 0;
    while ((option = getopt_long(argc, argv, "+:ho:n:", table, NULL)) != -1) {
        if (option == 'h') {
            ret_options->help = true;
            return 0;
        }
        int status = option_take(ret_options, option, optarg, argv[optind - 1]);
        if (status)
            return status;
    }
    bool program = optind > 1 && !strcmp(argv[optind - 1], "--");
    if (optind == argc || !program)
        return command_error("which program? poolwise try [OPTION...] -- PROGRAM [ARGUMENT...]");
    ret_options->command.argv = argv + optind;
    return contradiction(ret_options);
}
