/* SPDX-License-Identifier: MIT */
/*
 * The sections for AArch64 (little-endian); rseq.h says what they do. Plain asm with labels inside
 * that restart it, as in rseq_x86_64.h.
 */
#pragma once

/* Labels: 1 start, 2 after the commit, 3 descriptor, 4 abort handler, 5 entry. The word before the
 * abort handler is the signature that the C library registered, a brk instruction. */
#define SECTION_TABLES                                                                             \
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

#define SECTION_ARM(scratch)                                                                       \
    "adrp %" scratch ", 3b\n\t"                                                                    \
    "add %" scratch ", %" scratch ", :lo12:3b\n\t"                                                 \
    "str %" scratch ", [%[cs]]\n\t"                                                                \
    "1:\n\t"

#define SECTION_BEGIN(setup, scratch) SECTION_TABLES "5:\n\t" setup SECTION_ARM(scratch)

#ifdef PWISE_INJECT
#define SECTION_INJECT(point)                                                                      \
    "adrp %[spin], inject_spins\n\t"                                                               \
    "add %[spin], %[spin], :lo12:inject_spins\n\t"                                                 \
    "ldr %w[spin], [%[spin], #4*" #point "]\n\t"                                                   \
    "b 92f\n\t"                                                                                    \
    "91: sub %w[spin], %w[spin], #1\n\t"                                                           \
    "92: cbnz %w[spin], 91b\n\t"
#define SECTION_INJECT_OUTPUT , [spin] "=&r"(spin)
#define SECTION_INJECT_SCRATCH uint64_t spin;
#else
#define SECTION_INJECT(point)
#define SECTION_INJECT_OUTPUT
#define SECTION_INJECT_SCRATCH
#endif

static inline char *section_thread_pointer(void)
{
    char *pointer;
    __asm__("mrs %0, tpidr_el0" : "=r"(pointer));
    return pointer;
}

static inline int32_t section_id(void)
{
    return *(volatile int32_t *)(section_thread_pointer() + rseq_id_offset);
}

static inline __attribute__((always_inline)) bool section_pop(struct slot *slots, void **ret_item)
{
    void *item;
    uint64_t index, magazine, word;
    char *area = section_thread_pointer();
    SECTION_INJECT_SCRATCH
    __asm__ volatile(SECTION_BEGIN("mov %[item], xzr\n\t", "[index]")
                     "ldrsw %[index], [%[id_at]]\n\t"
                     SECTION_INJECT(0)
                     "add %[index], %[slots], %[index], lsl #6\n\t"
                     "ldr %[magazine], [%[index]]\n\t"
                     SECTION_INJECT(1)
                     "ldr %[word], [%[magazine]]\n\t"
                     "ands %[index], %[word], #0xffff\n\t"
                     "b.eq 2f\n\t"
                     "add %[index], %[magazine], %[index], lsl #3\n\t"
                     "ldr %[item], [%[index], #32]\n\t"
                     "add %[word], %[word], #16, lsl #12\n\t"
                     "sub %[word], %[word], #1\n\t"
                     SECTION_INJECT(2)
                     "str %[word], [%[magazine]]\n\t" /* commit */
                     "2:\n\t"
                     : [item] "=&r"(item), [index] "=&r"(index), [magazine] "=&r"(magazine),
                       [word] "=&r"(word) SECTION_INJECT_OUTPUT
                     : [slots] "r"(slots), [id_at] "r"(area + rseq_id_offset),
                       [cs] "r"(area + rseq_cs_offset)
                     : "memory", "cc");
    *ret_item = item;
    return item != NULL;
}

static inline __attribute__((always_inline)) bool section_push(struct slot *slots, void *item)
{
    uint64_t index, magazine, word, done;
    char *area = section_thread_pointer();
    SECTION_INJECT_SCRATCH
    __asm__ volatile(SECTION_BEGIN("mov %[done], xzr\n\t", "[index]")
                     "ldrsw %[index], [%[id_at]]\n\t"
                     SECTION_INJECT(0)
                     "add %[index], %[slots], %[index], lsl #6\n\t"
                     "ldr %[magazine], [%[index]]\n\t"
                     SECTION_INJECT(1)
                     "ldr %w[done], [%[magazine], #8]\n\t"
                     "ldr %[word], [%[magazine]]\n\t"
                     "and %[index], %[word], #0xffff\n\t"
                     "cmp %[index], %[done]\n\t"
                     "mov %[done], xzr\n\t"
                     "b.hs 6f\n\t"
                     "add %[index], %[magazine], %[index], lsl #3\n\t"
                     "str %[item], [%[index], #40]\n\t"
                     "add %[word], %[word], #1\n\t"
                     SECTION_INJECT(2)
                     "str %[word], [%[magazine]]\n\t" /* commit */
                     "2: mov %[done], #1\n\t"
                     "6:\n\t"
                     : [done] "=&r"(done), [index] "=&r"(index), [magazine] "=&r"(magazine),
                       [word] "=&r"(word) SECTION_INJECT_OUTPUT
                     : [slots] "r"(slots), [id_at] "r"(area + rseq_id_offset),
                       [cs] "r"(area + rseq_cs_offset), [item] "r"(item)
                     : "memory", "cc");
    return done;
}

/* The store-exclusive commits only where it succeeds; where it fails, the section is over without a
 * commit and starts again. */
static inline struct magazine *section_take(struct slot *slots, struct slot **ret_slot)
{
    struct magazine *magazine;
    struct slot *slot;
    uint64_t failed;
    char *area = section_thread_pointer();
    SECTION_INJECT_SCRATCH
    __asm__ volatile(SECTION_BEGIN("", "[slot]")
                     "ldrsw %[slot], [%[id_at]]\n\t"
                     SECTION_INJECT(0)
                     "add %[slot], %[slots], %[slot], lsl #6\n\t"
                     SECTION_INJECT(3)
                     "ldaxr %[magazine], [%[slot]]\n\t"
                     "stlxr %w[failed], %[empty], [%[slot]]\n\t" /* commit */
                     "2: cbnz %w[failed], 5b\n\t"
                     : [magazine] "=&r"(magazine), [slot] "=&r"(slot),
                       [failed] "=&r"(failed) SECTION_INJECT_OUTPUT
                     : [slots] "r"(slots), [id_at] "r"(area + rseq_id_offset),
                       [cs] "r"(area + rseq_cs_offset),
                       [empty] "r"(MAGAZINE_EMPTY)
                     : "memory", "cc");
    *ret_slot = slot;
    return magazine;
}

/* Stays in a section for up to `spins` turns; whether it was aborted. */
static inline bool section_spin(uint64_t spins)
{
    uint64_t scratch, aborted;
    __asm__ volatile(SECTION_TABLES
                     "mov %[aborted], xzr\n\t"
                     SECTION_ARM("[scratch]")
                     "subs %[spins], %[spins], #1\n\t"
                     "b.ne 1b\n\t"
                     "2: b 6f\n\t"
                     "5: mov %[aborted], #1\n\t"
                     "6:\n\t"
                     : [aborted] "=&r"(aborted), [scratch] "=&r"(scratch), [spins] "+&r"(spins)
                     : [cs] "r"(section_thread_pointer() + rseq_cs_offset)
                     : "memory", "cc");
    return aborted;
}
