/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "figures.h"
#include "ladder.h"

#define NAME_BYTES 60

/* Moves `at` back to the first byte of the UTF-8 character it lies in. */
static size_t character_start(const char *text, size_t at)
{
    while (at > 0 && ((unsigned char)text[at] & 0xc0) == 0x80)
        at--;
    return at;
}

static void say_bytes(FILE *stream, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)text[i];
        bool ends_comment = byte == '/' && i > 0 && text[i - 1] == '*';
        bool opens_comment = byte == '*' && i > 0 && text[i - 1] == '/';
        if (ends_comment || opens_comment)
            fputc(' ', stream);
        fputc(byte < 0x20 || byte == 0x7f ? '?' : byte, stream);
    }
}

void say_name(FILE *stream, const char *name)
{
    if (!name || !*name)
        name = "?";
    size_t length = strlen(name);
    if (length <= NAME_BYTES) {
        say_bytes(stream, name, length);
        return;
    }
    size_t head = character_start(name, NAME_BYTES / 2 - 2);
    size_t tail = character_start(name, length - NAME_BYTES / 2);
    say_bytes(stream, name, head);
    fputs("\xe2\x80\xa6", stream); /* an ellipsis */
    say_bytes(stream, name + tail, length - tail);
}

static void say_frame(const struct weighed *w, FILE *stream)
{
    const struct analyse_site *site = w->facts;
    if (site->outlived_known)
        fprintf(stream,
                "Frame: of %s blocks whose end was seen, %s died in the frame that made them and "
                "%s in its caller",
                figure_count(w->placed).text, figure_count(site->outlived[0]).text,
                figure_count(site->outlived[1]).text);
    else
        fprintf(stream, "Frame: of no block it is known which frame it died in");
    fprintf(stream,
            "; %s freed by another thread, %s never freed; the largest was %s, at most %s of one "
            "frame at once.\n",
            figure_count(site->freed_by_other_thread).text, figure_count(site->never_freed).text,
            figure_bytes(w->largest).text, figure_count(site->max_live_in_instance).text);
}

static void say_weight(const struct weighed *w, double cpu_ns, FILE *stream)
{
    const struct analyse_site *site = w->facts;
    fprintf(stream, "Weight: place %zu by allocations or cost; %s blocks", w->best_rank + 1,
            figure_count(site->allocations).text);
    if (site->grow.steps)
        fprintf(stream, " and %s growth steps", figure_count(site->grow.steps).text);
    fprintf(stream, " at %s%s are %s", figure_ns(w->malloc_ns).text,
            site->grow.steps && w->input->cost.measured ? " a block" : "", figure_ns(w->cost_ns).text);
    if (cpu_ns > 0)
        fprintf(stream, ", at most %s of the program's %s CPU.\n", figure_share(w->share).text,
                figure_ns(cpu_ns).text);
    else
        fprintf(stream, "; the program's CPU time is unknown.\n");
}

static void say_sizes(const struct weighed *w, FILE *stream)
{
    const struct analyse_site *site = w->facts;
    fprintf(stream, "Sizes: %s within [%s, %s]; p50 %s, p99.9 %s, max %s; spread %s.\n",
            figure_share(site->within_2x).text, figure_bytes(site->window_low).text,
            figure_bytes(2 * site->window_low).text, figure_bytes(site->size.p50).text,
            figure_bytes(site->size.p999).text, figure_bytes(site->size.max).text,
            figure_ratio(site->spread).text);
}

static void say_simpler(const struct weighed *w, FILE *stream)
{
    const struct analyse_site *site = w->facts;
    fprintf(stream, "Simpler: ");
    if (site->grow.chains)
        fprintf(stream,
                "%s of the blocks grow, %.1f steps each, from %s to %s (p50; p95 %s), %s copied; ",
                figure_share(w->grow_share).text, w->grow_steps,
                figure_bytes(site->grow.first.p50).text, figure_bytes(site->grow.final.p50).text,
                figure_bytes(site->grow.final.p95).text, figure_bytes(site->grow.bytes_moved).text);
    else
        fprintf(stream, "no block grows; ");
    fprintf(stream, "at most %s alive at once", figure_count(site->live_peak).text);
    if (site->instances[0])
        fprintf(stream, ", %s made by one call of the function",
                figure_compact((double)site->allocations / (double)site->instances[0]).text);
    if (site->instances[1])
        fprintf(stream, " and %s by one of its caller",
                figure_compact((double)site->allocations / (double)site->instances[1]).text);
    if (site->frees)
        fprintf(stream, "; %s of the frees come in runs; half of the blocks live at most %s.\n",
                figure_share(share_of((double)site->freed_in_burst, (double)site->frees)).text,
                figure_ns((double)site->lifetime_ns.p50).text);
    else
        fprintf(stream, "; none was freed.\n");
}

static void say_cost(const struct verdict_thresholds *thresholds, const struct weighed *w,
                     double cpu_ns, FILE *stream)
{
    const struct verdict_cost *cost = &w->input->cost;
    fprintf(stream,
            "Cost: malloc+free %s, a pool's get+put %s, %s; %s of gets would hit; a pool %s ",
            figure_ns(w->malloc_ns).text, figure_ns(w->pool_pair_ns).text,
            cost->measured ? "measured with this site's own events"
                           : "estimated from this machine's calibration, not measured",
            figure_share(w->hit_rate).text, w->pool_ns < 0 ? "would lose" : "would save");
    double size_ns = w->pool_ns < 0 ? -w->pool_ns : w->pool_ns;
    if (cpu_ns > 0)
        fprintf(stream, "%s of CPU time", figure_share(size_ns / cpu_ns).text);
    else
        fprintf(stream, "%s in the run", figure_ns(size_ns).text);
    if (cost->measured)
        fprintf(stream, " (95 %% interval %s to %s)", figure_share(w->saved_ci95[0]).text,
                figure_share(w->saved_ci95[1]).text);
    if (w->others_ns != 0 && cpu_ns > 0)
        fprintf(stream, ", %s of it (%s to %s) at other sites' blocks, which were replayed with this site alone pooled",
                figure_share(w->others_ns / cpu_ns).text, figure_share(cost->others_ci95[0]).text,
                figure_share(cost->others_ci95[1]).text);
    if (w->facts->freed_by_other_thread) {
        fprintf(stream, "; %s of the frees come from another thread",
                figure_share(w->cross_thread).text);
        if (!cost->measured)
            fprintf(stream, ", counted at %s more each",
                    figure_ns(threshold(thresholds, THRESHOLD_POOL_CROSS_NS)).text);
    }
    fprintf(stream, ".\n");
}

static void say_layout(const struct weighed *w, FILE *stream)
{
    const struct analyse_site *site = w->facts;
    fprintf(stream, "Layout: %s blocks (%s) alive at once", figure_count(site->live_peak).text,
            figure_bytes(site->live_peak_bytes).text);
    if (site->peak_pages)
        fprintf(stream, " on %s pages", figure_count(site->peak_pages).text);
    fprintf(stream,
            ", %s made next to the site's last one: packing them may pay, which only a trial can "
            "tell.\n",
            figure_share(share_of((double)site->neighbour_near, (double)site->allocations)).text);
}

void evidence_write(const struct verdict_thresholds *thresholds, const struct weighed *w,
                    const struct decision *decision, double cpu_ns, FILE *stream)
{
    const struct analyse_site *site = w->facts;
    say_frame(w, stream);
    say_weight(w, cpu_ns, stream);
    say_sizes(w, stream);
    say_simpler(w, stream);
    say_cost(thresholds, w, cpu_ns, stream);
    if (w->slab_hint)
        say_layout(w, stream);
    if (site->shape_wrapper)
        fprintf(stream,
                "Site: %u wrapper frame%s skipped, recognised by shape; a wrapper that is "
                "missed hides its callers, and --wrapper names it.\n",
                site->wrappers, site->wrappers == 1 ? " below it is" : "s below it are");
    if (decision->kind == VERDICT_STACK && site->outlived[0] < w->placed)
        fprintf(stream,
                "Care: %s blocks were not freed by their frame; those paths still need the heap.\n",
                figure_count(w->placed - site->outlived[0]).text);
}
