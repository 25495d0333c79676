/* SPDX-License-Identifier: MIT */
/* The line before an abort, and how a place in the program is named in it. */
#include <dlfcn.h>
#include <link.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "debug_internal.h"

struct mark mark_here(void *place)
{
    return (struct mark){.place = place, .thread = (int)syscall(SYS_gettid)};
}

/*
 * function+offset where the loader knows the function, else module+offset; the offset is that of
 * the call's last byte, not of the instruction after it, which may be another line's or another
 * function's. A module's offset is what addr2line takes.
 */
const char *describe_place(const void *place, char *text)
{
    const char *call = (const char *)place - 1;
    Dl_info info;
    struct link_map *module = NULL;
    if (!dladdr1(call, &info, (void **)&module, RTLD_DL_LINKMAP) || !info.dli_fname) {
        snprintf(text, PLACE_BYTES, "%p", (const void *)call);
    } else if (info.dli_sname) {
        snprintf(text, PLACE_BYTES, "%s+0x%tx", info.dli_sname, call - (char *)info.dli_saddr);
    } else {
        const char *slash = strrchr(info.dli_fname, '/');
        snprintf(text, PLACE_BYTES, "%s+0x%tx", slash ? slash + 1 : info.dli_fname,
                 call - (char *)module->l_addr);
    }
    return text;
}

const char *describe_last_put(struct mark last_put, char *text)
{
    char place[PLACE_BYTES];
    if (!last_put.place)
        return "it was never put before";
    snprintf(text, PLACE_BYTES, "last put at %.120s by thread %d",
             describe_place(last_put.place, place), last_put.thread);
    return text;
}

/* Names may hold anything; the line is one line all the same. */
static size_t flatten(char *line, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
            line[i] = '?';
    line[length] = '\n';
    return length + 1;
}

void debug_abort(const char *format, ...)
{
    static _Atomic bool aborting; /* set once, by who writes the line */
    if (atomic_exchange_explicit(&aborting, true, memory_order_relaxed))
        for (;;)
            pause();
    char line[1024] = "poolwise: ";
    size_t prefix = strlen(line);
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line + prefix, sizeof(line) - prefix - 1, format, arguments);
    va_end(arguments);
    size_t whole = length < 0 ? prefix : prefix + (size_t)length;
    if (whole > sizeof(line) - 2)
        whole = sizeof(line) - 2;
    whole = flatten(line, whole);
    ssize_t ignored = write(STDERR_FILENO, line, whole);
    (void)ignored;
    abort();
}
