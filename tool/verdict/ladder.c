/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "figures.h"
#include "ladder.h"

#define PAGE_BYTES 4096

struct ladder {
    const struct verdict_thresholds *thresholds;
    const struct weighed *w;
    double cpu_ns;
    FILE *reason;
};

typedef bool (*rung)(const struct ladder *ladder, struct decision *ret_decision);

static bool at_least(const struct ladder *ladder, double value, enum threshold which)
{
    return value >= threshold(ladder->thresholds, which);
}

/* "3.1 % of CPU time", or the time itself when the program's is unknown. */
static void say_saving(const struct ladder *ladder, double saved_ns)
{
    if (ladder->cpu_ns > 0)
        fprintf(ladder->reason, "%s of CPU time", figure_share(saved_ns / ladder->cpu_ns).text);
    else
        fprintf(ladder->reason, "%s of CPU time in the run", figure_ns(saved_ns).text);
}

/* Whoever reads it cannot edit that library; what calls into it can change. */
static void say_not_yours(const struct ladder *ladder)
{
    const struct verdict_names *names = &ladder->w->input->names;
    if (!names->system)
        return;
    fprintf(ladder->reason, "; not your code");
    if (names->caller_function) {
        fprintf(ladder->reason, ": change the caller ");
        say_name(ladder->reason, names->caller_function);
    } else {
        fprintf(ladder->reason, ", and no caller of yours is on its stack");
    }
}

/* What the advice saves: as measured, when just that was replayed; else `otherwise`. */
static double simpler_saves(const struct ladder *ladder, enum verdict_kind kind, double otherwise)
{
    bool measured =
        ladder->w->input->cost.simpler.measured && ladder->w->input->cost.simpler.kind == kind;
    return !measured ? otherwise : ladder->w->simpler_ns > 0 ? ladder->w->simpler_ns : 0;
}

/* Whether just that was replayed, and cost no less than malloc. */
static bool simpler_loses(const struct ladder *ladder, enum verdict_kind kind)
{
    const struct verdict_cost *cost = &ladder->w->input->cost;
    return cost->simpler.measured && cost->simpler.kind == kind && ladder->w->simpler_ns <= 0;
}

/* "; measured, 1.2 ns instead of 9.8 ns a block" */
static void say_simpler_price(const struct ladder *ladder, enum verdict_kind kind)
{
    const struct verdict_cost *cost = &ladder->w->input->cost;
    if (cost->simpler.measured && cost->simpler.kind == kind)
        fprintf(ladder->reason, "; measured, %s instead of %s a block",
                figure_ns(cost->simpler.pair_ns).text, figure_ns(ladder->w->malloc_ns).text);
}

/* Rung 1: does it need the heap at all? A library's own frame is nobody's to change, and a block
 * that realloc grows has no size to declare. */
static bool rung_frame(const struct ladder *ladder, struct decision *ret_decision)
{
    const struct weighed *w = ladder->w;
    const struct analyse_site *site = w->facts;
    uint64_t live = site->max_live_in_instance ? site->max_live_in_instance : 1;
    if (w->input->names.system || w->grows || !w->frames_known || site->freed_by_other_thread ||
        simpler_loses(ladder, VERDICT_STACK) ||
        !at_least(ladder, (double)site->allocations, THRESHOLD_FRAME_ALLOCATIONS) ||
        !at_least(ladder, w->in_frame, THRESHOLD_FRAME_SHARE) ||
        (double)live > threshold(ladder->thresholds, THRESHOLD_FRAME_LIVE) ||
        (double)live * (double)w->largest > threshold(ladder->thresholds, THRESHOLD_FRAME_BYTES))
        return false;

    fprintf(ladder->reason, "%s of %s blocks are freed by the frame that made them, never over %s",
            figure_count(site->outlived[0]).text, figure_count(w->placed).text,
            figure_bytes(w->largest).text);
    if (live > 1)
        fprintf(ladder->reason, ", at most %s at once", figure_count(live).text);
    say_simpler_price(ladder, VERDICT_STACK);
    *ret_decision = (struct decision){.kind = VERDICT_STACK,
                                      .bytes = w->largest,
                                      .saved_ns = simpler_saves(ladder, VERDICT_STACK, w->cost_ns) *
                                                  w->in_frame};
    return true;
}

/* Rung 2: does it matter? */
static bool rung_weight(const struct ladder *ladder, struct decision *ret_decision)
{
    const struct weighed *w = ladder->w;
    const struct analyse_site *site = w->facts;
    *ret_decision = (struct decision){.kind = VERDICT_TAIL};

    if (ladder->cpu_ns > 0 && !at_least(ladder, w->share, THRESHOLD_TAIL_SHARE)) {
        fprintf(ladder->reason, "all of it costs at most %s of CPU time: %s blocks at %s each",
                figure_share(w->share).text, figure_count(site->allocations).text,
                figure_ns(w->malloc_ns).text);
        if (site->grow.steps)
            fprintf(ladder->reason, ", %s growth steps", figure_count(site->grow.steps).text);
        return true;
    }
    if (ladder->cpu_ns <= 0 &&
        !at_least(ladder, (double)site->allocations, THRESHOLD_TAIL_ALLOCATIONS)) {
        fprintf(ladder->reason, "%s blocks, %s at most; the program's CPU time is unknown",
                figure_count(site->allocations).text, figure_ns(w->cost_ns).text);
        return true;
    }
    if (at_least(ladder, (double)w->best_rank, THRESHOLD_TAIL_RANK)) {
        fprintf(ladder->reason, "place %s by allocations or cost, below the first %.0f",
                figure_count(w->best_rank + 1).text,
                threshold(ladder->thresholds, THRESHOLD_TAIL_RANK));
        if (ladder->cpu_ns > 0)
            fprintf(ladder->reason, "; at most %s of CPU time", figure_share(w->share).text);
        else
            fprintf(ladder->reason, "; at most %s of CPU time in the run",
                    figure_ns(w->cost_ns).text);
        return true;
    }
    return false;
}

/* Freed long after, or never. The last of rung 4. */
static bool rung_retained(const struct ladder *ladder, struct decision *ret_decision)
{
    const struct weighed *w = ladder->w;
    const struct analyse_site *site = w->facts;
    if (!w->retained)
        return false;
    *ret_decision = (struct decision){.kind = VERDICT_RETAINED};
    if (at_least(ladder, w->never_freed, THRESHOLD_RETAINED_SHARE))
        fprintf(ladder->reason, "%s of %s blocks were never freed",
                figure_count(site->never_freed).text, figure_count(site->allocations).text);
    else
        fprintf(ladder->reason, "half of the blocks live at least %s of the run (%s)",
                figure_share(w->life).text, figure_ns((double)site->lifetime_ns.p50).text);
    fprintf(ladder->reason, ", %s alive at once", figure_count(site->live_peak).text);
    say_not_yours(ladder);
    return true;
}

static bool kept_at_hand(const struct weighed *w)
{
    uint64_t threads = w->facts->threads ? w->facts->threads : 1;
    return w->facts->live_peak <= threads && !w->facts->freed_by_other_thread &&
           w->facts->never_freed <= threads;
}

static void say_alone(const struct ladder *ladder)
{
    if (ladder->w->facts->threads > 1)
        fprintf(ladder->reason, "at most %s alive at once in %u threads",
                figure_count(ladder->w->facts->live_peak).text, ladder->w->facts->threads);
    else
        fprintf(ladder->reason, "never two at once");
}

/* A site in libc or the like: all that its user can do is to call it less, or to hand it a buffer.
 */
static bool rung_system(const struct ladder *ladder, struct decision *ret_decision)
{
    const struct weighed *w = ladder->w;
    const struct analyse_site *site = w->facts;
    if (!w->input->names.system)
        return false;
    if (rung_retained(ladder, ret_decision))
        return true;
    bool inside = at_least(ladder, w->in_frame, THRESHOLD_HOIST_SHARE);
    if (w->input->names.caller_function && (inside || kept_at_hand(w))) {
        *ret_decision =
            (struct decision){.kind = VERDICT_HOIST,
                              .bytes = w->largest,
                              .saved_ns = simpler_saves(ladder, VERDICT_HOIST, w->cost_ns),
                              .level = 1};
        fprintf(ladder->reason, "%s blocks of a library, ", figure_count(site->allocations).text);
        if (inside)
            fprintf(ladder->reason, "gone before its function returns");
        else
            say_alone(ladder);
    } else {
        *ret_decision = (struct decision){.kind = VERDICT_TAIL};
        fprintf(ladder->reason, "%s blocks of a library, at most %s alive at once",
                figure_count(site->allocations).text, figure_count(site->live_peak).text);
    }
    say_not_yours(ladder);
    return true;
}

/* Rung 3: are the sizes consistent? Only for what a pool would win with: state that stays and
 * blocks that grow are judged by the next rung, whatever their sizes. */
static bool rung_sizes(const struct ladder *ladder, struct decision *ret_decision)
{
    const struct weighed *w = ladder->w;
    const struct analyse_site *site = w->facts;
    if (!w->wide || w->grows || w->retained || w->bursts || !w->pool_wins)
        return false;

    if (w->cap_covers) {
        const char *percentile = site->size.p999 <= w->cap ? "99.9" : "99";
        if (site->size.max <= w->cap)
            fprintf(ladder->reason,
                    "more than one block in a hundred is far over p95 (%s), none over %s: keep "
                    "them at up to that, at "
                    "most %s at once",
                    figure_bytes(site->size.p95).text, figure_bytes(w->cap).text,
                    figure_count(site->live_peak).text);
        else
            fprintf(ladder->reason,
                    "at least %s %% of the blocks are within %s, the largest is %s: drop what is "
                    "over %s "
                    "at put",
                    percentile, figure_bytes(w->cap).text, figure_bytes(site->size.max).text,
                    figure_bytes(w->cap).text);
        *ret_decision =
            (struct decision){.kind = VERDICT_CAP, .bytes = w->cap, .saved_ns = w->pool_ns};
    } else {
        uint64_t top = round_to_class(site->size.p99);
        fprintf(ladder->reason,
                "sizes run from %s to %s (%s from p1 to p99.9): classes by powers of two up to %s",
                figure_bytes(site->size.p1).text, figure_bytes(site->size.max).text,
                figure_ratio(site->spread).text, figure_bytes(top).text);
        *ret_decision =
            (struct decision){.kind = VERDICT_CLASSES, .bytes = top, .saved_ns = w->pool_ns};
    }
    return true;
}

/* Rung 4: is there a simpler fix? Where both were measured, buffers that keep their room may be ahead of
 * asking for it at once. */
static bool buffers_win(const struct ladder *ladder, double presize_ns)
{
    const struct weighed *w = ladder->w;
    return w->input->cost.simpler.measured && w->input->cost.simpler.kind == VERDICT_PRESIZE &&
           w->pool_wins &&
           w->pool_ns >= presize_ns * threshold(ladder->thresholds, THRESHOLD_POOL_OVER);
}

static void say_buffers(const struct ladder *ladder, double presize_ns)
{
    const struct weighed *w = ladder->w;
    fprintf(ladder->reason, "a pool of buffers saves ");
    say_saving(ladder, w->pool_ns);
    fprintf(ladder->reason,
            " (measured): %s instead of %s for each of %s blocks with %s growth steps; the final "
            "size at once would save ",
            figure_ns(w->pool_pair_ns).text, figure_ns(w->malloc_ns).text,
            figure_count(w->facts->allocations).text, figure_count(w->facts->grow.steps).text);
    say_saving(ladder, presize_ns);
}

/* What asking for the final size at once costs in memory that is touched for nothing: where many blocks are alive,
 * that outweighs the steps it spares. */
static double waste_ns(const struct weighed *w, uint64_t bytes)
{
    const struct analyse_site *site = w->facts;
    double mean = share_of((double)site->live_peak_bytes, (double)site->live_peak);
    double waste = ((double)bytes - mean) * (double)site->live_peak;
    return waste > 0 ? waste / PAGE_BYTES * w->input->cost.page_ns : 0;
}

/* Room that is not used costs too, so here the whole interval has to be above nothing. */
static bool presize_fails(const struct ladder *ladder, double saved_ns)
{
    const struct verdict_cost *cost = &ladder->w->input->cost;
    return saved_ns <= 0 || (cost->simpler.measured && cost->simpler.kind == VERDICT_PRESIZE &&
                             cost->simpler.saved_ci95[0] <= 0);
}

static bool rung_grow(const struct ladder *ladder, struct decision *ret_decision)
{
    const struct weighed *w = ladder->w;
    const struct analyse_site *site = w->facts;
    if (!w->grows)
        return false;
    const struct analyse_distribution *final = &site->grow.final;
    double skew = share_of((double) final->p95, (double) final->p50);
    bool median = skew > threshold(ladder->thresholds, THRESHOLD_GROW_SKEW);
    uint64_t bytes = median ? final->p50 : final->p95;
    double removed = (double)site->grow.steps * (median ? 0.5 : 0.95);

    double saved_ns = simpler_saves(ladder, VERDICT_PRESIZE, w->growth_ns * (median ? 0.5 : 0.95)) -
                      waste_ns(w, bytes);
    /* Buffers that stay with what is kept come back too late to be had again. */
    if (!w->retained && buffers_win(ladder, saved_ns)) {
        say_buffers(ladder, saved_ns);
        *ret_decision =
            (struct decision){.kind = VERDICT_POOL, .bytes = w->pool.bytes, .saved_ns = w->pool_ns};
        return true;
    }
    if (presize_fails(ladder, saved_ns))
        return false;

    fprintf(ladder->reason,
            "%s of %s blocks grow, by %.1f steps each: %s at once (%s of the final sizes) removes "
            "about %s reallocs",
            figure_count(site->grow.chains).text, figure_count(site->allocations).text,
            w->grow_steps, figure_bytes(bytes).text, median ? "the median" : "p95",
            figure_count(count_of(removed)).text);
    say_simpler_price(ladder, VERDICT_PRESIZE);
    *ret_decision =
        (struct decision){.kind = VERDICT_PRESIZE, .bytes = bytes, .saved_ns = saved_ns};
    return true;
}

static bool rung_hoist(const struct ladder *ladder, struct decision *ret_decision)
{
    const struct weighed *w = ladder->w;
    const struct analyse_site *site = w->facts;
    if (!w->frames_known || !kept_at_hand(w) || site->max_live_in_instance > 1 ||
        simpler_loses(ladder, VERDICT_HOIST) || simpler_loses(ladder, VERDICT_STACK) ||
        !at_least(ladder, w->in_caller, THRESHOLD_HOIST_SHARE))
        return false;

    double per_frame = share_of((double)site->allocations, (double)site->instances[0]);
    double per_caller = share_of((double)site->allocations, (double)site->instances[1]);
    bool own = at_least(ladder, w->in_frame, THRESHOLD_HOIST_SHARE) &&
               at_least(ladder, per_frame, THRESHOLD_HOIST_REPEAT);
    if (!own && !at_least(ladder, per_caller, THRESHOLD_HOIST_REPEAT))
        return false;

    fprintf(ladder->reason, "%s blocks of up to %s, ", figure_count(site->allocations).text,
            figure_bytes(w->largest).text);
    say_alone(ladder);
    fprintf(ladder->reason, "; one call of ");
    if (own)
        say_name(ladder->reason, w->input->names.function);
    else
        fprintf(ladder->reason, "its caller");
    fprintf(ladder->reason, " makes %s of them: one block outside that loop does",
            figure_count(count_of(own ? per_frame : per_caller)).text);
    say_simpler_price(ladder, VERDICT_HOIST);
    *ret_decision = (struct decision){.kind = VERDICT_HOIST,
                                      .bytes = w->largest,
                                      .saved_ns = simpler_saves(ladder, VERDICT_HOIST, w->cost_ns),
                                      .level = own ? 0 : 1};
    return true;
}

/* An arena is the simpler of the two, but blocks that lie in it until all are dead may cost more than they spare. */
static bool pool_beats_arena(const struct ladder *ladder)
{
    const struct weighed *w = ladder->w;
    return w->input->cost.simpler.measured && w->input->cost.simpler.kind == VERDICT_ARENA && w->pool_wins &&
           w->pool_ns - w->others_ns >= w->simpler_ns * threshold(ladder->thresholds, THRESHOLD_POOL_OVER_ARENA);
}

static bool rung_arena(const struct ladder *ladder, struct decision *ret_decision)
{
    const struct weighed *w = ladder->w;
    const struct analyse_site *site = w->facts;
    if (!w->bursts || !at_least(ladder, (double)w->arena_sites, THRESHOLD_ARENA_SITES) ||
        simpler_loses(ladder, VERDICT_ARENA) || pool_beats_arena(ladder))
        return false;
    fprintf(ladder->reason, "%s of its frees come in runs of 32 or more, under ",
            figure_share(share_of((double)site->freed_in_burst, (double)site->frees)).text);
    say_name(ladder->reason, w->input->names.death_function);
    if (w->arena_sites > 1)
        fprintf(ladder->reason, ", together with %zu other site%s", w->arena_sites - 1,
                w->arena_sites == 2 ? "" : "s");
    fprintf(ladder->reason, ": free them together");
    /* An arena gets a block about as fast as a pool and frees none. */
    double saved = simpler_saves(ladder, VERDICT_ARENA,
                                 (double)site->allocations * (w->malloc_ns - w->pool_pair_ns));
    say_simpler_price(ladder, VERDICT_ARENA);
    *ret_decision = (struct decision){
        .kind = VERDICT_ARENA,
        .bytes = count_of(share_of((double)site->bytes, (double)site->allocations) *
                          (double)site->live_peak),
        .saved_ns = saved > 0 ? saved : 0};
    return true;
}

/* "; 1.2 % of that at other sites' blocks, as the heap has less to do" */
static void say_others(const struct ladder *ladder)
{
    double ns = ladder->w->others_ns;
    if (ns > 0 && ladder->cpu_ns > 0)
        fprintf(ladder->reason, "; %s of that at other sites' blocks, as the heap has less to do",
                figure_share(ns / ladder->cpu_ns).text);
}

/* Rung 5: what it costs. Always decides. */
static bool rung_cost(const struct ladder *ladder, struct decision *ret_decision)
{
    const struct weighed *w = ladder->w;
    const struct analyse_site *site = w->facts;
    const struct verdict_cost *cost = &w->input->cost;
    const char *how = cost->measured ? "measured" : "estimated, not measured";

    if (w->pool_wins) {
        *ret_decision = (struct decision){
            .kind = VERDICT_POOL, .bytes = pool_item_bytes(w), .saved_ns = w->pool_ns};
        if (!w->one_size) {
            ret_decision->kind = VERDICT_CLASSES;
            ret_decision->bytes = round_to_class(site->size.p99);
        }
        fprintf(ladder->reason, "a pool saves ");
        say_saving(ladder, w->pool_ns);
        fprintf(ladder->reason, " (%s): %s instead of %s for each of %s pairs", how,
                figure_ns(w->pool_pair_ns).text, figure_ns(w->malloc_ns).text,
                figure_count(site->allocations).text);
        say_others(ladder);
        if (!w->one_size)
            fprintf(ladder->reason, ", in classes up to %s",
                    figure_bytes(ret_decision->bytes).text);
        else if (ret_decision->bytes < w->largest)
            fprintf(ladder->reason, ", none kept over %s", figure_bytes(ret_decision->bytes).text);
        else if (w->hit_rate < 0.995 && !cost->measured)
            fprintf(ladder->reason, ", %s of which hit", figure_share(w->hit_rate).text);
        if (site->freed_by_other_thread)
            fprintf(ladder->reason, "; %s are freed by another thread",
                    figure_share(w->cross_thread).text);
        return true;
    }

    *ret_decision = (struct decision){
        .kind = cost->measured && (w->pool_ns <= 0 || w->saved_ci95[0] <= 0) ? VERDICT_LOSES
                                                                                : VERDICT_TAIL};
    if (w->pool_ns > 0) {
        bool close = cost->measured && !w->pool_cheap;
        fprintf(ladder->reason, "a pool would save %s", close ? "" : "only ");
        say_saving(ladder, w->pool_ns);
        fprintf(ladder->reason, " (%s): %s instead of %s a pair, %s of gets hit", how,
                figure_ns(w->pool_pair_ns).text, figure_ns(w->malloc_ns).text,
                figure_share(w->hit_rate).text);
        say_others(ladder);
        if (close)
            fprintf(ladder->reason, ", too close to be sure: replayed prices can be off by a third");
        if (ret_decision->kind == VERDICT_LOSES)
            fprintf(ladder->reason, ", and the interval reaches down to %s",
                    figure_share(w->saved_ci95[0]).text);
    } else {
        fprintf(ladder->reason, "a pool would lose (%s): %s against %s a pair, %s of gets hit", how,
                figure_ns(w->pool_pair_ns).text, figure_ns(w->malloc_ns).text,
                figure_share(w->hit_rate).text);
        say_others(ladder);
    }
    return true;
}

struct decision ladder_climb(const struct verdict_thresholds *thresholds, const struct weighed *w,
                             double cpu_ns, FILE *reason)
{
    /* The order is the ladder. rung_cost always decides. */
    static const rung rungs[] = {rung_frame, rung_weight, rung_system,   rung_sizes, rung_grow,
                                 rung_hoist, rung_arena,  rung_retained, rung_cost};
    const struct ladder ladder = {thresholds, w, cpu_ns, reason};
    struct decision decision = {.kind = VERDICT_TAIL};
    for (size_t i = 0; i < sizeof rungs / sizeof *rungs; i++)
        if (rungs[i](&ladder, &decision))
            break;
    if (w->hides_callers)
        fprintf(reason, "; is it a wrapper? --wrapper looks through it");
    return decision;
}
