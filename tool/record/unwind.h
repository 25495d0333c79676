/* SPDX-License-Identifier: MIT */
/*
 * One step up the stack by .eh_frame, inside the traced program.
 *
 * Neither allocates nor locks nor calls anything that might: it may run inside malloc, inside a
 * signal handler, and inside the dynamic linker. Rules are compiled once per return address and
 * kept in a table that all threads of the process share (insert by compare-and-swap, all forgotten
 * at once by unwind_forget()).
 *
 * Words: a rule says, for one program counter, where the caller's frame begins (the canonical frame
 * address, CFA: the value of the stack pointer before the call), where the return address lies and
 * where the callee-saved registers were saved. The base is the register a CFA is reckoned from. A
 * cell is 8 aligned bytes of stack. DWARF 5 section 6.4; the .eh_frame_hdr search table is in the
 * Linux Standard Base, Core, "Exception Frames".
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Registers that survive a call, which a CFA may be based on. The rest cannot be known up the
 * stack. */
#if defined(__x86_64__)
enum unwind_register {
    UNWIND_RBX,
    UNWIND_RBP,
    UNWIND_R12,
    UNWIND_R13,
    UNWIND_R14,
    UNWIND_R15,
    UNWIND_SAVED
};
#define UNWIND_FRAME UNWIND_RBP /* the frame pointer */
#elif defined(__aarch64__)
enum unwind_register {
    UNWIND_X19,
    UNWIND_X20,
    UNWIND_X21,
    UNWIND_X22,
    UNWIND_X23,
    UNWIND_X24,
    UNWIND_X25,
    UNWIND_X26,
    UNWIND_X27,
    UNWIND_X28,
    UNWIND_X29,
    UNWIND_X30,
    UNWIND_SAVED
};
#define UNWIND_FRAME UNWIND_X29
#else
#error "no unwinder for this processor"
#endif

enum unwind_cfa {
    UNWIND_CFA_SP,             /* stack pointer + offset */
    UNWIND_CFA_REGISTER,       /* saved register + offset */
    UNWIND_CFA_SP_DEREF,       /* *(stack pointer + deref_offset) + offset: signal frames */
    UNWIND_CFA_REGISTER_DEREF, /* *(saved register + deref_offset) + offset: realigned stacks */
};

enum unwind_end {
    UNWIND_STEP,      /* there is a caller */
    UNWIND_OUTERMOST, /* the rule says so: return address undefined; or the return address is 0 */
    UNWIND_NO_RULE,   /* no unwind data at this address, or an expression not understood */
};

#define UNWIND_SAME INT16_MIN /* the register still holds the caller's value */
#define UNWIND_UNKNOWN                                                                             \
    (INT16_MIN + 1) /* the caller's value is gone, or said in a way not understood */

/* Saved-at offsets are in units of 8 bytes from the CFA; from the base (before the dereference)
 * where the bit of the register is set in from_base, as in signal frames and realigned stacks. */
struct unwind_rule {
    uint64_t key;                /* twice the address the rule is for, plus 1 when exact */
    int32_t cfa_offset;          /* bytes */
    int16_t deref_offset;        /* bytes */
    uint8_t cfa;                 /* enum unwind_cfa */
    uint8_t cfa_register;        /* enum unwind_register */
    uint8_t end;                 /* enum unwind_end */
    bool signal_frame;           /* the caller was interrupted, not calling: its pc is exact */
    uint16_t module;             /* what unwind_find_module returned */
    int16_t return_address;      /* saved-at offset; UNWIND_SAME: in the link register (aarch64) */
    uint16_t from_base;          /* bit per register, bit UNWIND_SAVED for the return address */
    int16_t saved[UNWIND_SAVED]; /* saved-at offsets, UNWIND_SAME, UNWIND_UNKNOWN */
    uint16_t moved;              /* bit per register that is not UNWIND_SAME */
    int16_t lowest;              /* least saved-at offset, where all are negative, from the CFA, and
                                    none is UNWIND_UNKNOWN; else UNWIND_UNKNOWN */
    bool return_signed;          /* aarch64: the return address carries an authentication code */
};

/* The registers of one frame, and where in memory each came from. Zero it before filling it in. */
struct unwind_frame {
    uint64_t pc;   /* return address into this frame's function */
    uint64_t sp;   /* stack pointer in this frame once the callee has returned: the callee's CFA */
    uint64_t slot; /* stack address where pc was read; 0: it was in a register */
    uint64_t
        slot_value; /* what the slot holds: pc, on aarch64 with its authentication code if any */
    bool exact_pc;  /* pc is an interrupted instruction, not a return address */
    uint32_t lost;  /* bit per register whose value is not known; a CFA based on one is refused */
    uint64_t stack_end; /* cells at or above are not read; 0: not known. A signal frame that leads
                           to another stack sets it to 0 */
    uint64_t saved[UNWIND_SAVED];
    uint64_t saved_at[UNWIND_SAVED]; /* stack address the value was read from; 0: live register */
};

/* Finds the unwind data for an address. Returns the module's number (kept in the rule), or -1 when
 * the address is in no module. Set by the recorder; *ret_eh_frame_hdr is the module's mapped
 * PT_GNU_EH_FRAME segment (NULL when it has none) and [*ret_start, *ret_end) readable memory around
 * it that holds .eh_frame too (the whole mapped module, or better the one PT_LOAD segment): reads
 * of the unwinder stay inside that range. */
typedef int (*unwind_find_module)(uint64_t pc, const void **ret_eh_frame_hdr, uint64_t *ret_start,
                                  uint64_t *ret_end);

/* The rule for a return address (exact: for an interrupted pc), compiled on first use, copied to
 * *scratch. Returns scratch, never NULL: unknown addresses give a rule whose end is UNWIND_NO_RULE.
 * Any thread, any signal handler; never blocks. Rules of addresses in no module are not kept, nor
 * those for which the table has no room. */
const struct unwind_rule *unwind_rule_find(uint64_t pc, bool exact, struct unwind_rule *scratch);

/* Compiles without the table; the module number is left 0. Any contents of [start, end) are safe.
 */
void unwind_rule_compile(uint64_t pc, bool exact, const void *eh_frame_hdr, uint64_t start,
                         uint64_t end, struct unwind_rule *ret_rule);

/* Applies the rule of frame->pc: *frame becomes its caller. Reads the stack only at or above
 * frame->sp (x86-64: or in the 128 bytes below, which the ABI leaves to the function). Refuses to
 * go down the stack (a CFA not above sp) except for a signal frame. Returns enum unwind_end; *frame
 * is unchanged unless UNWIND_STEP. */
enum unwind_end unwind_step(struct unwind_frame *frame, const struct unwind_rule *rule);

/* Once, before anything else; table memory comes from mmap, 64 bytes an entry, table_entries
 * rounded up to a power of two. Returns 0, -EINVAL (no find, no or too many entries), -EALREADY, or
 * mmap's -ENOMEM. */
int unwind_init(unwind_find_module find, uint32_t table_entries);

/* Forgets all rules: a module was unloaded. Safe while other threads look rules up. Call it once
 * the find function no longer gives the module: a rule compiled after this call is kept. */
void unwind_forget(void);

/* The running function's own frame at this very place, with an exact pc: where a walk may begin.
 * Must not be moved away from the frame it describes, hence inlined always. */
__attribute__((always_inline)) static inline void unwind_here(struct unwind_frame *ret_frame)
{
    uint64_t pc, sp;

    for (int i = 0; i < UNWIND_SAVED; i++) {
        ret_frame->saved_at[i] = 0;
    }
    ret_frame->slot = 0;
    ret_frame->slot_value = 0;
    ret_frame->exact_pc = true;
    ret_frame->lost = 0;
    ret_frame->stack_end = 0;
#if defined(__x86_64__)
    __asm__ volatile("leaq 0f(%%rip), %0\n\t"
                     "movq %%rsp, %1\n"
                     "0:\tmovq %%rbx, 0(%2)\n\t"
                     "movq %%rbp, 8(%2)\n\t"
                     "movq %%r12, 16(%2)\n\t"
                     "movq %%r13, 24(%2)\n\t"
                     "movq %%r14, 32(%2)\n\t"
                     "movq %%r15, 40(%2)"
                     : "=&a"(pc), "=&c"(sp)
                     : "d"(ret_frame->saved)
                     : "memory");
#elif defined(__aarch64__)
    register uint64_t *saved __asm__("x9") = ret_frame->saved;
    __asm__ volatile("adr %0, 0f\n\t"
                     "mov %1, sp\n"
                     "0:\tstp x19, x20, [%2]\n\t"
                     "stp x21, x22, [%2, 16]\n\t"
                     "stp x23, x24, [%2, 32]\n\t"
                     "stp x25, x26, [%2, 48]\n\t"
                     "stp x27, x28, [%2, 64]\n\t"
                     "stp x29, x30, [%2, 80]"
                     : "=&r"(pc), "=&r"(sp)
                     : "r"(saved)
                     : "memory");
#endif
    ret_frame->pc = pc;
    ret_frame->sp = sp;
}
