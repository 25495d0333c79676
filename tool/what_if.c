/* SPDX-License-Identifier: MIT */
#include "what_if.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "figures.h"

/* How a row serves this site; NULL: as malloc does, so there is nothing to tell. */
static const char *row_name(const struct what_if *table, uint32_t row, size_t place, char text[96])
{
    const struct appraise_row *shown = &table->measure->rows[row];
    const struct report_site *site = &table->report->sites[table->sites[place]];
    if (shown->backend == APPRAISE_POOL) {
        snprintf(text, 96, "pool, %s, %s", verdict_pool_name(site->verdict->pool.kind),
                 figure_bytes(site->verdict->pool.bytes).text);
        return text;
    }
    if (shown->backend == APPRAISE_ALONE)
        return NULL;
    if (shown->backend != APPRAISE_SIMPLER)
        return shown->name;
    if (!site->cost.simpler.measured)
        return NULL;
    static const char *const names[VERDICT_COUNT] = {[VERDICT_STACK] = "local variable",
                                                     [VERDICT_HOIST] = "one block, reused",
                                                     [VERDICT_PRESIZE] = "final size at once",
                                                     [VERDICT_ARENA] = "arena"};
    return names[site->cost.simpler.kind];
}

static const char *status_text(enum worker_status status)
{
    return status == WORKER_NO_MEMORY ? "no memory" : status == WORKER_LATE ? "took too long" : "could not run";
}

/* What a price saves of the program's CPU time, for one ns saved a block; 0: unknown. */
static double share_of_ns(const struct what_if *table, const struct report_site *site)
{
    return table->report->program_cpu_ns ? (double)site->facts->allocations / (double)table->report->program_cpu_ns : 0;
}

/* What the pool of this site alone does to the blocks of all others. */
static void others_text(const struct what_if *table, size_t place, FILE *stream)
{
    const struct replay_result *result = &table->measure->result;
    double cpu_ns = (double)table->report->program_cpu_ns;
    for (uint32_t row = 0; row < table->measure->row_count; row++) {
        const struct replay_others *others = &result->others[row];
        if (table->measure->rows[row].alone != place || result->failed[row] || !isfinite(others->ci95[0]))
            continue;
        fprintf(stream, "    %-28s %12s  ", "its pool, at others' blocks", "");
        if (cpu_ns > 0)
            fprintf(stream, "%s (%s to %s)\n", figure_share(others->saved_ns / cpu_ns).text,
                    figure_share(others->ci95[0] / cpu_ns).text, figure_share(others->ci95[1] / cpu_ns).text);
        else
            fprintf(stream, "%s in the run (%s to %s)\n", figure_ns(others->saved_ns).text,
                    figure_ns(others->ci95[0]).text, figure_ns(others->ci95[1]).text);
    }
}

static void site_text(const struct what_if *table, size_t place, FILE *stream)
{
    const struct report_site *site = &table->report->sites[table->sites[place]];
    const struct replay_result *result = &table->measure->result;
    fprintf(stream, "\n%s  %s", site->id, site->names.function ? site->names.function : "?");
    if (site->names.file)
        fprintf(stream, " %s:%u", site->names.file, site->names.line);
    fprintf(stream, "\n    %s blocks, p50 %s; verdict %s: %s\n", figure_count(site->facts->allocations).text,
            figure_bytes(site->facts->size.p50).text, verdict_name(site->verdict->kind), site->verdict->reason);
    if (!result->prices[0][place].made) {
        fprintf(stream, "    none of its blocks was made in the windows kept: not measured\n");
        return;
    }
    fprintf(stream, "    %-28s %12s  %s\n", "by", "a block", "saves of CPU time, 95 % interval");
    for (uint32_t row = 0; row < table->measure->row_count; row++) {
        const struct replay_price *price = &result->prices[row][place];
        char text[96];
        const char *name = row_name(table, row, place, text);
        if (!name)
            continue;
        fprintf(stream, "    %-28s ", name);
        if (result->failed[row]) {
            fprintf(stream, "%12s\n", status_text(result->status[row]));
            continue;
        }
        fprintf(stream, "%12s", figure_ns(price->pair_ns).text);
        double scale = share_of_ns(table, site);
        if (row && scale > 0 && isfinite(price->ci95[0]))
            fprintf(stream, "  %s (%s to %s)",
                    figure_share((result->prices[0][place].pair_ns - price->pair_ns) * scale).text,
                    figure_share(price->ci95[0] * scale).text, figure_share(price->ci95[1] * scale).text);
        else if (row && isfinite(price->ci95[0]))
            fprintf(stream, "  %s a block (%s to %s)", figure_ns(result->prices[0][place].pair_ns - price->pair_ns).text,
                    figure_ns(price->ci95[0]).text, figure_ns(price->ci95[1]).text);
        fputc('\n', stream);
    }
    others_text(table, place, stream);
}

/* A row's name where it is not of one site. */
static const char *all_name(const struct what_if *table, uint32_t row, char text[96])
{
    const struct appraise_row *shown = &table->measure->rows[row];
    if (shown->backend == APPRAISE_ALONE)
        snprintf(text, 96, "%s alone by a pool", table->report->sites[table->sites[shown->alone]].id);
    return shown->backend == APPRAISE_POOL      ? "these sites by pools"
           : shown->backend == APPRAISE_SIMPLER ? "these by what is simpler"
           : shown->backend == APPRAISE_ALONE   ? text
                                                : shown->name;
}

static void all_text(const struct what_if *table, FILE *stream)
{
    const struct replay_result *result = &table->measure->result;
    fprintf(stream, "\nthe whole program's blocks\n    %-28s %12s %12s %14s\n", "by", "a block", "peak", "page faults");
    for (uint32_t row = 0; row < table->measure->row_count; row++) {
        char text[96];
        fprintf(stream, "    %-28s ", all_name(table, row, text));
        if (result->failed[row])
            fprintf(stream, "%12s\n", status_text(result->status[row]));
        else
            fprintf(stream, "%12s %12s %14s\n", figure_ns(result->all_ns[row]).text,
                    figure_bytes(result->peak_bytes[row]).text, figure_count(result->faults[row]).text);
    }
}

int what_if_text(const struct what_if *table, FILE *stream)
{
    const struct replay_result *result = &table->measure->result;
    fprintf(stream, "replayed %s of %s events, %u repetitions, %.1f s\n", figure_count(result->events).text,
            figure_count(table->report->totals->events).text, result->repetitions, result->seconds);
    for (size_t place = 0; place < table->site_count; place++)
        site_text(table, place, stream);
    all_text(table, stream);
    for (const char *const *note = table->report->notes; note && *note; note++)
        fprintf(stream, "note: %s\n", *note);
    errno = 0;
    if (fflush(stream) || ferror(stream))
        return errno ? -errno : -EIO;
    return 0;
}

static void add_number(cJSON *object, const char *name, double value)
{
    if (isfinite(value))
        cJSON_AddNumberToObject(object, name, value);
    else
        cJSON_AddNullToObject(object, name);
}

static void add_interval(cJSON *object, const char *name, const double ci95[2], double scale)
{
    cJSON *interval = cJSON_AddArrayToObject(object, name);
    for (int i = 0; i < 2; i++)
        cJSON_AddItemToArray(interval, isfinite(ci95[i]) ? cJSON_CreateNumber(ci95[i] * scale) : cJSON_CreateNull());
}

/* ns over the run; null: not replayed with this site alone pooled. */
static void add_others(cJSON *object, const struct what_if *table, size_t place)
{
    const struct replay_result *result = &table->measure->result;
    uint32_t row = 0;
    while (row < table->measure->row_count && table->measure->rows[row].alone != place)
        row++;
    if (row == table->measure->row_count || result->failed[row]) {
        cJSON_AddNullToObject(object, "saved_at_others_ns");
        return;
    }
    add_number(object, "saved_at_others_ns", result->others[row].saved_ns);
    add_interval(object, "saved_at_others_ns_ci95", result->others[row].ci95, 1);
}

static cJSON *row_json(const struct what_if *table, uint32_t row, size_t place)
{
    const struct replay_result *result = &table->measure->result;
    const struct replay_price *price = &result->prices[row][place];
    const struct report_site *site = &table->report->sites[table->sites[place]];
    char text[96];
    const char *name = row_name(table, row, place, text);
    if (!name)
        return NULL;
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "by", name);
    if (result->failed[row]) {
        cJSON_AddStringToObject(object, "failed", status_text(result->status[row]));
        return object;
    }
    double scale = share_of_ns(table, site);
    add_number(object, "pair_ns", price->made ? price->pair_ns : NAN);
    add_number(object, "saved_cpu_share",
               scale > 0 && price->made ? (result->prices[0][place].pair_ns - price->pair_ns) * scale : NAN);
    if (result->prices[0][place].made && table->measure->rows[row].backend == APPRAISE_POOL)
        add_others(object, table, place);
    add_interval(object, "saved_pair_ns_ci95", price->ci95, 1);
    if (scale > 0)
        add_interval(object, "ci95", price->ci95, scale);
    return object;
}

static cJSON *site_json(const struct what_if *table, size_t place)
{
    const struct report_site *site = &table->report->sites[table->sites[place]];
    cJSON *object = cJSON_CreateObject(), *rows = cJSON_CreateArray();
    cJSON_AddStringToObject(object, "id", site->id);
    cJSON_AddStringToObject(object, "function", site->names.function ? site->names.function : "?");
    add_number(object, "allocations", (double)site->facts->allocations);
    add_number(object, "replayed", (double)table->measure->result.prices[0][place].made);
    cJSON_AddStringToObject(object, "verdict", verdict_name(site->verdict->kind));
    cJSON_AddItemToObject(object, "backends", rows);
    for (uint32_t row = 0; row < table->measure->row_count; row++) {
        cJSON *shown = row_json(table, row, place);
        if (shown)
            cJSON_AddItemToArray(rows, shown);
    }
    return object;
}

int what_if_json(const struct what_if *table, FILE *stream)
{
    const struct replay_result *result = &table->measure->result;
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "poolwise", table->report->version);
    add_number(object, "allocations", (double)table->report->totals->allocations);
    cJSON *replay = cJSON_AddObjectToObject(object, "replay");
    add_number(replay, "events", (double)result->events);
    add_number(replay, "windows", result->windows_used);
    add_number(replay, "windows_kept", result->windows);
    add_number(replay, "repetitions", result->repetitions);
    add_number(replay, "seconds", result->seconds);
    add_number(replay, "unknown_blocks", (double)table->measure->unknown);
    add_number(replay, "too_large_blocks", (double)table->measure->too_large);
    cJSON_AddBoolToObject(replay, "cut", result->cut);
    cJSON *all = cJSON_AddArrayToObject(object, "program");
    for (uint32_t row = 0; row < table->measure->row_count; row++) {
        const struct appraise_row *shown = &table->measure->rows[row];
        cJSON *one = cJSON_CreateObject();
        cJSON_AddItemToArray(all, one);
        cJSON_AddStringToObject(one, "by", shown->name);
        if (shown->backend == APPRAISE_ALONE)
            cJSON_AddStringToObject(one, "site", table->report->sites[table->sites[shown->alone]].id);
        if (result->failed[row]) {
            cJSON_AddStringToObject(one, "failed", status_text(result->status[row]));
            continue;
        }
        add_number(one, "pair_ns", result->all_ns[row]);
        add_number(one, "peak_bytes", (double)result->peak_bytes[row]);
        add_number(one, "page_faults", (double)result->faults[row]);
    }
    cJSON *sites = cJSON_AddArrayToObject(object, "sites");
    for (size_t place = 0; place < table->site_count; place++)
        cJSON_AddItemToArray(sites, site_json(table, place));
    cJSON *notes = cJSON_AddArrayToObject(object, "notes");
    for (const char *const *note = table->report->notes; note && *note; note++)
        cJSON_AddItemToArray(notes, cJSON_CreateString(*note));
    char *text = cJSON_PrintUnformatted(object);
    cJSON_Delete(object);
    if (!text)
        return -ENOMEM;
    fprintf(stream, "%s\n", text);
    cJSON_free(text);
    errno = 0;
    if (fflush(stream) || ferror(stream))
        return errno ? -errno : -EIO;
    return 0;
}
