/* SPDX-License-Identifier: MIT */
/*
 * server: a small HTTP server on libmicrohttpd, to see what pools do to a program that does more than
 * allocate.
 *
 *     server-plain|server-everything|server-advised [--port N] [--threads N]
 *
 * Listens on the loopback address (port 0, the default: one that is free), prints the port, and
 * serves until its standard input ends. Then it prints as JSON its CPU time, how much of it a call of
 * an endpoint took, and its peak memory.
 */
#include "endpoints.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static const struct {
    const char *path;
    int (*run)(struct answer *ret_answer);
} endpoints[] = {{"/render", endpoint_render},
                 {"/event", endpoint_event},
                 {"/frame", endpoint_frame},
                 {"/ping", endpoint_ping}};

/* CPU time spent in endpoints, by all threads. The first calls are left out: they start the pools. */
#define WARM_UP 100
static _Atomic uint64_t endpoint_calls, endpoint_ns;
static uint64_t clock_cost_ns;

static uint64_t cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void measure_clock(void)
{
    clock_cost_ns = UINT64_MAX;
    for (int i = 0; i < 1000; i++) {
        uint64_t start_ns = cpu_ns(), took_ns = cpu_ns() - start_ns;
        clock_cost_ns = took_ns < clock_cost_ns ? took_ns : clock_cost_ns;
    }
}

static int run_measured(int (*run)(struct answer *ret_answer), struct answer *ret_answer)
{
    uint64_t start_ns = cpu_ns();
    int failed = run(ret_answer);
    uint64_t took_ns = cpu_ns() - start_ns;
    if (atomic_fetch_add_explicit(&endpoint_calls, 1, memory_order_relaxed) >= WARM_UP)
        atomic_fetch_add_explicit(&endpoint_ns,
                                  took_ns > clock_cost_ns ? took_ns - clock_cost_ns : 0,
                                  memory_order_relaxed);
    return failed;
}

static enum MHD_Result queue(struct MHD_Connection *connection, unsigned status,
                             struct answer *answer)
{
    struct MHD_Response *response =
        answer->data
            ? MHD_create_response_from_buffer(answer->length, answer->data, MHD_RESPMEM_MUST_FREE)
            : MHD_create_response_from_buffer(answer->length, answer->small, MHD_RESPMEM_MUST_COPY);
    if (!response) {
        free(answer->data);
        return MHD_NO;
    }
    enum MHD_Result result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result respond(void *context, struct MHD_Connection *connection, const char *url,
                               const char *method, const char *version, const char *upload,
                               size_t *upload_size, void **request)
{
    struct answer answer = {NULL, 0, ""};
    if (strcmp(method, MHD_HTTP_METHOD_GET))
        return queue(connection, MHD_HTTP_METHOD_NOT_ALLOWED, &answer);
    for (size_t i = 0; i < sizeof endpoints / sizeof *endpoints; i++) {
        if (strcmp(url, endpoints[i].path))
            continue;
        if (run_measured(endpoints[i].run, &answer))
            return queue(connection, MHD_HTTP_SERVICE_UNAVAILABLE, &(struct answer){NULL, 0, ""});
        return queue(connection, MHD_HTTP_OK, &answer);
    }
    return queue(connection, MHD_HTTP_NOT_FOUND, &answer);
}

static int number(const char *text, unsigned long most, unsigned *ret_number)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (end == text || *end || *text == '-' || value > most)
        return -1;
    *ret_number = (unsigned)value;
    return 0;
}

static double seconds(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec * 1e-6;
}

/* Of this program alone: getrusage would count what its parent had in use before the exec. */
static long peak_kib(void)
{
    FILE *status = fopen("/proc/self/status", "re");
    if (!status)
        return -1;
    char line[256];
    long kib = -1;
    while (kib < 0 && fgets(line, sizeof line, status))
        sscanf(line, "VmHWM: %ld", &kib);
    fclose(status);
    return kib;
}

int main(int argc, char **argv)
{
    unsigned port = 0, threads = 1;
    int bad = argc % 2 == 0;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--port"))
            bad |= number(argv[i + 1], 65535, &port);
        else if (!strcmp(argv[i], "--threads"))
            bad |= number(argv[i + 1], 64, &threads) || !threads;
        else
            bad = 1;
    }
    if (bad) {
        fprintf(stderr, "usage: server [--port N] [--threads 1..64]\n");
        return 2;
    }
    measure_clock();
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct MHD_OptionItem pool[] = {{MHD_OPTION_THREAD_POOL_SIZE, (intptr_t)threads, NULL},
                                    {MHD_OPTION_END, 0, NULL}};
    if (threads == 1)
        pool[0] = pool[1]; /* a pool of one is refused */
    struct MHD_Daemon *daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD, (uint16_t)port, NULL, NULL, respond, NULL,
        MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&address, MHD_OPTION_ARRAY, pool, MHD_OPTION_END);
    if (!daemon) {
        fprintf(stderr, "server: cannot listen on 127.0.0.1:%u\n", port);
        return 1;
    }
    printf("%u\n", MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT)->port);
    fflush(stdout);
    char byte;
    while (read(STDIN_FILENO, &byte, 1) > 0)
        ;
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    uint64_t counted = endpoint_calls > WARM_UP ? endpoint_calls - WARM_UP : 1;
    printf("{\"cpu_s\": %.6f, \"endpoint_us\": %.6f, \"peak_kib\": %ld}\n",
           seconds(usage.ru_utime) + seconds(usage.ru_stime),
           (double)endpoint_ns * 1e-3 / (double)counted, peak_kib());
    fflush(stdout);
    MHD_stop_daemon(daemon);
    return 0;
}
