/* SPDX-License-Identifier: MIT */
/*
 * The machine's form of a report. Sites are printed one by one, so memory does not grow with their
 * number.
 */
#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "layout.h"
#include "report.h"

/* Builds one object; the first failure sticks, and is seen when it is printed. */
struct builder {
    bool failed;
};

static void attach(struct builder *b, cJSON *parent, const char *key, cJSON *value)
{
    if (!parent || !value ||
        !(key ? cJSON_AddItemToObject(parent, key, value) : cJSON_AddItemToArray(parent, value))) {
        cJSON_Delete(value);
        b->failed = true;
    }
}

/* As digits: a double would lose what is beyond 2^53. */
static void add_count(struct builder *b, cJSON *parent, const char *key, uint64_t value)
{
    char digits[24];
    snprintf(digits, sizeof digits, "%" PRIu64, value);
    attach(b, parent, key, cJSON_CreateRaw(digits));
}

static void add_real(struct builder *b, cJSON *parent, const char *key, double value)
{
    attach(b, parent, key, isfinite(value) ? cJSON_CreateNumber(value) : cJSON_CreateNull());
}

static void add_bool(struct builder *b, cJSON *parent, const char *key, bool value)
{
    attach(b, parent, key, cJSON_CreateBool(value));
}

/* Bytes that are no UTF-8 become U+FFFD: file and function names may hold any. */
static void add_text(struct builder *b, cJSON *parent, const char *key, const char *text)
{
    if (!text) {
        attach(b, parent, key, cJSON_CreateNull());
        return;
    }
    char *valid = malloc(3 * strlen(text) + 1);
    if (!valid) {
        b->failed = true;
        return;
    }
    size_t used = 0;
    while (*text) {
        size_t bytes = layout_character(text);
        memcpy(valid + used, bytes ? text : "\xef\xbf\xbd", bytes ? bytes : 3);
        used += bytes ? bytes : 3;
        text += bytes ? bytes : 1;
    }
    valid[used] = '\0';
    attach(b, parent, key, cJSON_CreateString(valid));
    free(valid);
}

static cJSON *add_object(struct builder *b, cJSON *parent, const char *key)
{
    cJSON *object = cJSON_CreateObject();
    attach(b, parent, key, object);
    return b->failed ? NULL : object;
}

static cJSON *add_array(struct builder *b, cJSON *parent, const char *key)
{
    cJSON *array = cJSON_CreateArray();
    attach(b, parent, key, array);
    return b->failed ? NULL : array;
}

static void add_share(struct builder *b, cJSON *parent, const char *key, uint64_t part,
                      uint64_t whole)
{
    add_real(b, parent, key, whole ? (double)part / (double)whole : 0);
}

static void add_stack(struct builder *b, cJSON *parent, const struct report_site *site)
{
    cJSON *stack = add_array(b, parent, "stack");
    for (size_t i = 0; i < site->stack_count && !b->failed; i++) {
        const struct report_frame *frame = &site->stack[i];
        const char *function = frame->function ? frame->function : "?";
        const char *place = frame->file ? frame->file : frame->module ? frame->module : "";
        size_t size = strlen(function) + strlen(place) + 32;
        char *text = malloc(size);
        if (!text) {
            b->failed = true;
            return;
        }
        if (frame->file)
            snprintf(text, size, "%s %s:%u", function, place, frame->line);
        else
            snprintf(text, size, "%s%s%s", function, *place ? " " : "", place);
        add_text(b, stack, NULL, text);
        free(text);
    }
}

static void add_calls(struct builder *b, cJSON *parent, const struct report_site *site)
{
    cJSON *calls = add_array(b, parent, "calls");
    for (size_t i = 0; i < site->call_count && !b->failed; i++) {
        const struct report_call *call = &site->calls[i];
        char id[2 * 64 + 1] = "";
        for (size_t k = 0; k < call->build_id_size && k < sizeof id / 2; k++)
            snprintf(id + 2 * k, 3, "%02x", call->build_id[k]);
        cJSON *object = add_object(b, calls, NULL);
        add_text(b, object, "module", call->module);
        add_text(b, object, "build_id", id);
        add_count(b, object, "offset", call->offset);
    }
}

static void add_size(struct builder *b, cJSON *parent, const struct analyse_site *facts)
{
    cJSON *size = add_object(b, parent, "size");
    add_count(b, size, "min", facts->size.min);
    add_count(b, size, "p1", facts->size.p1);
    add_count(b, size, "p50", facts->size.p50);
    add_count(b, size, "p95", facts->size.p95);
    add_count(b, size, "p99", facts->size.p99);
    add_count(b, size, "p999", facts->size.p999);
    add_count(b, size, "max", facts->size.max);
    add_real(b, size, "within_2x", facts->within_2x);
    add_count(b, size, "window_low", facts->window_low);
    add_real(b, size, "spread", facts->spread);
}

static void add_deaths(struct builder *b, cJSON *parent, const struct analyse_site *facts)
{
    add_share(b, parent, "freed_in_frame", facts->outlived[0],
              facts->outlived_known + facts->freed_by_other_thread + facts->never_freed);
    add_share(b, parent, "freed_by_other_thread", facts->freed_by_other_thread, facts->frees);
    add_count(b, parent, "never_freed", facts->never_freed);
    cJSON *outlived = add_array(b, parent, "outlived");
    unsigned levels = ANALYSE_LEVELS;
    while (levels > 1 && facts->outlived[levels - 1] == 0)
        levels--;
    for (unsigned i = 0; i < levels; i++)
        add_count(b, outlived, NULL, facts->outlived[i]);
    add_share(b, parent, "freed_in_burst", facts->freed_in_burst, facts->frees);
    add_count(b, parent, "frees", facts->frees);
    add_count(b, parent, "live_peak", facts->live_peak);
    add_count(b, parent, "live_peak_bytes", facts->live_peak_bytes);
    add_count(b, parent, "threads", facts->threads);
}

static void add_interval(struct builder *b, cJSON *parent, const char *name, const double ci95[2])
{
    cJSON *interval = add_array(b, parent, name);
    add_real(b, interval, NULL, ci95[0]);
    add_real(b, interval, NULL, ci95[1]);
}

/* What would do without a pool, if that was replayed as well. */
static void add_simpler(struct builder *b, cJSON *parent, const struct report_site *site, uint64_t program_cpu_ns)
{
    if (!site->cost.simpler.measured) {
        attach(b, parent, "simpler", cJSON_CreateNull());
        return;
    }
    cJSON *simpler = add_object(b, parent, "simpler");
    add_text(b, simpler, "verdict", verdict_name(site->cost.simpler.kind));
    add_real(b, simpler, "pair_ns", site->cost.simpler.pair_ns);
    double saved_ns = (double)site->facts->allocations * (site->cost.malloc_pair_ns - site->cost.simpler.pair_ns);
    add_real(b, simpler, "saved_cpu_share", program_cpu_ns ? saved_ns / (double)program_cpu_ns : 0);
    add_interval(b, simpler, "ci95", site->cost.simpler.saved_ci95);
}

/* The part of a pool's saving that is made at other sites' blocks; null: none that can be told from 0. */
static void add_others(struct builder *b, cJSON *parent, const struct verdict_cost *cost, uint64_t program_cpu_ns)
{
    if (cost->others_ns == 0 || !program_cpu_ns) {
        attach(b, parent, "others", cJSON_CreateNull());
        return;
    }
    cJSON *others = add_object(b, parent, "others");
    add_real(b, others, "saved_cpu_share", cost->others_ns / (double)program_cpu_ns);
    add_interval(b, others, "ci95", cost->others_ci95);
}

static void add_verdict(struct builder *b, cJSON *object, const struct report_site *site,
                        uint64_t program_cpu_ns)
{
    const struct verdict *verdict = site->verdict;
    if (site->cost.measured) {
        cJSON *replay = add_object(b, object, "replay");
        add_real(b, replay, "malloc_pair_ns", site->cost.malloc_pair_ns);
        add_real(b, replay, "pool_pair_ns", site->cost.pool_pair_ns);
        add_real(b, replay, "saved_cpu_share", verdict->pool_share);
        add_interval(b, replay, "ci95", verdict->pool_ci95);
        add_others(b, replay, &site->cost, program_cpu_ns);
        add_text(b, replay, "pool", verdict_pool_name(verdict->pool.kind));
        add_count(b, replay, "pool_bytes", verdict->pool.bytes);
        add_count(b, replay, "repetitions", site->cost.repetitions);
        add_simpler(b, replay, site, program_cpu_ns);
    } else {
        attach(b, object, "replay", cJSON_CreateNull());
    }
    add_text(b, object, "verdict", verdict_name(verdict->kind));
    add_text(b, object, "reason", verdict->reason);
    add_count(b, object, "advised_bytes", verdict->bytes);
    add_real(b, object, "saved_cpu_share", verdict->saved_share);
    add_bool(b, object, "estimated", verdict->estimated);
    add_bool(b, object, "slab_hint", verdict->slab_hint);
    add_text(b, object, "evidence", verdict->evidence);
    add_text(b, object, "snippet", verdict->snippet);
}

static cJSON *site_object(struct builder *b, const struct report *report,
                          const struct report_site *site)
{
    const struct analyse_site *facts = site->facts;
    cJSON *object = cJSON_CreateObject();
    if (!object) {
        b->failed = true;
        return NULL;
    }
    add_text(b, object, "id", site->id);
    add_text(b, object, "function", site->names.function);
    add_text(b, object, "file", site->names.file);
    if (site->names.line)
        add_count(b, object, "line", site->names.line);
    else
        attach(b, object, "line", cJSON_CreateNull());
    add_text(b, object, "module", site->names.module);
    add_bool(b, object, "system", site->names.system);
    add_text(b, object, "caller", site->names.caller_function);
    add_stack(b, object, site);
    add_calls(b, object, site);
    add_count(b, object, "allocations", facts->allocations);
    add_count(b, object, "bytes", facts->bytes);
    add_share(b, object, "share_of_allocations", facts->allocations, report->totals->allocations);
    if (report->program_cpu_ns)
        add_real(b, object, "upper_bound_cpu_share", site->verdict->upper_bound_share);
    else
        attach(b, object, "upper_bound_cpu_share", cJSON_CreateNull());
    add_size(b, object, facts);

    cJSON *lifetime = add_object(b, object, "lifetime_ns");
    add_count(b, lifetime, "p50", facts->lifetime_ns.p50);
    add_count(b, lifetime, "p95", facts->lifetime_ns.p95);
    add_count(b, lifetime, "max", facts->lifetime_ns.max);
    add_deaths(b, object, facts);

    cJSON *grow = add_object(b, object, "realloc");
    add_count(b, grow, "chains", facts->grow.chains);
    add_count(b, grow, "steps", facts->grow.steps);
    add_count(b, grow, "final_p95", facts->grow.final.p95);
    add_count(b, grow, "bytes_moved", facts->grow.bytes_moved);
    add_share(b, object, "pool_hit_rate", facts->pool_hits, facts->allocations);
    add_verdict(b, object, site, report->program_cpu_ns);
    return object;
}

static cJSON *head_object(struct builder *b, const struct report *report)
{
    const struct analyse_totals *totals = report->totals;
    cJSON *object = cJSON_CreateObject();
    if (!object) {
        b->failed = true;
        return NULL;
    }
    add_text(b, object, "poolwise", report->version);
    cJSON *command = add_array(b, object, "command");
    for (const char *const *word = report->command; word && *word; word++)
        add_text(b, command, NULL, *word);

    cJSON *program = add_object(b, object, "program");
    if (report->program_cpu_ns)
        add_count(b, program, "cpu_ns", report->program_cpu_ns);
    else
        attach(b, program, "cpu_ns", cJSON_CreateNull());
    add_count(b, program, "wall_ns", totals->has_end ? totals->end.wall_ns : 0);
    add_count(b, program, "events", totals->events);
    add_count(b, program, "allocations", totals->allocations);
    add_count(b, program, "frees", totals->frees);
    add_count(b, program, "reallocs", totals->reallocs);
    add_count(b, program, "threads", totals->threads);
    add_count(b, program, "processes", totals->processes);
    add_count(b, program, "peak_bytes", totals->live_peak_bytes);
    add_count(b, program, "dropped", totals->has_end ? totals->end.dropped : 0);

    cJSON *recording = add_object(b, object, "recording");
    add_real(b, recording, "added_cpu_ns_per_event", report->recording_ns_per_event);
    cJSON *cost = add_object(b, object, "cost");
    add_real(b, cost, "malloc_pair_ns", report->malloc_pair_ns);
    add_real(b, cost, "pool_pair_ns", report->pool_pair_ns);
    cJSON *notes = add_array(b, object, "notes");
    for (const char *const *note = report->notes; note && *note; note++)
        add_text(b, notes, NULL, *note);
    return object;
}

/* Consumes `object`. `leave`: how many of the bytes at its end to leave away. */
static int print_object(struct builder *b, cJSON *object, size_t leave, FILE *stream)
{
    char *text = object && !b->failed ? cJSON_PrintUnformatted(object) : NULL;
    cJSON_Delete(object);
    if (!text)
        return -ENOMEM;
    errno = 0;
    size_t length = strlen(text) - leave;
    int error = fwrite(text, 1, length, stream) == length ? 0 : errno ? -errno : -EIO;
    cJSON_free(text);
    return error;
}

int report_json(const struct report *report, FILE *stream)
{
    struct builder builder = {false};
    int error = print_object(&builder, head_object(&builder, report), 1, stream);
    if (error < 0)
        return error;
    fputs(",\"sites\":[", stream);
    for (size_t i = 0; i < report->site_count; i++) {
        fputs(i ? ",\n" : "\n", stream);
        error = print_object(&builder, site_object(&builder, report, &report->sites[i]), 0, stream);
        if (error < 0)
            return error;
    }
    fputs("\n]}\n", stream);
    errno = 0;
    if (fflush(stream) != 0 || ferror(stream))
        return errno ? -errno : -EIO;
    return 0;
}
