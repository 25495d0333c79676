/* SPDX-License-Identifier: MIT */
/*
 * wrapped: asks for memory through wrappers only, so that malloc's own return address tells nothing: of a constant frame
 * (xmalloc), of one whose size is known at run time alone (vmalloc), of one in another (nested). Each function asks for a
 * number of blocks of its own: ONE for one, TWO for two, ...
 */
#include <alloca.h>
#include <string.h>

#include "../programs/programs.h"

enum { ONE = 1001, TWO = 2002, THREE = 3003, FOUR = 4004, FIVE = 5005 };

OWN_FRAME void *xmalloc(size_t size);
OWN_FRAME void *xmalloc(size_t size)
{
    void *block = malloc(size);
    CHECK(block != NULL);
    return block;
}

OWN_FRAME void *vmalloc(size_t size);
OWN_FRAME void *vmalloc(size_t size)
{
    char *scratch = alloca(size + 16);
    memset(scratch, (int)size, size + 16);
    KEEP(scratch);
    void *block = malloc(size);
    CHECK(block != NULL);
    memcpy(block, scratch, size);
    return block;
}

OWN_FRAME void *nested_malloc(size_t size);
OWN_FRAME void *nested_malloc(size_t size)
{
    void *block = xmalloc(size);
    KEEP(block);
    return block;
}

#define ASKS(name, count, size, how)                                                               \
    static OWN_FRAME void name(void)                                                               \
    {                                                                                              \
        for (int i = 0; i < count; i++) {                                                          \
            char *block = how(size);                                                               \
            KEEP(block);                                                                           \
            block[0] = 'x';                                                                        \
            free(block);                                                                           \
        }                                                                                          \
    }

ASKS(one, ONE, 40, xmalloc)
ASKS(two, TWO, 40, xmalloc)
ASKS(three, THREE, (size_t)(16 + i % 64), vmalloc)
ASKS(four, FOUR, (size_t)(16 + i % 48), vmalloc)
ASKS(five, FIVE, 72, nested_malloc)

int main(void)
{
#ifdef OTHER_BUILD
    two();
#endif
    one();
    two();
    three();
    four();
    five();
    puts("done");
    return 0;
}
