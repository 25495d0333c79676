/* SPDX-License-Identifier: MIT */
#include "measure.h"

#include <errno.h>
#include <ftw.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "launch.h"

#define TIMEOUT_S       60
#define BUILD_TIMEOUT_S 240
#define COUNTED         20000 /* operations under the interposer: twice, their difference counts */
#define COUNTED_RENDER  200

struct measuring {
    const struct plan_places *places;
    const struct measure_options *options;
    char go_folder[64]; /* of the built binary; empty: none */
};

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    return remove(path);
}

static int file_copy(const char *from, const char *to)
{
    char bytes[4096];
    FILE *in = fopen(from, "re"), *out = fopen(to, "we");
    size_t got;
    int failed = !in || !out;
    while (!failed && (got = fread(bytes, 1, sizeof bytes, in)) > 0)
        failed = fwrite(bytes, 1, got, out) != got;
    failed |= in ? ferror(in) : 0;
    if (in)
        fclose(in);
    if (out)
        failed |= fclose(out);
    return failed ? -EIO : 0;
}

static int text_write(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");
    int failed = !file || fputs(text, file) < 0;
    if (file)
        failed |= fclose(file);
    return failed ? -EIO : 0;
}

/* Nothing of it reaches the user's own Go folders, and nothing is fetched. */
static int go_build(struct measuring *measuring)
{
    char path[128], cache[96], home[96], message[256] = "", *output = NULL;
    snprintf(measuring->go_folder, sizeof measuring->go_folder, "/tmp/poolwise-bench-XXXXXX");
    if (!mkdtemp(measuring->go_folder)) {
        measuring->go_folder[0] = '\0';
        return -errno;
    }
    snprintf(path, sizeof path, "%s/go.mod", measuring->go_folder);
    int status = text_write(path, "module pool\n\ngo 1.18\n");
    snprintf(path, sizeof path, "%s/pool_test.go", measuring->go_folder);
    if (!status)
        status = file_copy(measuring->places->go_source, path);
    snprintf(cache, sizeof cache, "GOCACHE=%s/cache", measuring->go_folder);
    snprintf(home, sizeof home, "HOME=%s", measuring->go_folder);
    const char *const environment[] = {
        cache, home, "GOFLAGS=-mod=mod", "GOPROXY=off", "GOTOOLCHAIN=local", NULL};
    char *command[] = {"go", "test", "-c", "-o", "pool.test", NULL};
    const struct launch launch = {.command = command,
                                  .folder = measuring->go_folder,
                                  .environment = environment,
                                  .timeout_s = BUILD_TIMEOUT_S};
    if (!status)
        status = launch_run(&launch, &output, message, sizeof message);
    free(output);
    if (status == -ENODATA)
        status = 0; /* go prints nothing when all is well */
    if (status && status != -ECANCELED && measuring->options->left_out)
        measuring->options->left_out(measuring->options->context, "Go",
                                     message[0] ? message : strerror(-status));
    return status;
}

static int go_line(struct measuring *measuring, const struct plan_entry *entry, char **ret_line,
                   char *message, size_t size)
{
    char binary[96], bench[96], threads[32], *output, *line;
    snprintf(binary, sizeof binary, "%s/pool.test", measuring->go_folder);
    if (entry->peer)
        snprintf(bench, sizeof bench, "-test.bench=^Benchmark%.30s$", entry->bench_case);
    else
        snprintf(bench, sizeof bench, "-test.bench=^Benchmark%.30s$/^variant=%.30s$",
                 entry->bench_case, entry->variant);
    snprintf(threads, sizeof threads, "-test.cpu=%d", entry->threads);
    char *command[] = {
        binary, "-test.run=^$", bench, threads, "-test.benchtime=100ms", "-test.benchmem", NULL};
    const struct launch launch = {.command = command, .timeout_s = TIMEOUT_S};
    int status = launch_run(&launch, &output, message, size);
    if (status)
        return status;
    for (line = strtok(output, "\n"); line && strncmp(line, "Benchmark", 9);
         line = strtok(NULL, "\n"))
        ;
    line = line ? line + strcspn(line, " \t") : NULL;
    *ret_line = line ? strdup(line + strspn(line, " \t")) : NULL;
    free(output);
    if (!line)
        snprintf(message, size, "Go ran no such benchmark");
    return *ret_line ? 0 : -EINVAL;
}

static int worker_line(const struct measuring *measuring, const struct plan_entry *entry,
                       unsigned long count, char **ret_line, char *message, size_t size)
{
    char program[600], variant[32], name[32], threads[16], number[32], samples[16];
    snprintf(program, sizeof program, "%s/%s", measuring->places->worker_folder,
             entry->peer ? entry->peer->worker : "bench-worker");
    snprintf(name, sizeof name, "%s", entry->bench_case);
    snprintf(variant, sizeof variant, "%s", entry->variant);
    snprintf(threads, sizeof threads, "%d", entry->threads);
    snprintf(number, sizeof number, "%lu", count ? count : measuring->options->sample_ms);
    snprintf(samples, sizeof samples, "%u", measuring->options->samples);
    char *command[] = {program,
                       name,
                       variant,
                       threads,
                       count ? "--count" : "--sample-ms",
                       number,
                       count ? NULL : "--samples",
                       samples,
                       NULL};
    const char *preload = entry->peer && entry->peer->path[0] ? entry->peer->path : NULL;
    const struct launch launch = {.command = command,
                                  .preload = count ? measuring->places->count_library : preload,
                                  .timeout_s = TIMEOUT_S};
    return launch_run(&launch, ret_line, message, size);
}

/* B/op and allocs/op exactly, without what a start costs: twice as many operations less as many. */
static int count(const struct measuring *measuring, struct plan_entry *entry, char *message,
                 size_t size)
{
    unsigned long operations = !strcmp(entry->bench_case, "Render") ? COUNTED_RENDER : COUNTED;
    double bytes[2] = {0, 0}, allocations[2] = {0, 0};
    for (int i = 0; i < 2; i++) {
        struct launch_line line;
        char *text;
        int status = worker_line(measuring, entry, operations << i, &text, message, size);
        if (status)
            return status;
        status = launch_parse(text, &line);
        free(text);
        if (status)
            return status;
        for (size_t k = 0; k < line.count; k++) {
            if (!strcmp(line.units[k], "B/op"))
                bytes[i] = line.values[k] * line.iterations;
            if (!strcmp(line.units[k], "allocs/op"))
                allocations[i] = line.values[k] * line.iterations;
        }
    }
    /* In whole numbers, as Go counts: a rare growth, or a second CPU's cache, is none an operation. Where the
     * shorter run is the one that met those, there are none besides. */
    entry->bytes = fmax(0, floor((bytes[1] - bytes[0]) / (double)operations + 1e-6));
    entry->allocations = fmax(0, floor((allocations[1] - allocations[0]) / (double)operations + 1e-6));
    return 0;
}

static int entry_run(struct measuring *measuring, struct plan_entry *entry, unsigned round)
{
    char message[256] = "", *text = NULL;
    struct launch_line line;
    int status = 0;
    if (entry->kind == PLAN_GO && !measuring->go_folder[0])
        status = -ENOENT;
    if (!status && !round && entry->counted)
        status = count(measuring, entry, message, sizeof message);
    if (!status)
        status = entry->kind == PLAN_GO
                     ? go_line(measuring, entry, &text, message, sizeof message)
                     : worker_line(measuring, entry, 0, &text, message, sizeof message);
    if (!status)
        status = launch_parse(text, &line);
    if (!status)
        status = plan_entry_add(entry, &line);
    if (!status && measuring->options->after) {
        text[strcspn(text, "\n")] = '\0';
        measuring->options->after(measuring->options->context, entry, text);
    }
    free(text);
    if (status && status != -ECANCELED && status != -ENOMEM) {
        entry->failed = true;
        if (measuring->options->left_out && (entry->kind != PLAN_GO || measuring->go_folder[0]))
            measuring->options->left_out(measuring->options->context, entry->name,
                                         message[0] ? message : strerror(-status));
        status = 0;
    }
    return status;
}

int measure_run(const struct plan_places *places, struct plan *plan,
                const struct measure_options *options)
{
    struct measuring measuring = {.places = places, .options = options};
    int status = plan->wants_go ? go_build(&measuring) : 0;
    if (status && status != -ECANCELED) {
        if (measuring.go_folder[0])
            nftw(measuring.go_folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
        measuring.go_folder[0] = '\0';
        status = 0;
    }
    size_t total = plan->count * options->rounds, done = 0;
    for (unsigned round = 0; round < options->rounds && !status; round++) {
        for (size_t i = 0; i < plan->count && !status; i++, done++) {
            /* Every other round backwards, each from another place: no entry always follows the same. */
            size_t at = (i + round * plan->count / options->rounds) % plan->count;
            struct plan_entry *entry = &plan->entries[round % 2 ? plan->count - 1 - at : at];
            if (entry->failed)
                continue;
            if (options->before)
                options->before(options->context, entry, done, total);
            status = entry_run(&measuring, entry, round);
        }
    }
    if (measuring.go_folder[0])
        nftw(measuring.go_folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    return status;
}
