/* SPDX-License-Identifier: MIT */
#include "prices.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FAR_TIMES 3u /* an op was interrupted when it took that many times what it mostly takes, */
#define FAR_NS    200.0 /* and so much more */
/* An op is slow beyond so much, and the time to copy its block. A fault takes 500 ns at least, several us on virtual machines. */
#define SLOW_NS      300.0
#define COPY_BYTES_NS 4.0

static uint32_t op_count(const struct image *image, const struct image_window *window)
{
    const struct image_thread *threads = image_at(image, window->threads_at);
    uint32_t count = 0;
    for (uint32_t i = 0; i < window->thread_count; i++)
        count += threads[i].op_count;
    return count;
}

void prices_done(struct prices *prices)
{
    for (uint32_t i = 0; i < PRICES_FIRST; i++)
        free(prices->first[i]);
    free(prices->mostly);
    *prices = (struct prices){.count = 0};
}

/* A few values, so by insertion. */
static uint16_t median(const struct prices *prices, uint32_t op)
{
    uint16_t sorted[PRICES_FIRST];
    for (uint32_t i = 0; i < PRICES_FIRST; i++) {
        uint32_t at = i;
        for (; at && sorted[at - 1] > prices->first[i][op]; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = prices->first[i][op];
    }
    return sorted[PRICES_FIRST / 2];
}

int prices_take(struct prices *prices, const struct image *image, const struct image_window *window,
                const struct image_result *result)
{
    const struct image_thread *threads = image_at(image, window->threads_at);
    uint32_t ops = op_count(image, window), at = 0, which = prices->count;
    if (which >= PRICES_FIRST) {
        prices->count++;
        return 0;
    }
    uint16_t *taken = malloc((ops + 1u) * sizeof *taken);
    if (!taken)
        return -ENOMEM;
    for (uint32_t i = 0; i < window->thread_count; i++) {
        memcpy(taken + at, image_at(image, threads[i].ticks_at),
               threads[i].op_count * sizeof *taken);
        at += threads[i].op_count;
    }
    prices->first[which] = taken;
    prices->ns_per_tick[which] = result->ns_per_tick;
    prices->own_ticks[which] = result->own_ticks;
    if (which + 1 == PRICES_FIRST) {
        prices->mostly = malloc((ops + 1u) * sizeof *prices->mostly);
        if (!prices->mostly)
            return -ENOMEM;
        for (uint32_t op = 0; op < ops; op++)
            prices->mostly[op] = median(prices, op);
    }
    prices->count++;
    return 0;
}

static void add(struct prices_sum *sum, double weight, double ns, uint32_t copied, bool trims)
{
    double usual = trims ? SLOW_NS + copied / COPY_BYTES_NS : HUGE_VAL;
    sum->count++;
    sum->weight += weight;
    sum->ns += weight * (ns < usual ? ns : usual);
    sum->slow_ns += weight * (ns < usual ? 0 : ns - usual);
}

void prices_add(const struct prices *prices, const struct image *image,
                const struct image_window *window, uint32_t which,
                const struct image_result *result, double weight, bool trims, struct prices_place *places)
{
    const struct image_thread *threads = image_at(image, window->threads_at);
    bool kept = which < PRICES_FIRST;
    double scale = kept ? prices->ns_per_tick[which] : result->ns_per_tick;
    double own = kept ? prices->own_ticks[which] : result->own_ticks;
    uint64_t far = (uint64_t)(FAR_NS / scale);
    uint32_t at = 0;
    for (uint32_t i = 0; i < window->thread_count; i++) {
        const struct image_op *ops = image_at(image, threads[i].ops_at);
        const uint16_t *now =
            kept ? prices->first[which] + at : image_at(image, threads[i].ticks_at);
        for (uint32_t op = 0; op < threads[i].op_count; op++) {
            if (ops[op].code == OP_SYNC)
                continue;
            uint64_t ticks = image_unpack(now[op]), mostly = image_unpack(prices->mostly[at + op]);
            if (ticks > FAR_TIMES * mostly && ticks > mostly + far)
                ticks = mostly;
            double ns = ((double)ticks - own) * scale;
            struct prices_place *place = &places[ops[op].place];
            if (ops[op].code == OP_FREE)
                add(&place->free[op_size_class(ops[op].was)], weight, ns, 0, trims);
            else if (ops[op].code == OP_REALLOC)
                add(&place->resize[op_size_class(ops[op].was)], weight, ns, ops[op].was, trims);
            else
                add(&place->make[op_size_class(ops[op].size)], weight, ns, 0, trims);
        }
        at += threads[i].op_count;
    }
}
