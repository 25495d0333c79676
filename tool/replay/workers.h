/* SPDX-License-Identifier: MIT */
/* A worker process: started once for each allocator, asked once for each window and variant. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "image.h"

struct worker {
    pid_t pid;
    int ask, answer;
};

/* Where the worker is: beside the running program in a build tree, else where it was installed. 0 or -ENOENT. */
int workers_find(char *ret_path, size_t size);

/* `preload`: a library, or NULL. 0 or -errno. */
int worker_start(const char *path, const char *preload, int image_fd, struct worker *ret_worker);

/* 0; -EPIPE: the worker is gone (its library could not be loaded, for one). */
int worker_ask(struct worker *worker, const struct image_request *request,
               struct image_result *ret_result);

/* Ends it and waits. */
void worker_stop(struct worker *worker);
