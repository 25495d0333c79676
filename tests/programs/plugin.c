/* SPDX-License-Identifier: MIT */
/* Built twice, as plugin_red and plugin_blue: the same code at the same offsets under two names. */
#include "programs.h"

#define JOIN_(a, b) a##b
#define JOIN(a, b)  JOIN_(a, b)

static OWN_FRAME void JOIN(PLUGIN, _allocate)(size_t size)
{
    void *block = malloc(size);
    KEEP(block);
    free(block);
}

void plugin_run(int count);
void plugin_run(int count)
{
    for (int i = 0; i < count; i++)
        JOIN(PLUGIN, _allocate)(PLUGIN_SIZE);
}
