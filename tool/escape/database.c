/* SPDX-License-Identifier: MIT */
/* compile_commands.json: which files a program is made of, and how. */
#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "escape.h"
#include "text.h"

struct escape_database {
    struct escape_input *inputs;
    size_t count;
    cJSON *document;
};

/* Splits a shell command in place, quotes and backslashes taken off. Returns how many words; ret_words ends with NULL. */
static size_t words_split(char *text, const char ***ret_words)
{
    size_t count = 0, capacity = 64;
    const char **words = calloc(capacity, sizeof *words);
    char *out = text;
    while (words && *text) {
        text += strspn(text, " \t\n");
        if (!*text)
            break;
        if (count + 2 > capacity) {
            const char **grown = realloc(words, 2 * capacity * sizeof *words);
            if (!grown)
                break;
            words = grown;
            capacity *= 2;
        }
        words[count++] = out;
        char quote = '\0';
        for (; *text && (quote || !strchr(" \t\n", *text)); text++) {
            if (quote ? *text == quote : (*text == '"' || *text == '\'')) {
                quote = quote ? '\0' : *text;
                continue;
            }
            if (*text == '\\' && quote != '\'' && text[1])
                text++;
            *out++ = *text;
        }
        if (*text)
            text++;
        *out++ = '\0';
    }
    if (words)
        words[count] = NULL;
    *ret_words = words;
    return count;
}

static bool is_c(const char *file)
{
    size_t length = strlen(file);
    return length > 2 && !strcmp(file + length - 2, ".c");
}

static int entry_take(const cJSON *entry, struct escape_input *input)
{
    const char *file = cJSON_GetStringValue(cJSON_GetObjectItem(entry, "file"));
    const char *directory = cJSON_GetStringValue(cJSON_GetObjectItem(entry, "directory"));
    char *command = cJSON_GetStringValue(cJSON_GetObjectItem(entry, "command"));
    const cJSON *arguments = cJSON_GetObjectItem(entry, "arguments");
    const char **words = NULL;
    size_t count = 0;
    if (!file || !is_c(file))
        return 0;
    if (command) {
        count = words_split(command, &words);
    } else if (cJSON_IsArray(arguments)) {
        const cJSON *word;
        words = calloc((size_t)cJSON_GetArraySize(arguments) + 1, sizeof *words);
        cJSON_ArrayForEach(word, arguments) if (words && cJSON_IsString(word)) words[count++] =
            word->valuestring;
    }
    if (!words)
        return 0;
    /* Without the compiler, and launchers before it, and the file itself. */
    size_t kept = 0, first = 1;
    if (count > 1 && (strstr(words[0], "ccache") || strstr(words[0], "distcc")))
        first = 2;
    for (size_t i = first; i < count; i++)
        if (strcmp(words[i], file) && strcmp(words[i], "--") && !is_c(words[i]))
            words[kept++] = words[i];
    words[kept] = NULL;
    *input = (struct escape_input){file, directory, words};
    return 1;
}

int escape_database_open(const char *path, struct escape_database **ret_database, char *ret_message,
                         size_t message_size)
{
    char *text = text_read(path);
    if (!text) {
        snprintf(ret_message, message_size, "%s: %s", path, strerror(errno ? errno : EINVAL));
        return -ENOENT;
    }
    struct escape_database *database = calloc(1, sizeof *database);
    cJSON *document = cJSON_Parse(text);
    free(text);
    size_t entries = cJSON_IsArray(document) ? (size_t)cJSON_GetArraySize(document) : 0;
    if (database)
        database->inputs = calloc(entries + 1, sizeof *database->inputs);
    if (!database || !database->inputs || !entries) {
        snprintf(ret_message, message_size,
                 "%s: it is no compilation database (a JSON array with an object for each file)",
                 path);
        cJSON_Delete(document);
        escape_database_close(database);
        return -EINVAL;
    }
    database->document = document;
    const cJSON *entry;
    cJSON_ArrayForEach(entry, document)
    {
        struct escape_input input;
        if (!entry_take(entry, &input))
            continue;
        bool twice = false; /* built twice, as for a library and its tests: once is enough */
        for (size_t i = 0; i < database->count && !twice; i++)
            twice = !strcmp(database->inputs[i].file, input.file) &&
                    database->inputs[i].directory && input.directory &&
                    !strcmp(database->inputs[i].directory, input.directory);
        if (twice)
            free((void *)(uintptr_t)input.flags);
        else
            database->inputs[database->count++] = input;
    }
    if (!database->count) {
        snprintf(ret_message, message_size, "%s: there is no C file in it", path);
        escape_database_close(database);
        return -EINVAL;
    }
    *ret_database = database;
    return 0;
}

size_t escape_database_inputs(const struct escape_database *database,
                              const struct escape_input **ret_inputs)
{
    *ret_inputs = database->inputs;
    return database->count;
}

void escape_database_close(struct escape_database *database)
{
    if (!database)
        return;
    for (size_t i = 0; i < database->count; i++)
        free((void *)(uintptr_t)database->inputs[i].flags);
    free(database->inputs);
    cJSON_Delete(database->document);
    free(database);
}
