/* SPDX-License-Identifier: MIT */
#include "record.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "channel.h"
#include "collector.h"
#include "process.h"
#include "target.h"

#define PRELOAD_NAME    "libpoolwise-record.so"
#define DRAIN_SLEEP_NS  5000000u /* writers wake the collector earlier when a ring fills */
#define DRAIN_UNITS     4096
#define LAST_ROUNDS     8u /* without anything read, before what still waits is taken as it is */
#define HOUSEKEEPING_NS 100000000u

struct run {
    const struct record_options *options;
    struct record_result *result;
    struct collector *collector;
    struct channel *channel;
    int channel_fd;
    const char *preload; /* path of the recording library */
    struct process process;
};

/* In the child. */
static int prepare(void *context)
{
    const struct run *run = context;
    run->channel->main_pid = getpid();
    char value[PATH_MAX * 2];
    const char *others = getenv("LD_PRELOAD");
    snprintf(value, sizeof value, others && *others ? "%s:%s" : "%s", run->preload, others);
    setenv("LD_PRELOAD", value, 1);
    snprintf(value, sizeof value, "/proc/%d/fd/%d", (int)run->channel->collector, run->channel_fd);
    setenv(CHANNEL_ENVIRONMENT, value, 1);
    if (run->options->stdout_to_stderr)
        dup2(STDERR_FILENO, STDOUT_FILENO);
    return 0;
}

/* Sends the signal to the program and to what it started; orphans of its are our children by now. */
static void stop(const struct run *run, int number)
{
    process_signal(&run->process, number);
    collector_signal(run->collector, number);
}

static int collect(struct run *run)
{
    const struct record_options *options = run->options;
    struct process *process = &run->process;
    uint64_t next_ns = process->start_ns + HOUSEKEEPING_NS;
    bool killed = false;
    for (;;) {
        int64_t read = collector_drain(run->collector, false);
        if (read < 0)
            return (int)read;
        uint64_t now = process_now_ns();
        bool interrupted = process_interrupted();
        if (now >= next_ns || read == 0) {
            process_reap(process);
            run->result->exit_status = process->ended ? process->status : -1;
            if (process->ended && (read == 0 || interrupted) &&
                (interrupted || run->result->timed_out || process->childless ||
                 !collector_running(run->collector)))
                return 0;
        }
        if (collector_retire_wanted(run->collector))
            collector_retire(run->collector);
        if (now >= next_ns) {
            next_ns = now + HOUSEKEEPING_NS;
            collector_retire(run->collector);
            if (options->progress) {
                struct trace_end totals;
                collector_totals(run->collector, &totals);
                const struct record_progress progress = {totals.events, now - process->start_ns,
                                                         process->ended};
                options->progress(options->context, &progress);
            }
            if (options->timeout_s > 0 &&
                (double)(now - process->start_ns) * 1e-9 > options->timeout_s) {
                stop(run, run->result->timed_out ? SIGKILL : SIGTERM);
                if (run->result->timed_out && process->ended)
                    return 0;
                run->result->timed_out = true;
            }
            /* A terminal sends ^C to the program itself; others get it from us, once. */
            if (interrupted && !killed) {
                run->result->interrupted = true;
                stop(run, SIGTERM);
                killed = true;
            }
        }
        /* Few units: looking again at once would only take lines of the rings away from their writers. */
        if (read < DRAIN_UNITS)
            collector_sleep(run->collector, DRAIN_SLEEP_NS);
    }
}

static int start(struct run *run)
{
    const struct process_start program = {
        .command = run->options->command, .prepare = prepare, .context = run};
    process_orphans_adopt();
    int status = process_start(&program, &run->process);
    if (status)
        snprintf(run->result->message, sizeof run->result->message, "%s could not be started: %s",
                 run->options->command[0], strerror(-status));
    return status;
}

int record_run(const struct record_options *options, const struct trace_sink *const *sinks,
               size_t sink_count, struct record_result *ret_result)
{
    struct record_result *result = ret_result;
    *result = (struct record_result){.exit_status = -1};
    struct target target;
    char preload[PATH_MAX];
    int status =
        target_check(options->command[0], &target, result->message, sizeof result->message);
    if (!status)
        status = target_preload_find("record", PRELOAD_NAME, preload, sizeof preload,
                                     result->message, sizeof result->message);
    if (status)
        return status;
    struct channel *channel;
    int channel_fd;
    uint32_t flags = (options->lossy ? CHANNEL_LOSSY : 0) | (options->site ? CHANNEL_SITE : 0) |
                     (options->children ? CHANNEL_CHILDREN : 0) |
                     (options->oracle ? CHANNEL_ORACLE : 0);
    status = channel_create(flags, &channel, &channel_fd);
    if (status) {
        snprintf(result->message, sizeof result->message, "no shared memory for the recording: %s",
                 strerror(-status));
        return status;
    }
    struct run run = {.options = options,
                      .result = result,
                      .collector = collector_create(channel, sinks, sink_count),
                      .channel = channel,
                      .channel_fd = channel_fd,
                      .preload = preload};
    if (!run.collector) {
        channel_destroy(channel, channel_fd);
        snprintf(result->message, sizeof result->message, "out of memory");
        return -ENOMEM;
    }
    struct process_signals signals;
    process_signals_catch(&signals);
    struct rusage before;
    getrusage(RUSAGE_SELF, &before);
    status = start(&run);
    if (!status) {
        status = collect(&run);
        if (status)
            stop(&run, SIGTERM);
        else if (result->timed_out || result->interrupted)
            stop(&run, SIGKILL); /* what did not end with the program */
        /* First in the usual way, where a stream waits for what another still has to show. */
        int64_t rest = 0;
        for (unsigned idle = 0; !status && rest >= 0 && idle < LAST_ROUNDS;
             idle = rest ? 0 : idle + 1)
            rest = collector_drain(run.collector, false);
        if (!status && rest >= 0)
            rest = collector_drain(run.collector, true);
        if (rest < 0)
            status = (int)rest;
        atomic_store(&channel->closed, 1);
        collector_totals(run.collector, &result->end);
        result->end.wall_ns = process_now_ns() - run.process.start_ns;
        result->end.cpu_ns = run.process.usage.cpu_ns;
        result->end.minor_faults = run.process.usage.minor_faults;
        result->end.peak_bytes = run.process.usage.peak_bytes;
        result->end.exit_status = result->exit_status;
        if (!status)
            status = collector_finish(run.collector, &result->end);
        if (!status && !result->end.processes) {
            snprintf(result->message, sizeof result->message,
                     "%.300s: nothing was recorded: the program did not load the recorder (was "
                     "LD_PRELOAD taken out of its "
                     "environment?)",
                     target.path);
            status = -ENODATA;
        }
        result->implied_frees = collector_implied_frees(run.collector);
        struct collector_oracle oracle;
        collector_oracle(run.collector, &oracle);
        result->oracle_checked = oracle.checked;
        result->oracle_wrong = oracle.wrong;
        result->oracle_truncated = oracle.truncated;
    }
    struct rusage after;
    getrusage(RUSAGE_SELF, &after);
    result->collector_cpu_ns = process_cpu_ns(&after) - process_cpu_ns(&before);
    result->collector_peak_bytes = (uint64_t)after.ru_maxrss * 1024;
    process_signals_restore(&signals);
    collector_destroy(run.collector);
    channel_destroy(channel, channel_fd);
    return status;
}
