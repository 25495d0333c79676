/* SPDX-License-Identifier: MIT */
/*
 * Property: the sections do what their pseudo-code says, compared with a model on random schedules,
 * with counts of gets near their limit; and every descriptor is one that the kernel accepts.
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

#if HAVE_SECTIONS
/* A thread's area of our own, so that ids are what the test says: the bodies run also where the
 * kernel or an emulator has no sections, on as many ids as it likes. One thread needs no aborts. */
static __thread struct {
    int32_t id;
    uint64_t armed;
} own_area;

static void many_ids(void)
{
    enum { IDS = 64 };
#ifdef __x86_64__
    char *thread_pointer;
    __asm__("movq %%fs:0, %0" : "=r"(thread_pointer));
#else
    char *thread_pointer = pwise_thread_pointer_();
#endif
    ptrdiff_t id_at = (char *)&own_area.id - thread_pointer;
    ptrdiff_t cs_at = (char *)&own_area.armed - thread_pointer;
    struct slot *first = aligned_alloc(CACHE_LINE_BYTES, (IDS + GUARD_SLOTS) * sizeof(*first));
    static struct magazine *magazines[IDS];
    static struct model models[IDS];
    static char things[1 << 12];
    memset(first, 0, (IDS + GUARD_SLOTS) * sizeof(*first));
    struct slot *slots = first + GUARD_SLOTS;
    for (int id = -GUARD_SLOTS; id < 0; id++)
        atomic_init(&slots[id].loaded, MAGAZINE_EMPTY);
    for (int id = 0; id < IDS; id++) {
        magazines[id] = calloc(1, sizeof(struct magazine) + CAPACITY * sizeof(void *));
        magazines[id]->capacity = CAPACITY;
        atomic_init(&slots[id].loaded, magazines[id]);
    }
    for (int step = 0; step < 200000; step++) {
        uint32_t dice = next_random();
        int id = (int)(dice % (IDS + GUARD_SLOTS)) - GUARD_SLOTS;
        void *thing = &things[dice % sizeof(things)];
        own_area.id = id;
        if (dice & 512) {
            bool pushed = pwise_section_push_(slots, id_at, cs_at, thing);
            CHECK_INT(pushed, ==, id >= 0 && models[id].count < CAPACITY);
            if (pushed)
                models[id].items[models[id].count++] = thing;
        } else {
            bool popped = pwise_section_pop_(slots, id_at, cs_at, &thing);
            CHECK_INT(popped, ==, id >= 0 && models[id].count > 0);
            if (popped) {
                CHECK_PTR(thing, ==, models[id].items[--models[id].count]);
                models[id].gets++;
            }
        }
        CHECK_INT(own_area.armed, !=, 0);
        if (id >= 0) {
            CHECK_INT(magazine_count(magazines[id]), ==, models[id].count);
            CHECK_INT(magazine_word(magazines[id]) >> 16, ==, models[id].gets);
        }
    }
    ptrdiff_t id_before = rseq_id_offset, cs_before = rseq_cs_offset;
    rseq_id_offset = id_at;
    rseq_cs_offset = cs_at;
    for (int id = -GUARD_SLOTS; id < IDS; id++) {
        struct slot *slot;
        own_area.id = id;
        struct magazine *taken = section_take(slots, &slot);
        CHECK_PTR(slot, ==, &slots[id]);
        CHECK_PTR(taken, ==, id < 0 ? MAGAZINE_EMPTY : magazines[id]);
        CHECK_PTR(section_take(slots, &slot), ==, MAGAZINE_EMPTY);
        if (id >= 0)
            free(taken);
    }
    rseq_id_offset = id_before;
    rseq_cs_offset = cs_before;
    free(first);
}
#else
static void many_ids(void)
{
}
#endif

int main(void)
{
    rseq_init();
    many_ids();
    descriptors_are_sound();
    follow_the_model(0);
    follow_the_model((UINT64_MAX >> 16) - 500);
    CHECK_INT(rseq_self_test(), >=, rseq_active);
    return 0;
}
