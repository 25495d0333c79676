/* SPDX-License-Identifier: MIT */
/* From a solved function to what its callers need to know of it. */
#include "solve.h"

#include <stdlib.h>
#include <string.h>

#define EDGES_MAX 400u /* beyond, callers are told that nothing is known */
#define NODES_MAX 200u
#define NO_NODE   UINT32_MAX

uint8_t *solve_seen(struct solve *solve)
{
    struct points *points = &solve->points;
    uint8_t *seen = arena_alloc(solve->arena, points->objects.count + 1);
    for (uint32_t i = 0; i < solve->results.count; i++)
        seen[solve->results.items[i].object] |= SEEN_RETURNED;
    for (uint32_t i = 0; i < points->objects.count; i++)
        if (object_is_stand_in(&points->objects.items[i]))
            seen[i] |= SEEN_IN_CALLER;
    for (bool grew = true; grew;) {
        grew = false;
        for (uint32_t i = 0; i < points->objects.count; i++) {
            const struct object *object = &points->objects.items[i];
            uint8_t inside =
                (uint8_t)((seen[i] & (SEEN_RETURNED | SEEN_IN_RETURNED) ? SEEN_IN_RETURNED : 0) |
                          (seen[i] & SEEN_IN_CALLER));
            if (!inside || object->kind <= OBJECT_GLOBAL)
                continue;
            for (uint32_t k = 0; k < object->contents.count; k++) {
                uint8_t *at = &seen[object->contents.items[k].value.object];
                grew |= (*at | inside) != *at;
                *at |= inside;
            }
        }
    }
    return seen;
}

#define BAG_MIN   4u
#define BAG_NONE  UINT32_MAX
#define BAG_FIRST (UINT32_MAX / 2) /* a bag's number while nodes are still made */

struct bag { /* of nodes that are found together */
    uint32_t first, count;
};

struct making {
    struct solve *solve;
    struct arena *arena;
    struct summary *summary;
    uint32_t *nodes; /* by object */
    uint8_t *seen;
    struct {
        struct summary_node *items;
        uint32_t count, capacity;
    } list;
    struct {
        struct summary_edge *items;
        uint32_t count, capacity;
    } edges;
    struct {
        uint32_t *items;
        uint32_t count, capacity;
    } members; /* of bags */
    struct {
        struct bag *items;
        uint32_t count, capacity;
    } bags;
    struct {
        struct chain *items;
        uint32_t count, capacity;
    } edge_chains, escape_chains;
    struct {
        struct summary_escape *items;
        uint32_t count, capacity;
    } escapes;
};

static int compare_nodes(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

static uint32_t unique(uint32_t *sorted, uint32_t count)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++)
        if (!kept || sorted[kept - 1] != sorted[i])
            sorted[kept++] = sorted[i];
    return kept;
}

static uint32_t heap_group(const struct making *making, uint32_t number)
{
    const struct points *points = &making->solve->points;
    if (making->seen[number] & SEEN_RETURNED)
        return HEAP_RETURNED;
    for (uint32_t i = 0; i < points->objects.count; i++) {
        const struct object *object = &points->objects.items[i];
        if (object->kind != OBJECT_PARAMETER)
            continue;
        for (uint32_t k = 0; k < object->contents.count; k++)
            if (object->contents.items[k].value.object == number)
                return HEAP_OUT + object->index;
    }
    return HEAP_INNER;
}

static uint32_t node_of(struct making *making, uint32_t number)
{
    if (making->nodes[number] != NO_NODE)
        return making->nodes[number];
    /* Parents first: the way up is at most as long as stand-ins are deep. */
    const struct object *object = &making->solve->points.objects.items[number];
    struct summary_node node = {.kind = object->kind};
    switch (object->kind) {
    case OBJECT_STACK:
    case OBJECT_INNER:
    case OBJECT_ARGUMENTS:
        node.kind = OBJECT_INNER;
        break;
    case OBJECT_HEAP:
        node.group = heap_group(making, number);
        node.used_before = object->used_before;
        break;
    case OBJECT_PARAMETER:
    case OBJECT_RESULT:
        node.index = object->index;
        break;
    case OBJECT_FUNCTION:
    case OBJECT_GLOBAL:
        node.symbol = object->symbol;
        break;
    case OBJECT_CHILD:
    case OBJECT_DEEP:
        node.parent = node_of(making, object->parent);
        node.offset = object->offset;
        node.stride = object->stride;
        node.size = object->size;
        break;
    default:
        break;
    }
    uint32_t at = 0;
    while (at < making->list.count && memcmp(&making->list.items[at], &node, sizeof node))
        at++;
    if (at == making->list.count)
        ARENA_PUSH(making->arena, &making->list, node);
    making->nodes[number] = at;
    return at;
}

static struct ref node_ref(struct making *making, struct ref ref)
{
    ref.object = node_of(making, ref.object);
    return ref;
}

/* The caller finds there what it finds there anyway. */
static bool is_itself(const struct making *making, uint32_t place, const struct entry *entry)
{
    const struct object *value = &making->solve->points.objects.items[entry->value.object];
    return value->kind == OBJECT_CHILD && value->parent == place &&
           value->offset == entry->offset && value->stride == entry->stride &&
           !entry->value.offset && !entry->value.stride;
}

/* Is there another that says more: that a pointer to anywhere in the same object may be anywhere in this one? */
static bool is_covered(const struct object *object, uint32_t number)
{
    const struct entry *entry = &object->contents.items[number];
    for (uint32_t i = 0; i < object->contents.count; i++) {
        const struct entry *other = &object->contents.items[i];
        bool anywhere = other->stride == 1 && other->value.stride == 1;
        bool alike = entry->stride == 1 && entry->value.stride == 1;
        if (i != number && other->value.object == entry->value.object && anywhere &&
            (!alike || i < number))
            return true;
    }
    return false;
}

/* Is it that a pointer to anywhere in something may be anywhere in the object? */
static bool is_anywhere(const struct entry *entry)
{
    return entry->stride == 1 && entry->value.stride == 1;
}

/* Where much of what a function reaches may point to all of it, a list of who points where grows with the square:
 * what is stored anywhere in an object is one bag, which others that hold the same share. Returns BAG_NONE for few. */
static uint32_t bag_make(struct making *making, const struct object *object)
{
    uint32_t first = making->members.count, bags = making->bags.count;
    for (uint32_t k = 0; k < object->contents.count; k++)
        if (is_anywhere(&object->contents.items[k]) && !is_covered(object, k)) {
            uint32_t node = node_of(making, object->contents.items[k].value.object);
            ARENA_PUSH(making->arena, &making->members, node);
        }
    struct bag bag = {first, making->members.count - first};
    if (bag.count < BAG_MIN) {
        making->members.count = first;
        return BAG_NONE;
    }
    uint32_t *members = &making->members.items[first];
    qsort(members, bag.count, sizeof *members, compare_nodes);
    bag.count = unique(members, bag.count);
    making->members.count = first + bag.count;
    for (uint32_t i = 0; i < bags; i++) {
        const struct bag *other = &making->bags.items[i];
        if (other->count == bag.count &&
            !memcmp(&making->members.items[other->first], members, bag.count * sizeof *members)) {
            making->members.count = first;
            return i;
        }
    }
    ARENA_PUSH(making->arena, &making->bags, bag);
    return bags;
}

static void edges_make(struct making *making, uint32_t number)
{
    const struct object *object = &making->solve->points.objects.items[number];
    uint32_t bag = bag_make(making, object);
    bool bagged = false;
    for (uint32_t k = 0; k < object->contents.count; k++) {
        const struct entry *entry = &object->contents.items[k];
        if (is_covered(object, k))
            continue;
        struct summary_edge edge = {.place = {number, entry->offset, entry->stride},
                                    .size = entry->size};
        if (is_itself(making, number, entry))
            continue;
        if (bag != BAG_NONE && is_anywhere(entry)) {
            if (bagged)
                continue;
            bagged = true;
            edge.size = 1;
            edge.value = (struct ref){BAG_FIRST + bag, 0, 1};
        } else {
            edge.value = node_ref(making, entry->value);
        }
        edge.place = node_ref(making, edge.place);
        uint32_t at = 0;
        while (at < making->edges.count && memcmp(&making->edges.items[at], &edge, sizeof edge))
            at++;
        if (at < making->edges.count)
            continue;
        if (making->edges.count > EDGES_MAX)
            return;
        ARENA_PUSH(making->arena, &making->edges, edge);
        struct chain chain = {0};
        explain_entry(making->solve, number, entry, &chain);
        ARENA_PUSH(making->arena, &making->edge_chains, chain);
    }
}

static void escapes_make(struct making *making, uint32_t number)
{
    const struct object *object = &making->solve->points.objects.items[number];
    struct summary_escape escape = {.certain = object->escaped};
    for (uint32_t i = 0; i < object->may_count; i++) {
        if (object->mays[i].node == REASON_OURS)
            continue;
        escape.mays[escape.may_count] = object->mays[i].name;
        escape.may_kinds[escape.may_count++] = object->mays[i].kind;
    }
    if (!escape.certain && !escape.may_count)
        return;
    escape.node = node_of(making, number);
    for (uint32_t i = 0; i < making->escapes.count; i++)
        if (!memcmp(&making->escapes.items[i], &escape, sizeof escape))
            return;
    ARENA_PUSH(making->arena, &making->escapes, escape);
    struct chain chain = {0};
    explain_object(making->solve, number, NULL, &chain);
    ARENA_PUSH(making->arena, &making->escape_chains, chain);
}

static void calls_make(struct making *making)
{
    struct solve *solve = making->solve;
    struct summary *summary = making->summary;
    summary->call_count = solve->deferred.count;
    summary->calls = arena_alloc(making->arena, (summary->call_count + 1) * sizeof *summary->calls);
    for (uint32_t i = 0; i < summary->call_count; i++) {
        const struct summary_call *from = &solve->deferred.items[i];
        struct summary_call *to = &summary->calls[i];
        to->argument_count = from->argument_count;
        to->callee.items = arena_alloc(making->arena, sizeof(struct ref));
        to->callee.items[0] = node_ref(making, from->callee.items[0]);
        to->callee.count = 1;
        to->arguments =
            arena_alloc(making->arena, (from->argument_count + 1) * sizeof *to->arguments);
        for (uint32_t a = 0; a < from->argument_count; a++) {
            const struct set *set = &from->arguments[a];
            to->arguments[a].items =
                arena_alloc(making->arena, (set->count + 1) * sizeof(struct ref));
            for (uint32_t k = 0; k < set->count; k++)
                to->arguments[a].items[to->arguments[a].count++] = node_ref(making, set->items[k]);
        }
    }
}

static void frees_make(struct making *making)
{
    struct solve *solve = making->solve;
    struct summary *summary = making->summary;
    uint32_t capacity = 0;
    for (uint32_t i = 0; i < solve->frees.count; i++) {
        const struct free_event *event = &solve->frees.items[i];
        for (uint32_t k = 0; k < event->freed.count; k++) {
            const struct object *object =
                &solve->points.objects.items[event->freed.items[k].object];
            if (object->kind == OBJECT_PARAMETER && object->index < 64) {
                summary->may_free |= UINT64_C(1) << object->index;
                continue;
            }
            if (!object_is_stand_in(object))
                continue;
            uint32_t node = node_of(making, event->freed.items[k].object), at = 0;
            while (at < summary->freed_count && summary->freed[at] != node)
                at++;
            if (at < summary->freed_count)
                continue;
            if (summary->freed_count == capacity)
                summary->freed = arena_grow(making->arena, summary->freed, summary->freed_count,
                                            &capacity, sizeof node);
            summary->freed[summary->freed_count++] = node;
        }
    }
    for (uint32_t i = 0; i < solve->function->parameter_count && i < 64; i++)
        if (summary->may_free >> i & 1) {
            struct freed_paths paths = flow_freed(solve, (int32_t)i, -1);
            if (paths.freed == FREED_ALWAYS && !paths.jumps)
                summary->must_free |= UINT64_C(1) << i;
        }
}

/* Once no more nodes are made: bags come last. */
static void bags_make(struct making *making)
{
    uint32_t first = making->list.count;
    for (uint32_t i = 0; i < making->bags.count; i++) {
        struct summary_node node = {.kind = OBJECT_BAG};
        node.first = making->bags.items[i].first;
        node.count = making->bags.items[i].count;
        ARENA_PUSH(making->arena, &making->list, node);
    }
    for (uint32_t i = 0; i < making->edges.count; i++) {
        uint32_t *value = &making->edges.items[i].value.object;
        if (*value >= BAG_FIRST)
            *value = *value - BAG_FIRST + first;
    }
    making->summary->members = making->members.items;
    making->summary->member_count = making->members.count;
}

static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t size)
{
    for (const unsigned char *at = bytes, *end = at + size; at < end; at++)
        hash = (hash ^ *at) * UINT64_C(1099511628211);
    return hash;
}

static uint64_t hash_sets(uint64_t hash, const struct set *sets, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        hash = hash_bytes(hash, sets[i].items, sets[i].count * sizeof(struct ref)) * 3;
    return hash;
}

static uint64_t summary_hash(const struct summary *summary)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    hash = hash_bytes(hash, summary->nodes, summary->node_count * sizeof *summary->nodes);
    hash = hash_bytes(hash, summary->edges, summary->edge_count * sizeof *summary->edges);
    hash = hash_bytes(hash, summary->escapes, summary->escape_count * sizeof *summary->escapes);
    hash = hash_bytes(hash, summary->members, summary->member_count * sizeof *summary->members);
    hash = hash_bytes(hash, summary->freed, summary->freed_count * sizeof *summary->freed);
    hash = hash_sets(hash, &summary->results, 1);
    for (uint32_t i = 0; i < summary->call_count; i++)
        hash = hash_sets(hash_sets(hash, &summary->calls[i].callee, 1), summary->calls[i].arguments,
                         summary->calls[i].argument_count);
    hash = hash_bytes(hash, &summary->must_free, sizeof summary->must_free);
    hash = hash_bytes(hash, &summary->may_free, sizeof summary->may_free);
    hash = hash_bytes(hash, &summary->size, sizeof summary->size);
    return hash * 4 + (uint64_t)summary->may_longjmp * 2 + summary->too_large;
}

struct summary *summary_make(struct solve *solve, struct arena *arena)
{
    struct summary *summary = arena_alloc(arena, sizeof *summary);
    struct points *points = &solve->points;
    struct making making = {
        .solve = solve, .arena = arena, .summary = summary, .seen = solve_seen(solve)};
    making.nodes = arena_alloc(solve->arena, (points->objects.count + 1) * sizeof *making.nodes);
    memset(making.nodes, 0xff, (points->objects.count + 1) * sizeof *making.nodes);
    summary->may_longjmp = solve->may_longjmp;
    calls_make(&making);
    summary->results.items = arena_alloc(arena, (solve->results.count + 1) * sizeof(struct ref));
    for (uint32_t i = 0; i < solve->results.count; i++)
        set_add(&(struct points){.arena = arena}, &summary->results,
                node_ref(&making, solve->results.items[i]));
    for (uint32_t i = 0; i < points->objects.count && making.edges.count <= EDGES_MAX; i++) {
        const struct object *object = &points->objects.items[i];
        if (object->kind <= OBJECT_GLOBAL || (!making.seen[i] && !object->exposed))
            continue;
        edges_make(&making, i);
        escapes_make(&making, i);
    }
    frees_make(&making);
    for (uint32_t i = 0; i < solve->results.count; i++) {
        uint32_t number = solve->results.items[i].object;
        if (points->objects.items[number].kind != OBJECT_HEAP)
            continue;
        struct block_size size = solve_block_size(solve, number);
        if (summary->size.kind && memcmp(&size, &summary->size, sizeof size)) {
            summary->size = (struct block_size){0};
            break;
        }
        summary->size = size;
    }
    bags_make(&making);
    summary->nodes = making.list.items;
    summary->node_count = making.list.count;
    summary->edges = making.edges.items;
    summary->edge_count = making.edges.count;
    summary->edge_chains = making.edge_chains.items;
    summary->escapes = making.escapes.items;
    summary->escape_count = making.escapes.count;
    summary->escape_chains = making.escape_chains.items;
    if (summary->edge_count > EDGES_MAX || summary->node_count > NODES_MAX ||
        solve->function->opaque)
        *summary = (struct summary){
            .too_large = true, .may_longjmp = summary->may_longjmp, .may_free = summary->may_free};
    summary->hash = summary_hash(summary);
    return summary;
}
