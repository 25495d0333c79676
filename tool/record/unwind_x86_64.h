/* SPDX-License-Identifier: MIT */
/*
 * What the unwinder must know of x86-64: how DWARF numbers its registers (System V psABI, figure
 * 3.36) and where its addresses end. The twin of unwind_aarch64.h.
 */
#pragma once

#include "unwind.h"

/* The columns of a row that the unwinder keeps: the callee-saved registers, then these. */
enum {
    UNWIND_COLUMN_SP = UNWIND_SAVED,
    UNWIND_COLUMN_RETURN,
    UNWIND_COLUMNS,
    UNWIND_COLUMN_NONE,
};

#define UNWIND_DWARF_SP      7
#define UNWIND_DWARF_RETURN  16
#define UNWIND_RED_ZONE      128 /* bytes below sp that belong to the function */
#define UNWIND_ADDRESS_END   (UINT64_C(1) << 47)
/* DW_CFA_AARCH64_negate_ra_state shares its number with an operation of SPARC. */
#define UNWIND_SIGNS_RETURNS 0

static inline unsigned unwind_column(uint64_t dwarf_register)
{
    switch (dwarf_register) {
    case 3:
        return UNWIND_RBX;
    case 6:
        return UNWIND_RBP;
    case UNWIND_DWARF_SP:
        return UNWIND_COLUMN_SP;
    case 12:
    case 13:
    case 14:
    case 15:
        return UNWIND_R12 + (unsigned)dwarf_register - 12;
    case UNWIND_DWARF_RETURN:
        return UNWIND_COLUMN_RETURN;
    default:
        return UNWIND_COLUMN_NONE;
    }
}

static inline uint64_t unwind_plain_return(uint64_t return_address)
{
    return return_address;
}

/* glibc and the kernel describe their signal trampolines in .eh_frame here. */
static inline bool unwind_trampoline(uint64_t pc, uint64_t start, uint64_t end,
                                     struct unwind_rule *ret_rule)
{
    (void)pc, (void)start, (void)end, (void)ret_rule;
    return false;
}
