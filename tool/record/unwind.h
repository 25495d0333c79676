/* SPDX-License-Identifier: MIT */
/*
 * One step up the stack by .eh_frame, inside the traced program.
 *
 * Neither allocates nor locks nor calls anything that might: it may run inside malloc, inside a
 * signal handler, and inside the dynamic linker. Rules are compiled once per return address and kept
 * in a table that all threads of the process share (insert by compare-and-swap, never removed until
 * unwind_forget()).
 *
 * Words: a rule says, for one program counter, where the caller's frame begins (the canonical frame
 * address, CFA: the value of the stack pointer before the call), where the return address lies and
 * where the callee-saved registers were saved. DWARF 5 section 6.4; the .eh_frame_hdr search table is
 * in the Linux Standard Base, Core, "Exception Frames".
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Registers that survive a call, which a CFA may be based on. The rest cannot be known up the stack. */
#if defined(__x86_64__)
enum unwind_register { UNWIND_RBX, UNWIND_RBP, UNWIND_R12, UNWIND_R13, UNWIND_R14, UNWIND_R15, UNWIND_SAVED };
#define UNWIND_FRAME UNWIND_RBP /* the frame pointer */
#elif defined(__aarch64__)
enum unwind_register {
    UNWIND_X19, UNWIND_X20, UNWIND_X21, UNWIND_X22, UNWIND_X23, UNWIND_X24, UNWIND_X25, UNWIND_X26,
    UNWIND_X27, UNWIND_X28, UNWIND_X29, UNWIND_X30, UNWIND_SAVED
};
#define UNWIND_FRAME UNWIND_X29
#else
#error "no unwinder for this processor"
#endif

enum unwind_cfa {
    UNWIND_CFA_SP,           /* stack pointer + offset */
    UNWIND_CFA_REGISTER,     /* saved register + offset */
    UNWIND_CFA_SP_DEREF,     /* *(stack pointer + deref_offset) + offset: signal frames */
    UNWIND_CFA_REGISTER_DEREF, /* *(saved register + deref_offset) + offset: realigned stacks */
    UNWIND_CFA_PLT,          /* lazy-binding stub: sp + offset + ((pc & 15) >= 11 ? 8 : 0) */
};

enum unwind_end {
    UNWIND_STEP,        /* there is a caller */
    UNWIND_OUTERMOST,   /* the rule says so: return address undefined */
    UNWIND_NO_RULE,     /* no unwind data at this address, or an expression not understood */
};

#define UNWIND_SAME INT16_MIN /* the register still holds the caller's value */

/* Saved-at offsets are in units of 8 bytes from the CFA, or from the CFA_*_DEREF base when
 * `signal_frame` is set (there every register lies at base + offset). */
struct unwind_rule {
    uint64_t pc;         /* the address the rule is for; 0: empty */
    int32_t cfa_offset;  /* bytes */
    int16_t deref_offset; /* bytes */
    uint8_t cfa;         /* enum unwind_cfa */
    uint8_t cfa_register; /* enum unwind_register */
    uint8_t end;         /* enum unwind_end */
    bool signal_frame;   /* the caller was interrupted, not calling: its pc is looked up as it is */
    uint16_t module;     /* the caller's own module number, from unwind_find_module */
    int16_t return_address;       /* saved-at offset */
    int16_t saved[UNWIND_SAVED];  /* saved-at offsets, UNWIND_SAME */
};

/* The registers of one frame, and where in memory each came from (0: it is in a register still). */
struct unwind_frame {
    uint64_t pc;   /* return address into this frame's function */
    uint64_t sp;   /* stack pointer in this frame once the callee has returned: the callee's CFA */
    uint64_t slot; /* stack address where pc was read */
    bool exact_pc; /* pc is an interrupted instruction, not a return address */
    uint64_t saved[UNWIND_SAVED];
    uint64_t saved_at[UNWIND_SAVED]; /* stack address the value was read from; 0: live register */
};

/* Finds the unwind data for an address. Returns the module's number (kept in the rule), or -1 when
 * the address is in no module. Set by the recorder; *ret_eh_frame_hdr is the module's mapped
 * PT_GNU_EH_FRAME segment (NULL when it has none) and [*ret_start, *ret_end) its mapped range: reads
 * of the unwinder stay inside that range. */
typedef int (*unwind_find_module)(uint64_t pc, const void **ret_eh_frame_hdr, uint64_t *ret_start,
                                  uint64_t *ret_end);

/* The rule for a return address (exact: for an interrupted pc), compiled on first use. Never NULL:
 * unknown addresses give a rule whose end is UNWIND_NO_RULE. Any thread; never blocks. When the
 * shared table is full the rule is compiled into *scratch. */
const struct unwind_rule *unwind_rule_find(uint64_t pc, bool exact, struct unwind_rule *scratch);

/* Compiles without the table: for tests. */
void unwind_rule_compile(uint64_t pc, bool exact, const void *eh_frame_hdr, uint64_t start, uint64_t end,
                         struct unwind_rule *ret_rule);

/* Applies the rule of frame->pc: *frame becomes its caller. Reads the stack only at or above
 * frame->sp (but for the cells it proves to be part of this frame). Refuses to go down the stack
 * (a CFA not above sp) except for a signal frame. Returns enum unwind_end; *frame is unchanged unless
 * UNWIND_STEP. */
enum unwind_end unwind_step(struct unwind_frame *frame, const struct unwind_rule *rule);

/* Once, before anything else; table memory comes from mmap. Returns 0 or -errno. */
int unwind_init(unwind_find_module find, uint32_t table_entries);

/* Forgets all rules: a module was unloaded. Safe while other threads look rules up. */
void unwind_forget(void);
