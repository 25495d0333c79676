/* SPDX-License-Identifier: MIT */
/*
 * Property: the sections do what their pseudo-code says, compared with a model on random schedules, with
 * counts of gets near their limit; and every descriptor is one that the kernel accepts.
 */
#include <string.h>

#include "check.h"
#include "magazine.h"
#include "rseq.h"

#if HAVE_SECTIONS
struct descriptor {
    uint32_t version, flags;
    uint64_t start, length, abort;
};
extern const struct descriptor __start___rseq_cs[], __stop___rseq_cs[];

#ifdef __x86_64__
#define SIGNATURE 0x53053053u
#else
#define SIGNATURE 0xd428bc00u
#endif

static void descriptors_are_sound(void)
{
    CHECK_INT(__stop___rseq_cs - __start___rseq_cs, >=, 4);
    for (const struct descriptor *d = __start___rseq_cs; d < __stop___rseq_cs; d++) {
        CHECK_INT((uintptr_t)d % 32, ==, 0);
        CHECK_INT(d->version, ==, 0);
        CHECK_INT(d->flags, ==, 0);
        CHECK_INT(d->length, >, 0);
        CHECK_INT(d->length, <, 400);
        CHECK_INT(d->abort < d->start || d->abort >= d->start + d->length, ==, 1);
        uint32_t signature;
        memcpy(&signature, (const void *)(uintptr_t)(d->abort - 4), 4);
        CHECK_INT(signature, ==, SIGNATURE);
    }
}
#else
static void descriptors_are_sound(void)
{
}
#endif

enum { CAPACITY = 5 };

struct model {
    void *items[CAPACITY];
    uint32_t count;
    uint64_t gets;
    bool loaded;
};

static uint32_t random_state = 12345;

static uint32_t next_random(void)
{
    random_state = random_state * 1664525u + 1013904223u;
    return random_state >> 8;
}

static void follow_the_model(uint64_t first_gets)
{
    static char things[1 << 16];
    size_t bytes = slot_count * sizeof(struct slot);
    struct slot *slots = aligned_alloc(CACHE_LINE_BYTES, bytes);
    struct magazine *magazine =
        aligned_alloc(128, (sizeof(*magazine) + CAPACITY * sizeof(void *) + 127) & ~(size_t)127);
    memset(slots, 0, bytes);
    for (uint32_t i = 0; i < slot_count; i++)
        atomic_init(&slots[i].loaded, MAGAZINE_EMPTY);
    memset(magazine, 0, sizeof(*magazine));
    magazine->capacity = CAPACITY;
    magazine_set_word(magazine, first_gets << 16);
    struct model model = {.gets = first_gets};
    for (int step = 0; step < 200000; step++) {
        uint32_t dice = next_random();
        /* One magazine only: what another CPU's slot holds now is brought back first. */
        struct slot *slot;
        if (dice % 16 == 0) {
            struct magazine *taken = slot_take(slots, &slot);
            CHECK_PTR(slot, >=, slots);
            if (taken == MAGAZINE_EMPTY)
                for (uint32_t i = 0; i < slot_count; i++)
                    if (atomic_load(&slots[i].loaded) != MAGAZINE_EMPTY)
                        taken = atomic_exchange(&slots[i].loaded, MAGAZINE_EMPTY);
            CHECK_PTR(taken, ==, model.loaded ? magazine : MAGAZINE_EMPTY);
            model.loaded = dice & 256;
            if (model.loaded)
                atomic_store(&slot->loaded, magazine);
        }
#if HAVE_SECTIONS
        if (!rseq_active || !model.loaded)
            continue;
        if (dice & 512) {
            void *thing = &things[dice % sizeof(things)];
            bool pushed = section_push(slots, thing);
            if (!pushed && model.count < CAPACITY)
                continue; /* this thread has moved to another CPU */
            CHECK_INT(pushed, ==, model.count < CAPACITY);
            if (pushed)
                model.items[model.count++] = thing;
        } else {
            void *thing = NULL;
            bool popped = section_pop(slots, &thing);
            if (!popped && model.count > 0)
                continue;
            CHECK_INT(popped, ==, model.count > 0);
            if (popped) {
                CHECK_PTR(thing, ==, model.items[--model.count]);
                model.gets++;
            }
        }
        CHECK_INT(magazine_count(magazine), ==, model.count);
        CHECK_INT(magazine_word(magazine) >> 16, ==, model.gets & (UINT64_MAX >> 16));
#endif
    }
    free(magazine);
    free(slots);
}

int main(void)
{
    rseq_init();
    descriptors_are_sound();
    follow_the_model(0);
    follow_the_model((UINT64_MAX >> 16) - 500);
    CHECK_INT(rseq_self_test(), >=, rseq_active);
    return 0;
}
