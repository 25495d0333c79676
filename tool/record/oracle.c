/* SPDX-License-Identifier: MIT */
/* For tests: every stack that the table gives is compared with a full unwind. */
#include "recorder_internal.h"

#include "trace.h"

void recorder_oracle_check(struct recorder_thread *self, const struct stack_key *key, uint32_t node)
{
    struct ring_memory *memory = (struct ring_memory *)(void *)self->table;
    uint32_t depth = stack_unwind(key, memory->slots, memory->addresses, STACK_DEPTH_MAX), i = 0;
    uint32_t flags = 0;
    for (; node && i < depth; node = memory->nodes[node].parent, i++) {
        flags = memory->nodes[node].flags;
        if (memory->nodes[node].slot != memory->slots[i] ||
            memory->nodes[node].address != memory->addresses[i])
            break;
    }
    self->ring->oracle_checked++;
    /* A stack that the table cuts for its depth is still right as far as it goes. */
    if (flags & TRACE_NODE_TRUNCATED)
        self->ring->oracle_truncated++;
    if (node ? depth < STACK_DEPTH_MAX || i < depth : i != depth && i < STACK_DEPTH_MAX / 4)
        self->ring->oracle_wrong++;
}
