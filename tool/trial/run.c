/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "output.h"
#include "plan_file.h"
#include "server.h"
#include "target.h"
#include "trial.h"

#define ACCEPT_S 30.0 /* until a server has to listen */
#define STOP_S   10.0 /* after SIGTERM, before SIGKILL */
#define POLL_NS  2000000

static volatile bool interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = true;
}

void trial_catch_signals(void)
{
    const struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
}

bool trial_interrupted(void)
{
    return interrupted;
}

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
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
    pid_t child;
    bool ended;
    double start_s, end_s, cpu_s, rss_bytes, faults, switches;
    struct trial_sample *sample;
    char *message;
    size_t message_size;
};

/* In the child: never returns. */
static void child_exec(const struct run *run, int error_fd)
{
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
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGPIPE, SIG_DFL);
    execvp(command->argv[0], command->argv);
    int error = errno;
    if (write(error_fd, &error, sizeof error) < 0)
        _exit(126);
    _exit(127);
}

static int start(struct run *run)
{
    int pipe_fds[2];
    if (pipe2(pipe_fds, O_CLOEXEC))
        return -errno;
    run->start_s = now_s();
    run->child = fork();
    if (!run->child)
        child_exec(run, pipe_fds[1]);
    int error = run->child < 0 ? errno : 0;
    close(pipe_fds[1]);
    if (!error && read(pipe_fds[0], &error, sizeof error) != sizeof error)
        error = 0;
    close(pipe_fds[0]);
    if (error)
        snprintf(run->message, run->message_size, "%s could not be started: %s",
                 run->command->argv[0], strerror(error));
    return -error;
}

/* Takes in whoever has ended. Orphans of the program come to us, so that what they took counts. Returns whether
 * anything of the run is left. */
static bool reap(struct run *run, int flags)
{
    struct rusage usage;
    int status;
    pid_t pid;
    while ((pid = wait4(-1, &status, flags, &usage)) > 0) {
        run->cpu_s += (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                      (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
        run->faults += (double)usage.ru_minflt;
        run->switches += (double)usage.ru_nvcsw;
        if ((double)usage.ru_maxrss * 1024 > run->rss_bytes)
            run->rss_bytes = (double)usage.ru_maxrss * 1024;
        if (pid == run->child) {
            run->ended = true;
            run->end_s = now_s();
            run->sample->exit_status = status;
        }
    }
    return pid == 0 || errno != ECHILD;
}

/* Signals the program and the orphans that have come to us. */
static void stop(const struct run *run, int number)
{
    if (!run->ended)
        kill(run->child, number);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    FILE *children = fopen(path, "re");
    int pid;
    while (children && fscanf(children, "%d", &pid) == 1)
        kill(pid, number);
    if (children)
        fclose(children);
}

static void pause_briefly(void)
{
    const struct timespec pause = {0, POLL_NS};
    nanosleep(&pause, NULL);
}

/* Until `pid` ends or the time is up. */
static void wait_end(pid_t pid, double until_s)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    double left_s = until_s - now_s();
    struct pollfd end = {.fd = fd, .events = POLLIN};
    if (fd < 0) {
        pause_briefly();
        return;
    }
    if (left_s > 0)
        poll(&end, 1, until_s > 1e15 ? -1 : (int)(left_s * 1000) + 1);
    close(fd);
}

/* Waits for all of the run to end. Past the limit, or on an interrupt, it is ended. */
static void finish(struct run *run, double limit_s)
{
    double until_s = limit_s > 0 ? run->start_s + limit_s : 1e18;
    int asked = 0;
    bool left = true;
    while (left) {
        if (!run->ended)
            wait_end(run->child, interrupted ? now_s() + 0.1 : until_s);
        left = reap(run, WNOHANG);
        if (left && run->ended)
            pause_briefly();
        if (left && (interrupted || now_s() >= until_s)) {
            run->sample->timed_out |= !interrupted;
            stop(run, asked++ ? SIGKILL : SIGTERM);
            until_s = now_s() + STOP_S;
        }
    }
}

/* Waits until the server accepts. */
static int wait_listening(struct run *run)
{
    double until_s = now_s() + ACCEPT_S;
    while (!server_listens(run->child)) {
        reap(run, WNOHANG);
        if (run->ended || interrupted || now_s() > until_s) {
            char tail[200];
            output_tail(run->errors, tail, sizeof tail);
            snprintf(run->message, run->message_size,
                     run->ended ? "%s ended before it accepted connections%s%s"
                                : "%s did not listen within 30 seconds%s%s",
                     run->command->argv[0], *tail ? ": " : "", tail);
            return interrupted ? -EINTR : -ETIMEDOUT;
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
        double begin_s = now_s();
        int ended = run->bench_output < 0
                        ? run->bench_output
                        : server_shell(run->command->bench, -1, run->bench_output, &interrupted);
        run->sample->value[TRIAL_WALL] = now_s() - begin_s;
        if (ended < 0 || !WIFEXITED(ended) || WEXITSTATUS(ended)) {
            snprintf(run->message, run->message_size, "the load failed: %.200s",
                     run->command->bench);
            status = interrupted ? -EINTR : -EPROTO;
        }
    }
    if (!run->ended)
        kill(run->child, SIGTERM);
    run->start_s = now_s();
    finish(run, STOP_S);
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
    int ended = answer < 0 ? answer : server_shell(run->command->metric, source, answer, NULL);
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
            finish(&run, command->timeout_s);
        if (!command->bench)
            ret_sample->value[TRIAL_WALL] = run.end_s - run.start_s;
        ret_sample->value[TRIAL_CPU] = run.cpu_s;
        ret_sample->value[TRIAL_RSS] = run.rss_bytes;
        ret_sample->value[TRIAL_FAULTS] = run.faults;
        ret_sample->value[TRIAL_SWITCHES] = run.switches;
        output_tail(run.errors, ret_sample->errors, sizeof ret_sample->errors);
        if (!status)
            status = output_hash(run.output, &ret_sample->output_hash, &ret_sample->output_bytes);
        if (!status && command->metric && !ret_sample->timed_out && !interrupted)
            status = custom_metric(&run);
        if (!status && command->keep_output)
            status = output_copy(run.output, stdout);
        if (!status && interrupted)
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
