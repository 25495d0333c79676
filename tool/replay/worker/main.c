/* SPDX-License-Identifier: MIT */
/*
 * replay-worker FD: replays windows of the schedule in memory file FD. Reads requests from standard input, and
 * answers each on standard output. Each is replayed in a child of its own, whose heap nothing has touched.
 * Which allocator serves is decided by what is preloaded.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "run.h"
#include "transfer.h"

#define RUN_SECONDS 20u

static bool request_is_valid(const struct image *image, const struct image_request *request)
{
    return request->window < image->window_count && request->variant < image->variant_count &&
           image->variant_count <= IMAGE_VARIANTS && request->heap < HEAP_COUNT;
}

static void answer(const struct image *image, const struct image_request *request, struct image_result *shared)
{
    pid_t parent = getpid();
    memset(shared, 0, sizeof *shared);
    shared->status = WORKER_DIED;
    pid_t child = fork();
    if (!child) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
        alarm(RUN_SECONDS);
        shared->status = run_window(image, request, shared) ? WORKER_DONE : WORKER_NO_MEMORY;
        _exit(0);
    }
    int status = 0;
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    if (child < 0)
        shared->status = WORKER_NO_MEMORY;
    else if (WIFSIGNALED(status))
        shared->status = WTERMSIG(status) == SIGALRM ? WORKER_LATE : WORKER_DIED;
}

int main(int argc, char **argv)
{
    struct stat stat;
    int fd = argc == 2 ? atoi(argv[1]) : -1;
    if (fd < 0 || fstat(fd, &stat) || (size_t)stat.st_size < sizeof(struct image))
        return 2;
    const struct image *image = mmap(NULL, (size_t)stat.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    struct image_result *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (image == MAP_FAILED || shared == MAP_FAILED || image->bytes != (uint64_t)stat.st_size)
        return 2;
    signal(SIGCHLD, SIG_DFL);
    signal(SIGALRM, SIG_DFL);
    for (struct image_request request; transfer(false, STDIN_FILENO, &request, sizeof request);) {
        if (!request_is_valid(image, &request))
            return 2;
        answer(image, &request, shared);
        if (!transfer(true, STDOUT_FILENO, shared, sizeof *shared))
            return 1;
    }
    return 0;
}
