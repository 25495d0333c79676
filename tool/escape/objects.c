/* SPDX-License-Identifier: MIT */
/* Places, sets of them, and the objects that they lie in. */
#include <string.h>

#include "libc_table.h"
#include "objects.h"

#define OFFSET_MAX   (1 << 24) /* beyond, a place is anywhere in its object */
#define DEPTH_MAX    2u        /* of stand-ins below a parameter */
#define CHILDREN_MAX 6u        /* of one object */
#define STAND_INS    32u /* of one function; four times as many with what is deep below each */

uint32_t stride_join(uint32_t a, uint32_t b)
{
    while (b) {
        uint32_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static struct ref normal(uint32_t object, int64_t offset, uint32_t stride)
{
    if (stride)
        offset = ((offset % stride) + stride) % stride;
    if (offset > OFFSET_MAX || offset < -OFFSET_MAX)
        return (struct ref){object, 0, 1};
    return (struct ref){object, (int32_t)offset, stride};
}

struct ref ref_join(struct ref a, struct ref b)
{
    if (a.stride == 1 || (a.offset == b.offset && a.stride == b.stride))
        return a; /* most are: anywhere, or the same */
    if (b.stride == 1)
        return (struct ref){a.object, 0, 1};
    int64_t apart = (int64_t)a.offset - b.offset;
    return normal(
        a.object, a.offset,
        stride_join(stride_join(a.stride, b.stride), (uint32_t)(apart < 0 ? -apart : apart)));
}

struct ref ref_move(struct ref ref, int64_t offset, uint32_t stride)
{
    if (ref.stride == 1 || (!offset && !stride))
        return ref;
    return normal(ref.object, ref.offset + offset, stride_join(ref.stride, stride));
}

bool ref_same(struct ref a, struct ref b)
{
    return a.offset == b.offset && a.stride == b.stride;
}

struct ref ref_outside(const struct points *points, struct ref ref)
{
    const struct object *object =
        ref.object < points->objects.count ? &points->objects.items[ref.object] : NULL;
    if (object && object->escaped && object->kind > OBJECT_GLOBAL)
        return (struct ref){0, 0, 1};
    return ref;
}

bool set_add(struct points *points, struct set *set, struct ref ref)
{
    ref = ref_outside(points, ref);
    uint32_t low = 0, high = set->count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (set->items[middle].object < ref.object)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < set->count && set->items[low].object == ref.object) {
        if (set->items[low].stride == 1 || ref_same(set->items[low], ref))
            return false;
        struct ref joined = ref_join(set->items[low], ref);
        if (ref_same(joined, set->items[low]))
            return false;
        set->items[low] = joined;
    } else {
        if (set->count == set->capacity)
            set->items = arena_grow(points->arena, set->items, set->count, &set->capacity,
                                    sizeof *set->items);
        memmove(&set->items[low + 1], &set->items[low], (set->count - low) * sizeof *set->items);
        set->items[low] = ref;
        set->count++;
    }
    return true;
}

bool set_join(struct points *points, struct set *set, const struct set *from)
{
    bool grew = false;
    uint32_t at = 0;
    for (uint32_t i = 0; i < from->count; i++) {
        struct ref ref = ref_outside(points, from->items[i]);
        /* Both are in order, so most of it is one walk along both. */
        while (at < set->count && set->items[at].object < ref.object)
            at++;
        if (at < set->count && set->items[at].object == ref.object &&
            (set->items[at].stride == 1 || ref_same(set->items[at], ref)))
            continue;
        grew |= set_add(points, set, ref);
        if (ref.object < from->items[i].object)
            at = 0;
    }
    return grew;
}

void points_changed(struct points *points, uint32_t number)
{
    points->changed = true;
    points->objects.items[number].version = ++points->version;
}

void points_touch(struct points *points, uint32_t number)
{
    if (!points->touched.count || points->touched.items[points->touched.count - 1] != number)
        ARENA_PUSH(points->arena, &points->touched, number);
}

static uint32_t object_add(struct points *points, struct object object)
{
    object.first_child = NOBODY;
    ARENA_PUSH(points->arena, &points->objects, object);
    points_changed(points, points->objects.count - 1);
    return points->objects.count - 1;
}

uint32_t object_outside(struct points *points)
{
    if (!points->objects.count) /* it is always number 0 */
        object_add(points, (struct object){.kind = OBJECT_OUTSIDE, .escaped = true});
    return 0;
}

uint32_t object_symbol(struct points *points, struct symbol *symbol)
{
    symbol = symbol->resolved;
    for (uint32_t i = 0; i < points->objects.count; i++)
        if (points->objects.items[i].symbol == symbol)
            return i;
    struct object object = {.kind = symbol->is_function ? OBJECT_FUNCTION : OBJECT_GLOBAL,
                            .symbol = symbol,
                            .escaped = true,
                            .reason = {.kind = REASON_GLOBAL, .name = symbol->name}};
    return object_add(points, object);
}

uint32_t object_find(struct points *points, enum object_kind kind, uint32_t index, uint32_t group)
{
    for (uint32_t i = 0; i < points->objects.count; i++) {
        const struct object *object = &points->objects.items[i];
        if (object->kind == kind && object->index == index && object->group == group)
            return i;
    }
    return object_add(points, (struct object){.kind = kind, .index = index, .group = group});
}

bool object_is_stand_in(const struct object *object)
{
    return object->kind >= OBJECT_PARAMETER;
}

bool object_is_handle(const struct object *object)
{
    return object->kind == OBJECT_GLOBAL && !object->symbol->has_initializer &&
           libc_is_handle(object->symbol->name);
}

bool object_is_local(const struct object *object)
{
    return object->kind >= OBJECT_STACK && object->kind <= OBJECT_ARGUMENTS;
}

static uint32_t child_add(struct points *points, uint32_t parent, struct object child)
{
    child.parent = parent;
    child.depth = (uint8_t)(points->objects.items[parent].depth + 1);
    child.next_child = points->objects.items[parent].first_child;
    uint32_t number = object_add(points, child);
    points->objects.items[parent].first_child = number;
    points->objects.items[parent].child_count++;
    points_changed(points, parent);
    points->stand_ins++;
    return number;
}

uint32_t object_deep(struct points *points, uint32_t parent)
{
    const struct object *objects = points->objects.items;
    if (objects[parent].kind == OBJECT_DEEP)
        return parent;
    for (uint32_t at = objects[parent].first_child; at != NOBODY; at = objects[at].next_child)
        if (objects[at].kind == OBJECT_DEEP)
            return at;
    /* What is reached from a child is reached from its parent as well. */
    if (objects[parent].kind == OBJECT_CHILD && points->stand_ins >= 4 * STAND_INS)
        return object_deep(points, objects[parent].parent);
    return child_add(points, parent, (struct object){.kind = OBJECT_DEEP});
}

/* More than one pointer, as what memcpy takes: kept apart from the field at its start. */
static bool is_bulk(uint32_t size)
{
    return !size || size > 8;
}

uint32_t object_child(struct points *points, uint32_t parent, int32_t offset, uint32_t stride,
                      uint32_t size)
{
    struct object *objects = points->objects.items;
    if (objects[parent].kind == OBJECT_DEEP || points->coarse)
        return object_deep(points, parent);
    for (uint32_t at = objects[parent].first_child; at != NOBODY; at = objects[at].next_child) {
        if (objects[at].kind != OBJECT_CHILD || objects[at].offset != offset ||
            objects[at].stride != stride || is_bulk(objects[at].size) != is_bulk(size))
            continue;
        if (objects[at].size && (size > objects[at].size || !size)) {
            objects[at].size = size;
            points_changed(points, at);
        }
        return at;
    }
    if (objects[parent].depth >= DEPTH_MAX || objects[parent].child_count >= CHILDREN_MAX ||
        points->stand_ins >= STAND_INS)
        return object_deep(points, parent);
    return child_add(
        points, parent,
        (struct object){.kind = OBJECT_CHILD, .offset = offset, .stride = stride, .size = size});
}

/* What a callback that our caller knows puts into the caller's memory, the caller finds there. */
static bool may_hold_unknown(const struct object *object)
{
    if (!object_is_stand_in(object) && !object->exposed)
        return object->may;
    for (uint32_t i = 0; i < object->may_count; i++)
        if (object->mays[i].node != REASON_OURS)
            return true;
    return false;
}

bool object_holds_unknown(const struct object *object)
{
    return object->kind == OBJECT_OUTSIDE || object->escaped || may_hold_unknown(object);
}
