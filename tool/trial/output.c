/* SPDX-License-Identifier: MIT */
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE_BYTES ((size_t)1 << 16)

int output_create(void)
{
    const char *folder = getenv("TMPDIR");
    int fd = open(folder && *folder ? folder : "/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0)
        fd = memfd_create("poolwise-output", MFD_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* Reads piece by piece. 0 or -errno. */
static int each_piece(int fd, int (*take)(void *context, const char *piece, size_t size),
                      void *context)
{
    char *piece = malloc(PIECE_BYTES);
    off_t at = 0;
    ssize_t got = 1;
    int status = piece ? 0 : -ENOMEM;
    while (!status && (got = pread(fd, piece, PIECE_BYTES, at)) > 0) {
        status = take(context, piece, (size_t)got);
        at += got;
    }
    free(piece);
    return !status && got < 0 ? -errno : status;
}

struct hash {
    uint64_t value, bytes;
};

static int hash_piece(void *context, const char *piece, size_t size)
{
    struct hash *hash = context;
    for (size_t i = 0; i < size; i++)
        hash->value = (hash->value ^ (unsigned char)piece[i]) * UINT64_C(0x100000001b3);
    hash->bytes += size;
    return 0;
}

int output_hash(int fd, uint64_t *ret_hash, uint64_t *ret_bytes)
{
    struct hash hash = {UINT64_C(0xcbf29ce484222325), 0};
    int status = each_piece(fd, hash_piece, &hash);
    *ret_hash = hash.value;
    *ret_bytes = hash.bytes;
    return status;
}

void output_tail(int fd, char *ret_tail, size_t size)
{
    struct stat file;
    *ret_tail = '\0';
    if (fstat(fd, &file) || !file.st_size)
        return;
    off_t from = file.st_size > (off_t)(size - 1) ? file.st_size - (off_t)(size - 1) : 0;
    ssize_t got = pread(fd, ret_tail, size - 1, from);
    if (got < 0)
        got = 0;
    ret_tail[got] = '\0';
    while (got && ret_tail[got - 1] == '\n')
        ret_tail[--got] = '\0';
    char *line = from ? strchr(ret_tail, '\n') : NULL;
    if (line)
        memmove(ret_tail, line + 1, strlen(line));
}

static int copy_piece(void *context, const char *piece, size_t size)
{
    errno = 0;
    return fwrite(piece, 1, size, context) == size ? 0 : errno ? -errno : -EIO;
}

int output_copy(int fd, FILE *stream)
{
    return each_piece(fd, copy_piece, stream);
}
