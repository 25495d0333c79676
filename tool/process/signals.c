/* SPDX-License-Identifier: MIT */
#include "process.h"

#include <stddef.h>

static volatile sig_atomic_t interrupted; /* written by the handler alone, once it is in place */

static void on_signal(int number)
{
    interrupted = number;
}

void process_signals_catch(struct process_signals *ret_before)
{
    const struct sigaction action = {.sa_handler = on_signal};
    interrupted = 0;
    sigaction(SIGINT, &action, ret_before ? &ret_before->on_int : NULL);
    sigaction(SIGTERM, &action, ret_before ? &ret_before->on_term : NULL);
}

void process_signals_restore(const struct process_signals *before)
{
    sigaction(SIGINT, &before->on_int, NULL);
    sigaction(SIGTERM, &before->on_term, NULL);
}

int process_interrupted(void)
{
    return interrupted;
}
