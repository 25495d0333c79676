/* SPDX-License-Identifier: MIT */
/* Nodes of a recording, each once: the recorders' tables forget, and then name the same frame anew. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "trace.h"

struct node_set_cell {
    uint64_t slot, address;
    uint32_t parent, thread, id; /* id 0: empty */
    uint16_t module, flags;      /* module: its lower half, which a channel's numbers fit */
};

struct node_set {
    struct node_set_cell *cells; /* linear probing, at most half full */
    uint64_t mask;
    uint32_t count;
};

int node_set_init(struct node_set *nodes);
void node_set_done(struct node_set *nodes);

/* Finds the node equal in thread, parent, slot, address, module and flags, or makes it; sets node->id. 0 or -ENOMEM. */
int node_set_intern(struct node_set *nodes, struct trace_node *node, bool *ret_made);
