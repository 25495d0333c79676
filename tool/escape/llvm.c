/* SPDX-License-Identifier: MIT */
#include "llvm.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "child.h"

#define LLVM_NEWEST 40u

static int load(struct llvm *llvm, const char *path)
{
    llvm->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!llvm->handle)
        return -ENOENT;
        /* A function that a later LLVM took away would be found missing here, not in the middle of a run. */
#define LLVM_FIND(result, name, parameters)                                                        \
    *(void **)&llvm->name = dlsym(llvm->handle, #name);                                            \
    if (!llvm->name) {                                                                             \
        dlclose(llvm->handle);                                                                     \
        llvm->handle = NULL;                                                                       \
        return -ENOSYS;                                                                            \
    }
    LLVM_FUNCTIONS(LLVM_FIND)
#undef LLVM_FIND
    snprintf(llvm->path, sizeof llvm->path, "%s", path);
    return 0;
}

/* The library's names, from Debian's (14 to 17, 18 on) to what others use; beside clang first. */
static int load_version(struct llvm *llvm, unsigned version, const char *clang)
{
    static const char *const names[] = {"libLLVM-%u.so.1", "libLLVM-%u.so", "libLLVM.so.%u.1",
                                        "libLLVM.so.%u.0", "libLLVM.so.%u"};
    static const char *const folders[] = {"", "/usr/lib/llvm-%u/lib/", "/usr/lib64/llvm%u/lib/"};
    int status = -ENOENT;
    llvm->version = version;
    for (size_t f = 0; f < sizeof folders / sizeof *folders; f++) {
        for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
            char folder[128], name[64], path[256];
            snprintf(folder, sizeof folder, folders[f], version);
            snprintf(name, sizeof name, names[n], version);
            snprintf(path, sizeof path, "%s%s", folder, name);
            int found = load(llvm, path);
            if (!found)
                return 0;
            if (found == -ENOSYS)
                status = found;
        }
    }
    /* Where clang says that its libraries are. */
    char *answer = NULL;
    const char *const command[] = {clang, "-print-file-name=libLLVM.so", NULL};
    if (!child_read(command, &answer)) {
        answer[strcspn(answer, "\n")] = '\0';
        if (answer[0] == '/' && !load(llvm, answer))
            status = 0;
    }
    free(answer);
    return status;
}

static unsigned clang_version(const char *clang)
{
    const char *const command[] = {clang, "--version", NULL};
    char *answer = NULL;
    unsigned version = 0;
    if (child_read(command, &answer))
        return 0;
    const char *at = strstr(answer, "clang version ");
    if (at)
        version = (unsigned)strtoul(at + strlen("clang version "), NULL, 10);
    free(answer);
    return version;
}

int llvm_open(struct llvm *ret_llvm, char *ret_clang, size_t clang_size, char *ret_message,
              size_t message_size)
{
    const char *named = getenv("POOLWISE_CLANG");
    unsigned last = 0;
    memset(ret_llvm, 0, sizeof *ret_llvm);
    /* clang itself, then the versioned names, the newest first. */
    for (unsigned version = LLVM_NEWEST + 1; version >= LLVM_OLDEST; version--) {
        char name[32];
        snprintf(name, sizeof name, version > LLVM_NEWEST ? "clang" : "clang-%u", version);
        const char *clang = named ? named : name;
        if (!child_find(clang, ret_clang, clang_size)) {
            unsigned found = clang_version(ret_clang);
            if (found >= LLVM_OLDEST && !load_version(ret_llvm, found, ret_clang))
                return 0;
            last = found ? found : last;
        }
        if (named)
            break;
    }
    if (named)
        snprintf(
            ret_message, message_size,
            "POOLWISE_CLANG=%s is no clang of version %u or later with a shared libLLVM beside it",
            named, LLVM_OLDEST);
    else if (last && last < LLVM_OLDEST)
        snprintf(ret_message, message_size,
                 "escape analysis needs clang %u or later, and this is %u: install a newer one "
                 "(apt-get install clang)",
                 LLVM_OLDEST, last);
    else if (last)
        snprintf(ret_message, message_size,
                 "escape analysis needs the shared libLLVM of clang %u: install it (apt-get "
                 "install libllvm%u)",
                 last, last);
    else
        snprintf(ret_message, message_size,
                 "escape analysis needs clang: install clang %u or later (apt-get install clang)",
                 LLVM_OLDEST);
    return -ENOENT;
}

void llvm_close(struct llvm *llvm)
{
    if (llvm->handle)
        dlclose(llvm->handle);
    llvm->handle = NULL;
}
