/* SPDX-License-Identifier: MIT */
/*
 * Property: for every place that a fixture reports of itself, names, starts, files, lines and
 * inlined calls are what the compiler had before it. test_lines MODE PROGRAM SOURCE, with MODE what
 * the program still has: lines    debug information       names     a symbol table, no debug
 * information exports  exported names only     nothing   no names at all
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "check.h"
#include "symbols.h"

enum { PLACES_MAX = 32, CHAIN_MAX = 8 };

struct place {
    uint64_t address, bias, start; /* start 0: not told */
    struct {
        char function[64];
        unsigned line;
    } chain[CHAIN_MAX];
    size_t chain_count;
};

static void parse_chain(struct place *place, char *text)
{
    text[strcspn(text, "\n")] = '\0';
    for (char *part = strtok(text, "|"); part; part = strtok(NULL, "|")) {
        char *colon = strrchr(part, ':');
        if (!colon || place->chain_count == CHAIN_MAX) {
            fprintf(stderr, "unexpected chain: %s\n", part);
            exit(99);
        }
        *colon = '\0';
        snprintf(place->chain[place->chain_count].function, 64, "%s", part);
        place->chain[place->chain_count++].line = (unsigned)atoi(colon + 1);
    }
}

static size_t run_fixture(const char *program, struct place *ret_places)
{
    FILE *pipe = popen(program, "r");
    char text[512];
    size_t count = 0;
    while (pipe && count < PLACES_MAX && fgets(text, sizeof text, pipe)) {
        struct place *place = &ret_places[count++];
        char start[32];
        int used = 0;
        *place = (struct place){0};
        if (sscanf(text, "%" SCNx64 " %" SCNx64 " %31s %n", &place->address, &place->bias, start,
                   &used) != 3) {
            fprintf(stderr, "unexpected output of %s: %s\n", program, text);
            exit(99);
        }
        place->start = strtoull(start, NULL, 16);
        parse_chain(place, text + used);
    }
    if (!pipe || pclose(pipe) != 0 || count < 5) {
        fprintf(stderr, "%s gave %zu places\n", program, count);
        exit(99);
    }
    return count;
}

static const char *base_name_of(const char *path)
{
    const char *slash = path ? strrchr(path, '/') : NULL;
    return slash ? slash + 1 : path;
}

static void check_lines(struct symbols *symbols, const struct place *place, const char *source)
{
    struct symbols_line lines[CHAIN_MAX + 1];
    size_t count = symbols_lines(symbols, 7, place->address, lines, CHAIN_MAX + 1);
    CHECK_NUMBER(place->chain[0].function, count, place->chain_count);
    for (size_t i = 0; i < count && i < place->chain_count; i++) {
        CHECK_TEXT("function", lines[i].function, place->chain[i].function);
        CHECK_TEXT(place->chain[i].function, base_name_of(lines[i].file), source);
        CHECK_NUMBER(place->chain[i].function, lines[i].line, place->chain[i].line);
        CHECK_NUMBER(place->chain[i].function, lines[i].inlined, i + 1 < place->chain_count);
    }
    /* less room: the innermost ones, and nothing written beyond */
    struct symbols_line one[2] = {{0}, {.function = "untouched"}};
    CHECK_NUMBER("with room for one", symbols_lines(symbols, 7, place->address, one, 1), 1);
    CHECK_TEXT("with room for one", one[0].function, place->chain[0].function);
    CHECK_TEXT("with room for one", one[1].function, "untouched");
}

static void check_no_lines(struct symbols *symbols, const struct place *place, const char *name)
{
    struct symbols_line lines[2];
    CHECK_NUMBER(name, symbols_lines(symbols, 7, place->address, lines, 2), 1);
    CHECK_TEXT("function of the only line", lines[0].function, name);
    CHECK_TEXT("file without debug information", lines[0].file, NULL);
    CHECK_NUMBER("line without debug information", lines[0].line, 0);
}

static void check_place(struct symbols *symbols, const struct place *place, const char *mode,
                        const char *program, const char *source)
{
    struct symbols_function function;
    symbols_function(symbols, 7, place->address, &function);
    const char *expected = place->chain[place->chain_count - 1].function;
    bool exported = strcmp(expected, "local_function") != 0;
    bool named = strcmp(mode, "nothing") != 0 && (exported || strcmp(mode, "exports") != 0);
#ifdef __x86_64__
    named = named || strcmp(expected, "main") == 0; /* by the start code */
#endif
    char offset[96];
    snprintf(offset, sizeof offset, "%s+%#" PRIx64, strrchr(program, '/') + 1,
             place->start - place->bias);

    CHECK_TEXT("name", function.name, named ? expected : offset);
    CHECK_NUMBER(expected, function.named, named);
    CHECK_TEXT("module", function.module_name, base_name_of(program));
    CHECK_NUMBER(expected, function.wrapper, false);
    CHECK_NUMBER(expected, function.system, false);
    CHECK_NUMBER(expected, function.id != 0, true);
    if (place->start)
        CHECK_NUMBER(expected, function.start, place->start);
    CHECK_NUMBER("offset", symbols_offset(symbols, 7, place->address),
                 place->address - place->bias);

    struct symbols_function same;
    symbols_function(symbols, 7, function.start + 1, &same);
    CHECK_NUMBER("id at the function's first instruction", same.id, function.id);
    symbols_function(symbols, 7, place->address, &same);
    CHECK_TEXT("name when asked again", same.name, function.name);
    CHECK_NUMBER("id when asked again", same.id, function.id);
    if (strcmp(mode, "lines") == 0)
        check_lines(symbols, place, source);
    else
        check_no_lines(symbols, place, function.name);
}

static void count_problem(void *context, const char *path, const char *reason)
{
    fprintf(stderr, "%s: %s\n", path, reason);
    ++*(int *)context;
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 99;
    struct place places[PLACES_MAX];
    size_t count = run_fixture(argv[2], places);
    struct symbols *symbols = symbols_create();
    struct symbols_module module = {
        .id = 7, .bias = places[0].bias, .end = UINT64_MAX, .path = argv[2]};
    CHECK_NUMBER("symbols_module_add", symbols_module_add(symbols, &module), 0);
    for (size_t i = 0; i < count; i++)
        check_place(symbols, &places[i], argv[1], argv[2], argv[3]);

    /* loaded once more elsewhere: the same ids */
    module.id = 8;
    module.bias += 0x5000000;
    CHECK_NUMBER("symbols_module_add", symbols_module_add(symbols, &module), 0);
    for (size_t i = 0; i < count; i++) {
        struct symbols_function here, there;
        symbols_function(symbols, 7, places[i].address, &here);
        symbols_function(symbols, 8, places[i].address + 0x5000000, &there);
        CHECK_NUMBER(here.name, there.id, here.id);
        CHECK_NUMBER(here.name, there.start - here.start, 0x5000000);
    }
    int problems = 0;
    symbols_each_problem(symbols, count_problem, &problems);
    CHECK_NUMBER("problems", problems, 0);
    symbols_destroy(symbols);
    return failures != 0;
}
