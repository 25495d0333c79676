/* SPDX-License-Identifier: MIT */
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

uint64_t process_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* In the child: never returns. */
static void child_exec(const struct process_start *start, int error_fd)
{
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGPIPE, SIG_DFL);
    int error = start->prepare ? -start->prepare(start->context) : 0;
    if (!error) {
        execvp(start->command[0], start->command);
        error = errno;
    }
    if (write(error_fd, &error, sizeof error) < 0)
        _exit(126);
    _exit(127);
}

int process_start(const struct process_start *start, struct process *ret_process)
{
    int pipe_fds[2];
    if (pipe2(pipe_fds, O_CLOEXEC))
        return -errno;
    struct process process = {.start_ns = process_now_ns()};
    process.pid = fork();
    if (!process.pid)
        child_exec(start, pipe_fds[1]);
    int error = process.pid < 0 ? errno : 0;
    close(pipe_fds[1]);
    /* Exec closes the other end without a word. */
    ssize_t got = 0;
    while (!error && (got = read(pipe_fds[0], &error, sizeof error)) < 0 && errno == EINTR)
        ;
    close(pipe_fds[0]);
    if (!error) {
        *ret_process = process;
        return 0;
    }
    if (process.pid > 0)
        process_wait(&process);
    return -error;
}
