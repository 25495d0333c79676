/* SPDX-License-Identifier: MIT */
/*
 * The restartable sections of a get and a put; programs use them through <poolwise/pool.h>.
 *
 * In pseudo-code, with `id` read from the thread's rseq area; each is all or nothing: whenever the
 * thread is preempted, migrated or signalled before the commit, it starts over.
 *
 *   pop(slots, &item)                             push(slots, item)
 *       m = slots[id].loaded; w = m->word             m = slots[id].loaded; w = m->word
 *       if count(w) == 0: return false                if count(w) == m->capacity: return false
 *       item = m->items[count(w) - 1]                 m->items[count(w)] = item
 *       m->word = w + get            (commit)         m->word = w + 1              (commit)
 *       return true                                   return true
 *
 * Binary interface of version 0 of the library: a slot is 64 bytes and begins with the address of
 * its loaded magazine; a magazine has its word at byte 0 (count in the low 16 bits, gets above),
 * its capacity (32 bits) at byte 8, its items from byte 40. `id_at` and `cs_at` are the offsets
 * from the thread pointer to the id and to the cell of the armed descriptor.
 *
 * After a section the descriptor stays armed until the kernel next looks at it, which must not happen
 * when the code has been unloaded meanwhile: the kernel would kill the process. So code that could be
 * unloaded, position-independent and not for an executable, disarms it. The library itself defines
 * PWISE_SECTIONS_STAY, as it is never unloaded.
 *
 * Plain asm with labels inside that restart it: asm goto with outputs is miscompiled by gcc up
 * to 12.3 (its bug 113921).
 */
#ifndef POOLWISE_SECTIONS_H
#define POOLWISE_SECTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ThreadSanitizer cannot see what asm stores; it gets the calls, and the library its C11 path. */
#if defined(__SANITIZE_THREAD__)
#define PWISE_HAVE_SECTIONS 0
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define PWISE_HAVE_SECTIONS 0
#endif
#endif

#if defined(__PIC__) && !defined(__PIE__) && !defined(PWISE_SECTIONS_STAY)
#define PWISE_SECTIONS_DISARM_ 1
#else
#define PWISE_SECTIONS_DISARM_ 0
#endif

/* In every function that calls it, and nowhere else. */
#define PWISE_SECTION_FUNCTION_                                                                    \
    extern __inline__ __attribute__((__gnu_inline__, __always_inline__))

#ifndef PWISE_HAVE_SECTIONS
#if defined(__GNUC__) && defined(__linux__) && defined(__x86_64__) && defined(__LP64__)
#define PWISE_HAVE_SECTIONS 1
#include "poolwise/sections_x86_64.h"
#elif defined(__GNUC__) && defined(__linux__) && defined(__aarch64__) && defined(__LP64__) &&      \
    !defined(__AARCH64EB__)
#define PWISE_HAVE_SECTIONS 1
#include "poolwise/sections_aarch64.h"
#else
#define PWISE_HAVE_SECTIONS 0
#endif
#endif

#endif
