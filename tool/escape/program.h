/* SPDX-License-Identifier: MIT */
/*
 * The program as the analysis sees it: what LLVM's form has, less what says nothing about where a pointer
 * goes. Made once per file (lift.h), after which LLVM's own memory is given back; then linked.
 *
 * value     what an argument or an instruction yields; a number in its function: arguments first
 * constant  an operand that is no value; a number in its file, written ~number
 * offset    bytes from the start of an object; with a stride s > 0: that plus any multiple of s
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "arena.h"

enum op {
    OP_NONE,     /* yields nothing of interest */
    OP_COPY,     /* all operands flow to the result; `exact`: at the same offset, else anywhere */
    OP_OFFSET,   /* operand 0 plus offset and stride; further operands flow along */
    OP_PHI,      /* operands: value, block, value, block, ... */
    OP_SELECT,   /* condition, value, value */
    OP_COMPARE,  /* of two operands; `equal`: == or != */
    OP_ALLOCA,   /* size bytes; 0: unknown */
    OP_LOAD,     /* size bytes from operand 0 */
    OP_STORE,    /* size bytes of operand 1 to operand 0 */
    OP_EXCHANGE, /* atomically: operand 1 to operand 0; yields what was there, and the operands */
    OP_COPY_MEMORY, /* size bytes (0: unknown) from operand 1 to operand 0 */
    OP_VA_START,    /* operand 0: the list to fill */
    OP_VA_ARG,      /* yields any argument of the list in operand 0 */
    OP_CALL,        /* arguments, then the callee; size: of the result */
    OP_OPAQUE,      /* may do anything with its operands: assembly, intrinsics that are not known */
    OP_RETURN,      /* operand 0, if any */
    OP_BRANCH,      /* operand 0, if any: the condition; successor 0 when it holds */
    OP_END,         /* control does not get past it */
};

struct instruction {
    uint8_t op;
    bool exact;                       /* OP_COPY */
    bool equal, differs;              /* OP_COMPARE: == or != */
    bool noreturn;                    /* OP_CALL */
    bool returns_twice;               /* OP_CALL */
    bool pointer;                     /* its result is a pointer */
    bool from_number;                 /* OP_COPY: a pointer that is made of a number by a cast */
    bool no_value;                    /* its result carries no pointer: void, or one bit */
    uint32_t operands, operand_count; /* in the function's list */
    int32_t offset;                   /* OP_OFFSET */
    uint32_t stride, size;
    uint32_t line, column, file; /* file: in the unit's list */
    const char *hook; /* OP_CALL through a field: "struct:offset" or "variable:offset"; or NULL */
    const char *signature; /* OP_CALL: of the callee's type */
    uint64_t
        nocapture; /* OP_CALL: arguments of which the declaration says that they are not kept */
};

struct basic_block {
    uint32_t first, count;                   /* instructions */
    uint32_t successors, successor_count;    /* in the function's list */
    uint32_t predecessor_count, predecessor; /* how many edges lead here, and whence the last */
};

struct symbol;

struct constant {
    bool is_null, is_integer, is_unknown; /* unknown: a pointer made of a number */
    int64_t integer;
    uint32_t first, count; /* in the unit's list of addresses */
};

struct address { /* a symbol's, in a constant */
    struct symbol *symbol;
    int32_t at;     /* where in the initializer it stands; of an operand: 0 */
    int32_t offset; /* beyond the symbol's start */
    uint32_t stride;
};

struct function {
    struct symbol *symbol;
    struct unit *unit;
    uint32_t parameter_count, value_count, block_count;
    const char **parameter_names; /* "" when unknown */
    bool variadic, struct_return;
    struct instruction *instructions; /* value number = parameter_count + index */
    uint32_t instruction_count;
    int32_t *operands;
    struct basic_block *blocks;
    uint32_t *successors;
    uint32_t *block_of; /* by instruction */
    uint32_t line;

    /* The analysis' own. */
    struct summary *summary;
    struct function **callers;
    uint32_t caller_count, caller_capacity;
    uint32_t order, component; /* its place among the program's functions; where its cycle begins */
    uint32_t seen, lowest;     /* while they are put in order */
    bool ordered;
    uint32_t rounds;
    struct site_draft *drafts; /* its sites, as of when it was solved last */
    uint32_t draft_count;
    bool queued, uses_longjmp;
    bool coarse;                       /* too much for fields: see struct points */
    bool opaque;                       /* too much altogether */
    struct targets *parameter_targets; /* what may be called through each parameter */
};

struct symbol {
    const char *name;
    bool is_function, internal, is_constant, address_taken;
    struct function *function; /* its definition, or NULL */
    uint32_t first, count; /* a constant variable's initializer, in the unit's list of addresses */
    bool has_initializer;
    const char *signature;
    struct unit *unit;
    struct symbol *resolved;  /* after linking: the definition, or itself */
    struct symbol *same_name; /* another definition of that name, in another unit */
    struct symbol *next;      /* in the hash table */
};

struct unit { /* one translation unit */
    struct arena arena;
    jmp_buf failed;
    const char *name;
    const char **files;
    uint32_t file_count, file_capacity;
    struct symbol **symbols;
    uint32_t symbol_count, symbol_capacity;
    struct function **functions;
    uint32_t function_count, function_capacity;
    struct constant *constants;
    uint32_t constant_count, constant_capacity;
    struct address *addresses;
    uint32_t address_count, address_capacity;
    uint32_t instruction_count;
    uint64_t line_count;
    bool names_kept; /* values have the names that clang gave them */
};

struct program {
    struct unit **units;
    size_t unit_count;
    struct arena arena;
    struct function **functions; /* callees first, as far as there are no cycles */
    uint32_t function_count;
    struct symbol **table; /* by name */
    uint32_t table_size;
    bool uses_longjmp;
};

static inline const struct instruction *instruction_of(const struct function *function,
                                                       int32_t value)
{
    if (value < (int32_t)function->parameter_count)
        return NULL;
    return &function->instructions[value - (int32_t)function->parameter_count];
}

static inline int32_t operand_of(const struct function *function,
                                 const struct instruction *instruction, uint32_t index)
{
    return function->operands[instruction->operands + index];
}

static inline bool is_null(const struct function *function, int32_t operand)
{
    return operand < 0 && function->unit->constants[~operand].is_null;
}

/* When the callee's summary changes, the caller is to be solved anew. */
void program_caller_add(struct program *program, struct function *callee, struct function *caller);
/* Names to definitions, across the units. */
void program_link(struct program *program);
