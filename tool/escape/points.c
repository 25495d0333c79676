/* SPDX-License-Identifier: MIT */
#include "points.h"
#include "libc_table.h"

#include <string.h>

#define OFFSET_MAX   (1 << 24) /* beyond, a place is anywhere in its object */
#define ENTRIES_MAX  24u       /* of one object; beyond, what it holds is one heap of values */
#define DEPTH_MAX    2u        /* of stand-ins below a parameter */
#define CHILDREN_MAX 6u
#define STAND_INS    32u
#define NOBODY       UINT32_MAX

static uint32_t gcd(uint32_t a, uint32_t b)
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
    int64_t apart = (int64_t)a.offset - b.offset;
    return normal(a.object, a.offset,
                  gcd(gcd(a.stride, b.stride), (uint32_t)(apart < 0 ? -apart : apart)));
}

struct ref ref_move(struct ref ref, int64_t offset, uint32_t stride)
{
    if (ref.stride == 1 || (!offset && !stride))
        return ref;
    return normal(ref.object, ref.offset + offset, gcd(ref.stride, stride));
}

static bool ref_same(struct ref a, struct ref b)
{
    return a.offset == b.offset && a.stride == b.stride;
}

/* Memory that has escaped is outside, whatever name it had: nothing finer can be said of it. */
static struct ref outside_or(const struct points *points, struct ref ref)
{
    const struct object *object =
        ref.object < points->objects.count ? &points->objects.items[ref.object] : NULL;
    if (object && object->escaped && object->kind > OBJECT_GLOBAL)
        return (struct ref){0, 0, 1};
    return ref;
}

bool set_add(struct points *points, struct set *set, struct ref ref)
{
    ref = outside_or(points, ref);
    uint32_t low = 0, high = set->count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (set->items[middle].object < ref.object)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < set->count && set->items[low].object == ref.object) {
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
        struct ref ref = outside_or(points, from->items[i]);
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

static void changed(struct points *points, uint32_t number)
{
    points->changed = true;
    points->objects.items[number].version = ++points->version;
}

static void touch(struct points *points, uint32_t number)
{
    if (!points->touched.count || points->touched.items[points->touched.count - 1] != number)
        ARENA_PUSH(points->arena, &points->touched, number);
}

static uint32_t object_add(struct points *points, struct object object)
{
    object.first_child = NOBODY;
    ARENA_PUSH(points->arena, &points->objects, object);
    changed(points, points->objects.count - 1);
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
    changed(points, parent);
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
            changed(points, at);
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

/* May bytes [a, a + a_size), repeated by its stride, meet those of b? Size 0: unknown, but none before the start. */
static bool overlap(int64_t a, uint32_t a_stride, uint32_t a_size, int64_t b, uint32_t b_stride,
                    uint32_t b_size)
{
    uint32_t step = gcd(a_stride, b_stride);
    if (!step)
        return (!b_size || a < b + b_size) && (!a_size || b < a + a_size);
    if (!a_size || !b_size)
        return true;
    int64_t apart = (((b - a) % step) + step) % step;
    return apart < a_size || step - apart < b_size;
}

static bool holds_unknown(const struct object *object)
{
    return object->kind == OBJECT_OUTSIDE || object->escaped || object->may;
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
    touch(points, place.object);
    if (object->kind == OBJECT_GLOBAL &&
        (initializer_read(points, object->symbol, place, size, set) || object_is_handle(object)))
        return;
    if (holds_unknown(object))
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

/* What is seen on the way, each object once. */
struct reach {
    struct points *points;
    struct set *set;
    bool *seen, *found;
    uint32_t *pending;
    uint32_t count, size;
};

static void reach_add(struct reach *reach, uint32_t number)
{
    if (number >= reach->size || reach->seen[number])
        return;
    reach->seen[number] = true;
    reach->pending[reach->count++] = number;
}

static void reach_found(struct reach *reach, uint32_t number)
{
    if (number < reach->size && reach->found[number])
        return;
    if (number < reach->size)
        reach->found[number] = true;
    set_add(reach->points, reach->set, (struct ref){number, 0, 1});
    reach_add(reach, number);
}

void points_reach(struct points *points, const struct set *from, struct set *set)
{
    /* The stand-ins first, so that no object is made while the walk goes on: one for each start is enough, since
     * it stands for all that is reached through it. */
    for (uint32_t i = 0; i < from->count; i++) {
        const struct object *object = &points->objects.items[from->items[i].object];
        if (object_is_stand_in(object) || object->exposed)
            object_deep(points, from->items[i].object);
    }
    uint32_t size = points->objects.count;
    struct reach reach = {points,
                          set,
                          arena_alloc(points->arena, size + 1),
                          arena_alloc(points->arena, size + 1),
                          arena_alloc(points->arena, (size + 1) * sizeof(uint32_t)),
                          0,
                          size};
    for (uint32_t i = 0; i < from->count; i++)
        reach_add(&reach, from->items[i].object);
    while (reach.count) {
        uint32_t number = reach.pending[--reach.count];
        touch(points, number);
        struct object *object = &points->objects.items[number];
        if (object->kind == OBJECT_FUNCTION)
            continue;
        if (object->kind == OBJECT_GLOBAL && object->symbol->is_constant &&
            object->symbol->has_initializer) {
            const struct symbol *symbol = object->symbol;
            for (uint32_t i = 0; i < symbol->count; i++)
                reach_found(&reach, object_symbol(
                                        points, symbol->unit->addresses[symbol->first + i].symbol));
            continue;
        }
        if (holds_unknown(object))
            set_add(points, set, (struct ref){0, 0, 1});
        if (object->kind == OBJECT_DEEP)
            set_add(points, set, (struct ref){number, 0, 1});
        if ((object->exposed && !object_is_stand_in(object)))
            set_add(points, set, (struct ref){object_deep(points, number), 0, 1});
        object = &points->objects.items[number];
        for (uint32_t k = 0; k < object->contents.count; k++) {
            uint32_t inside = object->contents.items[k].value.object;
            const struct object *found = &points->objects.items[inside];
            reach_found(&reach, inside);
            if (object_is_stand_in(found) || found->exposed)
                set_add(points, set, (struct ref){object_deep(points, inside), 0, 1});
            object = &points->objects.items[number];
        }
        for (uint32_t at = object->first_child; at != NOBODY;
             at = points->objects.items[at].next_child)
            reach_found(&reach, at);
    }
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
    touch(points, number);
    return true;
}

void points_write(struct points *points, struct ref place, const struct entry *by)
{
    struct object *object = &points->objects.items[place.object];
    uint32_t stored = by->value.object;
    touch(points, place.object);
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
    entry.value = outside_or(points, entry.value);
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
            changed(points, place.object);
        }
        if (object->collapsed && known->value.stride == 1)
            whole_mark(points, &object->whole, stored);
        return;
    }
    ARENA_PUSH(points->arena, &object->contents, entry);
    changed(points, place.object);
    if (!object->collapsed && object->contents.count > ENTRIES_MAX)
        collapse(object);
}

void points_copy(struct points *points, struct ref from, struct ref to, uint32_t size,
                 const struct entry *by)
{
    const struct object *source = &points->objects.items[from.object];
    uint32_t count = source->kind == OBJECT_GLOBAL ? 0 : source->contents.count;
    touch(points, from.object);
    touch(points, to.object);
    struct set rest = {0};
    for (uint32_t i = 0; i < count; i++) {
        struct entry entry = points->objects.items[from.object].contents.items[i];
        if (!overlap(entry.offset, entry.stride, entry.size, from.offset, from.stride, size))
            continue;
        struct ref target = ref_move((struct ref){to.object, entry.offset, entry.stride},
                                     (int64_t)to.offset - from.offset, gcd(from.stride, to.stride));
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
                                  (int64_t)to.offset - from.offset, gcd(from.stride, to.stride)),
                         &entry);
        }
        return;
    }
    if (holds_unknown(source))
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

bool reason_is_may(enum reason_kind kind)
{
    return kind >= REASON_EXTERNAL;
}

static bool may_same(const struct reason *a, const struct reason *b)
{
    if (a->kind != b->kind || a->node != b->node)
        return false;
    return a->name && b->name ? !strcmp(a->name, b->name) : a->name == b->name;
}

void points_escape(struct points *points, uint32_t number, struct reason reason)
{
    struct object *object = &points->objects.items[number];
    if (object->kind <= OBJECT_GLOBAL)
        return;
    if (!reason_is_may(reason.kind)) {
        if (!object->escaped) {
            object->escaped = true;
            object->reason = reason;
            changed(points, number);
        }
        return;
    }
    for (uint32_t i = 0; i < object->may_count; i++)
        if (may_same(&object->mays[i], &reason))
            return;
    /* The last place is kept for one that callers have to know of. */
    bool ours = reason.node == REASON_OURS;
    if (object->may_count < MAYS_MAX - (uint32_t)ours) {
        object->mays[object->may_count++] = reason;
        object->may = true;
        changed(points, number);
    }
}

void points_spread(struct points *points)
{
    for (uint32_t i = 0; i < points->objects.count; i++) {
        const struct object *object = &points->objects.items[i];
        bool shows = object_is_stand_in(object) || object->exposed;
        if (!object->escaped && !object->may && !shows)
            continue;
        for (uint32_t k = 0; k < object->contents.count; k++) {
            const struct entry *entry = &object->contents.items[k];
            struct object *inside = &points->objects.items[entry->value.object];
            if (entry->value.object == i)
                continue;
            if (shows && object_is_local(inside) && !inside->exposed) {
                inside->exposed = true;
                changed(points, entry->value.object);
            }
            if (object->escaped)
                points_escape(points, entry->value.object,
                              (struct reason){.kind = REASON_INSIDE,
                                              .instruction = entry->instruction,
                                              .object = i});
            for (uint32_t m = 0; m < object->may_count; m++)
                points_escape(points, entry->value.object, object->mays[m]);
        }
    }
}
