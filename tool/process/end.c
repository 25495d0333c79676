/* SPDX-License-Identifier: MIT */
#include "process.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAUSE_NS     2000000 /* between two looks for orphans, whose end wakes nobody */
/* Between two looks, and between the two signals, once we are interrupted. */
#define INTERRUPT_NS 100000000

uint64_t process_cpu_ns(const struct rusage *usage)
{
    return ((uint64_t)usage->ru_utime.tv_sec + (uint64_t)usage->ru_stime.tv_sec) * 1000000000u +
           ((uint64_t)usage->ru_utime.tv_usec + (uint64_t)usage->ru_stime.tv_usec) * 1000u;
}

static void take_in(struct process *process, pid_t pid, int status, const struct rusage *usage)
{
    struct process_usage *sum = &process->usage;
    sum->cpu_ns += process_cpu_ns(usage);
    sum->minor_faults += (uint64_t)usage->ru_minflt;
    sum->voluntary_switches += (uint64_t)usage->ru_nvcsw;
    if ((uint64_t)usage->ru_maxrss * 1024 > sum->peak_bytes)
        sum->peak_bytes = (uint64_t)usage->ru_maxrss * 1024;
    if (pid == process->pid && !process->ended) {
        process->ended = true;
        process->end_ns = process_now_ns();
        process->status = status;
    }
}

void process_wait(struct process *process)
{
    struct rusage usage;
    int status;
    pid_t pid;
    while ((pid = wait4(process->pid, &status, 0, &usage)) < 0 && errno == EINTR)
        ;
    if (pid > 0)
        take_in(process, pid, status, &usage);
}

void process_orphans_adopt(void)
{
    prctl(PR_SET_CHILD_SUBREAPER, 1);
}

bool process_reap(struct process *process)
{
    struct rusage usage;
    int status;
    pid_t pid;
    while ((pid = wait4(-1, &status, WNOHANG, &usage)) > 0)
        take_in(process, pid, status, &usage);
    process->childless = pid < 0 && errno == ECHILD;
    return !process->childless;
}

void process_signal(const struct process *process, int number)
{
    if (!process->ended)
        kill(process->pid, number);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    FILE *children = fopen(path, "re");
    int pid;
    while (children && fscanf(children, "%d", &pid) == 1)
        kill(pid, number);
    if (children)
        fclose(children);
}

static void pause_briefly(void)
{
    const struct timespec pause = {0, PAUSE_NS};
    nanosleep(&pause, NULL);
}

/* Until the program ends, a signal comes or the time is up; it is not taken in. */
static void wait_end(pid_t pid, uint64_t until_ns)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd end = {.fd = fd, .events = POLLIN};
    uint64_t now_ns = process_now_ns();
    if (fd < 0) {
        pause_briefly();
        return;
    }
    /* In parts: poll counts its milliseconds in an int. */
    uint64_t left_ms = until_ns > now_ns ? (until_ns - now_ns) / 1000000 + 1 : 0;
    if (left_ms)
        poll(&end, 1, until_ns == UINT64_MAX ? -1 : left_ms > 1u << 30 ? 1 << 30 : (int)left_ms);
    close(fd);
}

bool process_finish(struct process *process, uint64_t until_ns, uint64_t grace_ns)
{
    bool asked = false, late = false;
    if (!until_ns)
        until_ns = UINT64_MAX;
    for (;;) {
        if (!process->ended)
            wait_end(process->pid,
                     process_interrupted() ? process_now_ns() + INTERRUPT_NS : until_ns);
        bool left = process_reap(process);
        if (!left)
            return late;
        if (process->ended)
            pause_briefly();
        if (process_interrupted() || process_now_ns() >= until_ns) {
            late |= !process_interrupted();
            process_signal(process, asked ? SIGKILL : SIGTERM);
            asked = true;
            until_ns = process_now_ns() + grace_ns;
        }
    }
}
