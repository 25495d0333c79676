/* SPDX-License-Identifier: MIT */
/* A program that is a server: when it accepts, and the load that is put on it. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/* Whether the process, or one that it started, has a listening socket (TCP or Unix). */
bool server_listens(pid_t pid);

/* Runs a shell command with standard input and output as given (-1: nothing), waits for it, and returns its status as
 * from waitpid; -errno when it could not be started. Interruptible: ends it early once process_interrupted. */
int server_shell(const char *command, int input, int output, bool interruptible);
