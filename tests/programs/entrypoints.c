/* SPDX-License-Identifier: MIT */
/*
 * Every way to ask libc for memory, each a known number of times with sizes of its own, and every
 * call that must not count: failures, NULL. The JSON says what a complete and exact record
 * contains:
 *
 *   events   kind, call, size, count
 *   frees    of these blocks, all told
 */
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <string.h>

#include "programs.h"

#define MANY 100

/* What the compiler cannot know it cannot fold, merge or warn about. */
static volatile size_t zero, huge = SIZE_MAX / 2 + 2, beyond_text = 10032;

static size_t frees;

static void drop(void *block)
{
    CHECK(block != NULL);
    KEEP(block);
    free(block);
    frees++;
}

static void plain(void)
{
    for (int i = 0; i < MANY; i++)
        drop(malloc(10001));
    for (int i = 0; i < MANY; i++)
        drop(malloc(zero)); /* counted below as size 0 */
    for (int i = 0; i < MANY; i++)
        drop(calloc(3, 3335)); /* 10005 */
    for (int i = 0; i < MANY; i++)
        free((void *)(uintptr_t)zero); /* no event */
}

static void resizing(void)
{
    for (int i = 0; i < MANY; i++) {
        char *block = realloc((void *)(uintptr_t)zero, 10011); /* an alloc */
        CHECK(block != NULL);
        block[10010] = 'x';
        block = realloc(block, 10012);
        CHECK(block != NULL && block[10010] == 'x');
        block = realloc(block, 400013); /* moves to its own mapping */
        CHECK(block != NULL && block[10010] == 'x');
        char *same = realloc(block, huge); /* fails: the block stays */
        CHECK(same == NULL && errno == ENOMEM);
        CHECK(realloc(block, zero) == NULL); /* a free */
        frees++;
    }
    for (int i = 0; i < MANY; i++) {
        char *block = reallocarray((void *)(uintptr_t)zero, 2, 5007); /* an alloc of 10014 */
        CHECK(block != NULL);
        CHECK(reallocarray(block, huge, 3) == NULL && errno == ENOMEM);
        block = reallocarray(block, 3, 3339); /* 10017 */
        drop(block);
    }
}

static void aligned(void)
{
    for (int i = 0; i < MANY; i++) {
        void *block = NULL;
        CHECK(posix_memalign(&block, 256, 10021) == 0);
        CHECK(((uintptr_t)block & 255) == 0);
        drop(block);
        block = &frees;
        CHECK(posix_memalign(&block, 3, 10022) == EINVAL && block == &frees);
        CHECK(posix_memalign(&block, 64, huge) == ENOMEM && block == &frees);
        drop(aligned_alloc(128, 10112));
        drop(memalign(64, 10023));
        drop(valloc(10024));
        drop(pvalloc(10025));
    }
}

static void failing(void)
{
    for (int i = 0; i < MANY; i++) {
        CHECK(malloc(huge) == NULL && errno == ENOMEM);
        CHECK(calloc(huge, 2) == NULL && errno == ENOMEM);
        CHECK(aligned_alloc(64, huge) == NULL && errno == ENOMEM);
    }
}

/* In libc these call malloc, from libc's own code. */
static void through_libc(void)
{
    char text[10031];
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    for (int i = 0; i < MANY; i++) {
        drop(strdup(text));               /* 10031 */
        drop(strndup(text, beyond_text)); /* no longer than the text: 10031 */
        drop(strndup(text, 5032));        /* 5033 */
    }
}

/* How libc grows these buffers differs from version to version: known only as a number of frees. */
static void formatted(void)
{
    for (int i = 0; i < MANY; i++) {
        char *text;
        CHECK(asprintf(&text, "%0300d", i) == 300);
        drop(text);
    }
    FILE *stream = fopen("/proc/self/status", "r");
    CHECK(stream != NULL);
    char *line = NULL;
    size_t room = 0;
    int lines = 0;
    while (getline(&line, &room, stream) >= 0)
        lines++;
    CHECK(lines > 10);
    drop(line);
    fclose(stream); /* frees the stream and its buffer */
    frees += 2;
}

static void usable(void)
{
    for (int i = 0; i < MANY; i++) {
        void *block = malloc(10041);
        CHECK(malloc_usable_size(block) >= 10041);
        drop(block);
    }
}

int main(int argc, char **argv)
{
    plain();
    resizing();
    aligned();
    failing();
    through_libc();
    usable();
    /* On demand only, for what is compared exactly leaves out what libc decides. */
    if (argc > 1 && strcmp(argv[1], "--formatted") == 0)
        formatted();
    SAY("{\"events\": ["
        "[\"alloc\", \"malloc\", 10001, %d], [\"alloc\", \"malloc\", 0, %d], "
        "[\"alloc\", \"calloc\", 10005, %d], [\"alloc\", \"realloc\", 10011, %d], "
        "[\"realloc\", \"realloc\", 10012, %d], [\"realloc\", \"realloc\", 400013, %d], "
        "[\"free\", \"realloc\", 0, %d], [\"alloc\", \"reallocarray\", 10014, %d], "
        "[\"realloc\", \"reallocarray\", 10017, %d], [\"alloc\", \"posix_memalign\", 10021, %d], "
        "[\"alloc\", \"aligned_alloc\", 10112, %d], [\"alloc\", \"memalign\", 10023, %d], "
        "[\"alloc\", \"valloc\", 10024, %d], [\"alloc\", \"pvalloc\", 10025, %d], "
        "[\"alloc\", \"malloc\", 10031, %d], [\"alloc\", \"malloc\", 5033, %d], "
        "[\"alloc\", \"malloc\", 10041, %d]], \"frees\": %zu}\n",
        MANY, MANY, MANY, MANY, MANY, MANY, MANY, MANY, MANY, MANY, MANY, MANY, MANY, MANY,
        2 * MANY, MANY, MANY, frees);
    return 0;
}
