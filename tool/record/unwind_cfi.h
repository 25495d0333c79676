/* SPDX-License-Identifier: MIT */
/*
 * The parts of the rule compiler: from an address to its frame description (unwind_fde.c), from
 * that to a rule (unwind_row.c), with the few expressions that occur (unwind_expression.c). Known
 * to the unwinder's own files and tests alone.
 */
#pragma once

#include "unwind_read.h"

#if defined(__x86_64__)
#include "unwind_x86_64.h"
#else
#include "unwind_aarch64.h"
#endif

/* A frame description entry with what its common information entry says. */
struct unwind_fde {
    uint64_t begin, end; /* the program counters it describes */
    struct unwind_cursor common_code, code;
    uint64_t code_align;
    int64_t data_align;
    uint64_t return_register; /* as DWARF numbers it */
    uint8_t pointer_encoding; /* DW_EH_PE_* of addresses */
    bool signal_frame;
};

/* Finds the entry for an address by the search table, or by reading all entries where there is no
 * table in the usual encoding. All reads lie in [start, end). */
bool unwind_fde_find(uint64_t eh_frame_hdr, uint64_t start, uint64_t end, uint64_t address,
                     struct unwind_fde *ret_fde);

/* An address in encoding DW_EH_PE_*; false when the cursor broke or the encoding needs more than
 * the data itself (indirect, function-relative, aligned). */
bool unwind_encoded(struct unwind_cursor *cursor, uint8_t encoding, uint64_t data_base,
                    uint64_t *ret_value);

/* base + offset, or *(base + deref_offset) + offset. */
struct unwind_place {
    uint8_t column; /* of the base; UNWIND_COLUMN_NONE: a register that is not kept */
    bool deref;
    int32_t deref_offset;
    int32_t offset;
};

/* Understands the expression that the cursor spans; false when it is none of the forms known. pc is
 * the value of the program counter, which stubs of the procedure linkage table ask for. */
bool unwind_expression(struct unwind_cursor expression, uint64_t pc,
                       struct unwind_place *ret_place);

enum unwind_column_kind {
    UNWIND_COLUMN_UNSET, /* nothing said: the ABI's default */
    UNWIND_COLUMN_SAME,
    UNWIND_COLUMN_UNDEFINED,
    UNWIND_COLUMN_OFFSET, /* saved at CFA + offset */
    UNWIND_COLUMN_AT,     /* saved at the base column's value + offset */
    UNWIND_COLUMN_CFA,    /* the value is CFA + offset itself */
    UNWIND_COLUMN_OTHER,  /* not understood */
};

struct unwind_column {
    uint8_t kind; /* enum unwind_column_kind */
    uint8_t base;
    int32_t offset;
};

struct unwind_row {
    struct unwind_column columns[UNWIND_COLUMNS];
    struct unwind_place cfa;
    bool cfa_understood;
    bool return_signed;
};

/* Runs the entry's program up to `address`; false when an instruction is broken or not known. */
bool unwind_row_find(const struct unwind_fde *fde, uint64_t address, uint64_t pc,
                     struct unwind_row *ret_row);

/* False, with *rule in any state, when the row cannot be said in a rule. */
bool unwind_row_rule(const struct unwind_row *row, const struct unwind_fde *fde,
                     struct unwind_rule *rule);
