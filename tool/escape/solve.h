/* SPDX-License-Identifier: MIT */
/*
 * One function: where each value may point, what escapes, what is freed; and the summary of it, which is all
 * that its callers see. A summary is a part of the function's own graph: stand-ins for the caller's
 * memory, blocks that it hands over, and what is stored where. A caller puts its own objects in their place and goes on.
 */
#pragma once

#include "libc_table.h"
#include "points.h"

struct hook {
    char *name; /* "struct:offset" or "variable:offset", or a function's name */
    char effect[16];
};

struct rules { /* the command line's and the program's; read only while functions are solved */
    struct hook *hooks, *functions;
    size_t hook_count, function_count;
    bool closed; /* the whole program is here: nothing else calls or is called */
    bool uses_longjmp;
    bool targets_known;      /* parameter_targets of all functions are complete */
    struct function **taken; /* functions whose address is taken */
    uint32_t taken_count;
};

struct summary_node {
    enum object_kind kind;
    uint32_t index, group, parent; /* parent: a node */
    int32_t offset;
    uint32_t stride, size;
    uint32_t used_before; /* see struct object */
    struct symbol *symbol;
    uint32_t first, count; /* OBJECT_BAG: its members, in the summary's list */
};

struct summary_edge { /* at `place` (object: a node) is stored `value` (likewise) */
    struct ref place, value;
    uint32_t size;
};

struct chain;
struct step { /* of a chain of reasons */
    const char *file;
    uint32_t line;
    const char *text;
    const struct chain
        *next; /* goes on there: in a callee, as it was known then, so that it ends */
};

struct chain {
    struct step *items;
    uint32_t count, capacity;
};

struct summary_escape {
    uint32_t node;
    bool certain;
    uint32_t may_count;
    const char *mays[MAYS_MAX]; /* names; NULL: called through a pointer */
    enum reason_kind may_kinds[MAYS_MAX];
};

struct summary_call { /* to a callee that only our caller knows */
    struct set callee;
    struct set *arguments;
    uint32_t argument_count;
};

/* How large a block is: a constant, or what a parameter says. */
struct block_size {
    enum { SIZE_UNKNOWN, SIZE_CONSTANT, SIZE_PARAMETER, SIZE_PRODUCT } kind;
    uint64_t bytes;
    uint32_t first, second;
};

struct summary {
    struct summary_node *nodes;
    struct summary_edge *edges;
    struct summary_escape *escapes;
    struct summary_call *calls;
    uint32_t *members; /* of bags: nodes before them */
    uint32_t member_count;
    uint32_t *freed; /* nodes that may be, other than parameters */
    struct set results;
    uint32_t freed_count, node_count, edge_count, escape_count, call_count;
    uint64_t must_free, may_free; /* by parameter */
    bool may_longjmp, too_large;
    struct block_size size;                    /* of the block returned */
    struct chain *edge_chains, *escape_chains; /* why; not part of what is compared */
    uint64_t hash;
};

struct free_event { /* a call that frees */
    uint32_t instruction;
    struct set freed; /* what may be */
    int32_t value;    /* the value that is freed for certain; valid when `certain` */
    bool certain;
    bool resized; /* by realloc: it may fail, and the block stays */
};

enum { TARGETS_MAX = 8 };
struct targets { /* of one parameter */
    struct symbol *symbols[TARGETS_MAX];
    uint32_t count;
    bool others; /* or something else */
};

struct solve {
    struct points points;
    struct arena *arena;
    struct program *program;
    const struct rules *rules;
    struct function *function;
    struct {
        struct summary_call *items;
        uint32_t count, capacity;
    } deferred;
    struct {
        struct free_event *items;
        uint32_t count, capacity;
    } frees;
    struct set results; /* returned */
    uint32_t return_instruction;
    bool *jumps;             /* by instruction: a call that may longjmp */
    uint32_t callback_depth; /* callbacks that are given callbacks */
    bool may_longjmp, waits; /* waits: on a callee that has not been solved yet */
};

void solve_function(struct solve *solve);
/* Into the program's arena. */
struct summary *summary_make(struct solve *solve, struct arena *arena);

/* Shared by the files that solve. */
static inline int32_t result_value(const struct solve *solve, uint32_t index)
{
    return (int32_t)(solve->function->parameter_count + index);
}

struct set *solve_value(struct solve *solve, int32_t operand, struct set *scratch);
bool solve_add(struct solve *solve, int32_t value, const struct set *set);
void solve_store(struct solve *solve, const struct set *to, const struct set *values, uint32_t size,
                 struct entry by);
void solve_jumps(struct solve *solve,
                 uint32_t index); /* the call may leave for where setjmp returned */
void solve_call(struct solve *solve, uint32_t index);
const char *solve_rule(const struct rules *rules, const struct instruction *call,
                       const char *callee);
void apply_effect(struct solve *solve, uint32_t index, const char *effect, const char *name);
void apply_summary(struct solve *solve, uint32_t index, struct function *callee,
                   const struct set *arguments, uint32_t count, const struct set *variable,
                   struct set *results);
/* A call of whatever is in `callees`. `direct`: of the instruction's own arguments. */
void apply_callees(struct solve *solve, uint32_t index, const struct set *callees,
                   const struct set *arguments, uint32_t count, struct set *results,
                   const char *signature, bool direct);
void free_add(struct solve *solve, uint32_t index, const struct set *freed, int32_t value,
              bool certain, bool resized);

/* The chain of an escape, of an edge into the caller's memory; the size of a block. */
void explain_object(struct solve *solve, uint32_t object, const struct reason *may,
                    struct chain *chain);
void explain_entry(struct solve *solve, uint32_t place, const struct entry *entry,
                   struct chain *chain);
struct block_size solve_block_size(struct solve *solve, uint32_t object);
const char *solve_callee_name(const struct solve *solve, const struct instruction *call);
/* By object: can the caller see it? */
enum { SEEN_RETURNED = 1, SEEN_IN_RETURNED = 2, SEEN_IN_CALLER = 4 };
uint8_t *solve_seen(struct solve *solve);

/* Control flow: is `value`, made by `from` (an instruction; -1: the function's entry), freed on every path? */
enum freed { FREED_ALWAYS, FREED_SOMETIMES, FREED_NEVER, FREED_UNKNOWN };
struct freed_paths {
    enum freed freed;
    uint32_t free_instruction; /* the first that was met */
    uint32_t leak_instruction; /* FREED_SOMETIMES, FREED_NEVER: where a path ends without */
    bool comes_back;           /* a path comes back to `from` with the block still there */
    bool jumps;                /* a call on a path may longjmp away */
};
bool flow_in_loop(struct solve *solve, uint32_t index);
struct freed_paths flow_freed(struct solve *solve, int32_t value, int64_t from);
