/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "output.h"
#include "plan_file.h"
#include "process.h"
#include "server.h"
#include "target.h"
#include "trial.h"

#define ACCEPT_NS 30000000000u /* until a server has to listen */
#define STOP_NS   10000000000u /* after SIGTERM, before SIGKILL */
#define POLL_NS   2000000

void trial_catch_signals(void)
{
    process_signals_catch(NULL);
    process_orphans_adopt();
}

bool trial_interrupted(void)
{
    return process_interrupted() != 0;
}

int trial_preload_find(char *ret_path, size_t size, char *message, size_t message_size)
{
    return target_preload_find("trial", "libpoolwise-trial.so", ret_path, size, message,
                               message_size);
}

int trial_input(int from, int *ret_input)
{
    struct stat file;
    *ret_input = -1;
    if (fstat(from, &file) || isatty(from) || S_ISCHR(file.st_mode))
        return 0;
    if (S_ISREG(file.st_mode)) {
        *ret_input = from;
        return 0;
    }
    int kept = output_create();
    char piece[1 << 16];
    ssize_t got = kept < 0 ? kept : 1;
    while (kept >= 0 && (got = read(from, piece, sizeof piece)) > 0)
        for (ssize_t done = 0, put; done < got; done += put)
            if ((put = write(kept, piece + done, (size_t)(got - done))) < 0) {
                int error = errno;
                close(kept);
                return -error;
            }
    if (got < 0)
        return kept < 0 ? kept : -errno;
    *ret_input = kept;
    return 0;
}

/* One run in progress. */
struct run {
    const struct trial_command *command;
    struct plan *plan; /* NULL: not preloaded */
    int cpu, plan_fd, output, errors, bench_output;
    struct process process;
    struct trial_sample *sample;
    char *message;
    size_t message_size;
};

/* In the child. */
static int prepare(void *context)
{
    const struct run *run = context;
    const struct trial_command *command = run->command;
    char value[8192];
    if (run->plan) {
        const char *others = getenv("LD_PRELOAD");
        run->plan->main_pid = getpid();
        snprintf(value, sizeof value, others && *others ? "%s:%s" : "%s", command->preload, others);
        setenv("LD_PRELOAD", value, 1);
        snprintf(value, sizeof value, "/proc/%d/fd/%d", (int)getppid(), run->plan_fd);
        setenv(PLAN_ENVIRONMENT, value, 1);
    }
    /* A description of its own, at the beginning; what this run reads, the next one reads again. */
    snprintf(value, sizeof value, "/proc/self/fd/%d", command->input);
    int input = open(command->input >= 0 ? value : "/dev/null", O_RDONLY);
    if (input >= 0)
        dup2(input, STDIN_FILENO);
    dup2(run->output, STDOUT_FILENO);
    dup2(run->errors, STDERR_FILENO);
    if (run->cpu != TRIAL_ANY_CPU) {
        cpu_set_t only;
        CPU_ZERO(&only);
        CPU_SET(run->cpu, &only);
        sched_setaffinity(0, sizeof only, &only); /* it may have gone meanwhile: then anywhere */
    }
    return 0;
}

static int start(struct run *run)
{
    const struct process_start program = {
        .command = run->command->argv, .prepare = prepare, .context = run};
    int status = process_start(&program, &run->process);
    if (status)
        snprintf(run->message, run->message_size, "%s could not be started: %s",
                 run->command->argv[0], strerror(-status));
    return status;
}

/* Waits for all of the run to end: what orphans of the program took counts, too. */
static void finish(struct run *run, uint64_t until_ns)
{
    run->sample->timed_out |= process_finish(&run->process, until_ns, STOP_NS);
    run->sample->exit_status = run->process.status;
}

static double seconds(uint64_t ns)
{
    return (double)ns * 1e-9;
}

static void pause_briefly(void)
{
    const struct timespec pause = {0, POLL_NS};
    nanosleep(&pause, NULL);
}

/* Waits until the server accepts. */
static int wait_listening(struct run *run)
{
    struct process *server = &run->process;
    uint64_t until_ns = process_now_ns() + ACCEPT_NS;
    while (!server_listens(server->pid)) {
        process_reap(server);
        if (server->ended || process_interrupted() || process_now_ns() > until_ns) {
            char tail[200];
            output_tail(run->errors, tail, sizeof tail);
            snprintf(run->message, run->message_size,
                     server->ended ? "%s ended before it accepted connections%s%s"
                                   : "%s did not listen within 30 seconds%s%s",
                     run->command->argv[0], *tail ? ": " : "", tail);
            return process_interrupted() ? -EINTR : -ETIMEDOUT;
        }
        pause_briefly();
    }
    return 0;
}

static int serve(struct run *run)
{
    int status = wait_listening(run);
    if (!status) {
        run->bench_output = output_create();
        uint64_t begin_ns = process_now_ns();
        int ended = run->bench_output < 0
                        ? run->bench_output
                        : server_shell(run->command->bench, -1, run->bench_output, true);
        run->sample->value[TRIAL_WALL] = seconds(process_now_ns() - begin_ns);
        if (ended < 0 || !WIFEXITED(ended) || WEXITSTATUS(ended)) {
            snprintf(run->message, run->message_size, "the load failed: %.200s",
                     run->command->bench);
            status = process_interrupted() ? -EINTR : -EPROTO;
        }
    }
    if (!run->process.ended)
        kill(run->process.pid, SIGTERM);
    finish(run, process_now_ns() + STOP_NS);
    if (run->sample->timed_out && !status) {
        snprintf(run->message, run->message_size, "%s did not end within 10 seconds of SIGTERM",
                 run->command->argv[0]);
        status = -ETIMEDOUT;
    }
    if (WIFSIGNALED(run->sample->exit_status) && WTERMSIG(run->sample->exit_status) == SIGTERM)
        run->sample->exit_status = 0; /* as asked */
    return status;
}

static int custom_metric(struct run *run)
{
    int source = run->bench_output >= 0 ? run->bench_output : run->output;
    int answer = output_create();
    lseek(source, 0, SEEK_SET);
    int ended = answer < 0 ? answer : server_shell(run->command->metric, source, answer, false);
    char text[128] = "";
    if (answer >= 0) {
        output_tail(answer, text, sizeof text);
        close(answer);
    }
    char *end;
    double value = strtod(text, &end);
    if (ended || end == text) {
        snprintf(run->message, run->message_size,
                 "--metric gave no number: '%.100s' printed '%.60s'", run->command->metric, text);
        return -EPROTO;
    }
    run->sample->value[TRIAL_CUSTOM] = value;
    return 0;
}

static void answer_take(const struct run *run, const struct trial_arm *arm)
{
    struct trial_sample *sample = run->sample;
    const struct plan *plan = run->plan;
    sample->attached = atomic_load(&plan->answer.attached) > 0;
    sample->served = atomic_load(&plan->answer.served);
    sample->reused = atomic_load(&plan->answer.reused);
    sample->full = atomic_load(&plan->answer.full);
    for (size_t i = 0; i < arm->site_count; i++) {
        const struct plan_site *site = &plan->sites[i];
        sample->site_state[i] = (uint8_t)atomic_load(&site->state);
        sample->module_state[i] = PLAN_LOADED;
        for (uint32_t k = 0; k < site->call_count; k++) {
            uint32_t state =
                atomic_load(&plan->modules[plan->calls[site->first_call + k].module].state);
            if (state != PLAN_LOADED && sample->module_state[i] != PLAN_OTHER_BUILD)
                sample->module_state[i] = (uint8_t)state;
        }
    }
}

int trial_run(const struct trial_command *command, const struct trial_arm *arm, int cpu,
              struct trial_sample *ret_sample, char *message, size_t message_size)
{
    struct run run = {.command = command,
                      .cpu = cpu,
                      .plan_fd = -1,
                      .sample = ret_sample,
                      .message = message,
                      .message_size = message_size,
                      .bench_output = -1,
                      .output = output_create(),
                      .errors = output_create()};
    const struct process *process = &run.process;
    *ret_sample = (struct trial_sample){.exit_status = -1};
    int status = run.output < 0 ? run.output : run.errors < 0 ? run.errors : 0;
    if (!status && arm->preload)
        status = plan_file_create(arm, &run.plan, &run.plan_fd);
    if (status)
        snprintf(message, message_size,
                 status == -E2BIG ? "too many sites, or stacks too deep, for one trial" : "%s",
                 strerror(-status));
    if (!status)
        status = start(&run);
    if (!status) {
        if (command->bench)
            status = serve(&run);
        else
            finish(&run, command->timeout_s > 0
                             ? process->start_ns + (uint64_t)(command->timeout_s * 1e9)
                             : 0);
        if (!command->bench)
            ret_sample->value[TRIAL_WALL] = seconds(process->end_ns - process->start_ns);
        ret_sample->value[TRIAL_CPU] = seconds(process->usage.cpu_ns);
        ret_sample->value[TRIAL_RSS] = (double)process->usage.peak_bytes;
        ret_sample->value[TRIAL_FAULTS] = (double)process->usage.minor_faults;
        ret_sample->value[TRIAL_SWITCHES] = (double)process->usage.voluntary_switches;
        output_tail(run.errors, ret_sample->errors, sizeof ret_sample->errors);
        if (!status)
            status = output_hash(run.output, &ret_sample->output_hash, &ret_sample->output_bytes);
        if (!status && command->metric && !ret_sample->timed_out && !process_interrupted())
            status = custom_metric(&run);
        if (!status && command->keep_output)
            status = output_copy(run.output, stdout);
        if (!status && process_interrupted())
            status = -EINTR;
        if (run.plan)
            answer_take(&run, arm);
    }
    if (run.plan)
        plan_file_destroy(run.plan, run.plan_fd);
    if (run.output >= 0)
        close(run.output);
    if (run.errors >= 0)
        close(run.errors);
    if (run.bench_output >= 0)
        close(run.bench_output);
    if (status == -EINTR)
        snprintf(message, message_size, "interrupted");
    return status;
}
