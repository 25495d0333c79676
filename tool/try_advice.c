/* SPDX-License-Identifier: MIT */
#include "try_advice.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "server.h"

/* While the server is being recorded: waits for it among our parent's children, puts the load on it and ends it. */
static void bench_beside(const struct try_advice *wanted, pid_t recorder)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)recorder, (int)recorder);
    for (int i = 0; i < 15000; i++) {
        FILE *children = fopen(path, "re");
        int pid, server = 0;
        while (children && !server && fscanf(children, "%d", &pid) == 1)
            if (server_listens(pid))
                server = pid;
        if (children)
            fclose(children);
        if (server) {
            server_shell(wanted->command->bench, -1, -1, false);
            kill(server, SIGTERM);
            return;
        }
        if (kill(recorder, 0))
            return;
        usleep(2000);
    }
}

/* The advice, by another process of ours: its memory would count as the peak of what we start. 0 or an exit status. */
int try_advice_make(const struct try_advice *wanted, int fd, const char *trace)
{
    char file[64];
    snprintf(file, sizeof file, "/proc/self/fd/%d", fd);
    char timeout[32];
    size_t argc = 0, count = 0;
    while (wanted->command->argv[argc])
        argc++;
    const char **words = calloc(argc + 2 * wanted->wrapper_count + 16, sizeof *words);
    if (!words)
        return command_error("out of memory");
    for (const char *const *word =
             (const char *const[]){"poolwise", "-q", "advise", "--json", "-o", file, NULL};
         *word; word++)
        words[count++] = *word;
    for (size_t i = 0; i < wanted->wrapper_count; i++) {
        words[count++] = "--wrapper";
        words[count++] = wanted->wrappers[i];
    }
    if (wanted->command->timeout_s > 0 && !trace) {
        /* Recording takes longer than the program does. */
        snprintf(timeout, sizeof timeout, "%g", 4 * wanted->command->timeout_s);
        words[count++] = "--timeout";
        words[count++] = timeout;
    }
    words[count++] = trace ? trace : "--";
    for (size_t i = 0; !trace && i < argc; i++)
        words[count++] = wanted->command->argv[i];
    command_progress(wanted->globals, trace ? "reading %s" : "recording %s for advice",
                     trace ? trace : wanted->command->argv[0]);
    pid_t child = fork();
    if (!child) {
        int input = open("/dev/null", O_RDONLY);
        if (wanted->command->input >= 0) {
            char name[64];
            snprintf(name, sizeof name, "/proc/self/fd/%d", wanted->command->input);
            input = open(name, O_RDONLY);
        }
        int nothing = open("/dev/null", O_WRONLY);
        dup2(input, STDIN_FILENO);
        dup2(nothing, STDOUT_FILENO);
        execv("/proc/self/exe", (char **)(uintptr_t)words);
        _exit(127);
    }
    pid_t helper = 0;
    if (child > 0 && wanted->command->bench && !trace) {
        helper = fork();
        if (!helper) {
            bench_beside(wanted, child);
            _exit(0);
        }
    }
    free(words);
    int status = 0;
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        if (trial_interrupted())
            kill(child, SIGTERM);
    if (helper > 0) {
        kill(helper, SIGTERM);
        waitpid(helper, NULL, 0);
    }
    command_progress_done(wanted->globals);
    if (child < 0)
        return command_error("%s", strerror(errno));
    if (trial_interrupted())
        return command_error("interrupted");
    if (WIFSIGNALED(status))
        return command_error("the advice could not be made: killed by signal %d", WTERMSIG(status));
    return WEXITSTATUS(status);
}
