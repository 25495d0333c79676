/* SPDX-License-Identifier: MIT */
/*
 * Property: every snippet compiles as it stands, states its figures, and says whether they are
 * measured. Usage: test_snippets COMPILER INCLUDE_FOLDER
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "facts.h"

static int compile(const char *compiler, const char *include, const char *path)
{
    pid_t child = fork();
    if (child == 0) {
        execlp(compiler, compiler, "-x", "c", "-std=gnu17", "-Wall", "-Wextra", "-Werror",
               "-fsyntax-only", "-I", include, path, (char *)NULL);
        fprintf(stderr, "%s: %s\n", compiler, strerror(errno));
        _exit(127);
    }
    int status = -1;
    if (child < 0 || waitpid(child, &status, 0) != child)
        return -1;
    return status;
}

static void varied(struct facts *facts)
{
    facts->site.size.min = facts->site.size.p1 = 40;
}

static int check(const char *compiler, const char *include, void (*make)(struct facts *), bool vary,
                 bool zeroed, bool measured, const char *function)
{
    struct facts facts;
    make(&facts);
    if (vary)
        varied(&facts);
    if (zeroed)
        facts.site.calls[TRACE_CALL_CALLOC] = facts.site.allocations;
    if (measured)
        facts.input.cost = (struct verdict_cost){
            .malloc_pair_ns = 10, .pool_pair_ns = 3, .measured = true, .saved_ci95 = {0.05, 0.08}};
    if (function)
        facts.input.names.function = facts.input.names.death_function = function;
    else if (make == facts_stack)
        facts.site.max_live_in_instance = 3;
    if (make != facts_arena)
        facts.input.names.death_function = NULL;

    struct verdict_input inputs[2] = {facts.input, facts.input};
    inputs[0].site = inputs[1].site = &facts.site;
    inputs[1].rank = 1;
    struct verdict_thresholds *thresholds = verdict_thresholds_create();
    struct verdict verdicts[2];
    if (verdict_judge(thresholds, inputs, 2, &facts_totals, FACTS_CPU_NS, verdicts) < 0) {
        fprintf(stderr, "%s:%d: verdict_judge failed\n", __FILE__, __LINE__);
        return 1;
    }
    const char *kind = verdict_name(verdicts[0].kind);
    const char *snippet = verdicts[0].snippet;
    int failed = 1;
    char path[] = "snippet-XXXXXX";
    int fd = mkstemp(path);
    if (!snippet)
        fprintf(stderr, "%s:%d: no snippet for %s: %s\n", __FILE__, __LINE__, kind,
                verdicts[0].reason);
    else if (!strstr(snippet, measured ? "measured" : "estimated"))
        fprintf(stderr, "%s:%d: %s does not say what its figures rest on:\n%s\n", __FILE__,
                __LINE__, kind, snippet);
    else if (fd < 0 || write(fd, snippet, strlen(snippet)) != (ssize_t)strlen(snippet))
        fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, path, strerror(errno));
    else if (compile(compiler, include, path) != 0)
        fprintf(stderr, "%s:%d: %s does not compile:\n%s\n", __FILE__, __LINE__, kind, snippet);
    else
        failed = 0;
    if (fd >= 0) {
        close(fd);
        unlink(path);
    }
    verdict_done(&verdicts[0]);
    verdict_done(&verdicts[1]);
    verdict_thresholds_destroy(thresholds);
    return failed;
}

int main(int argc, char **argv)
{
    static void (*const makers[])(struct facts *) = {facts_stack,   facts_pool,    facts_cap,
                                                     facts_classes, facts_presize, facts_hoist,
                                                     facts_arena,   facts_library};
    static const char *const functions[] = {
        NULL,
        "std::vector<int, std::allocator<int> >::_M_realloc_insert",
        "a_function_whose_name_is_far_longer_than_any_line_of_a_terminal_could_ever_hold",
        "*/ 1 /* \xc3\xa9\xff\n\\",
        "jq+0x1234",
    };
    if (argc != 3) {
        fprintf(stderr, "usage: %s COMPILER INCLUDE_FOLDER\n", argv[0]);
        return 2;
    }
    int failed = 0;
    for (size_t i = 0; i < sizeof makers / sizeof *makers; i++) {
        for (unsigned form = 0; form < 4; form++)
            failed |= check(argv[1], argv[2], makers[i], form & 1, form & 2, false, NULL);
        failed |= check(argv[1], argv[2], makers[i], false, false, true, functions[i % 4 + 1]);
    }
    for (size_t i = 1; i < sizeof functions / sizeof *functions; i++)
        failed |= check(argv[1], argv[2], facts_arena, false, false, false, functions[i]);
    return failed;
}
