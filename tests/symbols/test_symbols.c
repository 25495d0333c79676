/* SPDX-License-Identifier: MIT */
/* Property: every question gets an answer, in any order, about any module, known or not; ids do not
 * depend on who asks. */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "check.h"
#include "symbols.h"

static void check_outside(struct symbols *symbols)
{
    struct symbols_function a, b;
    symbols_function(symbols, UINT32_MAX, 0x7f1234, &a);
    CHECK_TEXT("outside all modules", a.name, "0x7f1234");
    CHECK_TEXT("outside all modules", a.module_name, "");
    CHECK_NUMBER("outside all modules", a.start, 0x7f1234);
    CHECK_NUMBER("outside all modules", a.named || a.wrapper || a.system, false);
    symbols_function(symbols, 5, 0x7f1234, &b); /* never added */
    CHECK_NUMBER("a module never added", b.id, a.id);
    symbols_function(symbols, UINT32_MAX, 0x7f1235, &b);
    CHECK_NUMBER("ids of two places", b.id != a.id, true);
    symbols_function(symbols, UINT32_MAX, 0, &b);
    CHECK_NUMBER("address 0", b.id != 0, true);
    struct symbols_line line;
    CHECK_NUMBER("lines outside", symbols_lines(symbols, UINT32_MAX, 0x7f1234, &line, 1), 1);
    CHECK_TEXT("lines outside", line.function, "0x7f1234");
    CHECK_NUMBER("hash outside", symbols_module_hash(symbols, UINT32_MAX), 0);
    CHECK_NUMBER("offset outside", symbols_offset(symbols, UINT32_MAX, 0x77), 0x77);
}

static uint64_t hash_of(const char *path, const uint8_t *build_id, size_t size)
{
    struct symbols *symbols = symbols_create();
    struct symbols_module module = {
        .id = 0, .path = path, .build_id = build_id, .build_id_size = size};
    CHECK_NUMBER(path, symbols_module_add(symbols, &module), 0);
    uint64_t hash = symbols_module_hash(symbols, 0);
    symbols_destroy(symbols);
    return hash;
}

static void check_hashes(void)
{
    static const uint8_t one[] = {1, 2, 3}, other[] = {1, 2, 4};
    CHECK_NUMBER("same build id, other path", hash_of("/a/x", one, 3), hash_of("/b/y", one, 3));
    CHECK_NUMBER("other build id", hash_of("/a/x", one, 3) != hash_of("/a/x", other, 3), true);
    CHECK_NUMBER("no build id, other folder", hash_of("/a/x", NULL, 0), hash_of("/b/x", NULL, 0));
    CHECK_NUMBER("no build id, other name", hash_of("/a/x", NULL, 0) != hash_of("/a/y", NULL, 0),
                 true);
    /* stands in reports and in users' notes: may not change from release to release; FNV-1a of 1,
     * 2, 3, mixed */
    CHECK_NUMBER("hash of a known build id", hash_of("/a/x", one, 3), UINT64_C(0x88e1bcb6ceaf5755));
}

static void check_system(void)
{
    static const struct {
        const char *path;
        bool system;
    } modules[] = {{"/lib/x86_64-linux-gnu/libc.so.6", true},
                   {"/lib/libc-2.31.so", true},
                   {"/lib64/ld-linux-x86-64.so.2", true},
                   {"/usr/lib/libstdc++.so.6.0.30", true},
                   {"/usr/lib/libgcc_s.so.1", true},
                   {"/usr/lib/libm.so.6", true},
                   {"[vdso]", true},
                   {"linux-vdso.so.1", true},
                   {"/opt/poolwise/libpoolwise-record.so", true},
                   {"/usr/lib/libjemalloc.so.2", false},
                   {"/usr/lib/libcrypto.so.3", false},
                   {"/usr/lib/libmagic.so.1", false},
                   {"/usr/lib/libcairo.so.2", false},
                   {"/usr/lib/libldap.so.2", false},
                   {"/usr/bin/ld", false},
                   {"/usr/lib/libc-client.so.2007e", false},
                   {"/lib/ld-2.31.so", true},
                   {"/usr/bin/libc", false},
                   {"/home/me/libmath.so", false}};
    struct symbols *symbols = symbols_create();
    for (uint32_t i = 0; i < sizeof modules / sizeof *modules; i++) {
        struct symbols_module module = {.id = i, .bias = 0x1000 * i, .path = modules[i].path};
        struct symbols_function function;
        CHECK_NUMBER(modules[i].path, symbols_module_add(symbols, &module), 0);
        symbols_function(symbols, i, 0x100000000 + 0x1000 * i, &function);
        CHECK_NUMBER(modules[i].path, function.system, modules[i].system);
        CHECK_NUMBER(modules[i].path, function.wrapper,
                     strstr(modules[i].path, "malloc.so") || strstr(modules[i].path, "stdc++"));
    }
    symbols_destroy(symbols);
}

static void check_many(void)
{
    struct symbols *symbols = symbols_create();
    char path[64];
    for (uint32_t i = 0; i < 3000; i++) {
        snprintf(path, sizeof path, "/no/such/lib%u.so", i);
        struct symbols_module module = {.id = i, .bias = UINT64_C(0x100000) * i, .path = path};
        CHECK_NUMBER(path, symbols_module_add(symbols, &module), 0);
    }
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < 3000; i++) {
            struct symbols_function function;
            snprintf(path, sizeof path, "lib%u.so+%#x", i, 0x10 + i % 7);
            symbols_function(symbols, i, UINT64_C(0x100000) * i + 0x10 + i % 7, &function);
            CHECK_TEXT("of many", function.name, path);
        }
    }
    struct symbols_module far_away = {.id = UINT32_MAX, .path = "/x"};
    CHECK_NUMBER("id of no module", symbols_module_add(symbols, &far_away), -EINVAL);
    far_away.id = UINT32_MAX - 1;
    CHECK_NUMBER("an id that is not dense", symbols_module_add(symbols, &far_away), -EINVAL);
    symbols_destroy(symbols);
}

/* An expression given after names were asked for counts for those too. */
static void check_late_wrapper(const char *program)
{
    struct symbols *symbols = symbols_create();
    struct symbols_module module = {.id = 0, .path = program};
    symbols_module_add(symbols, &module);
    struct symbols_function function = {0};
    uint64_t address = 0x1000; /* look for the fixture's plain() */
    while (address < 0x10000 && (!function.name || strcmp(function.name, "plain") != 0))
        symbols_function(symbols, 0, ++address, &function);
    CHECK_TEXT("found", function.name, "plain");
    CHECK_NUMBER("before", function.wrapper, false);
    char *error = NULL;
    CHECK_NUMBER("add", symbols_wrapper_add(symbols, "pl[a-z]+", &error), 0);
    symbols_function(symbols, 0, address, &function);
    CHECK_NUMBER("after", function.wrapper, true);
    CHECK_NUMBER("add a bad one", symbols_wrapper_add(symbols, "(", &error), -EINVAL);
    CHECK_NUMBER("error text", error != NULL && strlen(error) > 5, true);
    free(error);
    symbols_destroy(symbols);
}

/* More files with debug information than are held open at once, asked in turn: the answers stay the
 * same, and strings given earlier stay whole. */
static void check_many_lines(const char *program)
{
    enum { FILES = 40 };
    struct symbols *symbols = symbols_create();
    struct symbols_line first[FILES][8];
    size_t counts[FILES];
    const char *slash = strrchr(program, '/');
    for (int round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < FILES; i++) {
            char path[1024];
            /* "folder/./././program": another file, as far as a path tells */
            int length = snprintf(path, sizeof path, "%.*s", (int)(slash - program), program);
            for (uint32_t k = 0; k < i; k++)
                length += snprintf(path + length, sizeof path - (size_t)length, "/.");
            snprintf(path + length, sizeof path - (size_t)length, "%s", slash);
            struct symbols_module module = {.id = i, .bias = 0x100000 * i, .path = path};
            struct symbols_line lines[8];
            if (round == 0)
                CHECK_NUMBER(path, symbols_module_add(symbols, &module), 0);
            struct symbols_function function = {0};
            uint64_t address = 0x1000;
            while (address < 0x10000 && (!function.name || strcmp(function.name, "outer") != 0))
                symbols_function(symbols, i, 0x100000 * i + ++address, &function);
            address += 0x100000 * i + 21; /* inside the inlined calls, or at least outer() */
            size_t count = symbols_lines(symbols, i, address, lines, 8);
            if (round == 0) {
                counts[i] = count;
                memcpy(first[i], lines, sizeof lines);
            }
            CHECK_NUMBER(path, count, counts[0]);
            CHECK_NUMBER(path, lines[0].line != 0, true);
            for (size_t k = 0; k < count && k < counts[i]; k++) {
                CHECK_TEXT(path, lines[k].function, first[0][k].function);
                CHECK_TEXT(path, first[i][k].function, first[0][k].function);
                CHECK_TEXT(path, first[i][k].file, first[0][k].file);
                CHECK_NUMBER(path, lines[k].line, first[i][k].line);
            }
        }
    }
    symbols_destroy(symbols);
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 99;
    struct symbols *symbols = symbols_create();
    check_outside(symbols);
    symbols_destroy(symbols);
    symbols_destroy(NULL);
    check_hashes();
    check_system();
    check_many();
    check_late_wrapper(argv[1]);
    check_many_lines(argv[1]);
    return failures != 0;
}
