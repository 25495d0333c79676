/* SPDX-License-Identifier: MIT */
#include "try_runs.h"

#include <errno.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

struct try_arm *try_arm_add(struct try_runs *runs, const char *name, bool preload,
                            struct candidate *const *sites, size_t site_count)
{
    if (runs->arm_count == runs->arm_room) {
        size_t room = runs->arm_room ? 2 * runs->arm_room : 16;
        struct try_arm *grown = realloc(runs->arms, room * sizeof *grown);
        if (!grown)
            return NULL;
        runs->arms = grown;
        runs->arm_room = room;
    }
    struct try_arm *arm = &runs->arms[runs->arm_count];
    *arm = (struct try_arm){.control = 1,
                            .every = 1,
                            .name = name,
                            .sites = calloc(site_count + 1, sizeof *arm->sites),
                            .trial_sites = calloc(site_count + 1, sizeof *arm->trial_sites)};
    runs->arm_count++;
    if (!arm->sites || !arm->trial_sites)
        return NULL;
    for (size_t i = 0; i < site_count; i++) {
        arm->sites[i] = sites[i];
        arm->trial_sites[i] = &sites[i]->site;
    }
    arm->arm =
        (struct trial_arm){.preload = preload, .sites = arm->trial_sites, .site_count = site_count};
    return arm;
}

void try_runs_done(struct try_runs *runs)
{
    for (size_t i = 0; i < runs->arm_count; i++) {
        for (int metric = 0; metric < TRIAL_METRICS; metric++)
            free(runs->arms[i].values[metric]);
        free(runs->arms[i].sites);
        free(runs->arms[i].trial_sites);
    }
    free(runs->arms);
    runs->arms = NULL;
    runs->arm_count = 0;
}

/* The processor for all runs of a round, among those that we may use. */
static int cpu_of_round(const struct try_runs *runs, size_t round)
{
    cpu_set_t allowed;
    if (!runs->one_cpu || sched_getaffinity(0, sizeof allowed, &allowed) || !CPU_COUNT(&allowed))
        return TRIAL_ANY_CPU;
    size_t skip = round % (size_t)CPU_COUNT(&allowed);
    int cpu = 0;
    while (!CPU_ISSET(cpu, &allowed) || skip--)
        cpu++;
    return cpu;
}

static enum try_outcome outcome_of(const struct try_runs *runs, const struct trial_sample *sample)
{
    if (sample->timed_out)
        return TRY_TIMED_OUT;
    if (sample->exit_status != runs->first.exit_status)
        return TRY_STATUS;
    if (!runs->output_varies && (sample->output_hash != runs->first.output_hash ||
                                 sample->output_bytes != runs->first.output_bytes))
        return TRY_OUTPUT;
    return TRY_SAME;
}

/* Arms that sit rounds out have no value there, so that those of one round stay side by side. */
static int note(struct try_arm *arm, const struct trial_sample *sample, size_t round,
                size_t rounds_most)
{
    for (int metric = 0; metric < TRIAL_METRICS; metric++) {
        if (!arm->values[metric] &&
            !(arm->values[metric] = calloc(rounds_most, sizeof *arm->values[metric])))
            return -ENOMEM;
        for (size_t i = arm->rounds; i < round; i++)
            arm->values[metric][i] = NAN;
        arm->values[metric][round] = sample->value[metric];
    }
    arm->rounds = round + 1;
    return 0;
}

/* One run of an arm. */
static int run_arm(struct try_runs *runs, size_t number, size_t round, size_t rounds_most)
{
    struct try_arm *arm = &runs->arms[number];
    struct trial_sample sample;
    int status = trial_run(runs->command, &arm->arm, cpu_of_round(runs, round), &sample, runs->message, sizeof runs->message);
    if (status)
        return status;
    enum try_outcome outcome = outcome_of(runs, &sample);
    if (outcome == TRY_OUTPUT && number == 0) {
        runs->output_varies = true;
        outcome = TRY_SAME;
        for (size_t i = 0; i < runs->arm_count; i++)
            if (runs->arms[i].outcome == TRY_OUTPUT)
                runs->arms[i].outcome =
                    TRY_SAME; /* it says nothing after all; the arm goes on from here */
    }
    arm->last = sample;
    if (arm->arm.preload && !sample.attached) {
        snprintf(runs->message, sizeof runs->message,
                 "%s did not load the trial library (was LD_PRELOAD taken out of its environment?)",
                 runs->command->argv[0]);
        return -ENODATA;
    }
    if (number == 0 && outcome != TRY_SAME) {
        snprintf(runs->message, sizeof runs->message,
                 "%s does not always end in the same way: a trial needs runs that can be compared",
                 runs->command->argv[0]);
        return -EPROTO;
    }
    if (outcome != TRY_SAME) {
        arm->outcome = outcome;
        return 0;
    }
    return note(arm, &sample, round, rounds_most);
}

int try_runs_first(struct try_runs *runs)
{
    if (runs->progress)
        runs->progress(runs->context, runs, "plain", 0, 0);
    int status = trial_run(runs->command, &runs->arms[0].arm, TRIAL_ANY_CPU, &runs->first, runs->message,
                           sizeof runs->message);
    if (!status && runs->first.timed_out) {
        snprintf(runs->message, sizeof runs->message,
                 "%s ran past its time limit of %g s without any pool", runs->command->argv[0],
                 runs->command->timeout_s);
        status = -ETIMEDOUT;
    }
    if (!status && WIFSIGNALED(runs->first.exit_status)) {
        snprintf(runs->message, sizeof runs->message,
                 "%s was killed by signal %d (%s) without any pool%s%s", runs->command->argv[0],
                 WTERMSIG(runs->first.exit_status), strsignal(WTERMSIG(runs->first.exit_status)),
                 *runs->first.errors ? ": " : "", runs->first.errors);
        status = -EPROTO;
    }
    if (!status && WIFEXITED(runs->first.exit_status) &&
        WEXITSTATUS(runs->first.exit_status) == 127 && !runs->first.output_bytes) {
        snprintf(runs->message, sizeof runs->message, "%s ended with status 127%s%s",
                 runs->command->argv[0], *runs->first.errors ? ": " : "", runs->first.errors);
        status = -EPROTO;
    }
    return status;
}

/* Enough for an interval also of the arms that run least often. */
static size_t rounds_least(const struct try_runs *runs)
{
    size_t least = TRY_ROUNDS_LEAST;
    for (size_t i = 0; i < runs->arm_count; i++)
        if ((TRY_ROUNDS_LEAST - 1) * runs->arms[i].every + 1 > least)
            least = (TRY_ROUNDS_LEAST - 1) * runs->arms[i].every + 1;
    return least;
}

/* Whether all that is saved is known well enough. Asked now and then only: an interval is the work of some milliseconds. */
static bool narrow(const struct try_runs *runs, size_t round)
{
    if (runs->within <= 0 || round < TRY_ROUNDS_WITHIN || round % 2)
        return false;
    for (size_t i = 2; i < runs->arm_count; i++) {
        const struct try_arm *arm = &runs->arms[i];
        struct interval saving;
        if (arm->control == i || arm->arm.pass || arm->outcome != TRY_SAME)
            continue;
        if (!try_saving(&runs->arms[arm->control], arm, runs->metric, &saving) ||
            saving.high - saving.low > 2 * runs->within)
            return false;
    }
    return true;
}

int try_runs_measure(struct try_runs *runs)
{
    int status = 0;
    size_t most = runs->rounds_wanted ? runs->rounds_wanted : TRY_ROUNDS_MOST;
    size_t *order = calloc(runs->arm_count, sizeof *order);
    if (!order)
        return -ENOMEM;
    double round_begin_s = now_s();
    for (size_t round = 0; !status && round < most; round++) {
        double now = now_s(), spent_s = now - round_begin_s;
        double left_s = runs->rounds_wanted
                            ? round ? spent_s / (double)round * (double)(most - round) : 0
                            : runs->budget_s - spent_s;
        /* A round more than there is time for is not begun. */
        if (!runs->rounds_wanted && round >= rounds_least(runs) &&
            spent_s + spent_s / (double)round > runs->budget_s)
            break;
        if (!runs->rounds_wanted && round >= TRY_ROUNDS_FEWEST && spent_s > runs->budget_s)
            break;
        if (narrow(runs, round))
            break;
        trial_order((unsigned)round, runs->arm_count, order);
        for (size_t i = 0; !status && i < runs->arm_count; i++) {
            struct try_arm *arm = &runs->arms[order[i]];
            if (arm->outcome != TRY_SAME || round % arm->every)
                continue;
            if (runs->progress)
                runs->progress(runs->context, runs, arm->name, round + 1, left_s > 0 ? left_s : 0);
            status = run_arm(runs, order[i], round, most);
        }
        if (!status)
            runs->rounds = round + 1;
    }
    free(order);
    runs->elapsed_s = now_s() - round_begin_s;
    if (status == -ENOMEM)
        snprintf(runs->message, sizeof runs->message, "out of memory");
    return status == -EINTR && runs->rounds ? 0 : status;
}

/* Whether these sites alone bring the outcome about. */
static bool happens(struct try_runs *runs, const struct try_arm *arm, size_t first, size_t count)
{
    struct trial_arm some = arm->arm;
    struct trial_sample sample;
    some.sites += first;
    some.site_count = count;
    return !trial_run(runs->command, &some, TRIAL_ANY_CPU, &sample, runs->message, sizeof runs->message) &&
           outcome_of(runs, &sample) == arm->outcome;
}

struct candidate *try_runs_bisect(struct try_runs *runs, const struct try_arm *arm)
{
    size_t first = 0, count = arm->arm.site_count;
    while (count > 1) {
        size_t half = count / 2;
        if (happens(runs, arm, first, half)) {
            count = half;
        } else if (happens(runs, arm, first + half, count - half)) {
            first += half;
            count -= half;
        } else {
            return NULL;
        }
    }
    return count && happens(runs, arm, first, 1) ? arm->sites[first] : NULL;
}

bool try_saving(const struct try_arm *before, const struct try_arm *after, enum trial_metric metric,
                struct interval *ret_saving)
{
    size_t count = before->rounds < after->rounds ? before->rounds : after->rounds;
    return count &&
           !trial_compare(before->values[metric], after->values[metric], count, ret_saving);
}

const char *try_site_problem(const struct try_arm *arm, size_t site)
{
    if (arm->last.site_state[site] == PLAN_SERVED)
        return NULL;
    if (arm->last.module_state[site] == PLAN_OTHER_BUILD)
        return "its file is another build than the one that the advice is about";
    if (arm->last.module_state[site] == PLAN_NOT_LOADED)
        return "its file was not loaded";
    if (arm->last.site_state[site] == PLAN_OPAQUE)
        return "its calls cannot be told from others' (no unwind data on the way to it)";
    return "no block was asked for there";
}
