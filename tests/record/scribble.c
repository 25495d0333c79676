/* SPDX-License-Identifier: MIT */
/*
 * scribble SEED MILLISECONDS: a recorded program that writes garbage over the recorder's shared mapping,
 * over each part of it by turns, while it allocates. What is recorded of it means nothing; the collector
 * has to stand it and come to an end. Ends by itself in any case, without a clean-up that could hang.
 */
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "../programs/programs.h"
#include "channel.h"

static struct channel *channel_find(void)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[512];
    struct channel *channel = NULL;
    CHECK(maps != NULL);
    while (channel == NULL && fgets(line, sizeof line, maps) != NULL) {
        uint64_t begin;
        if (strstr(line, "poolwise-channel") != NULL && sscanf(line, "%" SCNx64 "-", &begin) == 1)
            channel = (struct channel *)(uintptr_t)begin;
    }
    fclose(maps);
    return channel;
}

static uint64_t state;

static uint64_t next_random(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

/* Words that look right in part are worse than noise. */
static uint64_t bad_word(void)
{
    uint64_t random = next_random();
    switch (random >> 60) {
    case 0:
    case 1:
    case 2:
        return random & 0xff;
    case 3:
        return UINT64_MAX;
    case 4:
        return UINT64_MAX - (random & 0xffff);
    case 5:
        return 0;
    case 6:
    case 7:
    case 8: /* a unit of some kind with a small address */
        return (random & 15) | (random >> 8 & 0xffff) << 19;
    case 9:
        return (random & 0xff) << 32 | (random >> 8 & 0xff);
    default:
        return random;
    }
}

static void scribble(void *begin, size_t bytes, unsigned count)
{
    volatile uint64_t *words = begin;
    for (unsigned i = 0; i < count; i++)
        words[next_random() % (bytes / sizeof *words)] = bad_word();
}

static void on_alarm(int number)
{
    (void)number;
    _exit(0);
}

int main(int argc, char **argv)
{
    CHECK(argc == 3);
    state = strtoull(argv[1], NULL, 10) * 0x9e3779b97f4a7c15ULL + 1;
    int limit_ms = atoi(argv[2]);
    struct channel *channel = channel_find();
    CHECK(channel != NULL && channel->magic == CHANNEL_MAGIC);
    CHECK(signal(SIGALRM, on_alarm) != SIG_ERR);
    alarm((unsigned)limit_ms / 1000 + 1); /* it may come to wait for room that is not */
    struct timespec begin, now;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    do {
        for (int i = 0; i < 100; i++) {
            void *block = malloc(next_random() % 1000);
            KEEP(block);
            free(block);
        }
        struct channel_ring *ring = &channel->rings[0];
        switch (next_random() % 8) {
        case 0:
            scribble(channel->modules, sizeof channel->modules, 100);
            break;
        case 1:
            scribble(channel->processes, sizeof channel->processes, 100);
            break;
        case 2:
            scribble(&channel->rings[1], sizeof channel->rings - sizeof *ring, 200);
            break;
        case 3:
            scribble(channel->units[1], 8 * sizeof *channel->units, 4000);
            break;
        case 4:
            atomic_store(&channel->process_count, (uint32_t)bad_word());
            atomic_store(&channel->module_count, (uint32_t)bad_word());
            atomic_store(&channel->ring_hint, (uint32_t)bad_word());
            break;
        case 5: /* units that the collector will believe are there */
            scribble(channel->units[1], sizeof *channel->units, 20000);
            channel->rings[1].process = 0;
            atomic_store(&channel->rings[1].owner, (uint32_t)getpid());
            atomic_store(&channel->rings[1].head, atomic_load(&channel->rings[1].tail) + CHANNEL_UNITS);
            atomic_store(&channel->ring_hint, 2);
            break;
        case 6:
            scribble(channel->units[0], sizeof *channel->units, 1000);
            break;
        default:
            ring->process = (uint32_t)bad_word();
            ring->sampled_ticks = bad_word();
            ring->misses = bad_word();
            atomic_store(&channel->wake, (uint32_t)bad_word());
            atomic_store(&channel->collector_sleeps, (uint32_t)bad_word());
        }
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((now.tv_sec - begin.tv_sec) * 1000 + (now.tv_nsec - begin.tv_nsec) / 1000000 < limit_ms);
    _exit(0);
}
