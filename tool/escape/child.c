/* SPDX-License-Identifier: MIT */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

int child_find(const char *name, char *ret_path, size_t size)
{
    if (strchr(name, '/')) {
        snprintf(ret_path, size, "%s", name);
        return access(name, X_OK) ? -ENOENT : 0;
    }
    const char *path = getenv("PATH");
    for (path = path ? path : "/usr/bin:/bin"; *path;) {
        size_t length = strcspn(path, ":");
        int used = snprintf(ret_path, size, "%.*s/%s", (int)length, path, name);
        if (length && used > 0 && (size_t)used < size && !access(ret_path, X_OK))
            return 0;
        path += length + (path[length] == ':');
    }
    return -ENOENT;
}

static int wait_for(pid_t child)
{
    int status;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int child_run(const char *const *command, const char *directory, const char *log)
{
    posix_spawn_file_actions_t actions;
    pid_t child;
    int status = posix_spawn_file_actions_init(&actions);
    if (status)
        return -status;
    status = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    if (!status)
        status =
            posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (!status)
        status = posix_spawn_file_actions_adddup2(&actions, 1, 2);
    if (!status && directory)
        status = posix_spawn_file_actions_addchdir_np(&actions, directory);
    if (!status)
        status = posix_spawnp(&child, command[0], &actions, NULL, (char *const *)(uintptr_t)command,
                              environ);
    posix_spawn_file_actions_destroy(&actions);
    return status ? -status : wait_for(child);
}

int child_read(const char *const *command, char **ret_output)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC))
        return -errno;
    posix_spawn_file_actions_t actions;
    pid_t child;
    int status = posix_spawn_file_actions_init(&actions);
    if (!status) {
        status = posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
        if (!status)
            status = posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
        if (!status)
            status = posix_spawnp(&child, command[0], &actions, NULL,
                                  (char *const *)(uintptr_t)command, environ);
        posix_spawn_file_actions_destroy(&actions);
    }
    close(ends[1]);
    char *output = NULL;
    size_t size = 0;
    FILE *text = status ? NULL : open_memstream(&output, &size);
    char buffer[4096];
    ssize_t got;
    while (!status &&
           ((got = read(ends[0], buffer, sizeof buffer)) > 0 || (got < 0 && errno == EINTR)))
        if (got > 0 && text)
            fwrite(buffer, 1, (size_t)got, text);
    close(ends[0]);
    if (status)
        return -status;
    status = wait_for(child);
    if (!text || fclose(text) || status) {
        free(output);
        return text ? -EIO : -ENOMEM;
    }
    *ret_output = output;
    return 0;
}
