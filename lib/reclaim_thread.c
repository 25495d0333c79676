/* SPDX-License-Identifier: MIT */
/*
 * What starts cycles by itself: a timer while anything is idle, growth of what is idle, and memory
 * pressure as the kernel reports it. One thread, started when the first item becomes idle.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "memory.h"
#include "reclaim.h"
#include "rseq.h"

#define INTERVAL_MS_DEFAULT 5000
/* A cycle starts when the stock has doubled since the last one, but not below this. */
#define GROWTH_BYTES_LEAST  ((int64_t)16 << 20)
/* A report when tasks stalled for 150 ms of 2 s; unprivileged processes may only use windows of
 * whole multiples of 2 s. */
#define PRESSURE_TRIGGER    "some 150000 2000000"

enum thread_state {
    THREAD_NONE,
    THREAD_RUNNING,
    THREAD_FAILED, /* could not be started: cycles are up to the caller */
};

/* One change of mode at a time: held across a join; a forked child starts with a new one. */
static pthread_mutex_t mode_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t thread_mutex = PTHREAD_MUTEX_INITIALIZER;
/* Under thread_mutex. */
static pthread_t thread;
static int wake_fd = -1;
static bool stopping;

/* Written under thread_mutex, read anywhere. */
static _Atomic int thread_state;
static _Atomic int mode = PWISE_AUTOMATIC;
static _Atomic unsigned interval_ms = INTERVAL_MS_DEFAULT;

/* Set by the reclaimer before it looks whether anything is idle and sleeps without a timeout;
 * cleared by who then makes something idle, who also wakes it. seq_cst on both sides: store, then
 * look. */
static _Atomic bool asleep;
static _Atomic bool grown;   /* set by who passes growth_mark, cleared by the reclaimer */
static _Atomic bool exiting; /* set once, at exit: no cycle begins any more */
/* Bytes in all depots, any thread, relaxed: a heuristic. */
static _Atomic int64_t stock_bytes;
static _Atomic int64_t growth_mark = GROWTH_BYTES_LEAST;

static void wake(void)
{
    uint64_t one = 1;
    int fd = __atomic_load_n(&wake_fd, __ATOMIC_RELAXED);
    if (fd >= 0 && write(fd, &one, sizeof(one)) < 0)
        return; /* the counter is full: it is awake */
}

/* -1 where this kernel or this file has no triggers. */
static int open_pressure_at(const char *path)
{
    int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return -1;
    if (write(fd, PRESSURE_TRIGGER, sizeof(PRESSURE_TRIGGER)) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* The control group's pressure, where version 2 is in use; else the system's; else nothing. */
static int open_pressure(void)
{
    static const char *const roots[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
    char line[512], path[640];
    int fd = -1;
    FILE *groups = fopen("/proc/self/cgroup", "re");
    while (groups && fd < 0 && fgets(line, sizeof(line), groups)) {
        if (strncmp(line, "0::", 3) != 0)
            continue;
        line[strcspn(line, "\n")] = '\0';
        for (size_t i = 0; i < sizeof(roots) / sizeof(roots[0]) && fd < 0; i++) {
            int length = snprintf(path, sizeof(path), "%s%s/memory.pressure", roots[i], line + 3);
            if (length > 0 && (size_t)length < sizeof(path))
                fd = open_pressure_at(path);
        }
    }
    if (groups)
        fclose(groups);
    return fd >= 0 ? fd : open_pressure_at("/proc/pressure/memory");
}

static void cycle_done(void)
{
    int64_t mark = 2 * atomic_load_explicit(&stock_bytes, memory_order_relaxed);
    if (mark < GROWTH_BYTES_LEAST)
        mark = GROWTH_BYTES_LEAST;
    atomic_store_explicit(&growth_mark, mark, memory_order_relaxed);
    atomic_store_explicit(&grown, false, memory_order_relaxed);
}

static void *reclaimer(void *unused)
{
    int fd = __atomic_load_n(&wake_fd, __ATOMIC_RELAXED);
    int pressure_fd = open_pressure();
    uint64_t due_ns = 0;
    for (;;) {
        atomic_store_explicit(&asleep, true, memory_order_seq_cst);
        int timeout_ms = -1;
        if (reclaim_anything_idle()) {
            atomic_store_explicit(&asleep, false, memory_order_relaxed);
            uint64_t now_ns = clock_ns();
            if (due_ns == 0)
                due_ns = now_ns + (uint64_t)atomic_load(&interval_ms) * 1000000u;
            timeout_ms = due_ns > now_ns ? (int)((due_ns - now_ns + 999999u) / 1000000u) : 0;
        } else {
            due_ns = 0;
        }
        if (atomic_load_explicit(&grown, memory_order_relaxed))
            timeout_ms = 0; /* noted before this thread was there to be woken */
        struct pollfd fds[2] = {
            {.fd = fd, .events = POLLIN},
            {.fd = pressure_fd, .events = POLLPRI},
        };
        int ready = poll(fds, 2, timeout_ms);
        if (ready < 0 && errno != EINTR)
            break;
        if (ready > 0 && fds[0].revents) {
            uint64_t count;
            if (read(fd, &count, sizeof(count)) < 0)
                count = 0;
        }
        pthread_mutex_lock(&thread_mutex);
        bool stop = stopping;
        pthread_mutex_unlock(&thread_mutex);
        if (stop || atomic_load(&exiting))
            break;
        if (ready > 0 && fds[1].revents & POLLPRI) {
            reclaim_cycle(true, DESTROY_PRESSURE);
            memory_trim();
            cycle_done();
            due_ns = 0;
        } else if ((due_ns && clock_ns() >= due_ns) ||
                   atomic_load_explicit(&grown, memory_order_relaxed)) {
            reclaim_cycle(false, DESTROY_RECLAIM);
            cycle_done();
            due_ns = 0;
        }
        if (fds[1].revents & (POLLERR | POLLNVAL)) {
            close(pressure_fd);
            pressure_fd = -1;
        }
    }
    if (pressure_fd >= 0)
        close(pressure_fd);
    return NULL;
}

/* Starts the thread with every signal blocked: the program's handlers are not its business. */
static void start(void)
{
    int saved_errno = errno;
    pthread_mutex_lock(&thread_mutex);
    if (thread_state == THREAD_NONE && mode == PWISE_AUTOMATIC && !atomic_load(&exiting)) {
        sigset_t all, old;
        sigfillset(&all);
        pthread_sigmask(SIG_BLOCK, &all, &old);
        int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        __atomic_store_n(&wake_fd, fd, __ATOMIC_RELAXED);
        stopping = false;
        if (fd >= 0 && pthread_create(&thread, NULL, reclaimer, NULL) == 0) {
            pthread_setname_np(thread, "poolwise");
            thread_state = THREAD_RUNNING;
        } else {
            thread_state = THREAD_FAILED;
            if (fd >= 0)
                close(fd);
            __atomic_store_n(&wake_fd, -1, __ATOMIC_RELAXED);
        }
        pthread_sigmask(SIG_SETMASK, &old, NULL);
    }
    pthread_mutex_unlock(&thread_mutex);
    errno = saved_errno;
}

void reclaimer_note_idle(void)
{
    if (atomic_load_explicit(&thread_state, memory_order_relaxed) == THREAD_NONE) {
        if (atomic_load_explicit(&mode, memory_order_relaxed) == PWISE_AUTOMATIC)
            start();
    } else if (unlikely(atomic_load_explicit(&asleep, memory_order_seq_cst)) &&
               atomic_exchange_explicit(&asleep, false, memory_order_seq_cst)) {
        wake();
    }
}

void reclaimer_note_stock(int64_t bytes)
{
    int64_t now = atomic_fetch_add_explicit(&stock_bytes, bytes, memory_order_relaxed) + bytes;
    if (bytes > 0 && now > atomic_load_explicit(&growth_mark, memory_order_relaxed) &&
        !atomic_exchange_explicit(&grown, true, memory_order_relaxed))
        wake();
}

/* The thread may be the one that calls: `destroy` may change the mode. */
static void stop(void)
{
    pthread_mutex_lock(&thread_mutex);
    if (thread_state != THREAD_RUNNING) {
        thread_state = THREAD_NONE;
        pthread_mutex_unlock(&thread_mutex);
        return;
    }
    stopping = true;
    wake();
    bool self = pthread_equal(thread, pthread_self());
    pthread_t stopped = thread;
    int fd = wake_fd;
    pthread_mutex_unlock(&thread_mutex);
    if (self) {
        pthread_detach(stopped);
    } else {
        pthread_join(stopped, NULL);
        __atomic_store_n(&wake_fd, -1, __ATOMIC_RELAXED);
        close(fd);
    }
    pthread_mutex_lock(&thread_mutex);
    thread_state = THREAD_NONE;
    pthread_mutex_unlock(&thread_mutex);
}

int pwise_set_reclaim(enum pwise_reclaim_mode new_mode, unsigned new_interval_ms)
{
    if (new_mode != PWISE_AUTOMATIC && new_mode != PWISE_MANUAL)
        return -EINVAL;
    pthread_mutex_lock(&mode_mutex);
    atomic_store(&interval_ms, new_interval_ms ? new_interval_ms : INTERVAL_MS_DEFAULT);
    atomic_store(&mode, new_mode);
    if (new_mode == PWISE_MANUAL)
        stop();
    else if (reclaim_anything_idle())
        start();
    pthread_mutex_lock(&thread_mutex);
    wake(); /* a changed interval counts from now */
    pthread_mutex_unlock(&thread_mutex);
    pthread_mutex_unlock(&mode_mutex);
    return 0;
}

static void fork_prepare(void)
{
    pthread_mutex_lock(&thread_mutex);
    reclaim_fork_lock();
}

static void fork_parent(void)
{
    reclaim_fork_unlock(false);
    pthread_mutex_unlock(&thread_mutex);
}

/* The child has no reclaimer; the descriptor is shared with the parent's. */
static void fork_child(void)
{
    reclaim_fork_unlock(true);
    pthread_mutex_init(&mode_mutex, NULL);
    rseq_init_child();
    if (wake_fd >= 0)
        close(wake_fd);
    wake_fd = -1;
    thread_state = THREAD_NONE;
    atomic_store(&asleep, false);
    atomic_store(&grown, false);
    pthread_mutex_unlock(&thread_mutex);
}

__attribute__((constructor)) static void at_load(void)
{
    pthread_atfork(fork_prepare, fork_parent, fork_child);
}

__attribute__((destructor)) static void at_exit(void)
{
    atomic_store(&exiting, true);
}
