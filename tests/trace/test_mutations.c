/* SPDX-License-Identifier: MIT */
/*
 * Whatever the bytes of a trace are, the reader gives only streams that keep the rules of trace.h,
 * and a header cannot make it take memory that the file does not fill. The changes are always the
 * same ones.
 */
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zstd.h>

#include "check.h"
#include "file.h"
#include "format.h"
#include "pack.h"

#define ROUNDS 4000u

static size_t bytes_change(unsigned char *data, size_t size, const unsigned char *original,
                           size_t from, uint64_t *random)
{
    static const unsigned char values[] = {0, 1, 2, 0x7f, 0x80, 0xff, 0xe0, 0x1f};
    unsigned changes = 1 + (unsigned)(stream_random(random) % 6);
    for (unsigned i = 0; i < changes; i++) {
        size_t at = from + stream_random(random) % (size - from);
        size_t length = 1 + stream_random(random) % 12, other;
        if (length > size - at)
            length = size - at;
        switch (stream_random(random) % 5) {
        case 0:
            data[at] ^= (unsigned char)(1u << stream_random(random) % 8);
            break;
        case 1:
            data[at] = values[stream_random(random) % sizeof values];
            break;
        case 2:
            memset(data + at, values[stream_random(random) % sizeof values], length);
            break;
        case 3: /* bytes from elsewhere in the trace */
            other = from + stream_random(random) % (size - from);
            if (length > size - other)
                length = size - other;
            memmove(data + at, original + other, length);
            break;
        default:
            data[at] = (unsigned char)stream_random(random);
        }
    }
    return stream_random(random) % 16 ? size : from + stream_random(random) % (size - from);
}

static void mutations(void)
{
    const struct stream_options options = {
        .seed = 31, .events = 500, .pause_ns = 1500000000, .pause_every = 120};
    struct file file;
    size_t size, plain_size, events = 0, whole = 0;
    file_open(&file);
    CHECK_EQUAL(file_write(file.path, &options, NULL), 0);
    unsigned char *trace = file_get(&file, &size);
    unsigned char *plain = pack_open(trace, size, &plain_size);
    unsigned char *changed = malloc(plain_size + size);
    if (!changed)
        abort();
    uint64_t random = 1;
    for (unsigned round = 0; round < ROUNDS; round++) {
        size_t got;
        if (round % 8 == 0) { /* as it is, checksums and all */
            memcpy(changed, trace, size);
            size_t left = bytes_change(changed, size, trace, 0, &random);
            got = pack_try(changed, left);
        } else {
            memcpy(changed, plain, plain_size);
            size_t left =
                bytes_change(changed, plain_size, plain, sizeof(struct format_header), &random);
            size_t packed_size;
            unsigned char *packed = pack_close(changed, left, &packed_size);
            got = pack_try(packed, packed_size);
            free(packed);
        }
        events += got;
        whole += got >= options.events;
    }
    /* The changes must get far in, or nothing is tested; and must not all be harmless. */
    CHECK_EQUAL(events > (size_t)ROUNDS * 100, true);
    CHECK_EQUAL(whole < ROUNDS / 2, true);
    CHECK_EQUAL(whole > 0, true);
    free(trace);
    free(plain);
    free(changed);
    file_close(&file);
}

/* A header that promises `definition_bytes` and the like, over a file that holds next to nothing.
 */
static void promises(const struct format_block *promise, const void *part, size_t part_size)
{
    unsigned char data[1024] = {0};
    struct format_header header = {
        .magic = FORMAT_MAGIC, .version = FORMAT_VERSION, .header_bytes = sizeof header};
    memcpy(header.magic, FORMAT_MAGIC, sizeof header.magic);
    header.check = format_header_check(&header);
    struct format_block block = *promise;
    block.magic = FORMAT_BLOCK_MAGIC;
    block.check = format_block_check(&block);
    memcpy(data, &header, sizeof header);
    memcpy(data + sizeof header, &block, sizeof block);
    memcpy(data + sizeof header + sizeof block, part, part_size);
    struct file file;
    file_open(&file);
    file_set(&file, data, sizeof header + sizeof block + part_size);
    fflush(NULL);
    pid_t child = fork();
    if (!child) {
#if !defined __SANITIZE_ADDRESS__ && !defined __SANITIZE_THREAD__
        struct rlimit limit;
        long pages = 0;
        FILE *used = fopen("/proc/self/statm", "re");
        if (!used || fscanf(used, "%ld", &pages) != 1)
            _exit(2);
        fclose(used);
        getrlimit(RLIMIT_AS, &limit);
        limit.rlim_cur = (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) + (100u << 20);
        setrlimit(RLIMIT_AS, &limit);
#endif
        struct tape read;
        struct reader_result result;
        int status = file_read(file.path, &read, true, &result);
        if (status)
            fprintf(stderr, "status %d: %s\n", status, result.message);
        _exit(status ? 1 : 0);
    }
    int status = 0;
    CHECK_EQUAL(waitpid(child, &status, 0), child);
    CHECK_EQUAL(status, 0);
    file_close(&file);
}

static void memory(void)
{
    char part[256] = {0}, zeros[4096] = {0};
    promises(&(struct format_block){.type = FORMAT_DATA,
                                    .definition_bytes = FORMAT_RAW_MAX,
                                    .definition_raw = FORMAT_RAW_MAX,
                                    .event_bytes = FORMAT_RAW_MAX,
                                    .event_raw = FORMAT_RAW_MAX,
                                    .event_count = FORMAT_BLOCK_EVENTS},
             part, 0);
    promises(&(struct format_block){.type = FORMAT_DATA,
                                    .definition_bytes = UINT32_MAX,
                                    .definition_raw = UINT32_MAX,
                                    .event_bytes = UINT32_MAX,
                                    .event_raw = UINT32_MAX,
                                    .event_count = UINT32_MAX},
             part, 0);
    promises(&(struct format_block){.type = 77, .definition_bytes = UINT32_MAX}, part, 0);
    size_t size = ZSTD_compress(part, sizeof part, zeros, sizeof zeros, 1);
    CHECK_EQUAL(ZSTD_isError(size), 0);
    promises(&(struct format_block){.type = FORMAT_DATA,
                                    .definition_bytes = (uint32_t)size,
                                    .definition_raw = FORMAT_RAW_MAX},
             part, size);
    promises(&(struct format_block){.type = FORMAT_DATA,
                                    .event_bytes = (uint32_t)size,
                                    .event_raw = sizeof zeros,
                                    .event_count = sizeof zeros - 10},
             part, size);
}

int main(void)
{
    memory();
    mutations();
    return failed_count != 0;
}
