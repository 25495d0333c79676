/* SPDX-License-Identifier: MIT */
/* What is stored where: reading, writing, copying. */
#include <string.h>

#include "objects.h"

#define ENTRIES_MAX 24u /* of one object; beyond, what it holds is one heap of values */

/* May bytes [a, a + a_size), repeated by its stride, meet those of b? Size 0: unknown, but none before the start. */
static bool overlap(int64_t a, uint32_t a_stride, uint32_t a_size, int64_t b, uint32_t b_stride,
                    uint32_t b_size)
{
    uint32_t step = stride_join(a_stride, b_stride);
    if (!step)
        return (!b_size || a < b + b_size) && (!a_size || b < a + a_size);
    if (!a_size || !b_size)
        return true;
    int64_t apart = (((b - a) % step) + step) % step;
    return apart < a_size || step - apart < b_size;
}

static bool initializer_read(struct points *points, const struct symbol *symbol, struct ref place,
                             uint32_t size, struct set *set)
{
    if (!symbol->is_constant || !symbol->has_initializer)
        return false;
    for (uint32_t i = 0; i < symbol->count; i++) {
        const struct address *address = &symbol->unit->addresses[symbol->first + i];
        if (overlap(address->at, 0, 8, place.offset, place.stride, size))
            set_add(points, set,
                    (struct ref){object_symbol(points, address->symbol), address->offset,
                                 address->stride});
    }
    return true;
}

void points_read(struct points *points, struct ref place, uint32_t size, struct set *set)
{
    struct object *object = &points->objects.items[place.object];
    if (object->kind == OBJECT_FUNCTION)
        return;
    points_touch(points, place.object);
    if (object->kind == OBJECT_GLOBAL &&
        (initializer_read(points, object->symbol, place, size, set) || object_is_handle(object)))
        return;
    if (object_holds_unknown(object))
        set_add(points, set, (struct ref){object_outside(points), 0, 1});
    if (object->kind == OBJECT_DEEP)
        set_add(points, set, (struct ref){place.object, 0, 1});
    uint32_t count = object->contents.count;
    for (uint32_t i = 0; i < count; i++) {
        const struct entry *entry = &points->objects.items[place.object].contents.items[i];
        if (!overlap(entry->offset, entry->stride, entry->size, place.offset, place.stride, size))
            continue;
        struct ref value = entry->value;
        if (entry->size != size && !(entry->stride == 1 && size == 8)) /* a piece of it */
            value.offset = 0, value.stride = 1;
        set_add(points, set, value);
    }
    object = &points->objects.items[place.object];
    if (object_is_stand_in(object) || object->exposed)
        set_add(points, set,
                (struct ref){object_child(points, place.object, place.offset, place.stride, size),
                             0, 0});
}

static void collapse(struct object *object)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < object->contents.count; i++) {
        struct entry entry = object->contents.items[i];
        uint32_t k = 0;
        entry.offset = 0;
        entry.stride = entry.size = 1;
        while (k < kept && object->contents.items[k].value.object != entry.value.object)
            k++;
        if (k < kept)
            object->contents.items[k].value =
                ref_join(object->contents.items[k].value, entry.value);
        else
            object->contents.items[kept++] = entry;
    }
    object->contents.count = kept;
    object->collapsed = true;
}

static void whole_mark(struct points *points, struct whole *whole, uint32_t value)
{
    if (value / 64 >= whole->words) {
        uint32_t words = value / 64 + 2;
        uint64_t *grown = arena_alloc(points->arena, words * sizeof *grown);
        if (whole->words)
            memcpy(grown, whole->bits, whole->words * sizeof *grown);
        whole->bits = grown;
        whole->words = words;
    }
    whole->bits[value / 64] |= UINT64_C(1) << value % 64;
}

struct whole points_whole(struct points *points, const struct set *set)
{
    struct whole whole = {0};
    for (uint32_t i = set->count; i-- > 0;) {
        if (set->items[i].stride != 1)
            return (struct whole){0};
        whole_mark(points, &whole, set->items[i].object);
    }
    return whole;
}

bool points_holds(struct points *points, uint32_t number, const struct whole *whole)
{
    const struct object *object = &points->objects.items[number];
    if (!whole->words || !object->collapsed || object->escaped)
        return false;
    for (uint32_t i = 0; i < whole->words; i++)
        if (whole->bits[i] & ~(i < object->whole.words ? object->whole.bits[i] : 0))
            return false;
    points_touch(points, number);
    return true;
}

void points_write(struct points *points, struct ref place, const struct entry *by)
{
    struct object *object = &points->objects.items[place.object];
    uint32_t stored = by->value.object;
    points_touch(points, place.object);
    if (object->kind == OBJECT_FUNCTION || points->objects.items[stored].kind == OBJECT_FUNCTION) {
        if (object->kind == OBJECT_FUNCTION || object->kind == OBJECT_OUTSIDE ||
            object->kind == OBJECT_GLOBAL)
            return;
    }
    if (object->kind == OBJECT_OUTSIDE || object->kind == OBJECT_GLOBAL) {
        struct reason reason = {.kind =
                                    object->kind == OBJECT_GLOBAL ? REASON_GLOBAL : REASON_OUTSIDE,
                                .instruction = by->instruction,
                                .name = object->symbol ? object->symbol->name : NULL};
        points_escape(points, stored, reason);
        return;
    }
    if (object->escaped) { /* what it holds need not be known: it is outside */
        points_escape(points, stored,
                      (struct reason){.kind = REASON_INSIDE,
                                      .instruction = by->instruction,
                                      .object = place.object});
        return;
    }
    struct entry entry = *by;
    entry.value = ref_outside(points, entry.value);
    stored = entry.value.object;
    if (points->coarse && object_is_stand_in(object))
        object->collapsed = true;
    entry.offset = object->collapsed ? 0 : place.offset;
    entry.stride = object->collapsed ? 1 : place.stride;
    entry.size = object->collapsed ? 1 : by->size;
    uint64_t bit = UINT64_C(1) << stored % 64;
    if (object->collapsed) {
        if (entry.value.stride == 1 && stored / 64 < object->whole.words &&
            object->whole.bits[stored / 64] & bit)
            return;
    }
    for (uint32_t i = 0; i < object->contents.count; i++) {
        struct entry *known = &object->contents.items[i];
        if (known->value.object != stored || known->offset != entry.offset ||
            known->stride != entry.stride || known->size != entry.size)
            continue;
        struct ref joined = ref_join(known->value, entry.value);
        if (!ref_same(joined, known->value)) {
            known->value = joined;
            points_changed(points, place.object);
        }
        if (object->collapsed && known->value.stride == 1)
            whole_mark(points, &object->whole, stored);
        return;
    }
    ARENA_PUSH(points->arena, &object->contents, entry);
    points_changed(points, place.object);
    if (!object->collapsed && object->contents.count > ENTRIES_MAX)
        collapse(object);
}

void points_copy(struct points *points, struct ref from, struct ref to, uint32_t size,
                 const struct entry *by)
{
    const struct object *source = &points->objects.items[from.object];
    uint32_t count = source->kind == OBJECT_GLOBAL ? 0 : source->contents.count;
    points_touch(points, from.object);
    points_touch(points, to.object);
    struct set rest = {0};
    for (uint32_t i = 0; i < count; i++) {
        struct entry entry = points->objects.items[from.object].contents.items[i];
        if (!overlap(entry.offset, entry.stride, entry.size, from.offset, from.stride, size))
            continue;
        struct ref target =
            ref_move((struct ref){to.object, entry.offset, entry.stride},
                     (int64_t)to.offset - from.offset, stride_join(from.stride, to.stride));
        struct entry copy = *by;
        copy.value = entry.value;
        copy.size = entry.size;
        points_write(points, target, &copy);
    }
    /* What is there but has no entry: found at no known offset when it is more than one pointer. */
    source = &points->objects.items[from.object];
    if (source->kind == OBJECT_GLOBAL && source->symbol->is_constant &&
        source->symbol->has_initializer) {
        const struct symbol *symbol = source->symbol;
        for (uint32_t i = 0; i < symbol->count; i++) {
            const struct address *address = &symbol->unit->addresses[symbol->first + i];
            if (!overlap(address->at, 0, 8, from.offset, from.stride, size))
                continue;
            struct entry entry = *by;
            entry.value = (struct ref){object_symbol(points, address->symbol), address->offset,
                                       address->stride};
            entry.size = 8;
            points_write(points,
                         ref_move((struct ref){to.object, address->at, 0},
                                  (int64_t)to.offset - from.offset,
                                  stride_join(from.stride, to.stride)),
                         &entry);
        }
        return;
    }
    if (object_holds_unknown(source))
        set_add(points, &rest, (struct ref){object_outside(points), 0, 1});
    if (source->kind == OBJECT_GLOBAL)
        points_read(points, size == 8 ? from : (struct ref){from.object, 0, 1}, size, &rest);
    else if (source->kind == OBJECT_DEEP)
        set_add(points, &rest, (struct ref){from.object, 0, 1});
    else if (object_is_stand_in(source) || source->exposed) {
        set_add(
            points, &rest,
            (struct ref){object_child(points, from.object, from.offset, from.stride, size), 0, 0});
    }
    for (uint32_t i = 0; i < rest.count; i++) {
        struct entry entry = *by;
        entry.value = rest.items[i];
        entry.size = size;
        points_write(points, size ? to : (struct ref){to.object, 0, 1}, &entry);
    }
}
