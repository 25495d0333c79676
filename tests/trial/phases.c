/* SPDX-License-Identifier: MIT */
/* phases: 24 MiB of blocks of one size, all freed, then as much of the next size, and so on. */
#include <stdio.h>
#include <string.h>

#include "../programs/programs.h"

enum { SIZES = 8, PHASE_BYTES = 24 << 20 };

OWN_FRAME void *block_make(size_t size);
OWN_FRAME void *block_make(size_t size)
{
    void *block = malloc(size);
    CHECK(block != NULL);
    KEEP(block);
    return block;
}

int main(void)
{
    static void *blocks[PHASE_BYTES / 256];
    for (int phase = 0; phase < SIZES; phase++) {
        size_t size = 256 + (size_t)phase * 384, count = PHASE_BYTES / size;
        for (size_t i = 0; i < count; i++)
            memset(blocks[i] = block_make(size), phase, size);
        for (size_t i = 0; i < count; i++)
            free(blocks[i]);
    }
    puts("done");
    return 0;
}
