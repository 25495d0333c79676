/* SPDX-License-Identifier: MIT */
/*
 * What the unwinder must know of AArch64: how DWARF numbers its registers (DWARF for the Arm 64-bit
 * Architecture, section 4.1), how to strip a signed return address, and the kernel's signal frame.
 * The twin of unwind_x86_64.h.
 */
#pragma once

#include "unwind.h"

/* The return address is x30's column: a call leaves it in that register. */
enum {
    UNWIND_COLUMN_SP = UNWIND_SAVED,
    UNWIND_COLUMNS,
    UNWIND_COLUMN_NONE,
    UNWIND_COLUMN_RETURN = UNWIND_X30,
};

#define UNWIND_DWARF_SP      31
#define UNWIND_DWARF_RETURN  30
#define UNWIND_RED_ZONE      0
#define UNWIND_ADDRESS_END   (UINT64_C(1) << 52)
#define UNWIND_SIGNS_RETURNS 1

static inline unsigned unwind_column(uint64_t dwarf_register)
{
    if (dwarf_register >= 19 && dwarf_register <= 30) {
        return UNWIND_X19 + (unsigned)dwarf_register - 19;
    }
    return dwarf_register == UNWIND_DWARF_SP ? (unsigned)UNWIND_COLUMN_SP
                                             : (unsigned)UNWIND_COLUMN_NONE;
}

/* Takes the authentication code off: xpaclri, which processors without it take for a no-op. */
static inline uint64_t unwind_plain_return(uint64_t return_address)
{
    register uint64_t link __asm__("x30") = return_address;

    __asm__("hint #7" : "+r"(link));
    return link;
}

/* Offsets from sp in the kernel's rt_sigframe: siginfo_t (128), then ucontext_t, whose mcontext
 * (at 176) is a fault address, x0-x30, sp and pc. */
#define UNWIND_SIGNAL_X(n) (128 + 176 + 8 + 8 * (n))

/* The kernel's and glibc's trampolines tell nothing, or only the link register, in .eh_frame; so
 * they are known by their two instructions: mov x8, #139 (rt_sigreturn); svc #0. */
static inline bool unwind_trampoline(uint64_t pc, uint64_t start, uint64_t end,
                                     struct unwind_rule *ret_rule)
{
    uint32_t code[2];

    if (pc % 4 != 0 || pc < start || pc >= end || end - pc < sizeof code) {
        return false;
    }
    __builtin_memcpy(code, (const void *)pc, sizeof code);
    if (code[0] != 0xd2801168u || code[1] != 0xd4000001u) {
        return false;
    }
    ret_rule->end = UNWIND_STEP;
    ret_rule->signal_frame = true;
    ret_rule->cfa = UNWIND_CFA_SP_DEREF;
    ret_rule->deref_offset = UNWIND_SIGNAL_X(31);
    ret_rule->cfa_offset = 0;
    ret_rule->return_address = UNWIND_SIGNAL_X(32) / 8;
    ret_rule->lowest = UNWIND_UNKNOWN;
    ret_rule->moved = (uint16_t)((1u << UNWIND_SAVED) - 1);
    ret_rule->from_base = (uint16_t)((1u << (UNWIND_SAVED + 1)) - 1);
    for (int i = 0; i < UNWIND_SAVED; i++) {
        ret_rule->saved[i] = (int16_t)(UNWIND_SIGNAL_X(19 + i) / 8);
    }
    return true;
}
