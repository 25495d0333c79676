/* SPDX-License-Identifier: MIT */
/*
 * How fast addresses become names and lines. bench_symbols [--show N] FILE...
 * Takes return addresses spread evenly over each file's code; --show prints what it says of N of
 * them.
 */
#include "symbols.h"

#include <fcntl.h>
#include <gelf.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { NAMES = 100000, LINES = 20000, FRAMES_MAX = 64 };

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int code_extent(const char *path, uint64_t *ret_start, uint64_t *ret_end)
{
    elf_version(EV_CURRENT);
    int fd = open(path, O_RDONLY);
    Elf *elf = fd >= 0 ? elf_begin(fd, ELF_C_READ, NULL) : NULL;
    size_t index, size = 0;
    int result = -1;
    GElf_Shdr header;
    if (elf && elf_getshdrstrndx(elf, &index) == 0) {
        for (Elf_Scn *section = NULL; (section = elf_nextscn(elf, section));) {
            const char *name;
            if (!gelf_getshdr(section, &header) || !(header.sh_flags & SHF_EXECINSTR) ||
                header.sh_size <= size)
                continue;
            name = elf_strptr(elf, index, header.sh_name);
            if (!name || strcmp(name, ".text") != 0)
                continue;
            size = header.sh_size;
            *ret_start = header.sh_addr;
            *ret_end = header.sh_addr + header.sh_size;
            result = 0;
        }
    }
    elf_end(elf);
    if (fd >= 0)
        close(fd);
    return result;
}

static void show(struct symbols *symbols, uint64_t address)
{
    struct symbols_function function;
    struct symbols_line lines[FRAMES_MAX];
    symbols_function(symbols, 0, address, &function);
    printf("  %#" PRIx64 " %s%s%s\n", address, function.name, function.wrapper ? " [wrapper]" : "",
           function.system ? " [system]" : "");
    size_t count = symbols_lines(symbols, 0, address, lines, FRAMES_MAX);
    for (size_t i = 0; i < count && (count > 1 || lines[0].file); i++)
        printf("      %s%s %s:%u\n", lines[i].inlined ? "inlined " : "", lines[i].function,
               lines[i].file ? lines[i].file : "?", lines[i].line);
}

static void measure(const char *path, long show_count)
{
    uint64_t start, end;
    if (code_extent(path, &start, &end) != 0) {
        printf("%s: no code found\n", path);
        return;
    }
    struct symbols *symbols = symbols_create();
    struct symbols_module module = {.id = 0, .start = start, .end = end, .path = path};
    if (!symbols || symbols_module_add(symbols, &module) != 0)
        exit(2);
    if (show_count > 0) {
        printf("%s\n", path);
        for (long i = 0; i < show_count; i++)
            show(symbols, start + (end - start) / (uint64_t)show_count * (uint64_t)i + 1);
        symbols_destroy(symbols);
        return;
    }
    struct symbols_function function;
    struct symbols_line lines[FRAMES_MAX];
    double begin = now_s();
    symbols_function(symbols, 0, start + 1, &function);
    double opened = now_s();
    size_t named = 0, with_line = 0, frames = 0;
    for (uint64_t i = 0; i < NAMES; i++) {
        symbols_function(symbols, 0, start + (end - start) * i / NAMES + 1, &function);
        named += function.named;
    }
    double first = now_s();
    for (uint64_t i = 0; i < NAMES; i++)
        symbols_function(symbols, 0, start + (end - start) * i / NAMES + 1, &function);
    double again = now_s();
    symbols_lines(symbols, 0, start + 1, lines, FRAMES_MAX);
    double lines_opened = now_s();
    for (uint64_t i = 0; i < LINES; i++) {
        uint64_t address = start + (end - start) * i / LINES + 1;
        frames += symbols_lines(symbols, 0, address, lines, FRAMES_MAX);
        with_line += lines[0].line != 0;
    }
    double done = now_s();
    printf(
        "%s: open %.1f ms; %.2f M names/s new, %.2f M/s known, %.1f %% named; DWARF open %.1f ms, "
        "%.3f M lines/s, %.1f %% with a line, %.2f frames each\n",
        path, (opened - begin) * 1e3, NAMES / (first - opened) * 1e-6,
        NAMES / (again - first) * 1e-6, 100.0 * (double)named / NAMES, (lines_opened - again) * 1e3,
        LINES / (done - lines_opened) * 1e-6, 100.0 * (double)with_line / LINES,
        (double)frames / LINES);
    symbols_destroy(symbols);
}

int main(int argc, char **argv)
{
    long show_count = 0;
    int first = 1;
    if (argc > 2 && strcmp(argv[1], "--show") == 0) {
        show_count = strtol(argv[2], NULL, 10);
        first = 3;
    }
    if (first >= argc) {
        fputs("usage: bench_symbols [--show N] FILE...\n", stderr);
        return 2;
    }
    for (int i = first; i < argc; i++)
        measure(argv[i], show_count);
    return 0;
}
