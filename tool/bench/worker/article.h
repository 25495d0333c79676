/* SPDX-License-Identifier: MIT */
/* Three workloads that look alike from outside: many short-lived allocations. */
#pragma once

#include "worker.h"

int render_setup(struct worker *worker);
void render_loop(struct worker *worker, int thread, uint64_t count);

int event_setup(struct worker *worker);
void event_loop(struct worker *worker, int thread, uint64_t count);

/* Payload sizes: all up to 1 KiB; one in twenty of 64 KiB; one in 10,000 of 1 MiB. */
int frame_small_setup(struct worker *worker);
int frame_mixed_setup(struct worker *worker);
int frame_rare_setup(struct worker *worker);
void frame_loop(struct worker *worker, int thread, uint64_t count);
void frame_finish(struct worker *worker);
