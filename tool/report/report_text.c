/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "figures.h"
#include "layout.h"
#include "report.h"

#define LINE_BYTES       4096
/* From this width on sizes are shown as a range, below as the median. */
#define RANGE_COLUMNS    100
#define PARAGRAPH_INDENT 4
#define LABEL_COLUMNS    9
#define PATH_FRAMES      5

/* A site that costs less than this keeps its line in the table, but gets no paragraph. */
#define QUIET_SHARE      0.005

/* One that costs this much and is left alone all the same gets a line that says why. */
#define NOTABLE_SHARE    0.01

struct page {
    const struct report *report;
    const struct report_style *style;
    FILE *stream;
};

enum align { ALIGN_LEFT, ALIGN_RIGHT };

static void cell(FILE *stream, const char *text, size_t columns, enum align align)
{
    size_t used = layout_columns(text);
    int pad = used < columns ? (int)(columns - used) : 0;
    fprintf(stream, "%*s%s%*s", align == ALIGN_RIGHT ? pad : 0, "", text,
            align == ALIGN_LEFT ? pad : 0, "");
}

static const char *colour_of(const struct page *page, enum verdict_kind kind)
{
    if (!page->style->colour)
        return "";
    switch (kind) {
    case VERDICT_POOL:
    case VERDICT_CAP:
    case VERDICT_CLASSES:
    case VERDICT_SLAB:
        return "\033[1;32m";
    case VERDICT_STACK:
    case VERDICT_HOIST:
    case VERDICT_PRESIZE:
    case VERDICT_ARENA:
        return "\033[1;36m";
    case VERDICT_LOSES:
        return "\033[31m";
    default:
        return "\033[2m";
    }
}

static const char *colour_end(const struct page *page)
{
    return page->style->colour ? "\033[0m" : "";
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

/* "function file:line" in `columns` (0: no limit): the place stays whole, the function gives way.
 */
static void where(const struct verdict_names *names, size_t columns, char *ret_text, size_t size)
{
    const char *function = names->function ? names->function : "?";
    char place[256] = "";
    if (names->file)
        snprintf(place, sizeof place, " %s:%u", base_name(names->file), names->line);
    else if (names->module && strncmp(function, names->module, strlen(names->module)) != 0)
        snprintf(place, sizeof place, " %s", names->module);

    size_t place_columns = layout_columns(place);
    if (columns == 0)
        columns = size / 4;
    char shown[LINE_BYTES];
    if (place_columns + 8 > columns)
        snprintf(shown, sizeof shown, "%.2000s%s", function, place);
    else {
        layout_fit(function, columns - place_columns, shown, sizeof shown - sizeof place);
        strcat(shown, place);
    }
    layout_fit(shown, columns, ret_text, size);
}

static void write_header(const struct page *page)
{
    const struct report *report = page->report;
    const struct analyse_totals *totals = report->totals;
    char *command = NULL;
    size_t length = 0;
    FILE *text = open_memstream(&command, &length);
    if (text) {
        fprintf(text, "poolwise %s:", report->version);
        for (const char *const *word = report->command; word && *word; word++)
            fprintf(text, " %s", *word);
        if (fclose(text) == 0)
            layout_fill(page->stream, command, 0, 4, page->style->width);
        free(command);
    }

    char line[512];
    int used;
    if (report->program_cpu_ns)
        used =
            snprintf(line, sizeof line, "%s CPU", figure_ns((double)report->program_cpu_ns).text);
    else
        used = snprintf(line, sizeof line, "CPU time " FIGURE_UNKNOWN);
    used += snprintf(line + used, sizeof line - (size_t)used,
                     ", %s events, %s allocations, %s frees, %u thread%s, peak %s",
                     figure_compact((double)totals->events).text,
                     figure_compact((double)totals->allocations).text,
                     figure_compact((double)totals->frees).text, totals->threads,
                     totals->threads == 1 ? "" : "s", figure_bytes(totals->live_peak_bytes).text);
    if (report->recording_ns_per_event > 0)
        snprintf(line + used, sizeof line - (size_t)used, "; recording added %s an event",
                 figure_ns(report->recording_ns_per_event).text);
    layout_fill(page->stream, line, 0, 4, page->style->width);

    if (report->malloc_pair_ns > 0) {
        snprintf(line, sizeof line, "here a malloc+free pair costs %s, a pool's get+put %s (64 B)",
                 figure_ns(report->malloc_pair_ns).text, figure_ns(report->pool_pair_ns).text);
        layout_fill(page->stream, line, 0, 4, page->style->width);
    }
}

static struct figure size_figure(const struct analyse_site *site, bool range)
{
    struct figure figure;
    if (site->size.count == 0)
        return (struct figure){FIGURE_UNKNOWN};
    if (!range || site->size.min == site->size.max)
        return figure_bytes(site->size.min == site->size.max ? site->size.max : site->size.p50);
    struct figure low = figure_bytes(site->size.min), high = figure_bytes(site->size.max);
    if (!strcmp(low.text, high.text))
        return high;
    snprintf(figure.text, sizeof figure.text, "%.16s" FIGURE_UNKNOWN "%.16s", low.text, high.text);
    return figure;
}

/* Column widths; the last column takes the rest. */
enum { COLUMN_RANK = 3, COLUMN_VERDICT = 8, COLUMN_SHARE = 8, COLUMN_COUNT = 7, COLUMN_LIFE = 8 };

static size_t size_columns(const struct page *page)
{
    return page->style->width && page->style->width < RANGE_COLUMNS ? 8 : 19;
}

static void write_table(const struct page *page, const size_t *rows, size_t count)
{
    FILE *stream = page->stream;
    size_t size_width = size_columns(page);
    bool range = size_width > 8;
    size_t fixed = COLUMN_RANK + COLUMN_VERDICT + COLUMN_SHARE + COLUMN_COUNT + COLUMN_LIFE +
                   size_width + 2 * 6;
    /* Where even that does not fit, sizes and lifetimes go. */
    bool narrow = page->style->width && page->style->width < fixed + 16;
    if (narrow)
        fixed -= COLUMN_LIFE + size_width + 2 * 2;
    size_t where_width = page->style->width == 0          ? 0
                         : page->style->width > fixed + 8 ? page->style->width - fixed
                                                          : 8;

    fputc('\n', stream);
    cell(stream, "#", COLUMN_RANK, ALIGN_RIGHT);
    fputs("  ", stream);
    cell(stream, "verdict", COLUMN_VERDICT, ALIGN_LEFT);
    fputs("  ", stream);
    cell(stream, "at most", COLUMN_SHARE, ALIGN_RIGHT);
    fputs("  ", stream);
    cell(stream, "blocks", COLUMN_COUNT, ALIGN_RIGHT);
    fputs("  ", stream);
    if (!narrow) {
        cell(stream, range ? "size" : "size p50", size_width, ALIGN_RIGHT);
        fputs("  ", stream);
        cell(stream, "life p50", COLUMN_LIFE, ALIGN_RIGHT);
        fputs("  ", stream);
    }
    fputs("where\n", stream);

    for (size_t i = 0; i < count; i++) {
        const struct report_site *site = &page->report->sites[rows[i]];
        const struct analyse_site *facts = site->facts;
        char text[LINE_BYTES];
        snprintf(text, sizeof text, "%zu", rows[i] + 1);
        cell(stream, text, COLUMN_RANK, ALIGN_RIGHT);
        fprintf(stream, "  %s", colour_of(page, site->verdict->kind));
        cell(stream, verdict_name(site->verdict->kind), COLUMN_VERDICT, ALIGN_LEFT);
        fprintf(stream, "%s  ", colour_end(page));
        cell(stream,
             page->report->program_cpu_ns ? figure_share(site->verdict->upper_bound_share).text
                                          : FIGURE_UNKNOWN,
             COLUMN_SHARE, ALIGN_RIGHT);
        fputs("  ", stream);
        cell(stream, figure_compact((double)facts->allocations).text, COLUMN_COUNT, ALIGN_RIGHT);
        fputs("  ", stream);
        if (!narrow) {
            cell(stream, size_figure(facts, range).text, size_width, ALIGN_RIGHT);
            fputs("  ", stream);
            cell(stream,
                 facts->lifetime_ns.count ? figure_ns((double)facts->lifetime_ns.p50).text
                                          : FIGURE_UNKNOWN,
                 COLUMN_LIFE, ALIGN_RIGHT);
            fputs("  ", stream);
        }
        where(&site->names, where_width, text, sizeof text);
        fprintf(stream, "%s\n", text);
    }
}

static void write_rest(const struct page *page, const size_t *rows, size_t count)
{
    const struct report *report = page->report;
    if (count == report->site_count)
        return;
    uint64_t all = 0, shown = 0;
    for (size_t i = 0; i < report->site_count; i++)
        all += report->sites[i].facts->allocations;
    for (size_t i = 0; i < count; i++)
        shown += report->sites[rows[i]].facts->allocations;
    char line[256];
    snprintf(line, sizeof line,
             "and %s more sites with %s of the blocks, each costing less than these.",
             figure_count(report->site_count - count).text,
             figure_share(all ? (double)(all - shown) / (double)all : 0).text);
    fprintf(page->stream, "%*s", COLUMN_RANK + 2, "");
    layout_fill(page->stream, line, COLUMN_RANK + 2, COLUMN_RANK + 2, page->style->width);
}

/* A code line that is too long goes on after a blank, deeper: C does not mind. */
static void write_code_line(const struct page *page, const char *line, size_t length)
{
    size_t width = page->style->width;
    size_t own = strspn(line, " ");
    size_t room = width > PARAGRAPH_INDENT ? width - PARAGRAPH_INDENT : 0;
    bool whole = width == 0 || line[0] == '#';
    char raw[LINE_BYTES];
    snprintf(raw, sizeof raw, "%.*s", (int)(length < LINE_BYTES ? length : LINE_BYTES - 1), line);
    char prefix[64] = " * ";
    if (strncmp(raw + own, "* ", 2) != 0)
        snprintf(prefix, sizeof prefix, "%*s", (int)(own < 40 ? own + 8 : 48), "");
    char *at = raw;
    size_t indent = 0;
    while (!whole && indent + layout_columns(at) > room) {
        char *cut = NULL;
        size_t column = indent;
        for (char *c = at; *c && column <= room; c++) {
            if (*c == ' ' && c > at + strspn(at, " "))
                cut = c;
            column += ((unsigned char)*c & 0xc0) != 0x80;
        }
        if (!cut)
            break;
        *cut = '\0';
        fprintf(page->stream, "%*s%s%s\n", PARAGRAPH_INDENT, "", indent ? prefix : "", at);
        at = cut + 1;
        indent = strlen(prefix);
    }
    fprintf(page->stream, "%*s%s%s\n", *at ? PARAGRAPH_INDENT : 0, "", indent ? prefix : "", at);
}

static void write_code(const struct page *page, const char *code)
{
    while (*code) {
        size_t length = strcspn(code, "\n");
        write_code_line(page, code, length);
        code += length + (code[length] == '\n');
    }
}

/* A label and the text beside it, filled in its own column. */
static void write_labelled(const struct page *page, const char *label, const char *text)
{
    size_t indent = PARAGRAPH_INDENT + LABEL_COLUMNS;
    fprintf(page->stream, "%*s", PARAGRAPH_INDENT, "");
    cell(page->stream, label, LABEL_COLUMNS, ALIGN_LEFT);
    layout_fill(page->stream, text, indent, indent, page->style->width);
}

/* Each line of the evidence is "Label: text". */
static void write_evidence(const struct page *page, const char *evidence)
{
    while (*evidence) {
        size_t length = strcspn(evidence, "\n");
        char line[LINE_BYTES];
        snprintf(line, sizeof line, "%.*s", (int)length, evidence);
        char *colon = strstr(line, ": ");
        if (colon && colon - line < LABEL_COLUMNS) {
            *colon = '\0';
            write_labelled(page, line, colon + 2);
        } else {
            write_labelled(page, "", line);
        }
        evidence += length + (evidence[length] == '\n');
    }
}

/* How its allocations come about, innermost first, and the name by which other commands know the
 * site. */
static void write_path(const struct page *page, const struct report_site *site)
{
    char text[LINE_BYTES];
    size_t used = 0;
    for (size_t i = 0; i < site->stack_count && i < PATH_FRAMES; i++) {
        char name[256];
        layout_fit(site->stack[i].function ? site->stack[i].function : "?", 60, name, sizeof name);
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", i ? " < " : "", name);
    }
    if (used) {
        snprintf(text + used, sizeof text - used, "%s",
                 site->stack_count > PATH_FRAMES ? " < ..." : "");
        write_labelled(page, "Path", text);
    }
    if (site->id[0])
        write_labelled(page, "Id", site->id);
}

/* A sentence of its own: begins with a capital. */
static void sentence(const char *reason, const char *tail, char *ret_text, size_t size)
{
    snprintf(ret_text, size, "%.3000s.%s", reason, tail);
    if (*ret_text >= 'a' && *ret_text <= 'z')
        *ret_text += 'A' - 'a';
}

/* The place of an earlier site whose arena serves this one too, or `row` itself. */
static size_t shared_arena(const struct page *page, const size_t *rows, size_t index)
{
    const struct report_site *site = &page->report->sites[rows[index]];
    for (size_t i = 0; i < index && site->verdict->kind == VERDICT_ARENA; i++) {
        const struct report_site *other = &page->report->sites[rows[i]];
        if (other->verdict->kind == VERDICT_ARENA && other->names.death_function &&
            site->names.death_function &&
            strcmp(other->names.death_function, site->names.death_function) == 0)
            return rows[i];
    }
    return rows[index];
}

static void write_paragraph(const struct page *page, const size_t *rows, size_t index)
{
    size_t row = rows[index];
    const struct report_site *site = &page->report->sites[row];
    const struct verdict *verdict = site->verdict;
    FILE *stream = page->stream;
    char number[32], text[LINE_BYTES];
    snprintf(number, sizeof number, "%zu", row + 1);
    const char *name = verdict_name(verdict->kind);
    size_t used = (strlen(number) > COLUMN_RANK ? strlen(number) : COLUMN_RANK) + strlen(name) + 4;

    fputc('\n', stream);
    cell(stream, number, COLUMN_RANK, ALIGN_RIGHT);
    fprintf(stream, "  %s%s%s  ", colour_of(page, verdict->kind), name, colour_end(page));
    where(&site->names,
          page->style->width > used + 8 ? page->style->width - used : 8 * !!page->style->width,
          text, sizeof text);
    fprintf(stream, "%s\n", text);

    fprintf(stream, "%*s", PARAGRAPH_INDENT, "");
    sentence(verdict->reason,
             verdict->slab_hint ? " Packing these blocks may still pay: see Layout." : "", text,
             sizeof text);
    layout_fill(stream, text, PARAGRAPH_INDENT, PARAGRAPH_INDENT, page->style->width);
    if (verdict->saved_share > 0 && verdict->kind != VERDICT_POOL) { /* whose reason says it */
        snprintf(text, sizeof text, "Saves %s of CPU time (%s).",
                 figure_share(verdict->saved_share).text,
                 verdict->estimated ? "estimated, not measured" : "measured");
        fprintf(stream, "%*s", PARAGRAPH_INDENT, "");
        layout_fill(stream, text, PARAGRAPH_INDENT, PARAGRAPH_INDENT, page->style->width);
    }
    if (verdict->kind == VERDICT_TAIL)
        return;
    fputc('\n', stream);
    write_path(page, site);
    if (verdict->evidence)
        write_evidence(page, verdict->evidence);
    size_t arena = shared_arena(page, rows, index);
    if (arena != row) {
        snprintf(text, sizeof text, "the arena of site %zu serves this one too.", arena + 1);
        write_labelled(page, "Code", text);
    } else if (verdict->snippet) {
        fputc('\n', stream);
        write_code(page, verdict->snippet);
    }
}

static int by_share(const void *a, const void *b, void *context)
{
    const struct report *report = context;
    size_t left = *(const size_t *)a, right = *(const size_t *)b;
    double l = report->sites[left].verdict->upper_bound_share;
    double r = report->sites[right].verdict->upper_bound_share;
    if (l != r)
        return l > r ? -1 : 1;
    return left < right ? -1 : 1;
}

static int by_place(const void *a, const void *b)
{
    size_t left = *(const size_t *)a, right = *(const size_t *)b;
    return left < right ? -1 : left > right;
}

/* The costliest sites, in order of allocations. */
static size_t choose_rows(const struct page *page, size_t *rows)
{
    size_t count = page->report->site_count;
    for (size_t i = 0; i < count; i++)
        rows[i] = i;
    qsort_r(rows, count, sizeof *rows, by_share, (void *)page->report);
    if (page->style->top && page->style->top < count)
        count = page->style->top;
    qsort(rows, count, sizeof *rows, by_place);
    return count;
}

/* Locality has no line in the costs: sites that a trial should look at are named apart. */
static void write_hints(const struct page *page, const size_t *rows, size_t count)
{
    char text[LINE_BYTES] = "Packing may pay at";
    size_t used = strlen(text), found = 0;
    for (size_t i = 0; i < count && used + 64 < sizeof text; i++) {
        if (!page->report->sites[rows[i]].verdict->slab_hint)
            continue;
        used += (size_t)snprintf(text + used, sizeof text - used, "%s site %zu", found ? "," : "",
                                 rows[i] + 1);
        found++;
    }
    if (!found)
        return;
    snprintf(text + used, sizeof text - used,
             ": many small blocks are alive at once. Only a trial can tell.");
    fputc('\n', page->stream);
    layout_fill(page->stream, text, 0, 4, page->style->width);
}

static void write_sites(const struct page *page, size_t *rows)
{
    size_t count = choose_rows(page, rows);
    write_table(page, rows, count);
    write_rest(page, rows, count);
    write_hints(page, rows, count);
    bool advised = false;
    for (size_t i = 0; i < count; i++) {
        const struct verdict *verdict = page->report->sites[rows[i]].verdict;
        bool quiet = page->report->program_cpu_ns && verdict->upper_bound_share < QUIET_SHARE;
        if (quiet || (verdict->kind == VERDICT_TAIL && verdict->upper_bound_share < NOTABLE_SHARE))
            continue;
        advised = advised || (verdict->kind != VERDICT_TAIL && verdict->kind != VERDICT_RETAINED &&
                              verdict->kind != VERDICT_LOSES);
        write_paragraph(page, rows, i);
    }
    if (!advised) {
        fputc('\n', page->stream);
        layout_fill(page->stream, "No site is worth a change: leave them as they are.", 0, 0,
                    page->style->width);
    }
}

int report_text(const struct report *report, const struct report_style *style, FILE *stream)
{
    const struct page page = {report, style, stream};
    write_header(&page);
    if (report->site_count) {
        size_t *rows = malloc(report->site_count * sizeof *rows);
        if (!rows)
            return -ENOMEM;
        write_sites(&page, rows);
        free(rows);
    } else {
        layout_fill(stream, "\nNo allocation was recorded.", 0, 0, style->width);
    }
    if (report->notes && report->notes[0])
        fputc('\n', stream);
    for (const char *const *note = report->notes; note && *note; note++) {
        fputs("note: ", stream);
        layout_fill(stream, *note, 6, 6, style->width);
    }
    errno = 0;
    if (fflush(stream) != 0 || ferror(stream))
        return errno ? -errno : -EIO;
    return 0;
}
