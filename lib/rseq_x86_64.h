/* SPDX-License-Identifier: MIT */
/*
 * The sections for x86-64; rseq.h says what they do. Plain asm with labels inside that restart it:
 * asm goto with outputs is miscompiled by gcc up to 12.3 (its bug 113921), so results live in
 * registers that are set first at every restart.
 */
#pragma once

static inline int32_t section_id(void)
{
    int32_t id;
    __asm__ volatile("movl %%fs:(%[id_at]), %[id]" : [id] "=r"(id) : [id_at] "r"(rseq_id_offset));
    return id;
}

static inline struct magazine *section_take(struct slot *slots, struct slot **ret_slot)
{
    struct magazine *magazine;
    struct slot *slot;
    PWISE_SECTION_INJECT_SCRATCH_
    __asm__ volatile(
        PWISE_SECTION_BEGIN_("movq %[empty], %[magazine]\n\t",
                             "[slot]") "movslq %%fs:(%[id_at]), "
                                       "%[slot]"
                                       "\n"
                                       "\t" PWISE_SECTION_INJECT_(0) "shlq $6, "
                                                                     "%[slot]\n\t"
                                                                     "addq %[slots], "
                                                                     "%[slot]"
                                                                     "\n"
                                                                     "\t" PWISE_SECTION_INJECT_(
                                                                         3) "xchgq "
                                                                            "%[magazine]"
                                                                            ", "
                                                                            "(%[slot])"
                                                                            "\n\t" /* commit */
                                                                            "2:\n\t"
        : [magazine] "=&r"(magazine), [slot] "=&r"(slot)PWISE_SECTION_INJECT_OUTPUT_
        : [slots] "r"(slots), [id_at] "r"(rseq_id_offset), [cs] "r"(rseq_cs_offset),
          [empty] "r"(MAGAZINE_EMPTY)
        : "memory", "cc");
    *ret_slot = slot;
    return magazine;
}

/* Stays in a section for up to `spins` turns; whether it was aborted. */
static inline bool section_spin(uint64_t spins)
{
    uint64_t scratch, aborted;
    __asm__ volatile(".pushsection __rseq_cs, \"aw\"\n\t"
                     ".balign 32\n\t"
                     "3: .long 0, 0\n\t"
                     ".quad 1f, (2f - 1f), 4f\n\t"
                     ".popsection\n\t"
                     ".pushsection __rseq_cs_ptr_array, \"aw\"\n\t"
                     ".quad 3b\n\t"
                     ".popsection\n\t"
                     ".pushsection __rseq_failure, \"ax\"\n\t"
                     ".byte 0x0f, 0xb9, 0x3d\n\t"
                     ".long 0x53053053\n\t"
                     "4: movl $1, %k[aborted]\n\t"
                     "jmp 2f\n\t"
                     ".popsection\n\t"
                     "xorl %k[aborted], %k[aborted]\n\t"
                     "leaq 3b(%%rip), %[scratch]\n\t"
                     "movq %[scratch], %%fs:(%[cs])\n\t"
                     "1: subq $1, %[spins]\n\t"
                     "jnz 1b\n\t"
                     "2:\n\t"
                     : [aborted] "=&r"(aborted), [scratch] "=&r"(scratch), [spins] "+&r"(spins)
                     : [cs] "r"(rseq_cs_offset)
                     : "memory", "cc");
    return aborted;
}
