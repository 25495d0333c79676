/* SPDX-License-Identifier: MIT */
/*
 * Does the allocation need the heap at all? What each call that makes a block can be shown to do with it, from
 * the program's source: a conservative answer, so that "does not escape" may be relied upon, and the reasons.
 * docs/escape.md says what is assumed. Not for use from several threads; it starts threads of its own.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "libc_table.h"

enum escape_class {
    ESCAPE_NOT, /* the block cannot be reached once the function has returned */
    ESCAPE_MAY, /* nor can it, unless code whose body is not here keeps it */
    ESCAPE_RETURNED,
    ESCAPE_INSIDE, /* it is stored in a block that is returned */
    ESCAPE_CALLER, /* it is stored in memory of the caller */
    ESCAPE_GLOBAL, /* it is stored to a global variable, handed to another thread, kept by a library */
};

enum escape_freed {
    ESCAPE_FREED_ALWAYS,
    ESCAPE_FREED_EACH,    /* always, and it is in a loop: freed in each turn */
    ESCAPE_FREED_UNKNOWN, /* freed here, but not provably on all paths */
    ESCAPE_FREED_LEAK,    /* not on the path that ends at `leak_line` */
    ESCAPE_FREED_NEVER,   /* nothing here frees it */
};

struct escape_step {
    const char *file, *text;
    unsigned line, depth; /* depth: how many calls down */
};

struct escape_site {
    const char *file, *function, *callee;
    unsigned line, column;
    bool has_size;
    uint64_t size; /* when constant */
    bool
        through; /* the callee is no allocator itself: a function that hands over a block it made */
    enum escape_class kind;
    enum escape_freed freed;
    unsigned free_line, leak_line;
    bool in_loop;
    const char *const *keepers; /* ESCAPE_MAY: by whom it might be kept; NULL-terminated */
    const char *why;            /* one clause: "returned", "stored to the global variable g" */
    const struct escape_step *steps;
    size_t step_count;
};

struct escape_options {
    struct libc_user user;
    bool closed;   /* the inputs are the whole program */
    bool cache;    /* keep bitcode between runs, by content */
    unsigned jobs; /* at once; 0: as many as there are CPUs */
    void (*progress)(void *context, size_t done, size_t total, const char *what);
    void *context;
};

struct escape_input {
    const char *file;         /* C source, bitcode or LLVM assembly */
    const char *directory;    /* where its command runs; NULL: here */
    const char *const *flags; /* of the compiler; NULL-terminated; NULL: none */
};

struct escape;

struct escape_counts {
    size_t units, cached, functions, instructions, sites, by_class[ESCAPE_GLOBAL + 1];
    uint64_t lines;
    double compile_s, read_s, solve_s; /* wall clock; compile and read over all jobs */
    size_t peak_bytes;                 /* of the analysis' own memory */
    size_t coarse, opaque; /* functions too much for fields; for anything to be said of them */
};

/* 0; -ENOENT: no clang, -EINVAL: an input is no good, -ENOMEM; ret_message says which and why. */
int escape_run(const struct escape_input *inputs, size_t count,
               const struct escape_options *options, struct escape **ret_escape, char *ret_message,
               size_t message_size);
void escape_destroy(struct escape *escape);
size_t escape_sites(const struct escape *escape,
                    const struct escape_site **ret_sites); /* by file and line */
const struct escape_counts *escape_counts(const struct escape *escape);
/* What went wrong with single inputs, a sentence each; NULL-terminated. */
const char *const *escape_notes(const struct escape *escape);

/* "compile_commands.json": its C files, with their flags. 0, -EINVAL or -ENOENT with ret_message. */
struct escape_database;
int escape_database_open(const char *path, struct escape_database **ret_database, char *ret_message,
                         size_t message_size);
size_t escape_database_inputs(const struct escape_database *database,
                              const struct escape_input **ret_inputs);
void escape_database_close(struct escape_database *database);

/* Forms of the answer. 0 or -errno of the stream. `detail`: 1 a line for each site, 2 its reasons under it. */
int escape_text(const struct escape *escape, unsigned detail, bool colour, FILE *stream);
int escape_json(const struct escape *escape, FILE *stream);
/* The verdict alone, "does not escape; freed on all paths (line 9)", into ret_text. */
void escape_verdict(const struct escape_site *site, char *ret_text, size_t size);
