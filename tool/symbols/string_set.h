/* SPDX-License-Identifier: MIT */
/*
 * One copy of each string, living as long as the set: what the room hands out outlives the ELF
 * files that the strings came from, so those can be closed again.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct string_set {
    struct string_block *blocks;
    const char **slots;
    size_t slot_count, used_count;
};

/* A zeroed set is an empty one. */
void string_set_done(struct string_set *set);

/* The set's copy of text[0..length); NULL: out of memory. text may hold any bytes but 0. */
const char *string_set_add(struct string_set *set, const char *text, size_t length);

/* FNV-1a over bytes, started from `seed`: ids made from it must stay the same from release to
 * release. */
uint64_t hash_bytes(uint64_t seed, const void *bytes, size_t size);
#define HASH_SEED UINT64_C(0xcbf29ce484222325)

/* Spreads all bits of x over the result (the finalizer of splitmix64). */
uint64_t hash_mix(uint64_t x);
