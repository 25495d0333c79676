/* SPDX-License-Identifier: MIT */
#include "front.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "child.h"

#define WORDS_MAX 4096u

static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t size)
{
    for (const unsigned char *at = bytes, *end = at + size; at < end; at++)
        hash = (hash ^ *at) * UINT64_C(1099511628211);
    return hash;
}

static int hash_file(const char *path, uint64_t *hash)
{
    FILE *file = fopen(path, "re");
    char buffer[65536];
    size_t got;
    if (!file)
        return -errno;
    while ((got = fread(buffer, 1, sizeof buffer, file)) > 0)
        *hash = hash_bytes(*hash, buffer, got);
    fclose(file);
    return 0;
}

static bool ends(const char *text, const char *suffix)
{
    size_t length = strlen(text), wanted = strlen(suffix);
    return length >= wanted && !strcmp(text + length - wanted, suffix);
}

/* Flags of the user's that would stand in the way: what is made, how it is optimised, and warnings. */
static bool flag_dropped(const char *flag, bool *ret_with_next)
{
    static const char *const whole[] = {"-c",  "-S",      "-E",          "-M",         "-MM",
                                        "-MD", "-MMD",    "-MP",         "-MG",        "-pipe",
                                        "-s",  "-shared", "-save-temps", "-emit-llvm", "-rdynamic"};
    static const char *const start[] = {"-W",
                                        "-O",
                                        "-g",
                                        "-flto",
                                        "-fno-lto",
                                        "-ffat-lto",
                                        "-fuse-linker",
                                        "-fprofile",
                                        "-fsanitize",
                                        "-fcoverage",
                                        "-ftest-coverage",
                                        "-fdump",
                                        "-l",
                                        "-L",
                                        "-Wl,",
                                        "-fanalyzer",
                                        "-fcallgraph",
                                        "-fwhole-program",
                                        "-fplugin"};
    static const char *const pairs[] = {"-o",       "-MF",       "-MT",     "-MQ",
                                        "-Xlinker", "-dumpbase", "-dumpdir"};
    *ret_with_next = false;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (!strcmp(flag, pairs[i])) {
            *ret_with_next = true;
            return true;
        }
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
        if (!strcmp(flag, whole[i]))
            return true;
    for (size_t i = 0; i < sizeof start / sizeof *start; i++)
        if (!strncmp(flag, start[i], strlen(start[i])) && strncmp(flag, "-Wp,", 4))
            return true;
    return (flag[0] == '-' && flag[1] == 'o' && flag[2]) || !strncmp(flag, "-MF", 3) ||
           !strncmp(flag, "-MT", 3);
}

static size_t command_make(const struct front *front, const struct escape_input *input,
                           const char *bitcode, const char *dependencies, const char **command)
{
    static const char *const ours[] = {"-w",
                                       "-gline-tables-only",
                                       "-O1",
                                       "-fno-discard-value-names",
                                       "-Xclang",
                                       "-disable-lifetime-markers",
                                       "-Xclang",
                                       "-disable-llvm-passes",
                                       "-U_FORTIFY_SOURCE",
                                       "-D_FORTIFY_SOURCE=0",
                                       "-Qunused-arguments",
                                       "-Wno-unknown-warning-option",
                                       "-emit-llvm",
                                       "-c",
                                       "-MD"};
    size_t count = 0;
    command[count++] = front->clang;
    for (const char *const *flag = input->flags; flag && *flag && count < WORDS_MAX - 40; flag++) {
        bool with_next;
        if (!flag_dropped(*flag, &with_next))
            command[count++] = *flag;
        else if (with_next && flag[1])
            flag++;
    }
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        command[count++] = ours[i];
    command[count++] = "-MF";
    command[count++] = dependencies;
    command[count++] = "-o";
    command[count++] = bitcode;
    command[count++] = input->file;
    command[count] = NULL;
    return count;
}

static void path_in(const char *directory, const char *name, size_t length, char *ret_path,
                    size_t size)
{
    if (directory && name[0] != '/')
        snprintf(ret_path, size, "%s/%.*s", directory, (int)length, name);
    else
        snprintf(ret_path, size, "%.*s", (int)length, name);
}

/* A hash of every file that the make rule at `path` names. 0 or -errno. */
static int dependencies_hash(const char *path, const char *directory, uint64_t *hash)
{
    FILE *file = fopen(path, "re");
    char *text = NULL;
    size_t size = 0;
    if (!file)
        return -errno;
    ssize_t length = getdelim(&text, &size, '\0', file);
    fclose(file);
    int status = length > 0 ? 0 : -EINVAL;
    char *at = status ? NULL : strchr(text, ':');
    for (at = at ? at + 1 : NULL; at && *at && !status;) {
        at += strspn(at, " \t\n\\");
        size_t used = 0;
        char name[4096];
        while (*at && *at != ' ' && *at != '\n' && used + 1 < sizeof name) {
            if (*at == '\\' && (at[1] == ' ' || at[1] == '#' || at[1] == '\\'))
                at++;
            else if (*at == '\\' && at[1] == '\n')
                break;
            else if (*at == '$' && at[1] == '$')
                at++;
            name[used++] = *at++;
        }
        if (!used)
            continue;
        char full[8192];
        path_in(directory, name, used, full, sizeof full);
        status = hash_file(full, hash);
    }
    free(text);
    return status;
}

static void first_error(const char *log, char *ret_message, size_t size)
{
    FILE *file = fopen(log, "re");
    char line[512], kept[512] = "";
    while (file && fgets(line, sizeof line, file)) {
        if (!kept[0] || (strstr(line, "error") && !strstr(kept, "error")))
            snprintf(kept, sizeof kept, "%s", line);
    }
    if (file)
        fclose(file);
    kept[strcspn(kept, "\n")] = '\0';
    snprintf(ret_message, size, "%s", kept[0] ? kept : "clang failed without a word");
}

/* Is what was kept under `base` of this very content? */
static bool cached(const char *base, const char *directory)
{
    char path[4096], line[64] = "";
    uint64_t hash = 1;
    snprintf(path, sizeof path, "%s.d", base);
    if (dependencies_hash(path, directory, &hash))
        return false;
    snprintf(path, sizeof path, "%s.hash", base);
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    bool same = fgets(line, sizeof line, file) && strtoull(line, NULL, 16) == hash;
    fclose(file);
    snprintf(path, sizeof path, "%s.bc", base);
    return same && !access(path, R_OK);
}

static void cache_note(const char *base, const char *directory)
{
    char path[4096];
    uint64_t hash = 1;
    snprintf(path, sizeof path, "%s.d", base);
    if (dependencies_hash(path, directory, &hash))
        return;
    snprintf(path, sizeof path, "%s.hash", base);
    FILE *file = fopen(path, "we");
    if (!file)
        return;
    fprintf(file, "%016" PRIx64 "\n", hash);
    fclose(file);
}

int front_bitcode(const struct front *front, const struct escape_input *input, size_t number,
                  char **ret_path, bool *ret_cached, char *ret_message, size_t message_size)
{
    char full[4096], base[3072], made[4096], rule[4096], log[4096], named[4096];
    path_in(input->directory, input->file, strlen(input->file), full, sizeof full);
    *ret_cached = false;
    if (ends(full, ".bc") || ends(full, ".ll")) {
        *ret_path = strdup(full);
        return *ret_path ? 0 : -ENOMEM;
    }
    if (access(full, R_OK)) {
        snprintf(ret_message, message_size, "%s: %s", full, strerror(errno));
        return -errno;
    }
    const char **command = calloc(WORDS_MAX, sizeof *command);
    char *here = input->directory ? NULL : getcwd(NULL, 0);
    if (!command || (!here && !input->directory)) {
        free(command);
        free(here);
        return -ENOMEM;
    }
    /* The entry's name is of the command; whether it still holds is decided by the files it was made of. */
    uint64_t key = UINT64_C(14695981039346656037);
    size_t words = command_make(front, input, "", "", command);
    for (size_t i = 0; i < words; i++)
        key = hash_bytes(key, command[i], strlen(command[i]) + 1);
    key = hash_bytes(key, input->directory ? input->directory : here,
                     strlen(input->directory ? input->directory : here));
    snprintf(base, sizeof base, "%s/%016" PRIx64, front->folder, key);
    int status = 0;
    if (front->cache && cached(base, input->directory)) {
        *ret_cached = true;
    } else {
        /* Made beside and renamed: another run may want the same. */
        snprintf(made, sizeof made, "%s.%ld.%zu.bc", base, (long)getpid(), number);
        snprintf(rule, sizeof rule, "%s.%ld.%zu.d", base, (long)getpid(), number);
        snprintf(log, sizeof log, "%s.%ld.%zu.log", base, (long)getpid(), number);
        command_make(front, input, made, rule, command);
        status = child_run(command, input->directory, log);
        if (status)
            first_error(log, ret_message, message_size);
        status = status > 0 ? -EINVAL : status;
        snprintf(named, sizeof named, "%s.bc", base);
        if (!status && rename(made, named))
            status = -errno;
        snprintf(named, sizeof named, "%s.d", base);
        if (!status && rename(rule, named))
            status = -errno;
        unlink(made);
        unlink(rule);
        unlink(log);
        if (!status && front->cache)
            cache_note(base, input->directory);
    }
    free(command);
    free(here);
    if (status)
        return status;
    return asprintf(ret_path, "%s.bc", base) < 0 ? -ENOMEM : 0;
}

char *front_folder(bool cache)
{
    char *folder = NULL;
    const char *home = getenv("XDG_CACHE_HOME"), *temporary = getenv("TMPDIR");
    if (cache) {
        int made = home && home[0] == '/' ? asprintf(&folder, "%s/poolwise", home)
                   : getenv("HOME")       ? asprintf(&folder, "%s/.cache/poolwise", getenv("HOME"))
                                          : -1;
        if (made < 0)
            return NULL;
        for (char *at = strchr(folder + 1, '/'); at; at = strchr(at + 1, '/')) {
            *at = '\0';
            mkdir(folder, 0700);
            *at = '/';
        }
        if (!mkdir(folder, 0700) || (errno == EEXIST && !access(folder, W_OK)))
            return folder;
        free(folder);
        return NULL;
    }
    if (asprintf(&folder, "%s/poolwise-XXXXXX", temporary ? temporary : "/tmp") < 0)
        return NULL;
    if (mkdtemp(folder))
        return folder;
    free(folder);
    return NULL;
}

void front_folder_drop(const char *folder)
{
    DIR *entries = opendir(folder);
    for (struct dirent *entry; entries && (entry = readdir(entries));) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        unlink(path);
    }
    if (entries)
        closedir(entries);
    rmdir(folder);
}
