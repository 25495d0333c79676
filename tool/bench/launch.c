/* SPDX-License-Identifier: MIT */
#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "process.h"

#define STEP_NS 200000000u

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

struct streams {
    const struct launch *launch;
    int output, errors; /* the ends that the program writes to */
};

/* In the child. */
static int prepare(void *context)
{
    const struct streams *streams = context;
    const struct launch *launch = streams->launch;
    for (const char *const *entry = launch->environment; entry && *entry; entry++)
        putenv((char *)(size_t)*entry);
    if (launch->preload)
        setenv("LD_PRELOAD", launch->preload, 1);
    else
        unsetenv("LD_PRELOAD");
    int null = open("/dev/null", O_RDONLY);
    if ((launch->folder && chdir(launch->folder)) || dup2(null, STDIN_FILENO) < 0 ||
        dup2(streams->output, STDOUT_FILENO) < 0 || dup2(streams->errors, STDERR_FILENO) < 0)
        return -errno;
    return 0;
}

/* Reads both until both end. */
static int drain(int out, int err, struct text texts[2], uint64_t until_ns)
{
    struct pollfd polled[2] = {{.fd = out, .events = POLLIN}, {.fd = err, .events = POLLIN}};
    while (polled[0].fd >= 0 || polled[1].fd >= 0) {
        uint64_t now_ns = process_now_ns();
        if (process_interrupted())
            return -ECANCELED;
        if (now_ns >= until_ns)
            return -ETIMEDOUT;
        /* In steps: a signal that comes before the poll does not end it. */
        uint64_t left_ns = until_ns - now_ns < STEP_NS ? until_ns - now_ns : STEP_NS;
        int ready = poll(polled, 2, (int)(left_ns / 1000000) + 1);
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
    struct streams streams = {launch, out[1], err[1]};
    const struct process_start program = {
        .command = launch->command, .prepare = prepare, .context = &streams};
    struct process process;
    int unstarted = process_start(&program, &process);
    close(out[1]);
    close(err[1]);
    struct text texts[2] = {{0}, {0}};
    int status = unstarted ? -ECHILD
                           : drain(out[0], err[0], texts,
                                   process_now_ns() + launch->timeout_s * UINT64_C(1000000000));
    close(out[0]);
    close(err[0]);
    if (unstarted) {
        snprintf(message, message_size, "%s: %s", launch->command[0], strerror(-unstarted));
    } else {
        if (status)
            kill(process.pid, SIGKILL);
        process_wait(&process);
        if (!status && process.status)
            status = -ECHILD;
        if (status == -ECHILD && WIFSIGNALED(process.status))
            snprintf(message, message_size, "killed by signal %d (%s)", WTERMSIG(process.status),
                     strsignal(WTERMSIG(process.status)));
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
