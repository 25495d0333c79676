/* SPDX-License-Identifier: MIT */
#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STEP_S 0.2

struct text {
    char *data;
    size_t length, room;
};

static int text_read(struct text *text, int fd)
{
    if (text->length + 4096 > text->room) {
        size_t room = text->room ? text->room * 2 : 8192;
        char *data = realloc(text->data, room);
        if (!data)
            return -ENOMEM;
        text->data = data;
        text->room = room;
    }
    ssize_t got = read(fd, text->data + text->length, 4095);
    if (got > 0)
        text->length += (size_t)got;
    text->data[text->length] = '\0';
    return got < 0 ? -errno : (int)got;
}

/* In the child: never returns. */
static void child_exec(const struct launch *launch, int out, int err)
{
    for (const char *const *entry = launch->environment; entry && *entry; entry++)
        putenv((char *)(size_t)*entry);
    if (launch->preload)
        setenv("LD_PRELOAD", launch->preload, 1);
    else
        unsetenv("LD_PRELOAD");
    int null = open("/dev/null", O_RDONLY);
    if ((launch->folder && chdir(launch->folder)) || dup2(null, 0) < 0 || dup2(out, 1) < 0 ||
        dup2(err, 2) < 0)
        _exit(126);
    signal(SIGPIPE, SIG_DFL);
    execvp(launch->command[0], launch->command);
    dprintf(2, "%s: %s\n", launch->command[0], strerror(errno));
    _exit(127);
}

static volatile sig_atomic_t interrupted; /* written by whoever handles a signal, read by drain */

void launch_interrupt(void)
{
    interrupted = 1;
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Reads both until both end. */
static int drain(int out, int err, struct text texts[2], double deadline)
{
    struct pollfd polled[2] = {{.fd = out, .events = POLLIN}, {.fd = err, .events = POLLIN}};
    while (polled[0].fd >= 0 || polled[1].fd >= 0) {
        double left = deadline - seconds();
        if (interrupted)
            return -ECANCELED;
        if (left <= 0)
            return -ETIMEDOUT;
        /* In steps: a signal that comes before the poll does not end it. */
        int ready = poll(polled, 2, left > STEP_S ? (int)(STEP_S * 1000) : (int)(left * 1000) + 1);
        if (ready < 0 && errno != EINTR)
            return -errno;
        if (ready <= 0)
            continue;
        for (int i = 0; i < 2; i++) {
            if (!polled[i].revents)
                continue;
            int got = text_read(&texts[i], polled[i].fd);
            if (got < 0)
                return got;
            if (!got)
                polled[i].fd = -1;
        }
    }
    return 0;
}

int launch_run(const struct launch *launch, char **ret_output, char *message, size_t message_size)
{
    int out[2], err[2];
    message[0] = '\0';
    if (pipe2(out, O_CLOEXEC))
        return -errno;
    if (pipe2(err, O_CLOEXEC)) {
        int status = -errno;
        close(out[0]);
        close(out[1]);
        return status;
    }
    pid_t child = fork();
    if (!child)
        child_exec(launch, out[1], err[1]);
    close(out[1]);
    close(err[1]);
    struct text texts[2] = {{0}, {0}};
    int status = child < 0 ? -EAGAIN : drain(out[0], err[0], texts, seconds() + launch->timeout_s);
    close(out[0]);
    close(err[0]);
    if (child > 0) {
        int exited;
        if (status)
            kill(child, SIGKILL);
        while (waitpid(child, &exited, 0) < 0 && errno == EINTR)
            ;
        if (!status && exited)
            status = -ECHILD;
        if (status == -ECHILD && WIFSIGNALED(exited))
            snprintf(message, message_size, "killed by signal %d (%s)", WTERMSIG(exited),
                     strsignal(WTERMSIG(exited)));
    }
    if (status == -ETIMEDOUT)
        snprintf(message, message_size, "took more than %u s", launch->timeout_s);
    if (status && !message[0])
        snprintf(message, message_size, "%.*s",
                 texts[1].data ? (int)strcspn(texts[1].data, "\n") : 0,
                 texts[1].data ? texts[1].data : "");
    if (status && !message[0])
        snprintf(message, message_size, "%s", strerror(-status));
    free(texts[1].data);
    if (status) {
        free(texts[0].data);
        return status;
    }
    *ret_output = texts[0].data;
    return texts[0].data ? 0 : -ENODATA;
}

int launch_parse(const char *text, struct launch_line *ret_line)
{
    struct launch_line line = {0};
    char *end;
    line.iterations = strtod(text, &end);
    if (end == text)
        return -EINVAL;
    while (line.count < LAUNCH_METRICS) {
        text = end + strspn(end, " \t");
        if (!*text || *text == '\n')
            break;
        line.values[line.count] = strtod(text, &end);
        size_t gap = strspn(end, " \t");
        size_t length = strcspn(end + gap, " \t\n");
        if (end == text || !gap || !length || length >= LAUNCH_UNIT)
            return -EINVAL;
        memcpy(line.units[line.count], end + gap, length);
        end += gap + length;
        line.count++;
    }
    if (!line.count)
        return -EINVAL;
    *ret_line = line;
    return 0;
}
