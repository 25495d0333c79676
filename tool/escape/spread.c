/* SPDX-License-Identifier: MIT */
/* What can be reached from where, and what escapes along with it. */
#include <string.h>

#include "objects.h"

/* What is seen on the way, each object once. */
struct reach {
    struct points *points;
    struct set *set;
    bool *seen, *told; /* told: in the set, as anywhere in it */
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

static void reach_tell(struct reach *reach, uint32_t number)
{
    if (number < reach->size && reach->told[number])
        return;
    if (number < reach->size)
        reach->told[number] = true;
    set_add(reach->points, reach->set, (struct ref){number, 0, 1});
}

static void reach_found(struct reach *reach, uint32_t number)
{
    reach_tell(reach, number);
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
        points_touch(points, number);
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
        if (object_holds_unknown(object))
            reach_tell(&reach, 0);
        if (object->kind == OBJECT_DEEP)
            reach_tell(&reach, number);
        if ((object->exposed && !object_is_stand_in(object)))
            reach_tell(&reach, object_deep(points, number));
        object = &points->objects.items[number];
        for (uint32_t k = 0; k < object->contents.count; k++) {
            uint32_t inside = object->contents.items[k].value.object;
            const struct object *found = &points->objects.items[inside];
            reach_found(&reach, inside);
            if (object_is_stand_in(found) || found->exposed)
                reach_tell(&reach, object_deep(points, inside));
            object = &points->objects.items[number];
        }
        for (uint32_t at = object->first_child; at != NOBODY;
             at = points->objects.items[at].next_child)
            reach_found(&reach, at);
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
            points_changed(points, number);
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
        points_changed(points, number);
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
                points_changed(points, entry->value.object);
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
