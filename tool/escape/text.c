/* SPDX-License-Identifier: MIT */
#include "text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

char *text_read(const char *path)
{
    FILE *file = fopen(path, "re");
    char *text = NULL;
    size_t size = 0;
    int error = EINVAL;
    if (!file)
        return NULL;
    errno = 0;
    if (getdelim(&text, &size, '\0', file) < 0) {
        error = errno ? errno : EINVAL;
        free(text);
        text = NULL;
    }
    fclose(file);
    if (!text)
        errno = error;
    return text;
}
