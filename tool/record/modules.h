/* SPDX-License-Identifier: MIT */
/* The traced process' loaded modules, found without locks and published in the channel. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct channel;

/* 0 or -ENOSYS: this libc cannot find the module of an address without locking. */
int modules_init(struct channel *channel, uint32_t process);

/* As unwind_find_module. Any thread; neither locks nor allocates. */
int modules_find(uint64_t pc, const void **ret_eh_frame_hdr, uint64_t *ret_start, uint64_t *ret_end);

/* This process is a fork, with this number; what is registered stays good. */
void modules_fork(uint32_t process);

/* A module was unloaded: another may come to its place. */
void modules_forget(void);

/* Whether the address lies in a C++ library whose operators new and delete go through malloc and free. */
bool modules_is_plain_cxx(uint64_t pc);
