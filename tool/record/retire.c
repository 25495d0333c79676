/* SPDX-License-Identifier: MIT */
/* Who is gone: rings of ended threads go back, signals go only to who is still there. */
#include "collector_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static void ring_add(const struct collector *collector, uint32_t number, struct ring_sums *sums)
{
    const struct channel_ring *ring = &collector->channel->rings[number];
    sums->sampled_ticks += ring->sampled_ticks;
    sums->sampled_events += ring->sampled_events;
    sums->miss_ticks += ring->miss_ticks;
    sums->misses += ring->misses;
    sums->dropped += ring->dropped;
    sums->oracle.checked += ring->oracle_checked;
    sums->oracle.wrong += ring->oracle_wrong;
    sums->oracle.truncated += ring->oracle_truncated;
}

struct ring_sums collector_rings_sum(const struct collector *collector)
{
    struct ring_sums sums = collector->sums;
    for (uint32_t i = 0; i < CHANNEL_RINGS; i++)
        if (collector->streams[i].active)
            ring_add(collector, i, &sums);
    return sums;
}

/* Whether the process' memory is gone: it ended, or another program runs in its place. */
static bool process_gone(const struct collector *collector, uint32_t process)
{
    int32_t pid = collector->processes[process].pid;
    for (uint32_t later = process + 1; later < collector->process_limit; later++)
        if (collector->processes[later].known && collector->processes[later].pid == pid)
            return true;
    return pid <= 0 || (kill(pid, 0) && errno == ESRCH);
}

uint32_t collector_running(const struct collector *collector)
{
    uint32_t running = 0;
    for (uint32_t i = 0; i < collector->process_limit; i++)
        running += collector->processes[i].known && !process_gone(collector, i);
    return running;
}

/* Whether we have started it, or what it says it is: a process id from the mapping may be anybody's. */
static bool is_descendant(int32_t pid)
{
    for (int depth = 0; depth < 64 && pid > 1; depth++) {
        char path[64], text[512], *after;
        snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t size = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
        if (fd >= 0)
            close(fd);
        text[size > 0 ? size : 0] = '\0';
        /* Field 4, counted from the end of the name in brackets. */
        if (!(after = strrchr(text, ')')) || sscanf(after + 1, " %*c %d", &pid) != 1)
            return false;
        if (pid == (int32_t)getpid())
            return true;
    }
    return false;
}

void collector_signal(const struct collector *collector, int number)
{
    for (uint32_t i = 0; i < collector->process_limit; i++)
        if (collector->processes[i].known && !process_gone(collector, i) &&
            is_descendant(collector->processes[i].pid))
            kill(collector->processes[i].pid, number);
}

bool collector_retire_wanted(const struct collector *collector)
{
    return atomic_load_explicit(&collector->channel->ring_wanted, memory_order_relaxed);
}

#define RINGS_KEPT 64u /* 1 MiB each at most */

void collector_retire(struct collector *collector)
{
    struct channel *channel = collector->channel;
    atomic_store_explicit(&channel->ring_wanted, 0, memory_order_relaxed);
    for (uint32_t i = 0; i < CHANNEL_RINGS; i++) {
        struct stream *stream = &collector->streams[i];
        struct channel_ring *ring = &channel->rings[i];
        if (!stream->active ||
            atomic_load_explicit(&ring->head, memory_order_acquire) != stream->tail)
            continue;
        bool gone =
            process_gone(collector, stream->process) ||
            (syscall(SYS_tgkill, collector->processes[stream->process].pid, stream->tid, 0) &&
             errno == ESRCH);
        /* Once more: it may have written and ended between the two looks. */
        if (!gone || atomic_load_explicit(&ring->head, memory_order_acquire) != stream->tail)
            continue;
        ring_add(collector, i, &collector->sums);
        ring->sampled_ticks = ring->sampled_events = ring->miss_ticks = ring->misses =
            ring->dropped = 0;
        ring->oracle_checked = ring->oracle_wrong = ring->oracle_truncated = 0;
        stream->active = false;
        collector->processes[stream->process].streams--;
        /* Rings with low numbers are used again and again; the memory of others goes back. */
        if (i >= RINGS_KEPT)
            madvise(channel->units[i], sizeof channel->units[i], MADV_REMOVE);
        atomic_store_explicit(&ring->owner, 0, memory_order_release);
    }
}
