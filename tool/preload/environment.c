/* SPDX-License-Identifier: MIT */
#include "environment.h"

#include <stdint.h>
#include <string.h>
#include <unistd.h>

const char *environment_get(const char *name)
{
    size_t length = strlen(name);
    for (char **entry = environ; entry && *entry; entry++)
        if (!strncmp(*entry, name, length) && (*entry)[length] == '=')
            return *entry + length + 1;
    return NULL;
}

void environment_remove(const char *name)
{
    size_t length = strlen(name);
    char **keep = environ;
    for (char **entry = environ; *entry; entry++)
        if (strncmp(*entry, name, length) || (*entry)[length] != '=')
            *keep++ = *entry;
    *keep = NULL;
}

void environment_remove_preload(void)
{
    char *preload = (char *)(uintptr_t)environment_get("LD_PRELOAD");
    if (!preload)
        return;
    char *others = strchr(preload, ':');
    if (others)
        memmove(preload, others + 1, strlen(others));
    else
        environment_remove("LD_PRELOAD");
}
