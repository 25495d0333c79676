/* SPDX-License-Identifier: MIT */
/*
 * Where pointers may point, inside one function: sets of places, and the objects that the places lie in.
 *
 * object    memory with one name: a local variable, the blocks of one allocating call, a global variable, and,
 *           for memory that is the caller's, stand-ins: what a parameter points to, what is found there, ...
 * private   an object to which nobody outside this function's activation has a pointer: what is stored
 *           in it is what this function and those it calls stored
 * exposed   reachable from the caller's memory: it may be changed through another name
 * escaped   reachable from what outlives the call: a global variable, another thread, unknown code
 */
#pragma once

#include "program.h"

struct ref { /* a place: offset (and stride) in an object */
    uint32_t object;
    int32_t offset;
    uint32_t stride;
};

struct set { /* by object; at most one ref for each */
    struct ref *items;
    uint32_t count, capacity;
};

enum object_kind {
    OBJECT_OUTSIDE, /* everything that has no name here */
    OBJECT_FUNCTION,
    OBJECT_GLOBAL,
    OBJECT_STACK,     /* of an alloca */
    OBJECT_HEAP,      /* made by a call; see enum heap_group */
    OBJECT_INNER,     /* a callee's local that is seen here; never a site */
    OBJECT_ARGUMENTS, /* the variable arguments of one call */
    OBJECT_PARAMETER, /* what parameter `index` points to; index == parameter_count: variable arguments */
    OBJECT_CHILD,  /* what is found in `parent` at offset */
    OBJECT_DEEP,   /* whatever can be reached from `parent` */
    OBJECT_RESULT, /* what an unknown callee, to be found by our caller, returns */
    OBJECT_BAG,    /* of a summary alone: any of several nodes */
};

/* The blocks that one call makes, as its caller can tell them apart. */
enum heap_group { HEAP_RETURNED, HEAP_INNER, HEAP_OUT /* + parameter: stored where it points */ };

enum reason_kind {
    REASON_NONE,
    REASON_GLOBAL,   /* stored to the global variable `name` */
    REASON_OUTSIDE,  /* stored through a pointer of unknown origin */
    REASON_KEPT,     /* kept by the library function `name` */
    REASON_CALL,     /* kept by `callee`, as its `node` */
    REASON_INSIDE,   /* stored in `object`, which escapes */
    REASON_EXTERNAL, /* may: passed to `name`, whose body is not here */
    REASON_INDIRECT, /* may: passed to a function that is called through a pointer */
    REASON_ASSEMBLY, /* may: handed to assembly */
    REASON_COMPLEX,  /* may: passed to `name`, too large to follow */
};

#define REASON_OURS UINT32_MAX /* a may that only this function has: its callers know more */

struct reason {
    enum reason_kind kind;
    uint32_t instruction; /* index */
    uint32_t object, node;
    const char *name;
    struct function *callee;
};

struct entry { /* `value` is stored in an object at offset (and stride), size bytes; 0: unknown */
    int32_t offset;
    uint32_t stride, size;
    struct ref value;
    uint32_t instruction;    /* who stored it first */
    struct function *callee; /* when that was a call: by which of the callee's edges */
    uint32_t edge;
};

struct whole { /* bits by object */
    uint64_t *bits;
    uint32_t words;
};

enum { MAYS_MAX = 4 };

struct object {
    enum object_kind kind;
    bool escaped, may, exposed, collapsed, marked;
    bool
        used_before; /* by an allocator of the program's own, which may leave in it what was there */
    uint8_t depth;
    uint32_t index; /* parameter, instruction index, or deferred call */
    uint32_t group; /* OBJECT_HEAP: enum heap_group */
    uint32_t parent, first_child, next_child, child_count;
    uint32_t version; /* of the function's graph when it changed last */
    int32_t offset;   /* OBJECT_CHILD: in the parent */
    uint32_t stride, size;
    struct symbol *symbol;
    struct {
        struct entry *items;
        uint32_t count, capacity;
    } contents;
    struct whole whole;           /* collapsed: of which a pointer to anywhere is inside */
    struct reason reason;         /* why escaped */
    struct reason mays[MAYS_MAX]; /* which unknown code may keep it */
    uint32_t may_count;
};

struct points {
    struct arena *arena;
    struct function *function;
    struct {
        struct object *items;
        uint32_t count, capacity;
    } objects;
    struct set *values;       /* by value number */
    uint32_t *value_versions; /* likewise */
    uint32_t version;         /* counts what grew */
    struct {                  /* the objects that the present instruction looked into */
        uint32_t *items;
        uint32_t count, capacity;
    } touched;
    uint32_t stand_ins; /* children so far */
    bool coarse;        /* all that is reached through a parameter is one, and has no fields */
    bool changed;       /* something grew in this round */
};

/* Joins two progressions into the smallest one that holds both. */
struct ref ref_join(struct ref a, struct ref b);
struct ref ref_move(struct ref ref, int64_t offset, uint32_t stride);
bool set_add(struct points *points, struct set *set, struct ref ref); /* did it grow? */
bool set_join(struct points *points, struct set *set, const struct set *from);

uint32_t object_outside(struct points *points);
uint32_t object_symbol(struct points *points, struct symbol *symbol);
uint32_t object_find(struct points *points, enum object_kind kind, uint32_t index, uint32_t group);
/* The stand-in for what is found in `parent`. */
uint32_t object_child(struct points *points, uint32_t parent, int32_t offset, uint32_t stride,
                      uint32_t size);
uint32_t object_deep(struct points *points, uint32_t parent);
bool object_is_stand_in(const struct object *object);
bool object_is_handle(const struct object *object); /* one of libc's variables for them */
bool object_is_local(const struct object *object); /* memory of this activation: stack, heap, ... */

/* Adds what is found at `place` to `set`. */
void points_read(struct points *points, struct ref place, uint32_t size, struct set *set);
void points_reach(struct points *points, const struct set *from, struct set *set);
/* Pointers to anywhere in objects: a set of nothing else (otherwise it stays empty), and does an object hold all? */
struct whole points_whole(struct points *points, const struct set *set);
bool points_holds(struct points *points, uint32_t object, const struct whole *whole);
void points_write(struct points *points, struct ref place, const struct entry *entry);
void points_copy(struct points *points, struct ref from, struct ref to, uint32_t size,
                 const struct entry *by);
void points_escape(struct points *points, uint32_t object, struct reason reason);
bool reason_is_may(enum reason_kind kind);
/* Carries escape and exposure on to what is stored inside. */
void points_spread(struct points *points);
