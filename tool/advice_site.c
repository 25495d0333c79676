/* SPDX-License-Identifier: MIT */
/* What a site is called: its line, its stack, its id, and where another run finds it. */
#include "advice_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINES_MAX 16u /* inlined calls shown for one address */
#define STACK_MAX 40u /* frames shown of a site's commonest path */

/* Appends the source-level frames of one address. */
static size_t frames_add(struct advice *advice, uint32_t module, uint64_t address,
                         struct report_frame *frames, size_t count, size_t max)
{
    struct symbols_line lines[LINES_MAX];
    struct symbols_function function;
    symbols_function(advice->symbols, module, address, &function);
    size_t line_count = symbols_lines(advice->symbols, module, address, lines, LINES_MAX);
    for (size_t i = 0; i < line_count && count < max; i++)
        frames[count++] = (struct report_frame){.function = lines[i].function,
                                                .file = lines[i].file,
                                                .module = function.module_name,
                                                .line = lines[i].line,
                                                .address = address,
                                                .inlined = lines[i].inlined,
                                                .wrapper = function.wrapper};
    return count;
}

/* Headers that come with the compiler or the system: inlined calls of theirs are not the user's lines. */
static bool system_header(const char *file)
{
    return file && (!strncmp(file, "/usr/include/", 13) || !strncmp(file, "/usr/lib/gcc", 12) ||
                    !strncmp(file, "/usr/lib/llvm", 13));
}

/* The line to show for an address: of the function itself, seen through calls of wrappers that were inlined. */
static void line_of(struct advice *advice, uint32_t module, uint64_t address,
                    const char **ret_function, const char **ret_file, unsigned *ret_line)
{
    struct symbols_line lines[LINES_MAX];
    size_t count = symbols_lines(advice->symbols, module, address, lines, LINES_MAX);
    size_t shown = 0;
    while (shown + 1 < count && lines[shown].inlined &&
           (system_header(lines[shown].file) ||
            symbols_name_is_wrapper(advice->symbols, lines[shown].function)))
        shown++;
    *ret_function = lines[shown].function;
    *ret_file = lines[shown].file;
    *ret_line = lines[shown].line;
}

static void names_fill(struct advice *advice, const struct analyse_site *site,
                       struct verdict_names *names)
{
    struct symbols_function function;
    symbols_function(advice->symbols, site->module, site->address, &function);
    line_of(advice, site->module, site->address, &names->function, &names->file, &names->line);
    names->module = function.module_name;
    names->system = function.system;
    if (site->grow.chains)
        line_of(advice, site->grow.module, site->grow.address, &names->grow_function,
                &names->grow_file, &names->grow_line);
    if (!site->path_count)
        return;
    const struct analyse_path *path = &site->paths[0];
    for (uint32_t i = site->wrappers + 1; names->system && i < path->depth; i++) {
        symbols_function(advice->symbols, path->modules[i], path->addresses[i], &function);
        if (!function.system && !function.wrapper) {
            line_of(advice, path->modules[i], path->addresses[i], &names->caller_function,
                    &names->caller_file, &names->caller_line);
            break;
        }
    }
    /* Level k: the k inner functions had returned when most blocks died, the next one had not. */
    uint32_t level = 0;
    for (uint32_t k = 1; k < ANALYSE_LEVELS; k++)
        if (site->outlived[k] > site->outlived[level])
            level = k;
    if (level && site->outlived[level] * 2 > site->outlived_known &&
        site->wrappers + level < path->depth) {
        symbols_function(advice->symbols, path->modules[site->wrappers + level],
                         path->addresses[site->wrappers + level], &function);
        names->death_function = function.name;
    }
}

static void id_fill(const struct advice *advice, const struct analyse_site *site, char *ret_id,
                    size_t size)
{
    uint64_t hash = 0xcbf29ce484222325ULL;
    const struct analyse_path *path = &site->paths[0];
    for (uint32_t i = 0; site->path_count && i <= site->wrappers && i < path->depth; i++) {
        hash =
            (hash ^ symbols_module_hash(advice->symbols, path->modules[i])) * 0x9e3779b97f4a7c15ULL;
        hash ^= hash >> 32;
        hash = (hash ^ symbols_offset(advice->symbols, path->modules[i], path->addresses[i])) *
               0x9e3779b97f4a7c15ULL;
        hash ^= hash >> 29;
    }
    snprintf(ret_id, size, "%012" PRIx64, hash & UINT64_C(0xffffffffffff));
}

/* None where one of the calls lies in no module: no other run could find it. */
static int calls_fill(const struct advice *advice, const struct analyse_site *facts,
                      struct report_site *site)
{
    if (!facts->path_count || facts->wrappers >= facts->paths[0].depth)
        return 0;
    const struct analyse_path *path = &facts->paths[0];
    struct report_call *calls = calloc(facts->wrappers + 1, sizeof *calls);
    if (!calls)
        return -ENOMEM;
    site->calls = calls;
    for (uint32_t i = 0; i <= facts->wrappers; i++) {
        uint32_t number = path->modules[i];
        if (number >= advice->module_count || !advice->modules[number].path)
            return 0;
        const struct known_module *module = &advice->modules[number];
        calls[i] =
            (struct report_call){module->path, module->build_id, module->build_id_size,
                                 symbols_offset(advice->symbols, number, path->addresses[i])};
    }
    site->call_count = facts->wrappers + 1;
    return 0;
}

int advice_site_fill(struct advice *advice, const struct analyse_site *facts,
                     struct report_site *site)
{
    *site = (struct report_site){.facts = facts};
    id_fill(advice, facts, site->id, sizeof site->id);
    names_fill(advice, facts, &site->names);
    struct report_frame *frames = calloc(STACK_MAX, sizeof *frames);
    if (!frames)
        return -ENOMEM;
    site->stack = frames;
    for (uint32_t i = 0;
         facts->path_count && i < facts->paths[0].depth && site->stack_count < STACK_MAX; i++)
        site->stack_count =
            frames_add(advice, facts->paths[0].modules[i], facts->paths[0].addresses[i], frames,
                       site->stack_count, STACK_MAX);
    return calls_fill(advice, facts, site);
}
