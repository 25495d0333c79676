/* SPDX-License-Identifier: MIT */
/*
 * Programs that we start: from fork and exec to the end of the last process that came of it.
 *
 * program   what was started; its process is our child
 * orphan    a process that the program started and left behind; it becomes our child once orphans are adopted
 *
 * One thread at a time may use this room, and while a program is waited for by process_reap or process_finish no
 * other child of ours is told apart from an orphan. Nothing here prints, and no descriptor stays open.
 */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

struct process_start {
    char *const *command; /* NULL-terminated; [0] is looked up in PATH */
    /*
     * In the child, just before exec, with SIGINT, SIGTERM and SIGPIPE at their defaults: environment, standard
     * streams, folder. It closes nothing but its own, and descriptors that are not close-on-exec are the program's.
     * 0, or -errno, which process_start then returns. NULL: nothing to prepare.
     */
    int (*prepare)(void *context);
    void *context;
};

/* What those took that have been taken in so far. */
struct process_usage {
    uint64_t cpu_ns;     /* user and system */
    uint64_t peak_bytes; /* resident, of the largest one */
    uint64_t minor_faults, voluntary_switches;
};

struct process {
    pid_t pid;      /* a child of ours; once ended, anybody's */
    bool ended;     /* taken in: status is known, and pid must not be used any more */
    bool childless; /* we have no child left: neither the program nor an orphan */
    int status;     /* as from waitpid; when ended */
    uint64_t start_ns,
        end_ns; /* of CLOCK_MONOTONIC: before the fork; when it was seen to have ended */
    struct process_usage usage;
};

/*
 * Starts the program and returns when it runs, or not. 0; or -errno: of exec (-ENOENT: no such program, -EACCES: not
 * to be executed, ...), of `prepare`, or because there is no pipe (-EMFILE) or process (-EAGAIN, -ENOMEM). Then no
 * child is left, and *ret_process is untouched. The caller has to take the program in, by any of the functions below.
 */
int process_start(const struct process_start *start, struct process *ret_process);

/* Waits for the end of the program alone; orphans and other children are left as they are. */
void process_wait(struct process *process);

/* From now on who is left behind by what we start is our child. For the life of our process. */
void process_orphans_adopt(void);

/* Takes in, without waiting, all children that have ended. Returns whether any is left. */
bool process_reap(struct process *process);

/* Signals the program, if it has not been taken in, and every child of the calling process' first thread. */
void process_signal(const struct process *process, int number);

/*
 * Waits until the program and its orphans have ended. When the time until_ns of CLOCK_MONOTONIC (0: without a limit)
 * has come, or at an interruption (below), all get SIGTERM; who is still there grace_ns later, or 0.1 s after an
 * interruption, gets SIGKILL, again and again. Returns whether the time was up.
 */
bool process_finish(struct process *process, uint64_t until_ns, uint64_t grace_ns);

uint64_t process_now_ns(void);                       /* CLOCK_MONOTONIC */
uint64_t process_cpu_ns(const struct rusage *usage); /* user and system */

struct process_signals {
    struct sigaction on_int, on_term;
};

/*
 * From now on SIGINT and SIGTERM no longer end us, but are noted, beginning with none; calls that wait are interrupted
 * (no SA_RESTART). *ret_before, if not NULL, is for process_signals_restore. Programs that are started have the
 * defaults again.
 */
void process_signals_catch(struct process_signals *ret_before);
void process_signals_restore(const struct process_signals *before);

/* The last of them that came; 0: none. Any thread. */
int process_interrupted(void);
