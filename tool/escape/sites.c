/* SPDX-License-Identifier: MIT */
/* All functions' sites, as the user gets them. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "run.h"

static int compare_sites(const void *a, const void *b)
{
    const struct escape_site *left = a, *right = b;
    int order = strcmp(left->file, right->file);
    if (!order)
        order = (left->line > right->line) - (left->line < right->line);
    if (!order)
        order = (left->column > right->column) - (left->column < right->column);
    if (!order)
        order = strcmp(left->callee, right->callee);
    if (!order) /* the worse verdict first: it is the one that stays */
        order = (left->kind < right->kind) - (left->kind > right->kind);
    if (!order)
        order = (left->freed < right->freed) - (left->freed > right->freed);
    return order;
}

/* Paths as the user would write them here. */
static const char *path_short(struct escape *escape, const char *path)
{
    char here[4096], clean[4096];
    size_t used = 0;
    /* a/./b and a//b first, for prefixes to be alike */
    for (const char *at = path; *at && used + 1 < sizeof clean; at++) {
        if (*at == '/' && (at[1] == '/' || (at[1] == '.' && at[2] == '/'))) {
            if (at[1] == '.')
                at++;
            continue;
        }
        clean[used++] = *at;
    }
    clean[used] = '\0';
    const char *shown = clean;
    if (getcwd(here, sizeof here)) {
        size_t length = strlen(here);
        if (!strncmp(clean, here, length) && clean[length] == '/')
            shown = clean + length + 1;
    }
    return arena_copy(&escape->program.arena, shown, strlen(shown));
}

void run_sites(struct escape *escape)
{
    for (uint32_t i = 0; i < escape->sites.count; i++) {
        struct escape_site *site = &escape->sites.items[i];
        site->file = path_short(escape, site->file);
        for (size_t k = 0; k < site->step_count; k++) {
            struct escape_step *step = (struct escape_step *)(uintptr_t)&site->steps[k];
            step->file = path_short(escape, step->file);
        }
    }
    if (escape->sites.count)
        qsort(escape->sites.items, escape->sites.count, sizeof *escape->sites.items, compare_sites);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < escape->sites.count; i++) {
        const struct escape_site *site = &escape->sites.items[i];
        const struct escape_site *before = kept ? &escape->sites.items[kept - 1] : NULL;
        if (before && site->line && !strcmp(before->file, site->file) &&
            before->line == site->line && before->column == site->column &&
            !strcmp(before->callee, site->callee))
            continue;
        escape->sites.items[kept++] = *site;
    }
    escape->sites.count = kept;
    for (uint32_t i = 0; i < kept; i++)
        escape->counts.by_class[escape->sites.items[i].kind]++;
    escape->counts.sites = kept;
}
