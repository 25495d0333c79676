/* SPDX-License-Identifier: MIT */
/* From a source file to bitcode, by the user's clang; kept by content, so that only what changed is compiled. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "escape.h"

struct front {
    const char *clang;
    const char *folder; /* where bitcode goes: the cache, or a temporary one */
    bool cache;
};

/*
 * The path of the input's bitcode (caller frees): the input itself when it is bitcode. ret_cached: nothing had to be
 * compiled. 0 or -errno with clang's first error in ret_message. Any thread.
 */
int front_bitcode(const struct front *front, const struct escape_input *input, size_t number,
                  char **ret_path, bool *ret_cached, char *ret_message, size_t message_size);

/* The cache's folder, made if need be, or a fresh one in $TMPDIR. NULL: neither could be made; caller frees. */
char *front_folder(bool cache);
void front_folder_drop(const char *folder); /* a temporary one and what is in it */
