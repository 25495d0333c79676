/* SPDX-License-Identifier: MIT */
#include "node_set.h"

#include <errno.h>
#include <stdlib.h>

static uint64_t hash_of(uint32_t thread, uint32_t parent, uint64_t slot, uint64_t address)
{
    uint64_t hash = (slot ^ (uint64_t)(parent ^ thread * 0x85ebca6bu) << 32) * 0x9e3779b97f4a7c15ULL;
    hash = (hash ^ hash >> 31 ^ address) * 0xbf58476d1ce4e5b9ULL;
    return hash ^ hash >> 29;
}

int node_set_init(struct node_set *nodes)
{
    *nodes = (struct node_set){.mask = 4095};
    nodes->cells = calloc(nodes->mask + 1, sizeof *nodes->cells);
    return nodes->cells ? 0 : -ENOMEM;
}

void node_set_done(struct node_set *nodes)
{
    free(nodes->cells);
    *nodes = (struct node_set){0};
}

static int grow(struct node_set *nodes)
{
    uint64_t mask = nodes->mask * 2 + 1;
    struct node_set_cell *cells = calloc(mask + 1, sizeof *cells);
    if (!cells)
        return -ENOMEM;
    for (uint64_t i = 0; i <= nodes->mask; i++) {
        const struct node_set_cell *cell = &nodes->cells[i];
        if (!cell->id)
            continue;
        uint64_t at = hash_of(cell->thread, cell->parent, cell->slot, cell->address) & mask;
        while (cells[at].id)
            at = (at + 1) & mask;
        cells[at] = *cell;
    }
    free(nodes->cells);
    nodes->cells = cells;
    nodes->mask = mask;
    return 0;
}

int node_set_intern(struct node_set *nodes, struct trace_node *node, bool *ret_made)
{
    if ((uint64_t)nodes->count * 2 > nodes->mask && grow(nodes))
        return -ENOMEM;
    uint64_t at = hash_of(node->thread, node->parent, node->slot, node->address) & nodes->mask;
    for (;; at = (at + 1) & nodes->mask) {
        struct node_set_cell *cell = &nodes->cells[at];
        if (!cell->id)
            break;
        if (cell->slot == node->slot && cell->address == node->address && cell->parent == node->parent &&
            cell->thread == node->thread && cell->module == (uint16_t)node->module && cell->flags == node->flags) {
            node->id = cell->id;
            *ret_made = false;
            return 0;
        }
    }
    node->id = ++nodes->count;
    nodes->cells[at] = (struct node_set_cell){.slot = node->slot, .address = node->address, .parent = node->parent,
                                                .thread = node->thread, .id = node->id,
                                                .module = (uint16_t)node->module, .flags = (uint16_t)node->flags};
    *ret_made = true;
    return 0;
}
