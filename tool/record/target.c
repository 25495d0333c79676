/* SPDX-License-Identifier: MIT */
#include "target.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#if defined(__x86_64__)
#define MACHINE EM_X86_64
#elif defined(__aarch64__)
#define MACHINE EM_AARCH64
#endif

#define SCRIPT_DEPTH 4 /* interpreters that are scripts themselves; the kernel's own limit */

static int find_in_path(const char *command, char *ret_path, char *message, size_t size)
{
    if (strchr(command, '/')) {
        if (strlen(command) >= PATH_MAX) {
            snprintf(message, size, "the command's path is longer than %d bytes", PATH_MAX);
            return -ENAMETOOLONG;
        }
        strcpy(ret_path, command);
        struct stat status;
        if (stat(ret_path, &status)) {
            int error = errno;
            snprintf(message, size, "%s: %s", command, strerror(error));
            return -error;
        }
        if (S_ISDIR(status.st_mode)) {
            snprintf(message, size, "%s is a directory, not a program", command);
            return -EACCES;
        }
        if (access(ret_path, X_OK)) {
            snprintf(message, size, "%s is not executable (chmod +x it, or name its interpreter)", command);
            return -EACCES;
        }
        return 0;
    }
    const char *path = getenv("PATH");
    if (!path)
        path = "/usr/local/bin:/usr/bin:/bin";
    bool seen = false;
    for (const char *from = path;; from++) {
        size_t length = strcspn(from, ":");
        int written = snprintf(ret_path, PATH_MAX, "%.*s/%s", (int)length, length ? from : ".", command);
        struct stat status;
        if (written < PATH_MAX && !stat(ret_path, &status) && S_ISREG(status.st_mode)) {
            if (!access(ret_path, X_OK))
                return 0;
            seen = true;
        }
        from += length;
        if (!*from)
            break;
    }
    if (seen)
        snprintf(message, size, "%s is in PATH but not executable", command);
    else
        snprintf(message, size, "%s: no such command in PATH", command);
    return seen ? -EACCES : -ENOENT;
}

/* An ELF file: dynamic, and for this machine? */
static int check_elf(const char *path, int fd, const unsigned char *head, char *message, size_t size)
{
    ElfW(Ehdr) header;
    memcpy(&header, head, sizeof header);
    if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_machine != MACHINE) {
        snprintf(message, size, "%s is a program for another kind of processor, which this build of poolwise cannot record", path);
        return -ENOEXEC;
    }
    for (unsigned i = 0; i < header.e_phnum; i++) {
        ElfW(Phdr) segment;
        off_t at = (off_t)(header.e_phoff + (uint64_t)i * header.e_phentsize);
        if (header.e_phentsize < sizeof segment || pread(fd, &segment, sizeof segment, at) != (ssize_t)sizeof segment)
            break;
        if (segment.p_type == PT_INTERP)
            return 0;
    }
    snprintf(message, size, "%s is statically linked: its allocator cannot be intercepted; link it dynamically to record it", path);
    return -ENOEXEC;
}

int target_check(const char *command, struct target *ret_target, char *message, size_t message_size)
{
    ret_target->interpreted_by[0] = '\0';
    int status = find_in_path(command, ret_target->path, message, message_size);
    char path[PATH_MAX];
    strcpy(path, ret_target->path);
    for (int depth = 0; !status; depth++) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0) {
            /* Executable but unreadable: it will run, and the recorder says if it recorded nothing. */
            return 0;
        }
        unsigned char head[PATH_MAX] = {0};
        struct stat file;
        ssize_t got = pread(fd, head, sizeof head - 1, 0);
        if (fstat(fd, &file) || !S_ISREG(file.st_mode) || got < 4) {
            snprintf(message, message_size, "%s is not a program", path);
            status = -ENOEXEC;
        } else if (head[0] == '#' && head[1] == '!') {
            char *name = (char *)head + 2 + strspn((char *)head + 2, " \t");
            name[strcspn(name, " \t\r\n")] = '\0';
            if (!*name || depth == SCRIPT_DEPTH || strlen(name) >= sizeof path) {
                snprintf(message, message_size, "%s: its first line names no usable interpreter", path);
                status = -ENOEXEC;
            } else {
                strcpy(path, name);
                strcpy(ret_target->interpreted_by, name);
                if (access(path, X_OK)) {
                    snprintf(message, message_size, "%s: its interpreter %s: %s", ret_target->path, name, strerror(errno));
                    status = -ENOENT;
                }
                close(fd);
                continue;
            }
        } else if (got >= (ssize_t)sizeof(ElfW(Ehdr)) && !memcmp(head, ELFMAG, SELFMAG)) {
            if ((file.st_mode & S_ISUID && file.st_uid != getuid()) || (file.st_mode & S_ISGID && file.st_gid != getgid())) {
                snprintf(message, message_size,
                         "%s is setuid or setgid: the dynamic linker preloads nothing into it; record it as its owner, or a copy without the bit", path);
                status = -EPERM;
            } else if (getxattr(path, "security.capability", NULL, 0) > 0 && getuid()) {
                snprintf(message, message_size,
                         "%s has file capabilities: the dynamic linker preloads nothing into it; record a copy without them", path);
                status = -EPERM;
            } else {
                status = check_elf(path, fd, head, message, message_size);
            }
            close(fd);
            return status;
        } else {
            /* execvp runs such a file with the shell. */
            strcpy(ret_target->interpreted_by, "/bin/sh");
            close(fd);
            return 0;
        }
        close(fd);
    }
    return status;
}

int target_preload_find(const char *room, const char *name, char *ret_path, size_t size, char *message, size_t message_size)
{
    char self[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    if (length > 0) {
        self[length] = '\0';
        *strrchr(self, '/') = '\0';
        if ((snprintf(ret_path, size, "%s/%s/%s", self, room, name) < (int)size && !access(ret_path, R_OK)) ||
            (snprintf(ret_path, size, "%s/../" POOLWISE_LIBDIR "/poolwise/%s", self, name) < (int)size &&
             !access(ret_path, R_OK)) ||
            (snprintf(ret_path, size, "%s/../lib/poolwise/%s", self, name) < (int)size && !access(ret_path, R_OK)))
            return 0;
    }
    snprintf(message, message_size, "%s was not found beside the program nor in its library folder: reinstall poolwise",
             name);
    return -ENOENT;
}
