/* SPDX-License-Identifier: MIT */
#include "channel.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "collector.h"

int channel_create(uint32_t flags, struct channel **ret_channel, int *ret_fd)
{
    int fd = memfd_create("poolwise-channel", MFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    struct channel *channel = MAP_FAILED;
    if (!ftruncate(fd, sizeof *channel))
        channel =
            mmap(NULL, sizeof *channel, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (channel == MAP_FAILED) {
        int error = errno;
        close(fd);
        return -error;
    }
    channel->version = CHANNEL_VERSION;
    channel->flags = flags;
    channel->bytes = sizeof *channel;
    channel->collector = getpid();
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&channel->alive, &attributes);
    pthread_mutexattr_destroy(&attributes);
    pthread_mutex_lock(&channel->alive);
    channel->magic = CHANNEL_MAGIC;
    *ret_channel = channel;
    *ret_fd = fd;
    return 0;
}

void channel_destroy(struct channel *channel, int fd)
{
    atomic_store(&channel->closed, 1);
    pthread_mutex_unlock(&channel->alive);
    munmap(channel, sizeof *channel);
    close(fd);
}
