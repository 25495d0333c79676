/* SPDX-License-Identifier: MIT */
/*
 * recursion [DEPTH]: a block at each level on the way down, freed on the way up by the frame that
 * made it. Every stack is new, and most are deeper than a recorder will walk.
 */
#include "programs.h"

static OWN_FRAME void descend(int depth)
{
    void *block = malloc(14001);
    KEEP(block);
    if (depth > 1)
        descend(depth - 1);
    free(block);
}

int main(int argc, char **argv)
{
    int depth = argc > 1 ? atoi(argv[1]) : 10000;
    CHECK(depth > 0 && depth <= 50000);
    descend(depth);
    SAY("{\"paths\": [{\"size\": 14001, \"through\": \"descend\", \"count\": %d}], \"frees\": "
        "%d}\n",
        depth, depth);
    return 0;
}
