/* SPDX-License-Identifier: MIT */
/* The advice that a trial starts from, made by another process of ours. */
#pragma once

#include <stddef.h>

#include "command.h"
#include "trial.h"

struct try_advice {
    const struct command_globals *globals;
    const struct trial_command *command;
    const char *const *wrappers; /* of --wrapper */
    size_t wrapper_count;
};

/* Runs poolwise advise on the command, or on a trace where that is not NULL, and has it write its document to
 * `fd`. By another process, because what a process has resident when it forks counts as the peak of what
 * it starts. 0, or an exit status: what was wrong was said. */
int try_advice_make(const struct try_advice *wanted, int fd, const char *trace);
