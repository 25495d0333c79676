/* SPDX-License-Identifier: MIT */
/*
 * Addresses to names: function, file, line, inlined calls; and which functions are allocator wrappers.
 *
 * Works on the files that the program had loaded (checked by build id: a file that has changed since
 * is not used, and said so). Without debug information: exported names; without those: the function's
 * start from the unwind tables, shown as module+offset. elfutils does the reading. Not thread-safe.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct symbols;

struct symbols_module {
    uint32_t id; /* the caller's number; small and dense */
    uint64_t bias, start, end;
    const char *path;
    const uint8_t *build_id; /* of the file that was loaded */
    size_t build_id_size;    /* 0: not known; the file found at path is then used unchecked */
};

struct symbols_function {
    uint64_t id;        /* equal for two addresses in the same function of the same file, however often loaded; stable from run
                           to run of the same binary; never 0 */
    uint64_t start;     /* run-time address of its first instruction; the address itself when unknown */
    const char *name;   /* demangled, without parameters' types; "jq+0x1234" when there is none. Owned by symbols */
    bool named;         /* false: name is module+offset */
    bool wrapper;       /* an allocator or a wrapper of one, by the table or --wrapper */
    bool system;        /* libc, the dynamic linker or libstdc++: code that the user does not change */
    const char *module_name; /* file name without its folder */
};

/* One source-level frame; a physical frame gives several when calls were inlined, innermost first. */
struct symbols_line {
    const char *function; /* as symbols_function.name */
    const char *file;     /* as in the debug information; NULL: unknown */
    unsigned line;        /* 0: unknown */
    bool inlined;
};

/* debuginfod is asked only if the environment already names a server (DEBUGINFOD_URLS).
 * NULL + errno: ENOMEM. */
struct symbols *symbols_create(void);
void symbols_destroy(struct symbols *symbols);

/* A POSIX extended regular expression; a function whose whole name matches is a wrapper.
 * 0 or -EINVAL with *ret_error (caller frees) saying what is wrong. */
int symbols_wrapper_add(struct symbols *symbols, const char *regex, char **ret_error);

/* Whether a function of this name, as symbols gives names, is an allocator or a wrapper: for inlined calls. */
bool symbols_name_is_wrapper(const struct symbols *symbols, const char *name);

/* Copies what it needs; opens nothing yet. 0 or -errno (ENOMEM; EINVAL: no path, or an id of 2^20 or more). A missing or
 * unreadable file is no error. An id given before is replaced. */
int symbols_module_add(struct symbols *symbols, const struct symbols_module *module);

/* `address` is a return address; it is looked up at address - 1. Always fills *ret_function. Cached: cheap when asked again.
 * module UINT32_MAX: not in any module. */
void symbols_function(struct symbols *symbols, uint32_t module, uint64_t address,
                      struct symbols_function *ret_function);

/* Up to max lines, innermost inlined first; at least 1. Slower: reads DWARF. Returns how many. */
size_t symbols_lines(struct symbols *symbols, uint32_t module, uint64_t address, struct symbols_line *ret_lines, size_t max);

/* Offset of an address from its module's load bias, and a hash of the module's build id (of its file name without one): for stable site ids. */
uint64_t symbols_offset(const struct symbols *symbols, uint32_t module, uint64_t address);
uint64_t symbols_module_hash(const struct symbols *symbols, uint32_t module);

/* Modules whose file is missing or differs from the one recorded: visit is called with the path and the reason, in words. Files are
 * opened when an address in them is first asked for, so call it after the questions. */
void symbols_each_problem(const struct symbols *symbols, void (*visit)(void *context, const char *path, const char *reason), void *context);
