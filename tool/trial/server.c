/* SPDX-License-Identifier: MIT */
#include "server.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "process.h"

#define FAMILY_MOST 256

/* The process and what it started, breadth first. */
static size_t family(pid_t pid, pid_t *ret_pids, size_t most)
{
    size_t count = 0;
    ret_pids[count++] = pid;
    for (size_t i = 0; i < count; i++) {
        char path[64];
        snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)ret_pids[i],
                 (int)ret_pids[i]);
        FILE *file = fopen(path, "re");
        int child;
        while (file && count < most && fscanf(file, "%d", &child) == 1)
            ret_pids[count++] = child;
        if (file)
            fclose(file);
    }
    return count;
}

/* The inode of a listening socket in a line of /proc/net; 0: it is none. */
static uint64_t listening_inode(const char *line, bool is_unix)
{
    unsigned state = 0, flags = 0;
    unsigned long inode = 0;
    if (is_unix) {
        if (sscanf(line, "%*s %*s %*s %x %*s %*s %lu", &flags, &inode) == 2 && flags & 0x10000)
            return inode;
    } else if (sscanf(line, "%*s %*s %*s %x %*s %*s %*s %*s %*s %lu", &state, &inode) == 2 &&
               state == 0x0a) {
        return inode;
    }
    return 0;
}

static bool holds_socket(pid_t pid, uint64_t inode)
{
    char path[64], wanted[48];
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    snprintf(wanted, sizeof wanted, "socket:[%lu]", (unsigned long)inode);
    DIR *folder = opendir(path);
    bool found = false;
    struct dirent *entry;
    while (folder && !found && (entry = readdir(folder))) {
        char name[64];
        ssize_t length = readlinkat(dirfd(folder), entry->d_name, name, sizeof name - 1);
        if (length > 0) {
            name[length] = '\0';
            found = !strcmp(name, wanted);
        }
    }
    if (folder)
        closedir(folder);
    return found;
}

bool server_listens(pid_t pid)
{
    static const char *const tables[] = {"tcp", "tcp6", "unix"};
    pid_t pids[FAMILY_MOST];
    size_t count = family(pid, pids, FAMILY_MOST);
    bool found = false;
    for (size_t i = 0; i < sizeof tables / sizeof *tables && !found; i++) {
        char path[64], line[512];
        snprintf(path, sizeof path, "/proc/%d/net/%s", (int)pid, tables[i]);
        FILE *table = fopen(path, "re");
        while (table && !found && fgets(line, sizeof line, table)) {
            uint64_t inode = listening_inode(line, i == 2);
            for (size_t k = 0; inode && k < count && !found; k++)
                found = holds_socket(pids[k], inode);
        }
        if (table)
            fclose(table);
    }
    return found;
}

int server_shell(const char *command, int input, int output, bool interruptible)
{
    pid_t pid = fork();
    if (pid < 0)
        return -errno;
    if (!pid) {
        int nothing = open("/dev/null", O_RDWR);
        dup2(input >= 0 ? input : nothing, STDIN_FILENO);
        dup2(output >= 0 ? output : nothing, STDOUT_FILENO);
        signal(SIGPIPE, SIG_DFL);
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    int status;
    for (;;) {
        pid_t got = waitpid(pid, &status, interruptible ? WNOHANG : 0);
        if (got == pid)
            return status;
        if (got < 0 && errno != EINTR)
            return -errno;
        if (interruptible && process_interrupted())
            kill(pid, SIGTERM);
        const struct timespec pause = {0, 5000000};
        if (interruptible)
            nanosleep(&pause, NULL);
    }
}
