/* SPDX-License-Identifier: MIT */
/*
 * Frames that end without returning. A chain of calls allocates and jumps back over itself; then
 * another chain of the same depth is built where the first lay and allocates through other
 * functions. What was remembered of the frames jumped over must not be taken for the new ones.
 */
#include <setjmp.h>

#include "programs.h"

#define ROUNDS 5000
#define DEPTH  12

static jmp_buf back;
static void *block;

static OWN_FRAME void red(int depth)
{
    if (depth == 0) {
        block = malloc(4001);
        KEEP(block);
        longjmp(back, 1);
    }
    red(depth - 1);
    KEEP(&depth);
}

static OWN_FRAME void blue(int depth)
{
    if (depth == 0) {
        block = malloc(4002);
        KEEP(block);
        longjmp(back, 1);
    }
    blue(depth - 1);
    KEEP(&depth);
}

static OWN_FRAME void start(void (*colour)(int))
{
    if (setjmp(back) == 0)
        colour(DEPTH);
    free(block);
}

int main(void)
{
    void (*volatile colours[])(int) = {red, blue};
    for (int i = 0; i < 2 * ROUNDS; i++)
        start(colours[i % 2]);
    SAY("{\"paths\": [{\"size\": 4001, \"through\": \"red\", \"count\": %d}, "
        "{\"size\": 4002, \"through\": \"blue\", \"count\": %d}]}\n",
        ROUNDS, ROUNDS);
    return 0;
}
