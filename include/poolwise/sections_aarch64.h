/* SPDX-License-Identifier: MIT */
/*
 * The restartable sections of a get and a put, for AArch64 (little-endian). Included by
 * <poolwise/sections.h>, which says what they do.
 */
#ifndef POOLWISE_SECTIONS_AARCH64_H
#define POOLWISE_SECTIONS_AARCH64_H

/* Labels: 1 start, 2 after the commit, 3 descriptor, 4 abort handler, 5 entry. The word before the
 * abort handler is the signature that the C library registered, a brk instruction. */
#define PWISE_SECTION_TABLES_                                                                      \
    ".pushsection __rseq_cs, \"aw\"\n\t"                                                           \
    ".balign 32\n\t"                                                                               \
    "3: .long 0, 0\n\t"                                                                            \
    ".quad 1f, (2f - 1f), 4f\n\t"                                                                  \
    ".popsection\n\t"                                                                              \
    ".pushsection __rseq_cs_ptr_array, \"aw\"\n\t"                                                 \
    ".quad 3b\n\t"                                                                                 \
    ".popsection\n\t"                                                                              \
    ".pushsection __rseq_failure, \"ax\"\n\t"                                                      \
    ".inst 0xd428bc00\n\t"                                                                         \
    "4: b 5f\n\t"                                                                                  \
    ".popsection\n\t"

#define PWISE_SECTION_ARM_(scratch)                                                                \
    "adrp %" scratch ", 3b\n\t"                                                                    \
    "add %" scratch ", %" scratch ", :lo12:3b\n\t"                                                 \
    "str %" scratch ", [%[cs]]\n\t"                                                                \
    "1:\n\t"

#define PWISE_SECTION_BEGIN_(setup, scratch)                                                       \
    PWISE_SECTION_TABLES_ "5:\n\t" setup PWISE_SECTION_ARM_(scratch)

#if PWISE_SECTIONS_DISARM_
#define PWISE_SECTION_DISARM_ "str xzr, [%[cs]]\n\t"
#else
#define PWISE_SECTION_DISARM_ ""
#endif

#ifdef PWISE_INJECT
#define PWISE_SECTION_INJECT_(point)                                                               \
    "adrp %[spin], inject_spins\n\t"                                                               \
    "add %[spin], %[spin], :lo12:inject_spins\n\t"                                                 \
    "ldr %w[spin], [%[spin], #4*" #point "]\n\t"                                                   \
    "b 92f\n\t"                                                                                    \
    "91: sub %w[spin], %w[spin], #1\n\t"                                                           \
    "92: cbnz %w[spin], 91b\n\t"
#define PWISE_SECTION_INJECT_OUTPUT_ , [spin] "=&r"(spin)
#define PWISE_SECTION_INJECT_SCRATCH_ uint64_t spin;
#else
#define PWISE_SECTION_INJECT_(point)
#define PWISE_SECTION_INJECT_OUTPUT_
#define PWISE_SECTION_INJECT_SCRATCH_
#endif

static inline char *pwise_thread_pointer_(void)
{
    char *pointer;
    __asm__("mrs %0, tpidr_el0" : "=r"(pointer));
    return pointer;
}

PWISE_SECTION_FUNCTION_ bool
pwise_section_pop_(void *slots, ptrdiff_t id_at, ptrdiff_t cs_at, void **ret_item)
{
    void *item;
    uint64_t index, magazine, word;
    char *area = pwise_thread_pointer_();
    PWISE_SECTION_INJECT_SCRATCH_
    __asm__ volatile(PWISE_SECTION_BEGIN_("mov %[item], xzr\n\t", "[index]")
                     "ldrsw %[index], [%[id_at]]\n\t"
                     PWISE_SECTION_INJECT_(0)
                     "add %[index], %[slots], %[index], lsl #6\n\t"
                     "ldr %[magazine], [%[index]]\n\t"
                     PWISE_SECTION_INJECT_(1)
                     "ldr %[word], [%[magazine]]\n\t"
                     "ands %[index], %[word], #0xffff\n\t"
                     "b.eq 2f\n\t"
                     "add %[index], %[magazine], %[index], lsl #3\n\t"
                     "ldr %[item], [%[index], #32]\n\t"
                     "add %[word], %[word], #16, lsl #12\n\t"
                     "sub %[word], %[word], #1\n\t"
                     PWISE_SECTION_INJECT_(2)
                     "str %[word], [%[magazine]]\n\t" /* commit */
                     "2:\n\t" PWISE_SECTION_DISARM_
                     : [item] "=&r"(item), [index] "=&r"(index), [magazine] "=&r"(magazine),
                       [word] "=&r"(word) PWISE_SECTION_INJECT_OUTPUT_
                     : [slots] "r"(slots), [id_at] "r"(area + id_at), [cs] "r"(area + cs_at)
                     : "memory", "cc");
    *ret_item = item;
    return item != NULL;
}

PWISE_SECTION_FUNCTION_ bool
pwise_section_push_(void *slots, ptrdiff_t id_at, ptrdiff_t cs_at, void *item)
{
    uint64_t index, magazine, word, done;
    char *area = pwise_thread_pointer_();
    PWISE_SECTION_INJECT_SCRATCH_
    __asm__ volatile(PWISE_SECTION_BEGIN_("mov %[done], xzr\n\t", "[index]")
                     "ldrsw %[index], [%[id_at]]\n\t"
                     PWISE_SECTION_INJECT_(0)
                     "add %[index], %[slots], %[index], lsl #6\n\t"
                     "ldr %[magazine], [%[index]]\n\t"
                     PWISE_SECTION_INJECT_(1)
                     "ldr %w[done], [%[magazine], #8]\n\t"
                     "ldr %[word], [%[magazine]]\n\t"
                     "and %[index], %[word], #0xffff\n\t"
                     "cmp %[index], %[done]\n\t"
                     "mov %[done], xzr\n\t"
                     "b.hs 6f\n\t"
                     "add %[index], %[magazine], %[index], lsl #3\n\t"
                     "str %[item], [%[index], #40]\n\t"
                     "add %[word], %[word], #1\n\t"
                     PWISE_SECTION_INJECT_(2)
                     "str %[word], [%[magazine]]\n\t" /* commit */
                     "2: mov %[done], #1\n\t"
                     "6:\n\t" PWISE_SECTION_DISARM_
                     : [done] "=&r"(done), [index] "=&r"(index), [magazine] "=&r"(magazine),
                       [word] "=&r"(word) PWISE_SECTION_INJECT_OUTPUT_
                     : [slots] "r"(slots), [id_at] "r"(area + id_at), [cs] "r"(area + cs_at),
                       [item] "r"(item)
                     : "memory", "cc");
    return done;
}

#endif
