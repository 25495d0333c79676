/* SPDX-License-Identifier: MIT */
/* The environment variable PWISE_DEBUG: a comma list, read once. */
#include <stdlib.h>
#include <string.h>

#include "debug_internal.h"

static struct debug_settings settings = {.drop = 4, .seed = 1, .stacks = 16};
static pthread_once_t once = PTHREAD_ONCE_INIT;

struct word {
    const char *text;
    size_t length;
};

static bool word_is(struct word word, const char *expected)
{
    return word.length == strlen(expected) && memcmp(word.text, expected, word.length) == 0;
}

/* name=N with N at most `limit`. False: it is another name. Aborts where N is no such number. */
static bool word_number(struct word word, const char *name, uint64_t limit, uint64_t *ret_number)
{
    size_t length = strlen(name);
    if (word.length <= length || memcmp(word.text, name, length) != 0 || word.text[length] != '=')
        return false;
    uint64_t number = 0;
    bool sound = word.length > length + 1;
    for (size_t i = length + 1; i < word.length && sound; i++) {
        unsigned digit = (unsigned)(word.text[i] - '0');
        sound = digit < 10 && number <= (UINT64_MAX - digit) / 10;
        number = number * 10 + digit;
    }
    if (!sound || number > limit)
        debug_abort("PWISE_DEBUG: '%.*s': %s takes a whole number from 0 to %llu", (int)word.length,
                    word.text, name, (unsigned long long)limit);
    *ret_number = number;
    return true;
}

static void apply(struct word word)
{
    uint64_t quarantine_max = 1 << 20;
    if (word_is(word, "0")) {
        settings.all = false;
    } else if (word_is(word, "guard")) {
        settings.guard = true;
    } else if (word_is(word, "leaks=abort")) {
        settings.leaks_abort = true;
    } else if (word_is(word, "foreign=allow")) {
        settings.foreign_allowed = true;
    } else if (!word_is(word, "1") && !word_number(word, "drop", UINT32_MAX, &settings.drop) &&
               !word_number(word, "seed", UINT64_MAX, &settings.seed) &&
               !word_number(word, "stacks", DEBUG_STACK_MAX, &settings.stacks) &&
               !word_number(word, "quarantine", quarantine_max, &settings.quarantine)) {
        debug_abort("PWISE_DEBUG: unknown setting '%.*s'; known are 0, 1, guard, drop=N, seed=N, "
                    "stacks=N, quarantine=N, leaks=abort, foreign=allow",
                    (int)word.length, word.text);
    }
}

static void read_environment(void)
{
    const char *text = secure_getenv("PWISE_DEBUG");
    if (!text || !*text)
        return;
    settings.all = true;
    while (*text) {
        struct word word = {.text = text, .length = strcspn(text, ",")};
        apply(word);
        text += word.length;
        text += *text == ',';
    }
    if (settings.stacks == 0)
        settings.stacks = 1;
}

const struct debug_settings *debug_settings(void)
{
    pthread_once(&once, read_environment);
    return &settings;
}

bool debug_wanted(unsigned flags)
{
    return debug_settings()->all || (flags & PWISE_DEBUG);
}
