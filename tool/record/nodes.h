/* SPDX-License-Identifier: MIT */
/* Nodes of a recording, each once: the recorders' tables forget, and then name the same frame anew. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "trace.h"

struct nodes_cell {
    uint64_t slot, address;
    uint32_t parent, module, id; /* id 0: empty */
    uint32_t flags;
};

struct nodes {
    struct nodes_cell *cells; /* linear probing, at most half full */
    uint64_t mask;
    uint32_t count;
};

int nodes_init(struct nodes *nodes);
void nodes_done(struct nodes *nodes);

/* Finds the node equal in parent, slot, address, module and flags, or makes it; sets node->id. 0 or -ENOMEM. */
int nodes_intern(struct nodes *nodes, struct trace_node *node, bool *ret_made);
