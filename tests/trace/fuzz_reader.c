/* SPDX-License-Identifier: MIT */
/*
 * For libFuzzer: the first byte says whether the rest is a trace as it is or one to be packed
 * first. Built as `fuzz_trace_reader` where clang is; `fuzz_trace_reader -malloc_limit_mb=100
 * FOLDER`.
 */
#include <stdlib.h>

#include "pack.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    if (!size)
        return 0;
    if (data[0] & 1) {
        size_t packed_size;
        unsigned char *packed = pack_close(data + 1, size - 1, &packed_size);
        pack_try(packed, packed_size);
        free(packed);
    } else {
        pack_try(data + 1, size - 1);
    }
    return 0;
}
