/* SPDX-License-Identifier: MIT */
/*
 * Processes made in every way. Children by fork allocate, free blocks they inherited and leave by
 * _exit; one forks again; one by vfork and one by posix_spawn run this program anew, which then
 * allocates on its own ("forks spawned"). The parent allocates between the forks.
 */
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>

#include "programs.h"

#define CHILDREN 10
#define BLOCKS   100

extern char **environ;

static OWN_FRAME void make(void **blocks, size_t size)
{
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(size);
        KEEP(blocks[i]);
    }
}

static OWN_FRAME void drop(void **blocks)
{
    for (int i = 0; i < BLOCKS; i++)
        free(blocks[i]);
}

static void reap(pid_t pid)
{
    int status;
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void child(void **inherited, int generation)
{
    void *own[BLOCKS];
    drop(inherited);
    make(own, 7002);
    if (generation == 0) {
        pid_t pid = fork();
        if (pid == 0)
            child(own, 1);
        reap(pid);
    }
    drop(own);
    _exit(0);
}

int main(int argc, char **argv)
{
    void *blocks[BLOCKS];
    if (argc > 1 && strcmp(argv[1], "spawned") == 0) {
        make(blocks, 7003);
        drop(blocks);
        return 0;
    }
    for (int i = 0; i < CHILDREN; i++) {
        make(blocks, 7001);
        pid_t pid = fork();
        if (pid == 0)
            child(blocks, 0);
        drop(blocks);
        reap(pid);
    }
    char *const arguments[] = {argv[0], (char *)"spawned", NULL};
    pid_t pid = vfork();
    if (pid == 0) {
        execve("/proc/self/exe", arguments, environ);
        _exit(4);
    }
    reap(pid);
    CHECK(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, arguments, environ) == 0);
    reap(pid);
    /* Per size over all processes; a child frees the parent's blocks, which it never saw made. */
    SAY("{\"processes\": %d, \"paths\": [{\"size\": 7001, \"through\": \"main\", \"count\": %d}, "
        "{\"size\": 7002, \"through\": \"child\", \"count\": %d}, "
        "{\"size\": 7003, \"through\": \"main\", \"count\": %d}], \"inherited_frees\": %d}\n",
        1 + 2 * CHILDREN + 2, CHILDREN * BLOCKS, 2 * CHILDREN * BLOCKS, 2 * BLOCKS,
        2 * CHILDREN * BLOCKS);
    return 0;
}
