/* SPDX-License-Identifier: MIT */
/*
 * Density and locality of slabs: a list of a million nodes of 48 bytes, built while the program makes
 * and frees other blocks as programs do, then walked; from malloc (or what is preloaded) and from a
 * pool. Prints nanoseconds a node of a walk, of building, and resident bytes a live byte.
 *
 *     slab-bench malloc|pool [rounds]
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "poolwise/pool.h"

enum { NODES = 1000000, OTHERS = 4096 };

struct node {
    struct node *next;
    uint64_t values[5];
};

PWISE_DEFINE_POOL(nodes, struct node);

static double now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static size_t resident_bytes(void)
{
    size_t total, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%zu %zu", &total, &resident) != 2)
        resident = 0;
    if (file)
        fclose(file);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

static int by_value(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

int main(int argc, char **argv)
{
    int pooled = argc > 1 && strcmp(argv[1], "pool") == 0;
    int rounds = argc > 2 ? atoi(argv[2]) : 9;
    if (argc < 2 || rounds < 1 || rounds > 1000)
        return 2;
    static void *others[OTHERS];
    uint64_t seed = 88172645463325252u;
    struct node *first = NULL, **last = &first;
    size_t others_bytes = 0;
    size_t before = resident_bytes();
    double start_ns = now_ns();
    for (int i = 0; i < NODES; i++) {
        struct node *node = pooled ? nodes_get() : malloc(sizeof(*node));
        if (!node)
            abort();
        *node = (struct node){.values = {(uint64_t)i}};
        *last = node;
        last = &node->next;
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        /* A block that stays for a few thousand turns: a program around the list. */
        void **other = &others[seed % OTHERS];
        free(*other);
        *other = malloc(16 + (seed >> 32) % 240);
    }
    double built_ns = (now_ns() - start_ns) / NODES;
    for (int i = 0; i < OTHERS; i++)
        others_bytes += others[i] ? 136 : 0;
    double density =
        (double)(resident_bytes() - before - others_bytes) / (NODES * sizeof(struct node));
    double *walks = calloc((size_t)rounds, sizeof(*walks));
    uint64_t sum = 0;
    for (int round = 0; round < rounds; round++) {
        start_ns = now_ns();
        for (struct node *node = first; node; node = node->next)
            sum += node->values[0];
        walks[round] = (now_ns() - start_ns) / NODES;
    }
    qsort(walks, (size_t)rounds, sizeof(*walks), by_value);
    printf("%.3f %.2f %.3f %llu\n", walks[rounds / 2], built_ns, density, (unsigned long long)sum);
    free(walks);
    return 0;
}
