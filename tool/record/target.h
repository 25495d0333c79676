/* SPDX-License-Identifier: MIT */
/* Whether a command can be recorded, found out before it is started. */
#pragma once

#include <limits.h>
#include <stddef.h>

struct target {
    char path[PATH_MAX];        /* what would be executed, by PATH as execvp does */
    char interpreted_by[PATH_MAX]; /* a script's interpreter; "" for a binary */
};

/* 0; or -errno with *message (message_size bytes) saying in one line what is wrong and the way out:
 * -ENOENT no such command, -EACCES not executable, -EPERM setuid, setgid or file capabilities (the dynamic
 * linker ignores LD_PRELOAD there), -ENOEXEC static, of another machine, or no program. */
int target_check(const char *command, struct target *ret_target, char *message, size_t message_size);

/* A library of ours to preload: beside the running program in a build tree, in the folder of its room, else where it was
 * installed. 0, or -ENOENT with a line in message. */
int target_preload_find(const char *room, const char *name, char *ret_path, size_t size, char *message, size_t message_size);
