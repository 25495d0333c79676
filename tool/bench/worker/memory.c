/* SPDX-License-Identifier: MIT */
/* What an allocator keeps, where it lays things, and whom its cleaning disturbs. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "peer.h"

/*
 * Idle: one thread after the other gets 1000 items of 64 bytes, writes them, puts them and lives on.
 * At no time are more than 1000 out. What has become resident since the threads were there is what
 * is kept idle. An operation is one item; the figure is idle-B.
 */
#define BURST      1000
#define ITEM_BYTES 64

static pthread_barrier_t idle_line;
static pthread_mutex_t idle_turn = PTHREAD_MUTEX_INITIALIZER;

PATTERN burst(get_function *get, put_function *put, void **items)
{
    for (int i = 0; i < BURST; i++) {
        items[i] = get();
        touch(items[i]);
    }
    for (int i = 0; i < BURST; i++)
        put(items[i]);
}

static void *idle_thread(void *argument)
{
    void *items[BURST];
    memset(items, 0, sizeof items);
    extra_thread();
    pthread_barrier_wait(&idle_line); /* all are there, their stacks touched */
    pthread_barrier_wait(&idle_line); /* the measure before was taken */
    pthread_mutex_lock(&idle_turn);
    PEER_CALL(burst, items);
    pthread_mutex_unlock(&idle_turn);
    pthread_barrier_wait(&idle_line); /* all are done */
    pthread_barrier_wait(&idle_line); /* the measure after was taken */
    return NULL;
}

/* Private resident bytes: what the C library's own pages do does not count. */
static double resident_bytes(void)
{
    long total = 0, resident = 0, shared = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file || fscanf(file, "%ld %ld %ld", &total, &resident, &shared) != 3)
        abort();
    fclose(file);
    return (double)(resident - shared) * (double)sysconf(_SC_PAGESIZE);
}

static int idle_setup(struct worker *worker)
{
    return peer_setup(worker, ITEM_BYTES);
}

static double idle_whole(struct worker *worker)
{
    static pthread_t ids[WORKER_THREADS_MAX];
    resident_bytes(); /* its stream's memory is there before */
    pthread_barrier_init(&idle_line, NULL, (unsigned)worker->threads + 1);
    for (int i = 0; i < worker->threads; i++)
        if (pthread_create(&ids[i], NULL, idle_thread, NULL))
            abort();
    pthread_barrier_wait(&idle_line);
    double before = resident_bytes(), start_ns = now_ns();
    pthread_barrier_wait(&idle_line);
    pthread_barrier_wait(&idle_line);
    double took_ns = now_ns() - start_ns;
    worker->count = (uint64_t)worker->threads * BURST;
    metric_add(worker, "idle-B", resident_bytes() - before);
    pthread_barrier_wait(&idle_line);
    for (int i = 0; i < worker->threads; i++)
        pthread_join(ids[i], NULL);
    return took_ns;
}

/*
 * List: a list of a million nodes of 48 bytes, built amid other allocations that stay, is walked.
 * An operation is one node. Some nodes have been put and got again, as in any program that has run.
 */
#define NODE_BYTES 48
#define NODES      1000000

struct node {
    struct node *next;
    uint64_t key;
    char rest[NODE_BYTES - 16];
};
static struct node *list;

PATTERN list_build(get_function *get, put_function *put, uint64_t random)
{
    struct node **end = &list;
    for (int i = 0; i < NODES; i++) {
        struct node *node = get();
        if (!node)
            abort();
        node->key = (uint64_t)i;
        node->next = NULL;
        *end = node;
        end = &node->next;
        void *other = malloc(16 + random_next(&random) % 240); /* the program's other state */
        touch(other);
    }
}

static int list_setup(struct worker *worker)
{
    int status = peer_setup(worker, NODE_BYTES);
    if (!status)
        PEER_CALL(list_build, 88172645463325252u);
    return status;
}

static void list_loop(struct worker *worker, int thread, uint64_t count)
{
    static volatile uint64_t sink __attribute__((unused));
    uint64_t sum = 0;
    for (uint64_t done = 0; done < count; done += NODES)
        for (const struct node *node = list; node; node = node->next)
            sum += node->key;
    sink = sum;
}

/*
 * Stall: the longest get and put of a thread while another runs cycles over 100,000 idle items.
 * Counted are the calls during which a cycle was under way. What this machine does to a thread anyway
 * say the other variants: in `quiet` the other thread does nothing for as long; in `unmap` it gives
 * that much memory back to the system by itself, which interrupts the other CPUs. Where the system
 * allows it both threads have real-time priority, so that other programs do not take the CPU from them.
 * Calls that lost it all the same, by the kernel's count of involuntary switches, are told apart.
 */
#define STALL_ITEMS     100000
#define STALL_ROUNDS    20
#define STALL_NS        5e3 /* what deserves a closer look */
#define LONG_NS         1e5
#define STALL_CYCLES_NS 5e6 /* what the two cycles take, about */

static _Atomic bool stall_begun, stall_done;
static _Atomic uint64_t stall_turn; /* odd while a cycle is under way */
static enum { STALL_CYCLES, STALL_QUIET, STALL_UNMAP } stall_kind;

static bool become_realtime(void)
{
    return !sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){.sched_priority = 1});
}

static void idle_for(double ns)
{
    for (double start_ns = now_ns(); now_ns() - start_ns < ns;)
        ;
}

#define UNMAPPED       4 /* regions: as many as hold the items */
#define UNMAPPED_BYTES ((size_t)2 << 20)

static void map_touched(void *regions[UNMAPPED])
{
    for (int i = 0; i < UNMAPPED; i++) {
        regions[i] =
            mmap(NULL, UNMAPPED_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (regions[i] == MAP_FAILED)
            abort();
        for (size_t at = 0; at < UNMAPPED_BYTES; at += 4096)
            touch((char *)regions[i] + at);
    }
}

static void *stall_reclaimer(void *argument)
{
    void **items = calloc(STALL_ITEMS, sizeof *items);
    void *regions[UNMAPPED];
    if (!items)
        abort();
    pin_to(1);
    become_realtime();
    atomic_store(&stall_begun, true);
    for (int round = 0; round < STALL_ROUNDS; round++) {
        for (int k = 0; k < STALL_ITEMS; k++)
            items[k] = pwise_get(&peer_pool);
        for (int k = 0; k < STALL_ITEMS; k++)
            pwise_put(&peer_pool, items[k]);
        if (stall_kind == STALL_UNMAP)
            map_touched(regions);
        atomic_fetch_add(&stall_turn, 1);
        if (stall_kind == STALL_CYCLES) {
            pwise_reclaim(); /* these age the items and destroy them */
            pwise_reclaim();
        }
        for (int i = 0; i < UNMAPPED && stall_kind == STALL_UNMAP; i++)
            munmap(regions[i], UNMAPPED_BYTES);
        if (stall_kind != STALL_CYCLES)
            idle_for(STALL_CYCLES_NS);
        atomic_fetch_add(&stall_turn, 1);
    }
    free(items);
    atomic_store(&stall_done, true);
    return NULL;
}

static int stall_setup(struct worker *worker)
{
    stall_kind = variant_is(worker, "cycles")  ? STALL_CYCLES
                 : variant_is(worker, "quiet") ? STALL_QUIET
                                               : STALL_UNMAP;
    peer_pool.options.item_size = ITEM_BYTES;
    return 0;
}

static long preemptions_so_far(void)
{
    struct rusage usage;
    getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_nivcsw;
}

static double stall_whole(struct worker *worker)
{
    pthread_t id;
    uint64_t calls = 0, long_count = 0, preempted_count = 0;
    double longest = 0, longest_preempted = 0, begin_ns = now_ns();
    /* A thread inherits its CPU and its priority: the other one must be away first. */
    if (pthread_create(&id, NULL, stall_reclaimer, NULL))
        abort();
    while (!atomic_load(&stall_begun))
        usleep(100);
    pin_to(0);
    bool realtime = become_realtime();
    long preemptions = preemptions_so_far();
    while (!atomic_load_explicit(&stall_done, memory_order_relaxed)) {
        uint64_t turn = atomic_load_explicit(&stall_turn, memory_order_relaxed);
        double start_ns = now_ns();
        void *item = pwise_get(&peer_pool);
        pwise_put(&peer_pool, item);
        double took_ns = now_ns() - start_ns;
        calls++;
        if (took_ns < STALL_NS)
            continue;
        long before = preemptions;
        preemptions = preemptions_so_far();
        if (turn % 2 == 0 && atomic_load_explicit(&stall_turn, memory_order_relaxed) == turn)
            continue;
        if (preemptions != before) {
            preempted_count += took_ns > LONG_NS;
            longest_preempted = took_ns > longest_preempted ? took_ns : longest_preempted;
        } else {
            long_count += took_ns > LONG_NS;
            longest = took_ns > longest ? took_ns : longest;
        }
    }
    pthread_join(id, NULL);
    double took_ns = now_ns() - begin_ns;
    worker->count = calls;
    metric_add(worker, "max-ns", longest);
    metric_add(worker, "over-100us", (double)long_count);
    metric_add(worker, "preempted-max-ns", longest_preempted);
    metric_add(worker, "preempted-over-100us", (double)preempted_count);
    metric_add(worker, "realtime", realtime);
    return took_ns;
}

const struct worker_case memory_cases[] = {
    {.name = "Idle",
     .variants = PEERS_FREE,
     .setup = idle_setup,
     .whole = idle_whole,
     .fixed_count = BURST,
     .fixed_samples = 1},
    {.name = "List",
     .variants = "malloc pool called",
     .setup = list_setup,
     .loop = list_loop,
     .fixed_count = NODES},
    {.name = "Stall",
     .variants = "cycles quiet unmap",
     .setup = stall_setup,
     .whole = stall_whole,
     .fixed_count = 1,
     .fixed_samples = 1,
     .two_threads = true},
    {.name = NULL},
};
