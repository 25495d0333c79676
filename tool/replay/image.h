/* SPDX-License-Identifier: MIT */
/*
 * A schedule as the worker sees it: one memory file, all places as offsets from its beginning. Also the
 * words between the worker and whoever started it. Both come from one build: no versions, no byte order.
 *
 * op       one call: make, resize or free the block in a slot
 * slot     where the address of a live block stands; a thread's own, or shared by threads
 * turn     of a slot that several threads use: how many ops on it come before this one
 * place    what pays for the op: a site, or `others`, the last place, for all that is no site's
 * form     how a place's blocks are served: by malloc, by a pool of some kind, or by what else is advised
 * variant  one form for each place
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define IMAGE_VARIANTS 16u
#define IMAGE_PLACES   64u /* `others` among them */

enum op_code {
    OP_MALLOC,
    OP_CALLOC,
    OP_ALIGNED,
    OP_REALLOC, /* resizes the block in the slot */
    OP_FREE,
    OP_SYNC,   /* size: events of the window before this one, over all threads */
    OP_FILLER, /* heap only: takes the room between two blocks; of size 0: gives it back */
};

#define OP_SHARED 1u /* flag: wait for the slot's turn, then pass it on */
#define OP_NEEDED 2u /* flag, heap only: the window frees or resizes it, so it must be there */

struct image_op {
    uint32_t slot, size;
    uint32_t was; /* bytes of the block that is resized or freed */
    uint16_t gap; /* as window_event.gap */
    uint16_t turn;
    uint8_t place, code, flags, unused;
};

enum form_kind {
    FORM_MALLOC,
    FORM_POOL,    /* one size; larger blocks by malloc */
    FORM_CAPPED,  /* items that hold a block of their own, dropped at put when it is over the cap */
    FORM_CLASSES, /* a pool for each power of two; larger blocks by malloc */
    FORM_BUFFERS, /* a pool of growable buffers */
    FORM_STACK,   /* a local variable */
    FORM_HOIST,   /* one block that is kept and reused */
    FORM_PRESIZE, /* malloc of the final size */
    FORM_ARENA,   /* chunks, given back when all blocks are dead */
    FORM_COUNT,
};

struct image_form {
    uint32_t kind;
    uint32_t low, bytes; /* CLASSES: smallest and largest class. Else bytes: the item, the cap, the
                            final size, the chunk, or the largest block */
};

struct image_thread {
    uint64_t ops_at;
    uint64_t ticks_at; /* uint16_t[op_count], written by the worker: what each op took, packed */
    uint32_t op_count, unused;
};

/* Ticks in 16 bits: exact below 2048, then to 1 in 1024. */
static inline uint16_t image_pack(uint64_t ticks)
{
    uint32_t shift = 0;
    while (ticks >> shift >= 2048)
        shift++;
    return shift > 31 ? UINT16_MAX : (uint16_t)(shift << 11 | (uint32_t)(ticks >> shift));
}

static inline uint64_t image_unpack(uint16_t packed)
{
    return (uint64_t)(packed & 2047) << (packed >> 11);
}

struct image_window {
    uint64_t threads_at; /* struct image_thread[] */
    uint64_t heap_at;    /* struct image_op[]: what makes the heap as it was; untimed */
    uint64_t room_at; /* more ops, which come after the warming up: room that the heap had before */
    uint64_t
        litter_at; /* more ops, which come before those, for a heap more littered than it was */
    uint32_t thread_count, heap_count, room_count, litter_count;
    uint32_t slot_count;
    uint32_t event_count;
    uint32_t
        grows; /* more is alive in it than ever before: what the warming up left behind the last block is given
                       back first (1); all that it left, when it is much more (2) */
    uint32_t work_bytes; /* that the program's own work goes over: a power of two */
    uint32_t skew; /* events that a thread may run ahead of the slowest; 0: only one thread */
};

struct image {
    uint64_t bytes; /* of the whole */
    uint64_t windows_at;
    uint32_t window_count, place_count, variant_count;
    uint32_t work; /* 1: between ops, disturb the caches as the program's own work did */
    struct image_form forms[IMAGE_VARIANTS][IMAGE_PLACES];
};

enum heap_mode {
    HEAP_RECORDED, /* as in the recording */
    HEAP_FRESH,    /* only what the window needs */
    HEAP_LITTERED, /* as recorded, on top of many blocks with holes between them */
    HEAP_COUNT,
};

struct image_request {
    uint32_t window, variant, heap, unused;
};

enum worker_status { WORKER_DONE, WORKER_NO_MEMORY, WORKER_DIED, WORKER_LATE };

struct image_result {
    uint32_t status, unused;       /* enum worker_status */
    double ns_per_tick, own_ticks; /* own: of an op that does nothing; a part of each op's ticks */
    uint64_t peak_bytes,
        faults; /* of the process, over what it had before its heap was made; in the window */
};

static inline const void *image_at(const struct image *image, uint64_t at)
{
    return (const char *)image + at;
}
