/* SPDX-License-Identifier: MIT */
/*
 * The sections for AArch64 (little-endian); rseq.h says what they do. Plain asm with labels inside
 * that restart it, as in rseq_x86_64.h.
 */
#pragma once

static inline int32_t section_id(void)
{
    return *(volatile int32_t *)(pwise_thread_pointer_() + rseq_id_offset);
}

/* The store-exclusive commits only where it succeeds; where it fails, the section is over without a
 * commit and starts again. */
static inline struct magazine *section_take(struct slot *slots, struct slot **ret_slot)
{
    struct magazine *magazine;
    struct slot *slot;
    uint64_t failed;
    char *area = pwise_thread_pointer_();
    PWISE_SECTION_INJECT_SCRATCH_
    __asm__ volatile(
        PWISE_SECTION_BEGIN_("", "[slot]") "ldrsw %[slot], [%[id_at]]\n\t" PWISE_SECTION_INJECT_(
            0) "add %[slot], %[slots], %[slot], lsl #6\n\t" PWISE_SECTION_INJECT_(3) "ldaxr "
                                                                                     "%[magazine], "
                                                                                     "[%[slot]]\n\t"
                                                                                     "stlxr "
                                                                                     "%w[failed], "
                                                                                     "%[empty], "
                                                                                     "[%[slot]]\n\t" /* commit */
                                                                                     "2: cbnz "
                                                                                     "%w[failed], "
                                                                                     "5b\n\t"
        : [magazine] "=&r"(magazine), [slot] "=&r"(slot),
          [failed] "=&r"(failed)PWISE_SECTION_INJECT_OUTPUT_
        : [slots] "r"(slots), [id_at] "r"(area + rseq_id_offset), [cs] "r"(area + rseq_cs_offset),
          [empty] "r"(MAGAZINE_EMPTY)
        : "memory", "cc");
    *ret_slot = slot;
    return magazine;
}

/* Stays in a section for up to `spins` turns; whether it was aborted. */
static inline bool section_spin(uint64_t spins)
{
    uint64_t scratch, aborted;
    __asm__ volatile(PWISE_SECTION_TABLES_ "mov %[aborted], xzr\n\t" PWISE_SECTION_ARM_(
                         "[scratch]") "subs %[spins], %[spins], #1\n\t"
                                      "b.ne 1b\n\t"
                                      "2: b 6f\n\t"
                                      "5: mov %[aborted], #1\n\t"
                                      "6:\n\t"
                     : [aborted] "=&r"(aborted), [scratch] "=&r"(scratch), [spins] "+&r"(spins)
                     : [cs] "r"(pwise_thread_pointer_() + rseq_cs_offset)
                     : "memory", "cc");
    return aborted;
}
