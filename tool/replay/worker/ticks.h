/* SPDX-License-Identifier: MIT */
/* The machine's counter around one call: what came before is done when it begins, the call when it ends. */
#pragma once

#include <stdint.h>

#if defined __x86_64__
#include <x86intrin.h>

static inline uint64_t ticks_begin(void)
{
    _mm_lfence();
    return __rdtsc();
}

static inline uint64_t ticks_end(void)
{
    unsigned processor;
    uint64_t ticks = __rdtscp(&processor);
    return ticks;
}
#elif defined __aarch64__
static inline uint64_t ticks_begin(void)
{
    uint64_t ticks;
    __asm__ volatile("isb\n\tmrs %0, cntvct_el0" : "=r"(ticks)::"memory");
    return ticks;
}

static inline uint64_t ticks_end(void)
{
    return ticks_begin();
}
#else
#include <time.h>

static inline uint64_t ticks_begin(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static inline uint64_t ticks_end(void)
{
    return ticks_begin();
}
#endif
