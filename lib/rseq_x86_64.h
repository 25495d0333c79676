/* SPDX-License-Identifier: MIT */
/*
 * The sections for x86-64; rseq.h says what they do. Plain asm with labels inside that restart it: asm
 * goto with outputs is miscompiled by gcc up to 12.3 (its bug 113921), so results live in registers
 * that are set first at every restart.
 */
#pragma once

/*
 * The frame of a section. SECTION_BEGIN emits its descriptor and abort handler, then the entry, where
 * `setup` is run at each start, arms the section, and opens it. `scratch` is a free 64-bit register.
 * Labels: 1 start, 2 after the commit, 3 descriptor, 4 abort handler, 5 entry. The four bytes before
 * an abort handler must be the signature that the C library registered; they are written as the
 * operand of an instruction that faults, so that disassemblers keep in step.
 */
#define SECTION_BEGIN(setup, scratch)                                                              \
    ".pushsection __rseq_cs, \"aw\"\n\t"                                                           \
    ".balign 32\n\t"                                                                               \
    "3: .long 0, 0\n\t"                                                                            \
    ".quad 1f, (2f - 1f), 4f\n\t"                                                                  \
    ".popsection\n\t"                                                                              \
    ".pushsection __rseq_cs_ptr_array, \"aw\"\n\t"                                                 \
    ".quad 3b\n\t"                                                                                 \
    ".popsection\n\t"                                                                              \
    ".pushsection __rseq_failure, \"ax\"\n\t"                                                      \
    ".byte 0x0f, 0xb9, 0x3d\n\t"                                                                   \
    ".long 0x53053053\n\t"                                                                         \
    "4: jmp 5f\n\t"                                                                                \
    ".popsection\n\t"                                                                              \
    "5:\n\t" setup "leaq 3b(%%rip), %" scratch "\n\t"                                              \
    "movq %" scratch ", %%fs:(%[cs])\n\t"                                                          \
    "1:\n\t"

#ifdef PWISE_INJECT
#define SECTION_INJECT(point)                                                                      \
    "movl inject_spins+4*" #point "(%%rip), %k[spin]\n\t"                                          \
    "jmp 92f\n\t"                                                                                  \
    "91: subl $1, %k[spin]\n\t"                                                                    \
    "92: testl %k[spin], %k[spin]\n\t"                                                             \
    "jnz 91b\n\t"
#define SECTION_INJECT_OUTPUT , [spin] "=&r"(spin)
#define SECTION_INJECT_SCRATCH uint64_t spin;
#else
#define SECTION_INJECT(point)
#define SECTION_INJECT_OUTPUT
#define SECTION_INJECT_SCRATCH
#endif

static inline int32_t section_id(void)
{
    int32_t id;
    __asm__ volatile("movl %%fs:(%[id_at]), %[id]" : [id] "=r"(id) : [id_at] "r"(rseq_id_offset));
    return id;
}

/* Declined with the zero flag set by the test for a count of 0; done with it clear, as an addition that
 * cannot come to 0 is the last to set it. */
static inline __attribute__((always_inline)) bool section_pop(struct slot *slots, void **ret_item)
{
    bool done;
    void *item;
    uint64_t index, magazine, word;
    SECTION_INJECT_SCRATCH
    __asm__ volatile(SECTION_BEGIN("", "[index]")
                     "movslq %%fs:(%[id_at]), %[index]\n\t"
                     SECTION_INJECT(0)
                     "shlq $6, %[index]\n\t"
                     "movq (%[slots], %[index]), %[magazine]\n\t"
                     SECTION_INJECT(1)
                     "movq (%[magazine]), %[word]\n\t"
                     "movzwl %w[word], %k[index]\n\t"
                     "testl %k[index], %k[index]\n\t"
                     "jz 2f\n\t"
                     "movq 32(%[magazine], %[index], 8), %[item]\n\t"
                     SECTION_INJECT(2)
                     "addq $0xffff, %[word]\n\t"
                     "movq %[word], (%[magazine])\n\t" /* commit */
                     "2:\n\t"
                     : "=@ccnz"(done), [item] "=&a"(item), [index] "=&r"(index),
                       [magazine] "=&r"(magazine), [word] "=&r"(word) SECTION_INJECT_OUTPUT
                     : [slots] "r"(slots), [id_at] "r"(rseq_id_offset), [cs] "r"(rseq_cs_offset)
                     : "memory");
    *ret_item = item;
    return done;
}

/* Declined with the zero flag set by the comparison, as a count never exceeds the capacity. */
static inline __attribute__((always_inline)) bool section_push(struct slot *slots, void *item)
{
    bool done;
    uint64_t index, magazine, word;
    SECTION_INJECT_SCRATCH
    __asm__ volatile(SECTION_BEGIN("", "[index]")
                     "movslq %%fs:(%[id_at]), %[index]\n\t"
                     SECTION_INJECT(0)
                     "shlq $6, %[index]\n\t"
                     "movq (%[slots], %[index]), %[magazine]\n\t"
                     SECTION_INJECT(1)
                     "movq (%[magazine]), %[word]\n\t"
                     "movzwl %w[word], %k[index]\n\t"
                     "cmpl 8(%[magazine]), %k[index]\n\t"
                     "je 2f\n\t"
                     "movq %[item], 40(%[magazine], %[index], 8)\n\t"
                     SECTION_INJECT(2)
                     "addq $1, %[word]\n\t"
                     "movq %[word], (%[magazine])\n\t" /* commit */
                     "2:\n\t"
                     : "=@ccnz"(done), [index] "=&r"(index), [magazine] "=&r"(magazine),
                       [word] "=&r"(word) SECTION_INJECT_OUTPUT
                     : [slots] "r"(slots), [id_at] "r"(rseq_id_offset), [cs] "r"(rseq_cs_offset),
                       [item] "r"(item)
                     : "memory");
    return done;
}

static inline struct magazine *section_take(struct slot *slots, struct slot **ret_slot)
{
    struct magazine *magazine;
    struct slot *slot;
    SECTION_INJECT_SCRATCH
    __asm__ volatile(SECTION_BEGIN("movq %[empty], %[magazine]\n\t", "[slot]")
                     "movslq %%fs:(%[id_at]), %[slot]\n\t"
                     SECTION_INJECT(0)
                     "shlq $6, %[slot]\n\t"
                     "addq %[slots], %[slot]\n\t"
                     SECTION_INJECT(3)
                     "xchgq %[magazine], (%[slot])\n\t" /* commit */
                     "2:\n\t"
                     : [magazine] "=&r"(magazine), [slot] "=&r"(slot) SECTION_INJECT_OUTPUT
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
