/* SPDX-License-Identifier: MIT */
/* An ELF file laid out in memory as the loader would, but never run: for tests of unwind data. */
#pragma once

#include <elfutils/libdw.h>
#include <stdint.h>

struct image {
    int descriptor;
    Elf *elf;
    Dwarf_CFI *cfi;
    uint64_t base; /* what is added to an address in the file */
    uint64_t start, end;
    uint64_t eh_frame_hdr; /* mapped address; 0: none */
};

/* Returns 0, 1 where the file is absent or of another kind (not ELF, not this machine, without
 * unwind data), or -errno. */
int image_open(const char *path, struct image *ret_image);
void image_close(struct image *image);
