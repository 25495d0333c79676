/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>

#include "image.h"

/* Makes the window's heap, replays its threads, and fills *ret_result; to be called once in a process.
 * False: no memory, or no threads. */
bool run_window(const struct image *image, const struct image_request *request, struct image_result *ret_result);
