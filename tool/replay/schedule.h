/* SPDX-License-Identifier: MIT */
/*
 * From the windows of a recording to a schedule that can be replayed: what each thread did, in its
 * order, with the order between threads kept where one uses a block that another made or freed.
 */
#pragma once

#include <stdint.h>

#include "image.h"
#include "window.h"

struct schedule_options {
    const struct windows *windows;
    /* Which place pays for blocks made with this stack; place_count - 1, the others, for all that is
     * no site's. */
    uint32_t (*place_of)(void *context, uint32_t stack);
    void *context;
    uint32_t place_count; /* 1 to IMAGE_PLACES */
    uint64_t bytes_max;   /* of all blocks alive at once; larger ones are left out. 0: 512 MiB */
    uint32_t work;        /* as image.work */
};

struct schedule {
    int fd; /* the memory file, to be inherited by a worker */
    struct image *image;
    uint64_t ops; /* events to replay */
    uint64_t
        unknown; /* events left out: their block was made before the window, and is not known */
    uint64_t too_large;          /* blocks left out */
    uint64_t made[IMAGE_PLACES]; /* blocks of each place that are made in the windows */
};

/* 0; -ENODATA: there is no event to replay; -ENOMEM, or -errno of making the file. */
int schedule_create(const struct schedule_options *options, struct schedule *ret_schedule);
void schedule_destroy(struct schedule *schedule);
