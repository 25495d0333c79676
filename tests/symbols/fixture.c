/* SPDX-License-Identifier: MIT */
/*
 * A program that knows where it is. For each place one line:
 *   <return address> <load bias> <start of the function> <function>:<line>[|<function>:<line>...]
 * innermost first. Built in many ways (meson.build); test_lines holds what the room says against
 * it.
 */
#define _GNU_SOURCE
#include <link.h>
#include <stdio.h>

#define NOINLINE __attribute__((noinline))
#define INLINE   static inline __attribute__((always_inline))

static int find_bias(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)size;
    *(unsigned long *)context = info->dlpi_addr;
    return 1; /* the program comes first */
}

/* Its result is used by all callers, so that no call becomes a jump. */
NOINLINE int mark(const void *function, const char *chain)
{
    unsigned long bias = 0;
    dl_iterate_phdr(find_bias, &bias);
    printf("%p %#lx %p %s\n", __builtin_return_address(0), bias, function, chain);
    return chain[0];
}

#define TEXT_(x) #x
#define TEXT(x)  TEXT_(x)
#define HERE     TEXT(__LINE__)

int plain(int x);
int outer(int x);
int outer_twice(int x);
int main(int argc, char **argv);

NOINLINE int plain(int x)
{
    int result = mark((const void *)plain, "plain:" HERE);
    return result + x;
}

static NOINLINE int local_function(int x)
{
    int result = mark((const void *)local_function, "local_function:" HERE);
    return result * x;
}

#define INNER_LINE 55
INLINE int inner(const void *function, const char *chain, int x)
{
    int result = mark(function, chain); /* on INNER_LINE */
    return result + x;
}
_Static_assert(__LINE__ == INNER_LINE + 3, "INNER_LINE names the wrong line");

#define MIDDLE_LINE 63
INLINE int middle(const void *function, const char *chain, int x)
{
    int result = inner(function, chain, x + 1); /* on MIDDLE_LINE */
    return result * 3;
}
_Static_assert(__LINE__ == MIDDLE_LINE + 3, "MIDDLE_LINE names the wrong line");

#define IN_INNER  "inner:" TEXT(INNER_LINE) "|"
#define IN_MIDDLE IN_INNER "middle:" TEXT(MIDDLE_LINE) "|"

NOINLINE int outer(int x)
{
    const void *self = (const void *)outer;
    int result = middle(self, IN_MIDDLE "outer:" HERE, x);
    return result - x;
}

NOINLINE int outer_twice(int x)
{
    const void *self = (const void *)outer_twice;
    int result = 0;
    for (int i = 0; i < x; i++) {
        if (i == 1) {
            int once = inner(self, IN_INNER "outer_twice:" HERE, i);
            result += once;
        }
    }
    return result;
}

int main(int argc, char **argv)
{
    (void)argv;
    int sum = plain(argc) + local_function(argc) + outer(argc) + outer_twice(argc + 1);
    sum += mark((const void *)main, "main:" HERE);
    return sum == 42 ? 3 : 0;
}
