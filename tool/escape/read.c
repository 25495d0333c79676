/* SPDX-License-Identifier: MIT */
/* The inputs, several at once: each through clang, or from the cache, into a unit. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "front.h"
#include "run.h"

#define JOBS_MAX 64u

static double now_s(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* Reading: each thread takes the next input. */
struct reading {
    const struct escape_input *inputs;
    size_t count;
    const struct escape_options *options;
    struct front front;
    const struct llvm *llvm;
    struct unit **units;
    char **messages;      /* by input; NULL: it went well */
    atomic_size_t next;   /* any thread: the first input that none has taken */
    pthread_mutex_t lock; /* of what follows */
    size_t done, cached;
    double compile_s, read_s;
    bool no_memory;
};

static void *read_inputs(void *context)
{
    struct reading *reading = context;
    for (;;) {
        size_t number = atomic_fetch_add_explicit(&reading->next, 1, memory_order_relaxed);
        if (number >= reading->count)
            return NULL;
        const struct escape_input *input = &reading->inputs[number];
        char message[1024] = "", *path = NULL;
        bool cached = false;
        double begin = now_s();
        int status =
            front_bitcode(&reading->front, input, number, &path, &cached, message, sizeof message);
        double compiled = now_s();
        struct unit *unit = status ? NULL : calloc(1, sizeof *unit);
        if (unit)
            status = lift_file(reading->llvm, path, unit, message, sizeof message);
        if (unit && status) {
            arena_done(&unit->arena);
            free(unit);
            unit = NULL;
        }
        if (unit)
            unit->name = input->file;
        free(path);
        double read = now_s();
        pthread_mutex_lock(&reading->lock);
        reading->units[number] = unit;
        reading->cached += cached;
        reading->compile_s += compiled - begin;
        reading->read_s += read - compiled;
        if (status && asprintf(&reading->messages[number], "%s",
                               message[0] ? message : strerror(-status)) < 0)
            reading->messages[number] = NULL;
        if (status == -ENOMEM)
            reading->no_memory = true;
        reading->done++;
        if (reading->options->progress)
            reading->options->progress(reading->options->context, reading->done, reading->count,
                                       "reading");
        pthread_mutex_unlock(&reading->lock);
    }
}

static int inputs_read(struct escape *escape, struct reading *reading, unsigned jobs)
{
    pthread_t threads[JOBS_MAX];
    unsigned started = 0;
    for (; started + 1 < jobs && started + 1 < JOBS_MAX && started + 1 < reading->count; started++)
        if (pthread_create(&threads[started], NULL, read_inputs, reading))
            break;
    read_inputs(reading);
    while (started)
        pthread_join(threads[--started], NULL);
    escape->counts.cached = reading->cached;
    escape->counts.compile_s = reading->compile_s;
    escape->counts.read_s = reading->read_s;
    return reading->no_memory ? -ENOMEM : 0;
}

int run_read(struct escape *escape, const struct escape_input *inputs, size_t count,
             const struct escape_options *options, char *clang, char *ret_message,
             size_t message_size)
{
    bool cache = options->cache;
    char *folder = front_folder(cache);
    if (!folder && cache) {
        cache = false;
        folder = front_folder(false);
    }
    struct reading reading = {.inputs = inputs,
                              .count = count,
                              .options = options,
                              .front = {clang, folder, cache},
                              .llvm = &escape->llvm};
    reading.units = calloc(count + 1, sizeof *reading.units);
    reading.messages = calloc(count + 1, sizeof *reading.messages);
    pthread_mutex_init(&reading.lock, NULL);
    int status = folder && reading.units && reading.messages ? 0 : -ENOMEM;
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    if (!status)
        status = inputs_read(escape, &reading,
                             options->jobs ? options->jobs
                             : cpus > 0    ? (unsigned)cpus
                                           : 1);
    for (size_t i = 0; i < count && reading.messages; i++) {
        if (!reading.messages[i])
            continue;
        if (escape->note_count < NOTES_MAX)
            escape->notes[escape->note_count++] = reading.messages[i];
        else
            free(reading.messages[i]);
    }
    if (folder && !cache)
        front_folder_drop(folder);
    free(folder);
    free(reading.messages);
    pthread_mutex_destroy(&reading.lock);
    escape->program.units = reading.units;
    for (size_t i = 0; reading.units && i < count; i++)
        if (reading.units[i])
            escape->program.units[escape->program.unit_count++] = reading.units[i];
    escape->counts.units = escape->program.unit_count;
    if (status)
        snprintf(ret_message, message_size, "%s", strerror(-status));
    else if (!escape->program.unit_count) {
        status = -EINVAL;
        snprintf(ret_message, message_size, "%s",
                 escape->note_count ? escape->notes[0] : "there is nothing to analyse");
    }
    return status;
}
