/* SPDX-License-Identifier: MIT */
/*
 * Two different stacks that look the same to anyone who compares remembered return-address slots only.
 *
 *   main -(one indirect call)-> wide_hop   -> vary(small area) -> make_block -> malloc(1001)
 *   main -(the same call)-----> narrow_hop -> vary(large area) -> make_block -> malloc(1002)
 *
 * The large area makes up for the narrow hop's smaller frame, so make_block's frame lies at the same
 * address both ways. Nothing writes to the area: where the wide way had vary's return address, the
 * narrow way finds it still, inside the area. Every slot of the wide stack holds what it held, though
 * that stack is gone. make_block has a frame pointer of its own, so the register is no help either; what
 * differs is the cell in which it saved its caller's.
 */
#include <alloca.h>
#include <stdint.h>

#include "programs.h"

#define ROUNDS 50000

static uintptr_t make_block_frame;
static uintptr_t *wide_slot, wide_return; /* vary's return address on the wide way: where, and what */
static volatile size_t one_word = 8;

static OWN_FRAME void make_block(size_t size)
{
    KEEP(alloca(one_word));
    make_block_frame = (uintptr_t)__builtin_frame_address(0);
    if (size == 1002)
        CHECK(*wide_slot == wide_return); /* the trap is set: the stale slot still holds it */
    void *block = malloc(size);
    KEEP(block);
    free(block);
}

static OWN_FRAME void vary(size_t area_bytes, size_t size)
{
    void *area = alloca(area_bytes);
    KEEP(area);
    if (size == 1001) {
        wide_slot = (uintptr_t *)__builtin_frame_address(0) + 1;
        wide_return = *wide_slot;
        CHECK(wide_return == (uintptr_t)__builtin_return_address(0));
    }
    make_block(size);
    KEEP(area);
}

static OWN_FRAME void wide_hop(size_t area_bytes, size_t size)
{
    char padding[512];
    KEEP(padding);
    vary(area_bytes, size);
    KEEP(padding);
}

static OWN_FRAME void narrow_hop(size_t area_bytes, size_t size)
{
    vary(area_bytes, size);
    KEEP(area_bytes);
}

typedef void (*hop)(size_t area_bytes, size_t size);
static struct way {
    hop volatile hop;
    size_t area_bytes, size;
} ways[] = {{wide_hop, 64, 1001}, {narrow_hop, 64, 1002}};

/* The one call site of both hops. */
static OWN_FRAME void go(const struct way *way)
{
    way->hop(way->area_bytes, way->size);
    KEEP(way);
}

int main(void)
{
    /* The area is found by trying, so no compiler's frame layout is assumed. Sizes of these calls are
     * their own, for they are not part of what is promised. */
    go(&(struct way){wide_hop, ways[0].area_bytes, 1003});
    uintptr_t wanted = make_block_frame;
    size_t area_bytes = 0;
    do {
        area_bytes += 16;
        go(&(struct way){narrow_hop, area_bytes, 1003});
    } while (make_block_frame > wanted && area_bytes < 4096);
    CHECK(make_block_frame == wanted);
    ways[1].area_bytes = area_bytes;
    for (int i = 0; i < ROUNDS; i++) {
        go(&ways[0]);
        CHECK(make_block_frame == wanted);
        go(&ways[1]);
        CHECK(make_block_frame == wanted);
    }
    SAY("{\"paths\": [{\"size\": 1001, \"through\": \"wide_hop\", \"count\": %d}, "
        "{\"size\": 1002, \"through\": \"narrow_hop\", \"count\": %d}]}\n", ROUNDS, ROUNDS);
    return 0;
}
