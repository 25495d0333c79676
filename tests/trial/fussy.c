/* SPDX-License-Identifier: MIT */
/*
 * fussy same|prints|aborts|hangs|varies|reads: a program that some allocators do not suit. The block that `touchy` makes
 * is looked at; `calm` and `steady` make blocks as well, which matter to nothing.
 *
 *   same    does nothing with what it sees
 *   prints  what malloc_usable_size says of it
 *   aborts  unless that is what glibc says
 *   hangs   likewise
 *   varies  prints its process id, in every run another
 *   reads   copies standard input to standard output, through blocks
 */
#include <malloc.h>
#include <string.h>

#include "../programs/programs.h"

#define MANY 2000

static OWN_FRAME void calm(void)
{
    for (int i = 0; i < MANY; i++) {
        void *block = malloc(40);
        KEEP(block);
        free(block);
    }
}

static OWN_FRAME size_t touchy(void)
{
    size_t usable = 0;
    for (int i = 0; i < MANY + 100; i++) {
        void *block = malloc(56);
        KEEP(block);
        usable = malloc_usable_size(block);
        free(block);
    }
    return usable;
}

static OWN_FRAME void steady(void)
{
    for (int i = 0; i < MANY + 200; i++) {
        void *block = calloc(3, 20);
        KEEP(block);
        free(block);
    }
}

static void copy_input(void)
{
    char line[256];
    while (fgets(line, sizeof line, stdin)) {
        char *copy = strdup(line);
        CHECK(copy != NULL);
        fputs(copy, stdout);
        free(copy);
    }
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "same";
    calm();
    size_t usable = touchy();
    steady();
    if (!strcmp(mode, "prints"))
        printf("%zu\n", usable);
    else if (!strcmp(mode, "aborts") && usable != 56)
        abort();
    else if (!strcmp(mode, "hangs") && usable != 56)
        for (;;)
            pause();
    else if (!strcmp(mode, "varies"))
        printf("%d\n", (int)getpid());
    else if (!strcmp(mode, "reads"))
        copy_input();
    puts("end");
    return 0;
}
