/* SPDX-License-Identifier: MIT */
#include "join.h"

#include <cjson/cJSON.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "escape.h"
#include "text.h"

struct join {
    cJSON *document;
};

/* Analyses the inputs and returns what `poolwise escape --json` would print. */
static int inputs_text(const struct escape_input *inputs, size_t count, char **ret_text,
                       char *ret_message, size_t message_size)
{
    const struct escape_options options = {.cache = true};
    struct escape *escape;
    size_t size;
    int status = escape_run(inputs, count, &options, &escape, ret_message, message_size);
    if (status)
        return status;
    FILE *stream = open_memstream(ret_text, &size);
    status = stream ? escape_json(escape, stream) : -ENOMEM;
    if (stream && fclose(stream) && !status)
        status = -ENOMEM;
    escape_destroy(escape);
    return status;
}

static int bitcode_text(const char *folder, char **ret_text, char *ret_message, size_t message_size)
{
    DIR *entries = opendir(folder);
    struct escape_input *inputs = NULL;
    size_t count = 0;
    int status = entries ? 0 : -errno;
    for (struct dirent *entry; !status && (entry = readdir(entries));) {
        size_t length = strlen(entry->d_name);
        char *path;
        if (length < 4 || strcmp(entry->d_name + length - 3, ".bc"))
            continue;
        struct escape_input *grown = realloc(inputs, (count + 1) * sizeof *inputs);
        if (grown)
            inputs = grown;
        if (!grown || asprintf(&path, "%s/%s", folder, entry->d_name) < 0)
            status = -ENOMEM;
        else
            inputs[count++] = (struct escape_input){.file = path};
    }
    if (entries)
        closedir(entries);
    if (!status && !count) {
        status = -ENOENT;
        snprintf(ret_message, message_size,
                 "--static %s: there is neither compile_commands.json nor bitcode in it", folder);
    }
    if (!status)
        status = inputs_text(inputs, count, ret_text, ret_message, message_size);
    for (size_t i = 0; i < count; i++)
        free((void *)(uintptr_t)inputs[i].file);
    free(inputs);
    return status;
}

static int folder_text(const char *folder, char **ret_text, char *ret_message, size_t message_size)
{
    char path[4096];
    struct stat found;
    snprintf(path, sizeof path, "%s/compile_commands.json", folder);
    if (stat(path, &found))
        return bitcode_text(folder, ret_text, ret_message, message_size);
    struct escape_database *database;
    int status = escape_database_open(path, &database, ret_message, message_size);
    if (status)
        return status;
    const struct escape_input *inputs;
    size_t count = escape_database_inputs(database, &inputs);
    status = inputs_text(inputs, count, ret_text, ret_message, message_size);
    escape_database_close(database);
    return status;
}

int join_open(const char *path, struct join **ret_join, char *ret_message, size_t message_size)
{
    struct stat found;
    char *text = NULL;
    int status = 0;
    snprintf(ret_message, message_size, "--static %s: out of memory", path);
    if (stat(path, &found)) {
        snprintf(ret_message, message_size, "--static %s: %s", path, strerror(errno));
        return -ENOENT;
    }
    if (S_ISDIR(found.st_mode))
        status = folder_text(path, &text, ret_message, message_size);
    else if (!(text = text_read(path)))
        status = -errno;
    struct join *join = status ? NULL : calloc(1, sizeof *join);
    if (join) {
        join->document = cJSON_Parse(text);
        if (!cJSON_IsArray(cJSON_GetObjectItem(join->document, "sites"))) {
            snprintf(ret_message, message_size,
                     "--static %s: it is no output of `poolwise escape --json`", path);
            cJSON_Delete(join->document);
            free(join);
            join = NULL;
            status = -EINVAL;
        }
    }
    free(text);
    if (!join)
        return status ? status : -ENOMEM;
    *ret_join = join;
    return 0;
}

void join_close(struct join *join)
{
    if (!join)
        return;
    cJSON_Delete(join->document);
    free(join);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static const char *string_of(const cJSON *object, const char *name)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(object, name));
    return text ? text : "";
}

/* Which of several on one line: the one whose callee the block was asked for through. Of one name, the worse. */
static bool callee_fits(const struct report_site *site, const char *callee)
{
    bool wrapped = false;
    for (size_t i = 0; i < site->stack_count && site->stack[i].wrapper; i++) {
        wrapped = true;
        if (site->stack[i].function && !strcmp(site->stack[i].function, callee))
            return true;
    }
    return !wrapped;
}

static const cJSON *find(const struct join *join, const struct report_site *site)
{
    const cJSON *best = NULL, *one;
    bool best_fits = false;
    if (!site->names.file || !site->names.line)
        return NULL;
    cJSON_ArrayForEach(one, cJSON_GetObjectItem(join->document, "sites"))
    {
        const cJSON *line = cJSON_GetObjectItem(one, "line");
        if (!cJSON_IsNumber(line) || (unsigned)line->valuedouble != site->names.line ||
            strcmp(base_name(string_of(one, "file")), base_name(site->names.file)))
            continue;
        bool fits = callee_fits(site, string_of(one, "callee"));
        bool escapes = strcmp(string_of(one, "class"), "does-not-escape") != 0;
        if (!best || fits > best_fits || (fits == best_fits && escapes)) {
            best = one;
            best_fits = fits;
        }
    }
    return best;
}

static int text_append(char **text, const char *more)
{
    char *joined;
    if (asprintf(&joined, "%s%s", *text ? *text : "", more) < 0)
        return -ENOMEM;
    free(*text);
    *text = joined;
    return 0;
}

int join_apply(const struct join *join, const struct report_site *site, struct verdict *verdict)
{
    const cJSON *source = find(join, site);
    if (!source)
        return 0;
    char line[2048];
    const char *class = string_of(source, "class");
    bool stays = !strcmp(class, "does-not-escape"), may = !strcmp(class, "may-escape");
    const struct analyse_site *facts = site->facts;
    bool frame = verdict->kind == VERDICT_STACK || verdict->kind == VERDICT_HOIST ||
                 verdict->kind == VERDICT_PRESIZE;
    bool died = facts->outlived_known && facts->outlived[0] == facts->outlived_known &&
                !facts->never_freed && !facts->freed_by_other_thread;
    const cJSON *constant = cJSON_GetObjectItem(source, "size");
    char size[32] = "size varies";
    if (cJSON_IsNumber(constant))
        snprintf(size, sizeof size, "%.0f bytes", constant->valuedouble);
    size_t used = (size_t)snprintf(line, sizeof line, "Source: %s(%s) at line %u %.600s",
                                   string_of(source, "callee"), size, site->names.line,
                                   string_of(source, "verdict"));
    /* The one chain that stands between what was seen and a proof. */
    const cJSON *step;
    if (!stays && used < sizeof line) {
        const char *before = ". The chain: ";
        cJSON_ArrayForEach(step, cJSON_GetObjectItem(source, "chain"))
        {
            const cJSON *at = cJSON_GetObjectItem(step, "line");
            if (used >= sizeof line)
                break;
            used += (size_t)snprintf(line + used, sizeof line - used, "%s%s (%s:%u)", before,
                                     string_of(step, "text"), base_name(string_of(step, "file")),
                                     cJSON_IsNumber(at) ? (unsigned)at->valuedouble : 0);
            before = ", ";
        }
    }
    snprintf(line + (used < sizeof line ? used : sizeof line - 3),
             used < sizeof line ? sizeof line - used : 3, ".\n");
    for (char *at = line; *at; at++) /* one line of evidence */
        if (*at == '\n' && at[1])
            *at = ' ';
    int status = text_append(&verdict->evidence, line);
    if (status || !(frame || died))
        return status;
    if (stays && died)
        return text_append(&verdict->reason, "; the source proves that none can outlive it");
    if (stays)
        return text_append(
            &verdict->reason,
            "; by the source the block does not escape, yet some were seen to outlive the frame: "
            "look for a leak or for blocks that the same call makes besides");
    return text_append(
        &verdict->reason,
        may ? "; not proven: the source leaves open whether code that is not in it keeps the block"
            : "; not proven: the source has a way for the block to get out, see Source");
}
