/* SPDX-License-Identifier: MIT */
/*
 * Property: a program that walks its own stack finds the return addresses that backtrace() finds,
 * up to the outermost frame, and every cell a walk names holds what the walk says: through
 * variable-size frames, realigned stacks, the C library's callbacks, signal handlers on both kinds
 * of stack, threads and coroutines; and (x86-64) from every single instruction of a run of calls.
 */
#include <alloca.h>
#include <execinfo.h>
#include <pthread.h>
#include <signal.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"
#include "modules.h"
#include "unwind.h"

#define FRAMES_MAX 128

#if defined(__clang__)
#define NOINLINE __attribute__((noinline))
#else
#define NOINLINE __attribute__((noipa))
#endif

static volatile unsigned sink;
static unsigned walks, walked_frames, signal_frames, dereferences, cut_short;

struct walk {
    uint64_t pcs[FRAMES_MAX];
    int count;
    enum unwind_end end;
};

/* Cells may be overwritten only by functions that return; none does during a walk. */
static void check_cells(const struct unwind_frame *frame, const char *what)
{
    if (frame->slot && *(const uint64_t *)frame->slot != frame->slot_value) {
        printf("%s: slot\n", what);
        CHECK_EQUAL(*(const uint64_t *)frame->slot, frame->slot_value);
    }
    for (int i = 0; i < UNWIND_SAVED; i++) {
        if (frame->saved_at[i] && *(const uint64_t *)frame->saved_at[i] != frame->saved[i]) {
            printf("%s: register %d\n", what, i);
            CHECK_EQUAL(*(const uint64_t *)frame->saved_at[i], frame->saved[i]);
        }
    }
}

NOINLINE static void walk_on(struct unwind_frame *frame, struct walk *ret_walk, const char *what)
{
    struct unwind_rule scratch;

    ret_walk->count = 0;
    while (ret_walk->count < FRAMES_MAX) {
        ret_walk->pcs[ret_walk->count++] = frame->pc;
        const struct unwind_rule *rule = unwind_rule_find(frame->pc, frame->exact_pc, &scratch);
        signal_frames += rule->signal_frame;
        dereferences += rule->cfa == UNWIND_CFA_REGISTER_DEREF;
        ret_walk->end = unwind_step(frame, rule);
        if (ret_walk->end != UNWIND_STEP) {
            break;
        }
        check_cells(frame, what);
    }
}

enum ending {
    END_OUTERMOST,  /* at the outermost frame */
    END_WHERE_SAME, /* where backtrace() ends, for want of unwind data */
    END_EARLIER,    /* or before that: but what was walked must be right */
};

/* Compares from the caller on: our own frame is at another instruction in each. */
NOINLINE static void check_here(const char *what, enum ending ending)
{
    struct unwind_frame frame = {0};
    struct walk walk;
    void *found[FRAMES_MAX];
    void **want = found;

    unwind_here(&frame);
    walk_on(&frame, &walk, what);
    int want_count = backtrace(found, FRAMES_MAX);
    /* The address sanitizer stands before backtrace() and lists a frame of its own. */
    if (walk.count > 1 && want_count > 2 && (uint64_t)found[2] == walk.pcs[1]) {
        want++;
        want_count--;
    }
    walks++;
    walked_frames += (unsigned)walk.count;
    unsigned failed_before = failed_count;
    int count = walk.count;
    if (walk.end == UNWIND_NO_RULE && ending == END_EARLIER && count < want_count) {
        cut_short++;
    } else {
        CHECK_EQUAL(walk.count, want_count);
        CHECK_EQUAL(walk.end, ending == END_WHERE_SAME ? UNWIND_NO_RULE : UNWIND_OUTERMOST);
        count = count < want_count ? count : want_count;
    }
    for (int i = 1; i < count; i++) {
        CHECK_EQUAL(walk.pcs[i], (uint64_t)want[i]);
    }
    if (failed_count != failed_before) {
        printf("in: %s\n", what);
        for (int i = 0; i < walk.count || i < want_count; i++) {
            printf("  %2d %#" PRIx64 " %p\n", i, i < walk.count ? walk.pcs[i] : 0,
                   i < want_count ? want[i] : NULL);
        }
    }
    sink++;
}

static const char *now; /* the scenario being run */

NOINLINE static void leaf(void)
{
    check_here(now, END_OUTERMOST);
    sink++;
}

static void (*volatile next)(void) = leaf;

NOINLINE static void with_variable_frame(size_t bytes)
{
    char *space = alloca(bytes);

    memset(space, (int)bytes, bytes);
    next();
    sink += (unsigned char)space[bytes / 2];
}

NOINLINE static unsigned with_many_arguments(int a, int b, int c, int d, int e, int f, int g, int h,
                                             size_t bytes)
{
    alignas(64) char line[64];
    char *space = alloca(bytes);

    memset(line, a + b + c + d, sizeof line);
    memset(space, e + f, bytes);
    with_variable_frame(bytes * 2);
    return (unsigned)(g + h) + (unsigned char)line[3] + (unsigned char)space[0];
}

NOINLINE static void with_aligned_local(void)
{
    alignas(128) char line[256];

    memset(line, 7, sizeof line);
    with_variable_frame(333);
    sink += (unsigned char)line[sink % 256];
}

NOINLINE static unsigned recurse(unsigned depth, unsigned mixed)
{
    if (depth == 0) {
        next();
        return mixed;
    }
    return recurse(depth - 1, mixed * 31 + depth) + depth;
}

static int compare_and_walk(const void *a, const void *b)
{
    check_here(now, END_OUTERMOST);
    return *(const int *)a - *(const int *)b;
}

static void sort_some(void)
{
    int values[5] = {5, 3, 1, 4, 2};

    qsort(values, 5, sizeof *values, compare_and_walk);
    CHECK_EQUAL(values[4], 5);
}

static void handle(int number)
{
    sink += (unsigned)number;
    next();
}

static void raise_on(bool alternate)
{
    static char stack[1 << 16];
    struct sigaction action = {.sa_handler = handle, .sa_flags = alternate ? SA_ONSTACK : 0};
    stack_t set = {.ss_sp = stack, .ss_size = sizeof stack}, off = {.ss_flags = SS_DISABLE};

    CHECK_EQUAL(sigaltstack(&set, NULL), 0);
    CHECK_EQUAL(sigaction(SIGUSR1, &action, NULL), 0);
    /* To this thread: one to the process may run on another, which counts at the same time. */
    CHECK_EQUAL(syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGUSR1), 0);
    CHECK_EQUAL(raise(SIGUSR1), 0);
    CHECK_EQUAL(sigaltstack(&off, NULL), 0);
}

NOINLINE static void run_scenarios(void)
{
    now = "plain";
    next();
    now = "deep";
    recurse(20, 3);
    now = "variable frame";
    with_variable_frame(100);
    now = "aligned local";
    with_aligned_local();
    now = "many arguments";
    sink += with_many_arguments(1, 2, 3, 4, 5, 6, 7, 8, 77);
    now = "sort";
    sort_some();
    now = "signal";
    raise_on(false);
    now = "signal on a stack of its own";
    raise_on(true);
}

static void *thread(void *argument)
{
    run_scenarios();
    return argument;
}

static ucontext_t outside, inside;

static void coroutine(void)
{
    /* What makecontext() has it return to has no unwind data before it. */
    check_here("coroutine", END_WHERE_SAME);
    swapcontext(&inside, &outside);
}

static void run_coroutine(void)
{
    static char stack[1 << 16];

    getcontext(&inside);
    inside.uc_stack = (stack_t){.ss_sp = stack, .ss_size = sizeof stack};
    inside.uc_link = &outside;
    makecontext(&inside, coroutine, 0);
    swapcontext(&outside, &inside);
}

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__)
#define TRAP_FLAG UINT64_C(0x100)

static unsigned steps;

static void handle_step(int number)
{
    (void)number;
    steps++;
    check_here("step", END_EARLIER);
}

static int compare_values(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

NOINLINE static unsigned long work(const char *text)
{
    int values[40];

    for (int i = 0; i < 40; i++) {
        values[i] = (i * 37) % 40;
    }
    qsort(values, 40, sizeof *values, compare_values);
    return strtoul(text, NULL, 10) + strlen(text) + (unsigned long)values[3];
}

/* The processor traps after every instruction while the flag is set. */
static void step_through(void)
{
    struct sigaction action = {.sa_handler = handle_step};

    CHECK_EQUAL(sigaction(SIGTRAP, &action, NULL), 0);
    __asm__ volatile("lea -128(%%rsp), %%rsp\n\tpushfq\n\torq %0, (%%rsp)\n\tpopfq\n\t"
                     "lea 128(%%rsp), %%rsp" ::"i"(TRAP_FLAG)
                     : "cc", "memory");
    sink += (unsigned)work("1234567");
    next = leaf;
    with_aligned_local();
    sink += with_many_arguments(1, 2, 3, 4, 5, 6, 7, 8, 7);
    __asm__ volatile("lea -128(%%rsp), %%rsp\n\tpushfq\n\tandq %0, (%%rsp)\n\tpopfq\n\t"
                     "lea 128(%%rsp), %%rsp" ::"i"((int)~TRAP_FLAG)
                     : "cc", "memory");
    printf("%u single steps\n", steps);
    CHECK_EQUAL(steps > 1000, true);
    CHECK_EQUAL(cut_short > steps / 100, false);
}
#else
static void step_through(void)
{
}
#endif

int main(void)
{
    pthread_t other;
    void *first[1];

    backtrace(first, 1); /* loads libgcc_s */
    modules_read();
    CHECK_EQUAL(unwind_init(NULL, 16), -22);
    CHECK_EQUAL(unwind_init(modules_find, 0), -22);
    CHECK_EQUAL(unwind_init(modules_find, 4096), 0);
    CHECK_EQUAL(unwind_init(modules_find, 4096), -114);
    run_scenarios();
    CHECK_EQUAL(pthread_create(&other, NULL, thread, NULL), 0);
    pthread_join(other, NULL);
    run_coroutine();
    unwind_forget();
    run_scenarios();
    /* Two signals and their two kinds of stack, three times. */
    CHECK_EQUAL(signal_frames, 12);
    step_through();
    printf("%u walks, %u frames, %u signal frames, %u realigned, %u cut short, %u failures\n",
           walks, walked_frames, signal_frames, dereferences, cut_short, failed_count);
    return failed_count ? 1 : 0;
}
