/* SPDX-License-Identifier: MIT */
#include "wrappers.h"

#include <errno.h>
#include <regex.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "string_set.h"
#include "wrapper_names.h"

struct wrapper_table {
    const char **slots; /* open addressing over wrapper_names */
    size_t slot_count;  /* a power of two, at least twice the names */
    regex_t *regexes;   /* the user's */
    size_t regex_count;
};

static size_t find_slot(const struct wrapper_table *table, const char *name)
{
    size_t i = hash_mix(hash_bytes(HASH_SEED, name, strlen(name))) & (table->slot_count - 1);
    while (table->slots[i] && strcmp(table->slots[i], name) != 0)
        i = (i + 1) & (table->slot_count - 1);
    return i;
}

struct wrapper_table *wrapper_table_create(void)
{
    struct wrapper_table *table = calloc(1, sizeof *table);
    if (!table)
        return NULL;
    size_t count = 0;
    while (wrapper_names[count])
        count++;
    table->slot_count = 1;
    while (table->slot_count < 2 * count)
        table->slot_count *= 2;
    table->slots = calloc(table->slot_count, sizeof *table->slots);
    if (!table->slots) {
        free(table);
        return NULL;
    }
    for (size_t i = 0; i < count; i++)
        table->slots[find_slot(table, wrapper_names[i])] = wrapper_names[i];
    return table;
}

void wrapper_table_destroy(struct wrapper_table *table)
{
    if (!table)
        return;
    for (size_t i = 0; i < table->regex_count; i++)
        regfree(&table->regexes[i]);
    free(table->regexes);
    free(table->slots);
    free(table);
}

int wrapper_table_add(struct wrapper_table *table, const char *regex, char **ret_error)
{
    regex_t *regexes = realloc(table->regexes, (table->regex_count + 1) * sizeof *table->regexes);
    if (!regexes)
        return -ENOMEM;
    table->regexes = regexes;
    int code = regcomp(&regexes[table->regex_count], regex, REG_EXTENDED);
    if (code == 0) {
        table->regex_count++;
        return 0;
    }
    char reason[256];
    regerror(code, &regexes[table->regex_count], reason, sizeof reason);
    if (asprintf(ret_error, "\"%s\" is not an extended regular expression: %s", regex, reason) < 0)
        return -ENOMEM;
    return -EINVAL;
}

/* pattern's stars stand for any text. Going back to the last star alone is enough, so it is linear
 * in practice. */
static bool matches_glob(const char *pattern, const char *name)
{
    const char *star = NULL, *resume = NULL;
    while (*name) {
        if (*pattern == '*') {
            star = ++pattern;
            resume = name;
        } else if (*pattern == *name) {
            pattern++;
            name++;
        } else if (star) {
            pattern = star;
            name = ++resume;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}

bool wrapper_table_has(const struct wrapper_table *table, const char *name)
{
    if (table->slots[find_slot(table, name)])
        return true;
    for (const char *const *glob = wrapper_globs; *glob; glob++) {
        if (matches_glob(*glob, name))
            return true;
    }
    for (size_t i = 0; i < table->regex_count; i++) {
        /* POSIX finds the longest of the leftmost matches: the whole name if the whole name
         * matches. Anchors put around the user's text would change its meaning (an unbalanced
         * parenthesis, back-references). */
        regmatch_t match;
        if (regexec(&table->regexes[i], name, 1, &match, 0) == 0 && match.rm_so == 0 &&
            (size_t)match.rm_eo == strlen(name))
            return true;
    }
    return false;
}
