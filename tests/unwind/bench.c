/* SPDX-License-Identifier: MIT */
/*
 * Prints what the unwinder costs: a rule found in the table, a step up, both together as a walk
 * does them, and a rule compiled. The least of several runs each, in nanoseconds. Not a test.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "modules.h"
#include "unwind.h"

#define RUNS  9
#define DEPTH 24
#define PCS   2048

#if defined(__clang__)
#define NOINLINE __attribute__((noinline))
#else
#define NOINLINE __attribute__((noipa))
#endif

static volatile uint64_t sink;
static uint64_t pcs[PCS];
static const void *header;
static uint64_t start, end;

static double now_ns(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static double find_all(unsigned count, unsigned rounds)
{
    double least = 1e18;

    for (int run = 0; run < RUNS; run++) {
        double from = now_ns();
        for (unsigned round = 0; round < rounds; round++) {
            for (unsigned i = 0; i < count; i++) {
                struct unwind_rule scratch;
                sink = (uint64_t)unwind_rule_find(pcs[i], false, &scratch)->cfa_offset;
            }
        }
        double taken = (now_ns() - from) / ((double)count * rounds);
        least = taken < least ? taken : least;
    }
    return least;
}

static double compile_all(void)
{
    double least = 1e18;

    for (int run = 0; run < RUNS; run++) {
        double from = now_ns();
        for (unsigned i = 0; i < PCS; i++) {
            struct unwind_rule rule;
            unwind_rule_compile(pcs[i], false, header, start, end, &rule);
            sink = (uint64_t)rule.cfa_offset;
        }
        double taken = (now_ns() - from) / PCS;
        least = taken < least ? taken : least;
    }
    return least;
}

static double walk_ns, step_ns;
static unsigned walk_frames;

NOINLINE static void measure_walk(void)
{
    static struct unwind_rule rules[DEPTH * 4];
    struct unwind_frame first = {0};

    unwind_here(&first);
    walk_ns = step_ns = 1e18;
    for (int run = 0; run < RUNS; run++) {
        double from = now_ns();
        for (int round = 0; round < 2000; round++) {
            struct unwind_frame frame = first;
            struct unwind_rule scratch;
            walk_frames = 0;
            while (unwind_step(&frame, unwind_rule_find(frame.pc, frame.exact_pc, &scratch)) ==
                   UNWIND_STEP) {
                walk_frames++;
            }
        }
        double taken = (now_ns() - from) / 2000 / walk_frames;
        walk_ns = taken < walk_ns ? taken : walk_ns;
    }
    struct unwind_frame frame = first;
    for (unsigned i = 0; i < walk_frames; i++) {
        unwind_rule_find(frame.pc, frame.exact_pc, &rules[i]);
        unwind_step(&frame, &rules[i]);
    }
    for (int run = 0; run < RUNS; run++) {
        double from = now_ns();
        for (int round = 0; round < 2000; round++) {
            frame = first;
            for (unsigned i = 0; i < walk_frames; i++) {
                unwind_step(&frame, &rules[i]);
            }
        }
        double taken = (now_ns() - from) / 2000 / walk_frames;
        step_ns = taken < step_ns ? taken : step_ns;
    }
}

NOINLINE static uint64_t descend(unsigned depth, uint64_t a, uint64_t b, uint64_t c)
{
    if (depth == 0) {
        measure_walk();
        return a;
    }
    uint64_t got = descend(depth - 1, b + depth, c ^ a, a + b);
    sink = got; /* or the compiler makes a loop of it */
    return got + a * b + c + depth;
}

int main(void)
{
    uint32_t count;

    modules_read();
    if (modules_find((uint64_t)qsort, &header, &start, &end) < 0 || !header ||
        unwind_init(modules_find, 16384) != 0) {
        fprintf(stderr, "no unwind data\n");
        return 1;
    }
    memcpy(&count, (const char *)header + 8, 4);
    for (unsigned i = 0; i < PCS; i++) {
        int32_t first;
        memcpy(&first, (const char *)header + 12 + (size_t)(i * 1117u % count) * 8, 4);
        pcs[i] = (uint64_t)header + (uint64_t)(int64_t)first + 9;
    }
    sink = descend(DEPTH, 1, 2, 3);
    printf("find, 16 addresses:   %6.1f ns\n", find_all(16, 20000));
    printf("find, %u addresses: %6.1f ns\n", PCS, find_all(PCS, 200));
    printf("step:                 %6.1f ns\n", step_ns);
    printf("find and step:        %6.1f ns a frame, %u frames\n", walk_ns, walk_frames);
    printf("compile:              %6.0f ns\n", compile_all());
    return 0;
}
