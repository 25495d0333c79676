/* SPDX-License-Identifier: MIT */
/*
 * Frames whose canonical frame address is an expression: a local aligned to 64 bytes makes the
 * function realign its stack, and the variable-size area beside it takes the frame pointer, so the
 * unwind rule has to load the address from memory. Called from two places with areas that change
 * from call to call.
 */
#include <alloca.h>
#include <stdint.h>
#include <string.h>

#include "programs.h"

#define ROUNDS 5000

static OWN_FRAME void realign(size_t area_bytes, size_t size)
{
    _Alignas(64) char local[64];
    char *area = alloca(area_bytes);
    memset(local, 1, sizeof local);
    KEEP(area);
    CHECK(((uintptr_t)local & 63) == 0);
    void *block = malloc(size);
    KEEP(block);
    free(block);
    KEEP(local);
}

static OWN_FRAME void from_here(size_t area_bytes)
{
    realign(area_bytes, 15001);
    KEEP(&area_bytes);
}

static OWN_FRAME void from_there(size_t area_bytes)
{
    char padding[48];
    KEEP(padding);
    realign(area_bytes, 15002);
    KEEP(padding);
}

static void (*volatile callers[])(size_t) = {from_here, from_there};

int main(void)
{
    for (int i = 0; i < 2 * ROUNDS; i++)
        callers[i % 2](16 + (size_t)(i / 2 % 7) * 48);
    SAY("{\"paths\": [{\"size\": 15001, \"through\": \"from_here\", \"count\": %d}, "
        "{\"size\": 15002, \"through\": \"from_there\", \"count\": %d}]}\n",
        ROUNDS, ROUNDS);
    return 0;
}
