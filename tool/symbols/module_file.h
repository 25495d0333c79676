/* SPDX-License-Identifier: MIT */
/*
 * One file that a program had loaded: opened at first need, checked against the build id recorded,
 * its function symbols in one sorted array. Addresses here are the file's own (run-time address -
 * load bias).
 */
#pragma once

#include <elfutils/libdwfl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "frames.h"
#include "string_set.h"

struct module_symbol {
    uint64_t start, end; /* end == start: the file gives no size */
    uint64_t
        furthest; /* the largest end among this and all before it: how far back a search need go */
    const char *linkage_name;
    const char *name; /* for display; NULL: not asked for yet */
};

struct module_file {
    const char *path, *base_name; /* in the caller's strings */
    uint8_t *build_id;            /* as recorded; size 0: none was */
    size_t build_id_size;
    uint64_t hash; /* of build_id, without one of base_name */
    bool system, seen_through;

    bool opened;         /* it was tried */
    const char *problem; /* why it is not used; NULL: it is, or was not tried */
    Dwfl *dwfl;          /* NULL: not opened or not usable */
    Dwfl_Module *module;
    struct module_symbol *symbols;
    size_t symbol_count;
    bool all_functions; /* symbols come from a whole table, not from the exports alone */
    bool frames_read;   /* at the first address that no symbol covers */
    struct frame_extent *frames;
    size_t frame_count;
    uint64_t entry_start, main_start; /* read with the frames; 0: not known */

    struct line_index *lines; /* lines.h; NULL: not opened */
    bool no_lines;            /* tried: there is no debug information */
    uint64_t lines_used;      /* when, in lookups */
};

/* A function's extent and, where the file knows one, its name. */
struct module_function {
    bool known; /* start is; else neither */
    uint64_t start;
    const char *name; /* NULL: it has none */
};

/* The text recorded in place of a file's path, such as "[vdso]": there is no file, which is no
 * problem. */
bool module_path_is_virtual(const char *path);
bool module_is_system(const char *base_name);

/* A library all of whose functions, named or not, count as wrappers: an allocator's; or a C++ standard
 * library, whose strings and containers allocate for whoever uses them: the site is that use. */
bool module_is_seen_through(const char *base_name);

/* Opens path for reading addresses as the file has them (bias 0). 0, or -errno with the reason in
 * words. */
int module_dwfl_open(const struct module_file *file, Dwfl **ret_dwfl, Dwfl_Module **ret_module,
                     const char **ret_reason);

/* Always fills *ret_function. */
void module_file_function(struct module_file *file, struct string_set *strings, uint64_t address,
                          struct module_function *ret_function);

void module_file_done(struct module_file *file);
