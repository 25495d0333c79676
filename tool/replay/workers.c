/* SPDX-License-Identifier: MIT */
#include "transfer.h"
#include "workers.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORKER   "replay-worker"
#define IMAGE_FD 3

int workers_find(char *ret_path, size_t size)
{
    char self[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    if (length <= 0)
        return -ENOENT;
    self[length] = '\0';
    *strrchr(self, '/') = '\0';
    static const char *const beside[] = {
        "replay/" WORKER, "../" POOLWISE_LIBEXECDIR "/poolwise/" WORKER,
        "../libexec/poolwise/" WORKER, "../../tool/replay/" WORKER};
    for (size_t i = 0; i < sizeof beside / sizeof *beside; i++)
        if (snprintf(ret_path, size, "%s/%s", self, beside[i]) < (int)size &&
            !access(ret_path, X_OK))
            return 0;
    return -ENOENT;
}

/* In the child: never returns. */
static void child_exec(const char *path, const char *preload, int image_fd, int ask, int answer)
{
    char number[16];
    /* Out of the way of the places they go to. */
    int moved[3] = {fcntl(ask, F_DUPFD, 10), fcntl(answer, F_DUPFD, 10),
                    fcntl(image_fd, F_DUPFD, 10)};
    if (moved[0] < 0 || moved[1] < 0 || moved[2] < 0 || dup2(moved[0], STDIN_FILENO) < 0 ||
        dup2(moved[1], STDOUT_FILENO) < 0 || dup2(moved[2], IMAGE_FD) < 0)
        _exit(126);
    int null = open("/dev/null", O_WRONLY);
    if (null >= 0)
        dup2(null, STDERR_FILENO); /* a loader's complaint; what matters is that no answer comes */
    for (int i = 0; i < 3; i++)
        close(moved[i]);
    if (preload)
        setenv("LD_PRELOAD", preload, 1);
    else
        unsetenv("LD_PRELOAD");
    unsetenv("PWISE_DEBUG"); /* prices are a release's */
    signal(SIGPIPE, SIG_DFL);
    snprintf(number, sizeof number, "%d", IMAGE_FD);
    execl(path, path, number, (char *)NULL);
    _exit(127);
}

int worker_start(const char *path, const char *preload, int image_fd, struct worker *ret_worker)
{
    int ask[2], answer[2];
    if (pipe2(ask, O_CLOEXEC))
        return -errno;
    if (pipe2(answer, O_CLOEXEC)) {
        int error = errno;
        close(ask[0]);
        close(ask[1]);
        return -error;
    }
    pid_t pid = fork();
    if (!pid)
        child_exec(path, preload, image_fd, ask[0], answer[1]);
    int error = errno;
    close(ask[0]);
    close(answer[1]);
    if (pid < 0) {
        close(ask[1]);
        close(answer[0]);
        return -error;
    }
    *ret_worker = (struct worker){pid, ask[1], answer[0]};
    return 0;
}

int worker_ask(struct worker *worker, const struct image_request *request,
               struct image_result *ret_result)
{
    struct image_request asked = *request;
    return transfer(true, worker->ask, &asked, sizeof asked) &&
                   transfer(false, worker->answer, ret_result, sizeof *ret_result)
               ? 0
               : -EPIPE;
}

void worker_stop(struct worker *worker)
{
    close(worker->ask);
    close(worker->answer);
    kill(worker->pid, SIGKILL);
    while (waitpid(worker->pid, NULL, 0) < 0 && errno == EINTR)
        ;
}
