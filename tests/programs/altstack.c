/* SPDX-License-Identifier: MIT */
/*
 * Allocation in signal handlers: one on the thread's own stack, one on an alternate stack. The
 * signals are raised, not sent, so the handlers run at points where malloc may be called. The
 * alternate stack lies below the thread's stack in memory or above it, as the kernel places it: a
 * step from it to the interrupted frame may go either way.
 */
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "programs.h"

#define ROUNDS      2000
#define STACK_BYTES (64u << 10)

static char *alternate;
static int outside_count;

static OWN_FRAME void allocate(size_t size)
{
    void *block = malloc(size);
    KEEP(block);
    free(block);
}

static OWN_FRAME void on_alternate(int signal_number)
{
    char *here = __builtin_frame_address(0);
    outside_count += here < alternate || here >= alternate + STACK_BYTES;
    allocate(3001);
    KEEP(&signal_number);
}

static OWN_FRAME void on_own_stack(int signal_number)
{
    char *here = __builtin_frame_address(0);
    outside_count += here >= alternate && here < alternate + STACK_BYTES;
    allocate(3002);
    KEEP(&signal_number);
}

static OWN_FRAME void interrupted(int signal_number)
{
    CHECK(raise(signal_number) == 0);
    allocate(3003);
    KEEP(&signal_number);
}

int main(void)
{
    alternate = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(alternate != MAP_FAILED);
    stack_t stack = {.ss_sp = alternate, .ss_size = STACK_BYTES};
    CHECK(sigaltstack(&stack, NULL) == 0);
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_alternate;
    action.sa_flags = SA_ONSTACK;
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    action.sa_handler = on_own_stack;
    action.sa_flags = 0;
    CHECK(sigaction(SIGUSR2, &action, NULL) == 0);
    for (int i = 0; i < ROUNDS; i++) {
        interrupted(SIGUSR1);
        interrupted(SIGUSR2);
    }
    CHECK(outside_count == 0);
    SAY("{\"paths\": [{\"size\": 3001, \"through\": \"on_alternate\", \"count\": %d}, "
        "{\"size\": 3002, \"through\": \"on_own_stack\", \"count\": %d}, "
        "{\"size\": 3003, \"through\": \"interrupted\", \"count\": %d}]}\n",
        ROUNDS, ROUNDS, 2 * ROUNDS);
    return 0;
}
