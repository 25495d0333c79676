/* SPDX-License-Identifier: MIT */
/* Entries leave again, by shifting those behind them back, so the table grows with live pages only.
 */
#include "analyse_internal.h"

#include <errno.h>

static uint32_t page_place(const struct pages *pages, uint32_t site, uint64_t page)
{
    return (uint32_t)hash_u64(page * 31 + site) & pages->mask;
}

static int pages_grow(struct pages *pages)
{
    uint64_t size = pages->entries ? ((uint64_t)pages->mask + 1) * 2 : 64;
    if (size > UINT32_MAX)
        return -ENOMEM;
    struct pages grown = {.mask = (uint32_t)size - 1, .used = pages->used};
    grown.entries = calloc(size, sizeof *grown.entries);
    if (!grown.entries)
        return -ENOMEM;
    for (uint32_t i = 0; pages->entries && i <= pages->mask; i++) {
        const struct page *entry = &pages->entries[i];
        if (!entry->blocks)
            continue;
        uint32_t at = page_place(&grown, entry->site, entry->page);
        while (grown.entries[at].blocks)
            at = (at + 1) & grown.mask;
        grown.entries[at] = *entry;
    }
    free(pages->entries);
    *pages = grown;
    return 0;
}

int pages_add(struct pages *pages, uint32_t site, uint64_t page, bool *ret_new)
{
    if (!pages->entries || pages->used > pages->mask / 2) {
        int result = pages_grow(pages);
        if (result)
            return result;
    }
    uint32_t at = page_place(pages, site, page);
    for (;; at = (at + 1) & pages->mask) {
        struct page *entry = &pages->entries[at];
        if (!entry->blocks)
            break;
        if (entry->page == page && entry->site == site) {
            entry->blocks++;
            *ret_new = false;
            return 0;
        }
    }
    pages->entries[at] = (struct page){.page = page, .site = site, .blocks = 1};
    pages->used++;
    *ret_new = true;
    return 0;
}

bool pages_remove(struct pages *pages, uint32_t site, uint64_t page)
{
    if (!pages->entries)
        return false;
    uint32_t at = page_place(pages, site, page);
    for (;; at = (at + 1) & pages->mask) {
        struct page *entry = &pages->entries[at];
        if (!entry->blocks)
            return false;
        if (entry->page == page && entry->site == site)
            break;
    }
    if (--pages->entries[at].blocks)
        return false;
    pages->used--;
    for (uint32_t next = (at + 1) & pages->mask; pages->entries[next].blocks;
         next = (next + 1) & pages->mask) {
        uint32_t place = page_place(pages, pages->entries[next].site, pages->entries[next].page);
        /* Movable when its place is not cyclically inside (at, next]. */
        if (((next - place) & pages->mask) < ((next - at) & pages->mask))
            continue;
        pages->entries[at] = pages->entries[next];
        pages->entries[next].blocks = 0;
        at = next;
    }
    return true;
}

void pages_done(struct pages *pages)
{
    free(pages->entries);
    *pages = (struct pages){0};
}
