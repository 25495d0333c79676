/* SPDX-License-Identifier: MIT */
/*
 * Closes every descriptor but the standard ones, as daemons do, and opens files of its own under
 * the numbers that became free; then allocates. Says so in the end, through a descriptor that must
 * still be its own.
 */
#include <fcntl.h>
#include <sys/stat.h>

#include "programs.h"

#define BLOCKS 10000
#define FILES  16

static OWN_FRAME void allocate(void)
{
    void *block = malloc(9001);
    KEEP(block);
    free(block);
}

int main(void)
{
    for (int fd = 3; fd < 1024; fd++)
        close(fd);
    int files[FILES];
    for (int i = 0; i < FILES; i++)
        files[i] = open("/dev/null", O_RDWR);
    for (int i = 0; i < BLOCKS; i++)
        allocate();
    for (int i = 0; i < FILES; i++) {
        struct stat now, null_device;
        CHECK(files[i] == 3 + i);
        CHECK(fstat(files[i], &now) == 0 && stat("/dev/null", &null_device) == 0);
        CHECK(now.st_rdev == null_device.st_rdev && now.st_ino == null_device.st_ino);
    }
    SAY("{\"paths\": [{\"size\": 9001, \"through\": \"allocate\", \"count\": %d}]}\n", BLOCKS);
    return 0;
}
