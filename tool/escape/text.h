/* SPDX-License-Identifier: MIT */
#pragma once

/* The whole of a text file; the caller frees it. NULL with errno; EINVAL: it is empty. */
char *text_read(const char *path);
