/* SPDX-License-Identifier: MIT */
/*
 * Facts made by hand. Each is one site that reaches the verdict of its name at the preset
 * thresholds, in a program of facts_cpu_ns that waits for nothing; tests change one number and look
 * again.
 */
#pragma once

#include "verdict.h"

struct facts {
    struct analyse_site site;
    struct verdict_input input;
};

enum { FACTS_CPU_NS = 100000000 }; /* 0.1 s */

/* A million 64-byte blocks, freed two callers up, 1,000 alive at once. malloc+free 10 ns, pool 3
 * ns. */
void facts_pool(struct facts *facts);
void facts_stack(struct facts *facts);    /* 64-byte blocks freed in their frame */
void facts_tail(struct facts *facts);     /* as the pool's, but 10,000 of them */
void facts_cap(struct facts *facts);      /* about 1 KiB, the largest 1 MiB */
void facts_classes(struct facts *facts);  /* 16 B to 256 KiB, evenly in the logarithm */
void facts_presize(struct facts *facts);  /* 64 B grown to 4 KiB in six steps */
void facts_hoist(struct facts *facts);    /* 16 KiB, one at a time, freed in the frame */
void facts_arena(struct facts *facts);    /* dies in bursts under parse_document */
void facts_retained(struct facts *facts); /* never freed */
void facts_loses(struct facts *facts);    /* measured: the pool is slower */
void facts_library(struct facts *facts);  /* a buffer that libc makes for read_config */

/* All blocks have `size` bytes. */
void facts_set_size(struct facts *facts, uint64_t size);

extern const struct analyse_totals facts_totals;
