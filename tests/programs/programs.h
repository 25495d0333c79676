/* SPDX-License-Identifier: MIT */
/*
 * What the programs here share. Each is run under the recorder and prints, as one JSON object on
 * standard output, what it is known to have done. Sizes are peculiar on purpose, so that a size
 * alone tells which line of the program asked for the block.
 */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Keeps the call, the block and the frame from being optimised away. */
#define KEEP(pointer) __asm__ volatile("" : : "r"(pointer) : "memory")
#define OWN_FRAME     __attribute__((noinline, noclone, noipa))

/* Prints without stdio's buffer, which would be one more block. */
#define SAY(...)                                                                                   \
    do {                                                                                           \
        char say_text[2048];                                                                       \
        int say_length = snprintf(say_text, sizeof say_text, __VA_ARGS__);                         \
        if (write(STDOUT_FILENO, say_text, (size_t)say_length) != say_length)                      \
            _exit(3);                                                                              \
    } while (0)

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                \
            exit(3);                                                                               \
        }                                                                                          \
    } while (0)
