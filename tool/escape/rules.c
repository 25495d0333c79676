/* SPDX-License-Identifier: MIT */
/* The command line's knowledge of functions and fields, as effects. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "run.h"

int run_rules(struct escape *escape, const struct libc_user *user, char *ret_message,
              size_t message_size)
{
    const char *const *lists[] = {user->allocators, user->frees, user->keepless, user->hooks};
    static const char *const options[] = {"-w", "-f", "-n", "--hook"};
    static const char *const presets[] = {"malloc", "free", "keeps-not", NULL};
    for (size_t i = 0; i < 4; i++) {
        for (const char *const *at = lists[i]; at && *at; at++) {
            char *name = arena_copy(&escape->program.arena, *at, strlen(*at));
            char *split = strchr(name, i == 3 ? '=' : ':');
            char text[64];
            struct hook hook = {.name = name};
            if (split)
                *split++ = '\0';
            if (i == 3 && (!split || !strchr(name, ':'))) {
                snprintf(ret_message, message_size,
                         "--hook %s: it takes STRUCT:OFFSET=KIND or VARIABLE:OFFSET=KIND, with "
                         "malloc, calloc, realloc, strdup or free",
                         *at);
                return -EINVAL;
            }
            if (!split)
                snprintf(text, sizeof text, "%s", presets[i]);
            else if (split[0] >= '0' && split[0] <= '9')
                snprintf(text, sizeof text, "%s:%s", presets[i], split);
            else
                snprintf(text, sizeof text, "%s", split);
            if (libc_option_effect(text, hook.effect, sizeof hook.effect)) {
                snprintf(ret_message, message_size,
                         "%s %s: '%s' is none of malloc[:N], calloc[:N], realloc[:P,N], strdup, "
                         "free[:N]",
                         options[i], *at, text);
                return -EINVAL;
            }
            struct hook **list = i == 3 ? &escape->rules.hooks : &escape->rules.functions;
            size_t *count = i == 3 ? &escape->rules.hook_count : &escape->rules.function_count;
            struct hook *grown = realloc(*list, (*count + 1) * sizeof *grown);
            if (!grown)
                return -ENOMEM;
            *list = grown;
            grown[(*count)++] = hook;
        }
    }
    return 0;
}
