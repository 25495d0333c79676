/* SPDX-License-Identifier: MIT */
/* What functions whose bodies are not here do with pointers: libc's, and those that the user names. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/*
 * An effect is a list of letters, each with the numbers of the arguments it speaks of (from 0):
 *
 *   A[n]   returns a new block, of the size in argument n       C n   the size is n times n + 1
 *   R p n  frees p and returns a new block of size n             F n   frees n
 *   O n    stores a new block where n points                     r n   returns a pointer into n
 *   l n    returns what n points to                              u     returns what was there already
 *   k n    keeps n for good                                      s p n stores n where p points
 *   c p n  copies what n points to, to where p points            x f n.. calls f with each n and what is in it
 *   K n    keeps what n points to holds (writes it out)          U n     what n points to holds unknown pointers
 *   J      jumps to where setjmp returned                        h     returns a handle of the library's: a
 *                                                                      program stores nothing through it
 *
 * An empty one does nothing that matters: its arguments are not kept, and its result is no pointer.
 */
struct libc_user {                 /* of the command line; NULL-terminated lists, or NULL */
    const char *const *allocators; /* NAME, NAME:N, NAME:calloc:N, NAME:realloc:P,N, NAME:strdup */
    const char *const *frees;      /* NAME or NAME:N */
    const char *const *keepless;   /* NAME */
    const char *const
        *hooks; /* STRUCT:OFFSET=... or VARIABLE:OFFSET=..., ... as above, or free[:N] */
};

/* NULL when nothing is known of it. */
const char *libc_effect(const char *name);

/* Variables that hold handles: stdin and its like. */
bool libc_is_handle(const char *name);

/* The effect that an option's value stands for: "malloc:1", "free", ... 0 or -1 when it is none. */
int libc_option_effect(const char *text, char *ret_effect, size_t size);
