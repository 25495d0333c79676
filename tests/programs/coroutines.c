/* SPDX-License-Identifier: MIT */
/*
 * Stacks that are not the thread's own. Coroutines run in waves: each wave's stacks are mapped, run
 * in turns with an allocation per turn, and unmapped; the next wave's lie at the same addresses and
 * run the other of two functions. Within a wave turns alternate, so consecutive events of the
 * thread lie on different stacks.
 */
#include <sys/mman.h>
#include <ucontext.h>

#include "programs.h"

#define WAVES       40
#define COROUTINES  25
#define TURNS       20
#define STACK_BYTES (64u << 10)

static ucontext_t scheduler, coroutines[COROUTINES];
static char *stacks[COROUTINES], *earlier_stack;
static int current, reused_count;

static OWN_FRAME void turn(size_t size)
{
    void *block = malloc(size);
    KEEP(block);
    swapcontext(&coroutines[current], &scheduler);
    free(block);
}

static OWN_FRAME void even_wave(void)
{
    for (int i = 0; i < TURNS; i++)
        turn(2001);
}

static OWN_FRAME void odd_wave(void)
{
    for (int i = 0; i < TURNS; i++)
        turn(2002);
}

static void make_coroutine(ucontext_t *coroutine, char **stack, void (*body)(void))
{
    /* At the address of the wave before, if the kernel will have it. */
    *stack = mmap(*stack, STACK_BYTES, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    CHECK(*stack != MAP_FAILED);
    CHECK(getcontext(coroutine) == 0);
    coroutine->uc_stack.ss_sp = *stack;
    coroutine->uc_stack.ss_size = STACK_BYTES;
    coroutine->uc_link = &scheduler;
    makecontext(coroutine, body, 0);
}

static void run_wave(void (*body)(void))
{
    for (int i = 0; i < COROUTINES; i++)
        make_coroutine(&coroutines[i], &stacks[i], body);
    reused_count += stacks[0] == earlier_stack;
    earlier_stack = stacks[0];
    /* One more turn than allocations, in which the body ends. */
    for (int round = 0; round <= TURNS; round++)
        for (current = 0; current < COROUTINES; current++)
            CHECK(swapcontext(&scheduler, &coroutines[current]) == 0);
    for (int i = 0; i < COROUTINES; i++)
        CHECK(munmap(stacks[i], STACK_BYTES) == 0);
}

int main(void)
{
    for (int wave = 0; wave < WAVES; wave++)
        run_wave(wave % 2 == 0 ? even_wave : odd_wave);
    CHECK(reused_count > WAVES / 2);
    int each = WAVES / 2 * COROUTINES * TURNS;
    SAY("{\"paths\": [{\"size\": 2001, \"through\": \"even_wave\", \"count\": %d}, "
        "{\"size\": 2002, \"through\": \"odd_wave\", \"count\": %d}]}\n",
        each, each);
    return 0;
}
