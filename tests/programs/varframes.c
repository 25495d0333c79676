/* SPDX-License-Identifier: MIT */
/*
 * Two different stacks that look the same to anyone who compares remembered return-address slots
 * only.
 *
 *   main -> go -(one indirect call)-> wide_hop   -> vary(small area) -> maker -> malloc
 *   main -> go -(the same call)-----> narrow_hop -> vary(large area) -> maker -> malloc
 *
 * The large area makes up for the narrow hop's smaller frame, so the maker's frame lies at the same
 * address both ways. Nothing writes to the area: where the wide way had vary's return address, the
 * narrow way finds it still, inside the area. Every slot of the wide stack holds what it held,
 * though that stack is gone. What tells the two apart is vary's frame pointer, and where it is to
 * be found depends on the maker, of which there are three:
 *
 *   framed   has a frame pointer of its own: vary's is in the cell where it was saved
 *   saving   uses the register for something else: likewise, but no rule of its own needs it
 *   direct   vary itself calls malloc: the register holds it still
 */
#include <alloca.h>
#include <stdint.h>

#include "programs.h"

#define ROUNDS 20000

enum maker { FRAMED, SAVING, DIRECT, MAKERS };

static uintptr_t area_address;
static uintptr_t *wide_slot,
    wide_return; /* vary's return address on the wide way: where, and what */
static volatile size_t one_word = 8;

static OWN_FRAME void framed(size_t size)
{
    void *word = alloca(one_word);
    KEEP(word);
    void *block = malloc(size);
    KEEP(block);
    free(block);
    KEEP(word);
}

static OWN_FRAME void saving(size_t size)
{
    void *block = malloc(size);
#if defined(__x86_64__)
    __asm__ volatile("" : : "r"(block) : "memory", "rbp");
#endif
    KEEP(block);
    free(block);
    KEEP(&size);
}

static OWN_FRAME void vary(size_t area_bytes, enum maker maker, size_t size, int narrow)
{
    void *area = alloca(area_bytes);
    KEEP(area);
    area_address = (uintptr_t)area;
    if (narrow) {
        if (narrow > 1)
            CHECK(*wide_slot == wide_return); /* the trap is set: the stale slot still holds it */
    } else {
        wide_slot = (uintptr_t *)__builtin_frame_address(0) + 1;
        wide_return = *wide_slot;
        CHECK(wide_return == (uintptr_t)__builtin_return_address(0));
    }
    if (maker == FRAMED) {
        framed(size);
    } else if (maker == SAVING) {
        saving(size);
    } else {
        void *block = malloc(size);
        KEEP(block);
        free(block);
    }
    KEEP(area);
}

static OWN_FRAME void wide_hop(size_t area_bytes, enum maker maker, size_t size, int narrow)
{
    char padding[512];
    KEEP(padding);
    vary(area_bytes, maker, size, narrow);
    KEEP(padding);
}

static OWN_FRAME void narrow_hop(size_t area_bytes, enum maker maker, size_t size, int narrow)
{
    vary(area_bytes, maker, size, narrow);
    KEEP(&area_bytes);
}

struct way {
    void (*volatile hop)(size_t area_bytes, enum maker maker, size_t size, int narrow);
    size_t area_bytes;
    int narrow; /* 1: while its area is sought, 2: after */
};

/* The one call site of both hops. */
static OWN_FRAME void go(const struct way *way, enum maker maker, size_t size)
{
    way->hop(way->area_bytes, maker, size, way->narrow);
    KEEP(way);
}

int main(void)
{
    /* The area is found by trying, so no compiler's frame layout is assumed. */
    struct way ways[] = {{wide_hop, 64, 0}, {narrow_hop, 0, 1}};
    struct way *way = &ways[0];
    uintptr_t wanted = 0;
    do {
        go(way, FRAMED, 1000);
        wanted = way == &ways[0] ? area_address : wanted;
        way = &ways[1];
        way->area_bytes += 16;
    } while (way->area_bytes < 4096 && (way->area_bytes == 16 || area_address != wanted));
    way->area_bytes -= 16;
    CHECK(area_address == wanted);
    ways[1].narrow = 2;
    for (int maker = 0; maker < MAKERS; maker++) {
        for (int i = 0; i < 2 * ROUNDS; i++) {
            go(&ways[i % 2], (enum maker)maker, 1001 + 10 * (size_t)maker + (size_t)i % 2);
            CHECK(area_address == wanted);
        }
    }
    SAY("{\"paths\": [{\"size\": 1001, \"through\": \"wide_hop\", \"count\": %d}, "
        "{\"size\": 1002, \"through\": \"narrow_hop\", \"count\": %d}, "
        "{\"size\": 1011, \"through\": \"wide_hop\", \"count\": %d}, "
        "{\"size\": 1012, \"through\": \"narrow_hop\", \"count\": %d}, "
        "{\"size\": 1021, \"through\": \"wide_hop\", \"count\": %d}, "
        "{\"size\": 1022, \"through\": \"narrow_hop\", \"count\": %d}]}\n",
        ROUNDS, ROUNDS, ROUNDS, ROUNDS, ROUNDS, ROUNDS);
    return 0;
}
