/* SPDX-License-Identifier: MIT */
/*
 * The restartable sections of a get and a put, for x86-64. Included by <poolwise/sections.h>,
 * which says what they do.
 */
#ifndef POOLWISE_SECTIONS_X86_64_H
#define POOLWISE_SECTIONS_X86_64_H

/*
 * The frame of a section. PWISE_SECTION_BEGIN_ emits its descriptor and abort handler, then the
 * entry, where `setup` is run at each start, arms the section, and opens it. `scratch` is a free
 * 64-bit register. Labels: 1 start, 2 after the commit, 3 descriptor, 4 abort handler, 5 entry.
 * The four bytes before an abort handler must be the signature that the C library registered; they
 * are written as the operand of an instruction that faults, so that disassemblers keep in step.
 */
#define PWISE_SECTION_BEGIN_(setup, scratch)                                                       \
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

/* Leaves the flags alone. */
#if PWISE_SECTIONS_DISARM_
#define PWISE_SECTION_DISARM_ "movq $0, %%fs:(%[cs])\n\t"
#else
#define PWISE_SECTION_DISARM_ ""
#endif

#ifdef PWISE_INJECT
#define PWISE_SECTION_INJECT_(point)                                                               \
    "movl inject_spins+4*" #point "(%%rip), %k[spin]\n\t"                                          \
    "jmp 92f\n\t"                                                                                  \
    "91: subl $1, %k[spin]\n\t"                                                                    \
    "92: testl %k[spin], %k[spin]\n\t"                                                             \
    "jnz 91b\n\t"
#define PWISE_SECTION_INJECT_OUTPUT_ , [spin] "=&r"(spin)
#define PWISE_SECTION_INJECT_SCRATCH_ uint64_t spin;
#else
#define PWISE_SECTION_INJECT_(point)
#define PWISE_SECTION_INJECT_OUTPUT_
#define PWISE_SECTION_INJECT_SCRATCH_
#endif

/* Declined with the zero flag set by the test for a count of 0; done with it clear, as an
 * addition that cannot come to 0 is the last to set it. */
PWISE_SECTION_FUNCTION_ bool
pwise_section_pop_(void *slots, ptrdiff_t id_at, ptrdiff_t cs_at, void **ret_item)
{
    bool done;
    void *item;
    uint64_t index, magazine, word;
    PWISE_SECTION_INJECT_SCRATCH_
    __asm__ volatile(PWISE_SECTION_BEGIN_("", "[index]")
                     "movslq %%fs:(%[id_at]), %[index]\n\t"
                     PWISE_SECTION_INJECT_(0)
                     "shlq $6, %[index]\n\t"
                     "movq (%[slots], %[index]), %[magazine]\n\t"
                     PWISE_SECTION_INJECT_(1)
                     "movq (%[magazine]), %[word]\n\t"
                     "movzwl %w[word], %k[index]\n\t"
                     "testl %k[index], %k[index]\n\t"
                     "jz 2f\n\t"
                     "movq 32(%[magazine], %[index], 8), %[item]\n\t"
                     PWISE_SECTION_INJECT_(2)
                     "addq $0xffff, %[word]\n\t"
                     "movq %[word], (%[magazine])\n\t" /* commit */
                     "2:\n\t" PWISE_SECTION_DISARM_
                     : "=@ccnz"(done), [item] "=&a"(item), [index] "=&r"(index),
                       [magazine] "=&r"(magazine), [word] "=&r"(word) PWISE_SECTION_INJECT_OUTPUT_
                     : [slots] "r"(slots), [id_at] "r"(id_at), [cs] "r"(cs_at)
                     : "memory");
    *ret_item = item;
    return done;
}

/* Declined with the zero flag set by the comparison, as a count never exceeds the capacity. */
PWISE_SECTION_FUNCTION_ bool
pwise_section_push_(void *slots, ptrdiff_t id_at, ptrdiff_t cs_at, void *item)
{
    bool done;
    uint64_t index, magazine, word;
    PWISE_SECTION_INJECT_SCRATCH_
    __asm__ volatile(PWISE_SECTION_BEGIN_("", "[index]")
                     "movslq %%fs:(%[id_at]), %[index]\n\t"
                     PWISE_SECTION_INJECT_(0)
                     "shlq $6, %[index]\n\t"
                     "movq (%[slots], %[index]), %[magazine]\n\t"
                     PWISE_SECTION_INJECT_(1)
                     "movq (%[magazine]), %[word]\n\t"
                     "movzwl %w[word], %k[index]\n\t"
                     "cmpl 8(%[magazine]), %k[index]\n\t"
                     "je 2f\n\t"
                     "movq %[item], 40(%[magazine], %[index], 8)\n\t"
                     PWISE_SECTION_INJECT_(2)
                     "addq $1, %[word]\n\t"
                     "movq %[word], (%[magazine])\n\t" /* commit */
                     "2:\n\t" PWISE_SECTION_DISARM_
                     : "=@ccnz"(done), [index] "=&r"(index), [magazine] "=&r"(magazine),
                       [word] "=&r"(word) PWISE_SECTION_INJECT_OUTPUT_
                     : [slots] "r"(slots), [id_at] "r"(id_at), [cs] "r"(cs_at),
                       [item] "r"(item)
                     : "memory");
    return done;
}

#endif
