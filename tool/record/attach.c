/* SPDX-License-Identifier: MIT */
/* A process finds the channel, becomes known in it, and follows its forks. */
#include "recorder_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "environment.h"
#include "modules.h"
#include "unwind.h"

#define RULE_TABLE_ENTRIES 65536u

static struct recorder_page page_before_attach;
struct recorder_page *recorder_page = &page_before_attach;
struct recorder recorder;

/* Registers this process; the number, or CHANNEL_PROCESSES when there are too many. */
static uint32_t process_register(struct channel *channel, uint32_t parent, bool image)
{
    uint32_t number = atomic_load_explicit(&channel->process_count, memory_order_relaxed);
    do {
        if (number >= CHANNEL_PROCESSES)
            return CHANNEL_PROCESSES;
    } while (!atomic_compare_exchange_weak_explicit(&channel->process_count, &number, number + 1,
                                                    memory_order_relaxed, memory_order_relaxed));
    struct channel_process *process = &channel->processes[number];
    process->pid = (int32_t)syscall(SYS_getpid);
    process->parent = parent == CHANNEL_PROCESSES ? number : parent;
    process->image = image;
    process->start_ticks = channel_ticks();
    ssize_t size = readlink("/proc/self/exe", process->program, sizeof process->program - 1);
    process->program[size > 0 ? size : 0] = '\0';
    atomic_store_explicit(&process->ready, 1, memory_order_release);
    return number;
}

static struct channel *channel_open(const char *path)
{
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
    if (fd < 0)
        return NULL;
    struct stat status;
    struct channel *channel = NULL;
    if (!fstat(fd, &status) && (uint64_t)status.st_size == sizeof(struct channel)) {
        channel =
            mmap(NULL, sizeof *channel, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
        if (channel == MAP_FAILED)
            channel = NULL;
    }
    syscall(SYS_close, fd);
    if (channel && (channel->magic != CHANNEL_MAGIC || channel->version != CHANNEL_VERSION ||
                    channel->bytes != sizeof *channel)) {
        munmap(channel, sizeof *channel);
        channel = NULL;
    }
    return channel;
}

static void attach(void)
{
    const char *path = environment_get(CHANNEL_ENVIRONMENT);
    if (!path)
        return;
    struct recorder_page *page =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED || madvise(page, 4096, MADV_WIPEONFORK))
        return;
    struct channel *channel = channel_open(path);
    if (!channel)
        return;
    /* A program that the recorded one starts finds the channel in its environment, too. */
    if (!(channel->flags & CHANNEL_CHILDREN) && channel->main_pid != (int32_t)syscall(SYS_getpid)) {
        munmap(channel, sizeof *channel);
        return;
    }
    uint32_t process = process_register(channel, CHANNEL_PROCESSES, true);
    if (process == CHANNEL_PROCESSES || modules_init(channel, process) ||
        unwind_init(modules_find, RULE_TABLE_ENTRIES))
        return;
    recorder.channel = channel;
    atomic_store_explicit(&recorder.process, process, memory_order_relaxed);
    atomic_store_explicit(&recorder.pid, channel->processes[process].pid, memory_order_relaxed);
    atomic_store_explicit(&recorder.generation, 2, memory_order_relaxed);
    recorder_page = page;
    atomic_store_explicit(&page->generation, 2, memory_order_release);
}

void recorder_attach(void)
{
    int state = atomic_load_explicit(&recorder.attach, memory_order_acquire);
    if (state == 2 || !environ)
        return;
    state = 0;
    /* One thread attaches; another that comes meanwhile goes on unrecorded, as before the attach. */
    if (!atomic_compare_exchange_strong(&recorder.attach, &state, 1))
        return;
    int saved_errno = errno;
    attach();
    errno = saved_errno;
    atomic_store_explicit(&recorder.attach, 2, memory_order_release);
}

/*
 * Runs with the constructors: by then the environment is the program's. A recorded process keeps our two
 * variables, since it may exec another program in its own place (env, sh -c, a script's last line), which is
 * then the one that was meant. What it starts beside itself is not recorded, and gets a clean environment here.
 */
void recorder_start(void)
{
    recorder_attach();
    if (recorder.channel || !environment_get(CHANNEL_ENVIRONMENT))
        return;
    environment_remove(CHANNEL_ENVIRONMENT);
    environment_remove_preload();
}

bool recorder_fork_follow(void)
{
    struct channel *channel = recorder.channel;
    int pid = (int)syscall(SYS_getpid),
        before = atomic_load_explicit(&recorder.pid, memory_order_relaxed);
    if (before == pid || !atomic_compare_exchange_strong(&recorder.pid, &before, pid)) {
        /* Another thread is at it, or has found that there are too many processes. */
        for (int i = 0;
             i < 1000 && !atomic_load_explicit(&recorder_page->generation, memory_order_acquire);
             i++)
            sched_yield();
        return atomic_load_explicit(&recorder_page->generation, memory_order_acquire) != 0;
    }
    uint32_t parent = atomic_load_explicit(&recorder.process, memory_order_relaxed);
    uint32_t process = process_register(channel, parent, false);
    if (process == CHANNEL_PROCESSES)
        return false;
    atomic_store_explicit(&recorder.process, process, memory_order_relaxed);
    modules_fork(process);
    recorder_generation_advance();
    return true;
}

void recorder_forget_code(void)
{
    if (!recorder.channel ||
        !atomic_load_explicit(&recorder_page->generation, memory_order_relaxed))
        return;
    modules_forget();
    unwind_forget();
    recorder_generation_advance();
}
