/* SPDX-License-Identifier: MIT */
/*
 * grower: blocks that realloc grows from 16 to 4096 bytes. Says on standard error how often one of them came to lie elsewhere;
 * standard output is the same wherever they lie.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "../programs/programs.h"

enum { BLOCKS = 2000, FIRST = 16, FINAL = 4096 };

OWN_FRAME void *start(void);
OWN_FRAME void *start(void)
{
    void *block = malloc(FIRST);
    CHECK(block != NULL);
    KEEP(block);
    return block;
}

int main(void)
{
    unsigned moves = 0, sum = 0;
    for (int i = 0; i < BLOCKS; i++) {
        char *block = start();
        memset(block, i, FIRST);
        for (size_t size = 2 * FIRST; size <= FINAL; size *= 2) {
            uintptr_t before = (uintptr_t)block;
            CHECK((block = realloc(block, size)) != NULL);
            moves += (uintptr_t)block != before;
            sum += (unsigned char)block[FIRST - 1];
        }
        free(block);
    }
    printf("%u\n", sum);
    fprintf(stderr, "moves: %u\n", moves);
    return 0;
}
