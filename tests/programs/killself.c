/* SPDX-License-Identifier: MIT */
/*
 * killself COUNT kill|abort|segv|_exit|exit: makes COUNT blocks, frees every second one, says so,
 * and ends as told. What was recorded until then must not be lost.
 */
#include <signal.h>
#include <string.h>

#include "programs.h"

static OWN_FRAME void *allocate(void)
{
    void *block = malloc(12001);
    KEEP(block);
    return block;
}

int main(int argc, char **argv)
{
    CHECK(argc == 3);
    int count = atoi(argv[1]);
    for (int i = 0; i < count; i++) {
        void *block = allocate();
        if (i % 2 == 1)
            free(block);
    }
    SAY("{\"paths\": [{\"size\": 12001, \"through\": \"allocate\", \"count\": %d}], \"frees\": "
        "%d}\n",
        count, count / 2);
    if (strcmp(argv[2], "kill") == 0)
        kill(getpid(), SIGKILL);
    else if (strcmp(argv[2], "abort") == 0)
        abort();
    else if (strcmp(argv[2], "segv") == 0)
        raise(SIGSEGV);
    else if (strcmp(argv[2], "_exit") == 0)
        _exit(7);
    CHECK(strcmp(argv[2], "exit") == 0);
    return 7;
}
