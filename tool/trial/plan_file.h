/* SPDX-License-Identifier: MIT */
/* The runner's side of a plan: the shared file that the library finds. */
#pragma once

#include "trial.h"

/* A plan for this arm in a memory file. 0, -E2BIG (more sites, calls or modules than a plan holds), or -errno. */
int plan_file_create(const struct trial_arm *arm, struct plan **ret_plan, int *ret_fd);
void plan_file_destroy(struct plan *plan, int fd);
