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
    struct prices_place sums[REPLAY_REPETITIONS][IMAGE_PLACES];
    double faults[REPLAY_REPETITIONS];
    double refault_share[REPLAY_REPETITIONS]; /* for each event, by the windows' weights; of windows that may trim */
    struct prices *prices; /* by window */
};

struct bench {
    const struct schedule *schedule;
    const struct replay_options *options;
    struct replay_result *result;
    struct column *columns;
    double *weights; /* by window: how many it stands for, itself among them; 0: it is not replayed */
    double begin_s, weighted_events;
};

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* What so many ops take, by size, at the mean price of those that were replayed. Of a size that none was, nothing is known
 * of any variant, so it is left out of all. */
static double scaled(const struct prices_sum sums[OP_SIZES], const uint64_t counts[OP_SIZES], double fault_part)
{
    double ns = 0;
    for (unsigned i = 0; i < OP_SIZES; i++)
        if (sums[i].count)
            ns += (sums[i].ns + fault_part * sums[i].slow_ns) / sums[i].weight * (double)counts[i];
    return ns;
}

static uint64_t made_of(const struct prices_place *sums)
{
    uint64_t made = 0;
    for (unsigned i = 0; i < OP_SIZES; i++)
        made += sums->make[i].count;
    return made;
}

static double made_in_all(const struct op_sizes *counts)
{
    double made = 0;
    for (unsigned i = 0; i < OP_SIZES; i++)
        made += (double)counts->made[i];
    return made;
}

/* What a place's ops take in the whole recording. */
static double place_ns(const struct prices_place *sums, const struct op_sizes *counts, double fault_part)
{
    double ns = scaled(sums->make, counts->made, fault_part) + scaled(sums->resize, counts->resized, fault_part) +
                scaled(sums->free, counts->freed, fault_part);
    return ns > 0 ? ns : 0; /* below the clock's own cost there is nothing to see */
}

static double pair_of(const struct prices_place *sums, const struct op_sizes *counts, double fault_part)
{
    double made = made_in_all(counts);
    return made_of(sums) && made > 0 ? place_ns(sums, counts, fault_part) / made : NAN;
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

/* Whether what is slow in it may be the trimming's doing: a heap that grows has its faults for good reason, and threads wait for each
 * other. */
static bool window_trims(const struct image_window *window)
{
    return !window->grows && window->thread_count == 1;
}

static void window_add(struct bench *b, uint32_t variant, uint32_t window, uint32_t repetition, const struct image_result *result)
{
    struct column *column = &b->columns[variant];
    prices_add(&column->prices[window], b->schedule->image, &windows_of(b)[window], repetition, result,
               b->weights[window], window_trims(&windows_of(b)[window]), column->sums[repetition]);
}

/* One variant over all windows. */
static int column_run(struct bench *b, uint32_t variant, uint32_t repetition)
{
    struct column *column = &b->columns[variant];
    const struct image *image = b->schedule->image;
    struct image_result result;
    double faults = 0;
    for (uint32_t window = 0; window < image->window_count; window++) {
        if (b->weights[window] <= 0)
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
            window_add(b, variant, window, repetition, &result);
        /* The first ones are summed up once they are all there. */
        for (uint32_t which = 0; which < PRICES_FIRST && repetition + 1 == PRICES_FIRST; which++)
            window_add(b, variant, window, which, NULL);
        faults += (double)result.faults;
        if (window_trims(&windows_of(b)[window]))
            column->refault_share[repetition] += b->weights[window] * (double)result.faults / b->weighted_events;
        if (result.peak_bytes > b->result->peak_bytes[variant])
            b->result->peak_bytes[variant] = result.peak_bytes;
    }
    column->faults[repetition] = faults;
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
            covered[place] |= b->weights[window] > 0 && counts[place];
            if (counts[place] > most[place]) {
                most[place] = counts[place];
                best[place] = window;
            }
        }
    }
    for (uint32_t place = 0; place < image->place_count; place++)
        if (!covered[place] && most[place])
            b->weights[best[place]] = 1;
}

/* What the ops of a window took just now. */
static double window_ns(const struct image *image, const struct image_window *window, const struct image_result *result)
{
    const struct image_thread *threads = image_at(image, window->threads_at);
    double ticks = 0;
    for (uint32_t i = 0; i < window->thread_count; i++) {
        const uint16_t *packed = image_at(image, threads[i].ticks_at);
        for (uint32_t op = 0; op < threads[i].op_count; op++)
            ticks += (double)image_unpack(packed[op]);
    }
    return ticks * result->ns_per_tick;
}

struct looked_at {
    double ns;
    uint32_t window;
};

static int by_ns(const void *a, const void *b)
{
    const struct looked_at *left = a, *right = b;
    return left->ns < right->ns ? -1 : left->ns > right->ns;
}

/* Each window once, by the first variant. */
static int windows_look(struct bench *b, struct looked_at *looked)
{
    const struct image *image = b->schedule->image;
    struct image_result result;
    for (uint32_t i = 0; i <= image->window_count; i++) {
        uint32_t window = i % image->window_count; /* the first finds everything cold: it comes again */
        const struct image_request request = {window, 0, b->options->variants[0].heap, 0};
        if (worker_ask(&b->columns[0].worker, &request, &result))
            return column_fail(b, 0, WORKER_DIED);
        if (result.status != WORKER_DONE)
            return column_fail(b, 0, result.status);
        looked[window] = (struct looked_at){window_ns(image, &windows_of(b)[window], &result), window};
    }
    return 0;
}

/*
 * `picks` of the windows, with a chance that grows with what they cost, so that those weigh most of which there are few: systematic
 * sampling with probability proportional to size, in the order of the sizes (Madow 1949). A size is half of what it costs, half
 * of the mean: no window stands for very many.
 */
static void windows_pick(struct bench *b, const struct looked_at *looked, uint32_t count, uint32_t picks)
{
    double mean = 0, at = 0;
    for (uint32_t i = 0; i < count; i++)
        mean += looked[i].ns / count;
    double pace = 2 * mean * count / picks, next = pace / 2;
    for (uint32_t i = 0; i < count; i++) {
        double size = looked[i].ns + mean;
        for (at += size; at > next; next += pace)
            b->weights[looked[i].window] += pace / size;
    }
}

/*
 * Which windows the time is enough for. Programs have phases, and a block may be ten times as dear in one as in the next: so
 * all are looked at once.
 */
static int windows_choose(struct bench *b)
{
    uint32_t count = b->schedule->image->window_count;
    struct looked_at *looked = calloc(count, sizeof *looked);
    if (!looked)
        return -ENOMEM;
    double begin = now_s();
    int status = windows_look(b, looked);
    double repetition_s = (now_s() - begin) * count / (count + 1) * b->options->variant_count;
    double left_s = b->options->seconds - (now_s() - b->begin_s), least_s = b->options->seconds / 2;
    double wanted = ceil(repetition_s * MARGIN * REPLAY_LEAST / (left_s > least_s ? left_s : least_s));
    /* A few windows at least, even if they take longer. */
    double most = count <= WINDOWS_LEAST ? 1 : count / WINDOWS_LEAST;
    uint32_t step = wanted <= 1 ? 1 : wanted >= most ? (uint32_t)most : (uint32_t)wanted;
    qsort(looked, count, sizeof *looked, by_ns);
    if (!status && step > 1)
        windows_pick(b, looked, count, count / step);
    else
        for (uint32_t i = 0; i < count; i++)
            b->weights[i] = 1;
    free(looked);
    if (status)
        return status;
    if (step > 1)
        places_cover(b);
    const struct image_window *windows = windows_of(b);
    b->result->windows = count;
    for (uint32_t i = 0; i < count; i++) {
        bool used = b->weights[i] > 0;
        b->result->windows_used += used;
        b->result->events += used ? windows[i].event_count : 0;
        b->weighted_events += b->weights[i] * windows[i].event_count;
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

static void pairs_of(const struct bench *b, uint32_t variant, uint32_t place, double *ret_pairs)
{
    for (uint32_t i = 0; i < b->result->repetitions; i++)
        ret_pairs[i] = pair_of(&b->columns[variant].sums[i][place], &b->options->counts[place], b->result->fault_part);
}

/* All places but one; IMAGE_PLACES: all. */
static void totals_of(const struct bench *b, uint32_t variant, uint32_t but, double *ret_ns)
{
    for (uint32_t i = 0; i < b->result->repetitions; i++) {
        ret_ns[i] = 0;
        for (uint32_t place = 0; place < b->schedule->image->place_count; place++)
            if (place != but)
                ret_ns[i] += place_ns(&b->columns[variant].sums[i][place], &b->options->counts[place], b->result->fault_part);
    }
}

static void summarise_others(struct bench *b, uint32_t variant)
{
    double first[REPLAY_REPETITIONS], own[REPLAY_REPETITIONS];
    uint32_t alone = b->options->variants[variant].alone, count = b->result->repetitions;
    if (!variant || alone >= IMAGE_PLACES)
        return;
    totals_of(b, 0, alone, first);
    totals_of(b, variant, alone, own);
    struct replay_others *others = &b->result->others[variant];
    others->saved_ns = median_of(first, count) - median_of(own, count);
    (void)bootstrap_difference(first, own, count, RESAMPLES, others->ci95);
}

/*
 * The heap that a window begins with is not just as it was: its top is the most of what differs, and where it is given back and
 * taken again decides over page faults. How many of these there were in all is known, so that more are not believed.
 */
static double fault_part(const struct bench *b)
{
    double all = 0, faults = median_of(b->columns[0].refault_share, b->result->repetitions);
    for (uint32_t place = 0; place < b->schedule->image->place_count; place++)
        for (unsigned i = 0; i < OP_SIZES; i++)
            all += (double)(b->options->counts[place].made[i] + b->options->counts[place].resized[i] +
                            b->options->counts[place].freed[i]);
    double expected = faults * all;
    return b->options->refaults_known && expected > (double)b->options->refaults ? (double)b->options->refaults / expected : 1;
}

static void summarise(struct bench *b)
{
    struct replay_result *result = b->result;
    uint32_t places = b->schedule->image->place_count, count = result->repetitions;
    double first[REPLAY_REPETITIONS], own[REPLAY_REPETITIONS], blocks = 0;
    if (count >= PRICES_FIRST)
        result->fault_part = fault_part(b);
    for (uint32_t place = 0; place < places; place++)
        blocks += made_in_all(&b->options->counts[place]);
    for (uint32_t variant = 0; variant < b->options->variant_count; variant++) {
        if (result->failed[variant] || count < PRICES_FIRST)
            continue;
        for (uint32_t place = 0; place < places; place++) {
            struct replay_price *price = &result->prices[variant][place];
            pairs_of(b, 0, place, first);
            pairs_of(b, variant, place, own);
            price->made = made_of(&b->columns[variant].sums[0][place]);
            price->pair_ns = median_of(own, count);
            (void)bootstrap_difference(first, own, count, RESAMPLES, price->ci95);
        }
        totals_of(b, variant, IMAGE_PLACES, own);
        result->all_ns[variant] = blocks > 0 ? median_of(own, count) / blocks : 0;
        result->faults[variant] = (uint64_t)median_of(b->columns[variant].faults, count);
        summarise_others(b, variant);
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
    bench.weights = calloc(schedule->image->window_count, sizeof *bench.weights);
    if (!bench.columns || !bench.weights) {
        free(bench.columns);
        free(bench.weights);
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
    free(bench.weights);
    ret_result->seconds = now_s() - bench.begin_s;
    return status;
}
