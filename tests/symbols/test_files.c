/* SPDX-License-Identifier: MIT */
/*
 * Property: a file that is not the one recorded is never used, is told of in words, and does no
 * harm: missing, changed, truncated at any length, random bytes, or not a file at all. test_files
 * PROGRAM OTHER
 */
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "symbols.h"

struct problem {
    int count;
    char path[512], reason[256];
};

static void keep_problem(void *context, const char *path, const char *reason)
{
    struct problem *problem = context;
    problem->count++;
    snprintf(problem->path, sizeof problem->path, "%s", path);
    snprintf(problem->reason, sizeof problem->reason, "%s", reason);
}

static const uint64_t bias = 0x7f0000000000;

/* What the room says of one address of a file with this build id recorded. */
static struct problem look(const char *path, const uint8_t *build_id, size_t build_id_size,
                           uint64_t offset, struct symbols_function *ret_function, char *ret_name,
                           size_t name_size)
{
    struct symbols *symbols = symbols_create();
    struct symbols_module module = {.id = 3,
                                    .bias = bias,
                                    .start = bias,
                                    .end = bias + 0x100000,
                                    .path = path,
                                    .build_id = build_id,
                                    .build_id_size = build_id_size};
    CHECK_NUMBER(path, symbols_module_add(symbols, &module), 0);
    symbols_function(symbols, 3, bias + offset, ret_function);
    snprintf(ret_name, name_size, "%s", ret_function->name);
    struct symbols_line lines[16];
    size_t count = symbols_lines(symbols, 3, bias + offset, lines, 16);
    CHECK_NUMBER(path, count >= 1 && count <= 16, 1);
    for (size_t i = 0; i < count; i++)
        CHECK_NUMBER(path, lines[i].function != NULL, 1);
    CHECK_NUMBER(path, symbols_module_hash(symbols, 3) != 0, 1);
    struct problem problem = {0};
    symbols_each_problem(symbols, keep_problem, &problem);
    symbols_destroy(symbols);
    return problem;
}

static void check_refused(int line, const char *path, const uint8_t *build_id, size_t size,
                          const char *reason)
{
    struct symbols_function function;
    char name[256], want[256];
    struct problem problem = look(path, build_id, size, 0x1234, &function, name, sizeof name);
    const char *slash = strrchr(path, '/');
    snprintf(want, sizeof want, "%s+0x1234", slash && slash[1] ? slash + 1 : path);
    check_text(__FILE__, line, path, name, want);
    check_number(__FILE__, line, path, function.named, false);
    check_number(__FILE__, line, path, function.start, bias + 0x1234);
    check_number(__FILE__, line, path, (uint64_t)problem.count, reason ? 1 : 0);
    if (reason)
        check_text(__FILE__, line, problem.reason,
                   strstr(problem.reason, reason) ? reason : problem.reason, reason);
}

/* The file's bytes, its build id, and a place in its main(). */
struct program {
    uint8_t *bytes;
    size_t size;
    uint8_t build_id[64];
    size_t build_id_size;
    uint64_t inside_main;
};

static struct program read_program(const char *path)
{
    struct program program = {0};
    int fd = open(path, O_RDONLY);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) != 0)
        exit(99);
    program.size = (size_t)status.st_size;
    program.bytes = malloc(program.size);
    if (pread(fd, program.bytes, program.size, 0) != (ssize_t)program.size)
        exit(99);
    elf_version(EV_CURRENT);
    Elf *elf = elf_memory((char *)program.bytes, program.size);
    for (Elf_Scn *section = NULL; (section = elf_nextscn(elf, section));) {
        GElf_Shdr header;
        gelf_getshdr(section, &header);
        Elf_Data *data = elf_getdata(section, NULL);
        GElf_Nhdr note;
        size_t name_at, id_at;
        if (header.sh_type == SHT_NOTE && gelf_getnote(data, 0, &note, &name_at, &id_at) > 0 &&
            note.n_type == NT_GNU_BUILD_ID && note.n_descsz <= sizeof program.build_id) {
            program.build_id_size = note.n_descsz;
            memcpy(program.build_id, (char *)data->d_buf + id_at, note.n_descsz);
        }
        GElf_Sym symbol;
        for (int i = 0; header.sh_type == SHT_SYMTAB && gelf_getsym(data, i, &symbol); i++) {
            if (strcmp(elf_strptr(elf, header.sh_link, symbol.st_name), "main") == 0)
                program.inside_main = symbol.st_value + 5;
        }
    }
    elf_end(elf);
    close(fd);
    if (program.build_id_size == 0 || program.inside_main == 0)
        exit(99);
    return program;
}

static void write_file(const char *path, const uint8_t *bytes, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || write(fd, bytes, size) != (ssize_t)size)
        exit(99);
    close(fd);
}

static void check_damage(const struct program *program, const char *path)
{
    struct symbols_function function;
    char name[256];
    uint64_t state = 42;
    uint8_t *damaged = malloc(program->size);
    size_t step = program->size / 300 + 1;
    for (size_t size = 0; size < program->size; size += size < 256 ? 1 : step) {
        write_file(path, program->bytes, size);
        /* with the build id, and without one so that more of the file is trusted */
        look(path, program->build_id, program->build_id_size, program->inside_main, &function, name,
             sizeof name);
        look(path, NULL, 0, program->inside_main, &function, name, sizeof name);
        CHECK_NUMBER("id of a function in a truncated file", function.id != 0, 1);
    }
    for (int round = 0; round < 400; round++) {
        memcpy(damaged, program->bytes, program->size);
        for (int i = 0; i < 1 + round % 40; i++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            /* every second round in the headers at both ends, where a byte decides most */
            size_t at = (size_t)(state >> 20) % program->size;
            if (round % 2 == 0)
                at = at % 2 ? at % 1024 : program->size - 1 - at % 3072;
            damaged[at] = (uint8_t)(state >> 56);
        }
        write_file(path, damaged, program->size);
        look(path, NULL, 0, program->inside_main, &function, name, sizeof name);
        CHECK_NUMBER("id of a function in a damaged file", function.id != 0, 1);
    }
    free(damaged);
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 99;
    char folder[] = "/tmp/poolwise-test-XXXXXX", path[128], fifo[128];
    if (!mkdtemp(folder))
        return 99;
    snprintf(path, sizeof path, "%s/program", folder);
    snprintf(fifo, sizeof fifo, "%s/fifo", folder);
    struct program program = read_program(argv[1]);
    struct symbols_function function;
    char name[256];

    /* the right one */
    struct problem problem = look(argv[1], program.build_id, program.build_id_size,
                                  program.inside_main, &function, name, sizeof name);
    CHECK_TEXT("the right file", name, "main");
    CHECK_NUMBER("the right file", problem.count, 0);

    check_refused(__LINE__, argv[2], program.build_id, program.build_id_size, "has changed");
    check_refused(__LINE__, argv[1], program.build_id, program.build_id_size - 1, "has changed");
    check_refused(__LINE__, path, program.build_id, program.build_id_size, "missing");
    check_refused(__LINE__, "/no/such/folder/libx.so", NULL, 0, "missing");
    check_refused(__LINE__, folder, NULL, 0, "not a regular file");
    check_refused(__LINE__, "/dev/null", NULL, 0, "not a regular file");
    if (mkfifo(fifo, 0600) != 0)
        return 99;
    check_refused(__LINE__, fifo, NULL, 0, "not a regular file"); /* and does not wait */
    check_refused(__LINE__, "[vdso]", NULL, 0, NULL);
    check_refused(__LINE__, "", NULL, 0, NULL);
    write_file(path, (const uint8_t *)"", 0);
    check_refused(__LINE__, path, NULL, 0, "not an ELF file");
    write_file(path, (const uint8_t *)"#!/bin/sh\n", 10);
    check_refused(__LINE__, path, NULL, 0, "not an ELF file");
    write_file(path, program.bytes, 40);
    check_refused(__LINE__, path, NULL, 0, "damaged");
    check_damage(&program, path);

    unlink(path);
    unlink(fifo);
    rmdir(folder);
    free(program.bytes);
    return failures != 0;
}
