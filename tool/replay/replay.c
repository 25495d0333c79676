/* SPDX-License-Identifier: MIT */
#include "replay.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bootstrap.h"
#include "prices.h"
#include "workers.h"

#define RESAMPLES 2000u

/* For the least number of repetitions: times the bound, and so long beyond. */
#define PATIENCE   3.0
#define PATIENCE_S 10.0
#define MARGIN     1.4 /* repetitions aimed at: so many times the least */
#define WINDOWS_LEAST 6u

_Static_assert(REPLAY_LEAST >= PRICES_FIRST, "only then is it known what an op mostly takes");

/* All of one variant. */
struct column {
    struct worker worker;
    bool started;
    double pairs[IMAGE_PLACES + 1][REPLAY_REPETITIONS]; /* the last row: all places together */
    double faults[REPLAY_REPETITIONS];
    struct prices *prices; /* by window */
};

struct bench {
    const struct schedule *schedule;
    const struct replay_options *options;
    struct replay_result *result;
    struct column *columns;
    bool *used; /* by window: it is replayed */
    double begin_s;
};

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void sum_add(struct prices_sum *sum, const struct prices_sum *more)
{
    sum->count += more->count;
    sum->ns += more->ns;
}

static double mean(const struct prices_sum *sum)
{
    return sum->count ? sum->ns / (double)sum->count : 0;
}

static double pair_of(const struct prices_place *sums, struct replay_share share)
{
    if (!sums->make.count)
        return NAN;
    double made = (double)sums->make.count;
    double resizes = share.resizes < 0 ? (double)sums->resize.count / made : share.resizes;
    double frees = share.frees < 0 ? (double)sums->free.count / made : share.frees;
    double pair = mean(&sums->make) + resizes * mean(&sums->resize) + frees * mean(&sums->free);
    return pair > 0 ? pair : 0; /* below the clock's own cost there is nothing to see */
}

static int column_fail(struct bench *b, uint32_t variant, enum worker_status status)
{
    b->result->failed[variant] = true;
    b->result->status[variant] = status;
    return variant ? 0 : -EIO;
}

static const struct image_window *windows_of(const struct bench *b)
{
    return image_at(b->schedule->image, b->schedule->image->windows_at);
}

/* What a repetition comes to, over all windows; `sums` has a row more than there are places, for all of them. */
static void column_sum(struct bench *b, uint32_t variant, uint32_t repetition, struct prices_place *sums)
{
    struct column *column = &b->columns[variant];
    uint32_t places = b->schedule->image->place_count;
    for (uint32_t place = 0; place < places; place++) {
        sum_add(&sums[places].make, &sums[place].make);
        sum_add(&sums[places].resize, &sums[place].resize);
        sum_add(&sums[places].free, &sums[place].free);
        column->pairs[place][repetition] = pair_of(&sums[place], b->options->shares[place]);
        b->result->prices[variant][place].made = sums[place].make.count;
    }
    column->pairs[places][repetition] = pair_of(&sums[places], b->options->shares[places]);
}

/* The first repetitions are summed up once they are all there. */
static void column_sum_first(struct bench *b, uint32_t variant)
{
    const struct image *image = b->schedule->image;
    for (uint32_t which = 0; which < PRICES_FIRST; which++) {
        struct prices_place sums[IMAGE_PLACES + 1];
        memset(sums, 0, sizeof sums);
        for (uint32_t window = 0; window < image->window_count; window++)
            if (b->used[window])
                prices_add(&b->columns[variant].prices[window], image, &windows_of(b)[window], which, NULL, sums);
        column_sum(b, variant, which, sums);
    }
}

/* One variant over all windows. */
static int column_run(struct bench *b, uint32_t variant, uint32_t repetition)
{
    struct column *column = &b->columns[variant];
    const struct image *image = b->schedule->image;
    struct prices_place sums[IMAGE_PLACES + 1];
    struct image_result result;
    uint64_t faults = 0;
    memset(sums, 0, sizeof sums);
    for (uint32_t window = 0; window < image->window_count; window++) {
        if (!b->used[window])
            continue;
        const struct image_request request = {window, variant, b->options->variants[variant].heap, 0};
        if (worker_ask(&column->worker, &request, &result))
            return column_fail(b, variant, WORKER_DIED);
        if (result.status != WORKER_DONE)
            return column_fail(b, variant, result.status);
        int status = prices_take(&column->prices[window], image, &windows_of(b)[window], &result);
        if (status)
            return status;
        if (repetition >= PRICES_FIRST)
            prices_add(&column->prices[window], image, &windows_of(b)[window], repetition, &result, sums);
        faults += result.faults;
        if (result.peak_bytes > b->result->peak_bytes[variant])
            b->result->peak_bytes[variant] = result.peak_bytes;
    }
    column->faults[repetition] = (double)faults;
    if (repetition + 1 == PRICES_FIRST)
        column_sum_first(b, variant);
    else if (repetition >= PRICES_FIRST)
        column_sum(b, variant, repetition, sums);
    return 0;
}

/* All variants, each time another first: what drifts hits all alike. */
static int repetition_run(struct bench *b, uint32_t repetition)
{
    int status = 0;
    for (uint32_t i = 0; i < b->options->variant_count && !status; i++) {
        uint32_t variant = (i + repetition) % b->options->variant_count;
        if (!b->result->failed[variant])
            status = column_run(b, variant, repetition);
    }
    return status;
}

/* Blocks made by each place in a window. */
static void makes_count(const struct image *image, const struct image_window *window, uint32_t ret_counts[IMAGE_PLACES])
{
    const struct image_thread *threads = image_at(image, window->threads_at);
    memset(ret_counts, 0, IMAGE_PLACES * sizeof *ret_counts);
    for (uint32_t i = 0; i < window->thread_count; i++) {
        const struct image_op *ops = image_at(image, threads[i].ops_at);
        for (uint32_t k = 0; k < threads[i].op_count; k++)
            ret_counts[ops[k].place] += ops[k].code <= OP_ALIGNED;
    }
}

/* A site that none of the windows used has blocks of gets the one with most. */
static void places_cover(struct bench *b)
{
    const struct image *image = b->schedule->image;
    uint32_t counts[IMAGE_PLACES], most[IMAGE_PLACES] = {0}, best[IMAGE_PLACES];
    bool covered[IMAGE_PLACES] = {false};
    for (uint32_t window = 0; window < image->window_count; window++) {
        makes_count(image, &windows_of(b)[window], counts);
        for (uint32_t place = 0; place < image->place_count; place++) {
            covered[place] |= b->used[window] && counts[place];
            if (counts[place] > most[place]) {
                most[place] = counts[place];
                best[place] = window;
            }
        }
    }
    for (uint32_t place = 0; place < image->place_count; place++)
        if (!covered[place] && most[place])
            b->used[best[place]] = true;
}

/* Which windows the time is enough for: one is tried. */
static int windows_choose(struct bench *b)
{
    uint32_t count = b->schedule->image->window_count;
    const struct image_window *windows = windows_of(b);
    struct image_result result;
    const struct image_request request = {0, 0, b->options->variants[0].heap, 0};
    double begin = 0;
    for (int i = 0; i < 2; i++) { /* the first finds everything cold */
        begin = now_s();
        if (worker_ask(&b->columns[0].worker, &request, &result))
            return column_fail(b, 0, WORKER_DIED);
        if (result.status != WORKER_DONE)
            return column_fail(b, 0, result.status);
    }
    double event_s = (now_s() - begin) / (double)(windows[0].event_count + 1u);
    double repetition_s = event_s * (double)b->schedule->ops * b->options->variant_count;
    double wanted = ceil(repetition_s * MARGIN * REPLAY_LEAST / b->options->seconds);
    /* Programs have phases: a few windows at least, even if they take longer. */
    double most = count <= WINDOWS_LEAST ? 1 : count / WINDOWS_LEAST;
    uint32_t step = wanted <= 1 ? 1 : wanted >= most ? (uint32_t)most : (uint32_t)wanted;
    for (uint32_t i = step / 2; i < count; i += step)
        b->used[i] = true;
    if (step > 1)
        places_cover(b);
    b->result->windows = count;
    for (uint32_t i = 0; i < count; i++) {
        b->result->windows_used += b->used[i];
        b->result->events += b->used[i] ? windows[i].event_count : 0;
    }
    b->result->cut = b->result->windows_used < count;
    return 0;
}

static int repeat(struct bench *b)
{
    int status = 0;
    struct replay_result *result = b->result;
    while (!status && result->repetitions < REPLAY_REPETITIONS) {
        double spent = now_s() - b->begin_s;
        bool few = result->repetitions < REPLAY_LEAST;
        if (spent > b->options->seconds * (few ? PATIENCE : 1) + (few ? PATIENCE_S : 0)) {
            result->cut |= result->repetitions <= REPLAY_LEAST;
            break;
        }
        if (b->options->progress)
            b->options->progress(b->options->context, spent / b->options->seconds);
        status = repetition_run(b, result->repetitions);
        result->repetitions += !status;
    }
    return status;
}

static void summarise(struct bench *b)
{
    struct replay_result *result = b->result;
    uint32_t places = b->schedule->image->place_count, count = result->repetitions;
    for (uint32_t variant = 0; variant < b->options->variant_count; variant++) {
        struct column *column = &b->columns[variant];
        if (result->failed[variant] || count < PRICES_FIRST)
            continue;
        for (uint32_t place = 0; place < places; place++) {
            struct replay_price *price = &result->prices[variant][place];
            price->pair_ns = median_of(column->pairs[place], count);
            (void)bootstrap_difference(b->columns[0].pairs[place], column->pairs[place], count, RESAMPLES, price->ci95);
        }
        result->all_ns[variant] = median_of(column->pairs[places], count);
        result->faults[variant] = (uint64_t)median_of(column->faults, count);
    }
}

static int workers_start(struct bench *b)
{
    char path[PATH_MAX];
    int status = workers_find(path, sizeof path);
    for (uint32_t i = 0; i < b->options->variant_count && !status; i++) {
        const struct replay_variant *variant = &b->options->variants[i];
        memcpy(b->schedule->image->forms[i], variant->forms, sizeof variant->forms);
        b->schedule->image->variant_count = b->options->variant_count;
        b->columns[i].prices = calloc(b->schedule->image->window_count, sizeof *b->columns[i].prices);
        if (!b->columns[i].prices)
            return -ENOMEM;
        status = worker_start(path, variant->preload, b->schedule->fd, &b->columns[i].worker);
        b->columns[i].started = !status;
    }
    return status;
}

int replay_run(const struct schedule *schedule, const struct replay_options *options, struct replay_result *ret_result)
{
    struct bench bench = {.schedule = schedule, .options = options, .result = ret_result, .begin_s = now_s()};
    memset(ret_result, 0, sizeof *ret_result);
    bench.columns = calloc(options->variant_count, sizeof *bench.columns);
    bench.used = calloc(schedule->image->window_count, sizeof *bench.used);
    if (!bench.columns || !bench.used) {
        free(bench.columns);
        free(bench.used);
        return -ENOMEM;
    }
    int status = workers_start(&bench);
    if (!status)
        status = windows_choose(&bench);
    if (!status)
        status = repeat(&bench);
    if (!status)
        summarise(&bench);
    for (uint32_t i = 0; i < options->variant_count; i++) {
        if (bench.columns[i].started)
            worker_stop(&bench.columns[i].worker);
        for (uint32_t window = 0; bench.columns[i].prices && window < schedule->image->window_count; window++)
            prices_done(&bench.columns[i].prices[window]);
        free(bench.columns[i].prices);
    }
    free(bench.columns);
    free(bench.used);
    ret_result->seconds = now_s() - bench.begin_s;
    return status;
}
