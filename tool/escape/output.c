/* SPDX-License-Identifier: MIT */
#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "escape.h"

void escape_verdict(const struct escape_site *site, char *ret_text, size_t size)
{
    char freed[160] = "";
    switch (site->freed) {
    case ESCAPE_FREED_ALWAYS:
        snprintf(freed, sizeof freed, "freed on all paths (line %u)", site->free_line);
        break;
    case ESCAPE_FREED_EACH:
        snprintf(freed, sizeof freed, "freed each iteration (line %u): reuse it", site->free_line);
        break;
    case ESCAPE_FREED_UNKNOWN:
        snprintf(freed, sizeof freed, "freed (line %u), completeness not provable",
                 site->free_line);
        break;
    case ESCAPE_FREED_LEAK:
        snprintf(freed, sizeof freed, "freed (line %u), but not before line %u: leak on that path",
                 site->free_line, site->leak_line);
        break;
    case ESCAPE_FREED_NEVER:
        snprintf(freed, sizeof freed, "not freed here");
        break;
    }
    if (site->kind == ESCAPE_NOT) {
        snprintf(ret_text, size, "does not escape; %s", freed);
        return;
    }
    if (site->kind != ESCAPE_MAY) {
        snprintf(ret_text, size, "escapes to heap: %s", site->why);
        return;
    }
    size_t used = (size_t)snprintf(ret_text, size, "may escape, only if kept by ");
    for (const char *const *keeper = site->keepers; keeper && *keeper && used < size; keeper++)
        used += (size_t)snprintf(ret_text + used, size - used, "%s%s",
                                 keeper == site->keepers ? "" : ", ", *keeper);
    if (!site->keepers && used < size)
        used += (size_t)snprintf(ret_text + used, size - used,
                                 "code in %s that is too large to follow", site->function);
    if (used < size)
        snprintf(ret_text + used, size - used, "; %s", freed);
}

int escape_text(const struct escape *escape, unsigned detail, bool colour, FILE *stream)
{
    static const char *const colours[] = {"\033[1;36m", "\033[33m", "\033[2m",
                                          "\033[2m",    "\033[2m",  "\033[2m"};
    const struct escape_site *sites;
    size_t count = escape_sites(escape, &sites);
    for (size_t i = 0; i < count; i++) {
        const struct escape_site *site = &sites[i];
        char verdict[1024], size[32] = "?";
        escape_verdict(site, verdict, sizeof verdict);
        if (site->has_size)
            snprintf(size, sizeof size, "%llu", (unsigned long long)site->size);
        fprintf(stream, "%s:%u:%u: %s(%s)%s%s %s%s%s\n", site->file, site->line, site->column,
                site->callee, size, detail > 1 ? " in " : "", detail > 1 ? site->function : "",
                colour ? colours[site->kind] : "", verdict, colour ? "\033[0m" : "");
        for (size_t k = 0; k < site->step_count && detail > 1; k++) {
            const struct escape_step *step = &site->steps[k];
            fprintf(stream, "    %*s%s:%u: %s\n", (int)step->depth * 2, "", step->file, step->line,
                    step->text);
        }
    }
    return ferror(stream) ? -EIO : 0;
}

static const char *const class_names[] = {"does-not-escape", "may-escape",    "returned",
                                          "inside-returned", "caller-memory", "global"};
static const char *const freed_names[] = {"all-paths", "each-iteration", "not-provable", "leak",
                                          "never"};

static cJSON *site_object(const struct escape_site *site)
{
    cJSON *object = cJSON_CreateObject();
    char verdict[1024];
    cJSON_AddStringToObject(object, "file", site->file);
    cJSON_AddNumberToObject(object, "line", site->line);
    cJSON_AddNumberToObject(object, "column", site->column);
    cJSON_AddStringToObject(object, "function", site->function);
    cJSON_AddStringToObject(object, "callee", site->callee);
    if (site->has_size)
        cJSON_AddNumberToObject(object, "size", (double)site->size);
    else
        cJSON_AddNullToObject(object, "size");
    cJSON_AddBoolToObject(object, "allocating_call", site->through);
    cJSON_AddBoolToObject(object, "escapes", site->kind > ESCAPE_MAY);
    cJSON_AddStringToObject(object, "class", class_names[site->kind]);
    cJSON_AddStringToObject(object, "freed",
                            site->kind > ESCAPE_MAY ? "unknown" : freed_names[site->freed]);
    cJSON_AddNumberToObject(object, "free_line", site->free_line);
    cJSON_AddNumberToObject(object, "leak_line", site->leak_line);
    cJSON_AddBoolToObject(object, "in_loop", site->in_loop);
    escape_verdict(site, verdict, sizeof verdict);
    cJSON_AddStringToObject(object, "verdict", verdict);
    cJSON *keepers = cJSON_AddArrayToObject(object, "keepers");
    for (const char *const *keeper = site->keepers; keeper && *keeper; keeper++)
        cJSON_AddItemToArray(keepers, cJSON_CreateString(*keeper));
    cJSON *chain = cJSON_AddArrayToObject(object, "chain");
    for (size_t i = 0; i < site->step_count; i++) {
        cJSON *step = cJSON_CreateObject();
        cJSON_AddStringToObject(step, "file", site->steps[i].file);
        cJSON_AddNumberToObject(step, "line", site->steps[i].line);
        cJSON_AddNumberToObject(step, "depth", site->steps[i].depth);
        cJSON_AddStringToObject(step, "text", site->steps[i].text);
        cJSON_AddItemToArray(chain, step);
    }
    return object;
}

int escape_json(const struct escape *escape, FILE *stream)
{
    const struct escape_site *sites;
    const struct escape_counts *counts = escape_counts(escape);
    size_t count = escape_sites(escape, &sites);
    fprintf(stream,
            "{\"poolwise\":\"%s\",\"units\":%zu,\"units_cached\":%zu,\"functions\":%zu,"
            "\"instructions\":%zu,\"functions_without_fields\":%zu,\"functions_not_followed\":%zu,"
            "\"compile_s\":%.3f,\"read_s\":%.3f,\"solve_s\":%.3f,\"peak_bytes\":%zu,\"sites\":[",
            POOLWISE_VERSION, counts->units, counts->cached, counts->functions,
            counts->instructions, counts->coarse, counts->opaque, counts->compile_s, counts->read_s,
            counts->solve_s, counts->peak_bytes);
    for (size_t i = 0; i < count; i++) {
        cJSON *object = site_object(&sites[i]);
        char *text = cJSON_PrintUnformatted(object);
        cJSON_Delete(object);
        if (!text)
            return -ENOMEM;
        fprintf(stream, "%s\n%s", i ? "," : "", text);
        cJSON_free(text);
    }
    fputs("\n]}\n", stream);
    return ferror(stream) ? -EIO : 0;
}
