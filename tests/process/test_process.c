/* SPDX-License-Identifier: MIT */
/* Property: however a program begins and ends, that is what is said of it, and nothing of it is left. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "process.h"

#define PAST 1u /* long ago, for CLOCK_MONOTONIC */

static int start_prepared(const char *script, int (*prepare)(void *context), void *context,
                          struct process *ret_process)
{
    char shell[] = "sh", option[] = "-c", text[256];
    strncpy(text, script, sizeof text - 1);
    text[sizeof text - 1] = '\0';
    char *command[] = {shell, option, text, NULL};
    const struct process_start start = {command, prepare, context};
    return process_start(&start, ret_process);
}

static struct process start(const char *script)
{
    struct process process = {0};
    assert_int_equal(start_prepared(script, NULL, NULL, &process), 0);
    assert_true(process.pid > 0);
    assert_false(process.ended);
    return process;
}

/* The number that the next descriptor would get: it moves when one stays open. */
static int next_descriptor(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    close(fd);
    return fd;
}

static void nothing_is_left(void)
{
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

static int refuse(void *context)
{
    return *(const int *)context;
}

static void what_cannot_start_says_why(void **state)
{
    int descriptor = next_descriptor(), refused = -ENOTDIR;
    struct process process = {.pid = -7};
    char missing[] = "/nonexistent/program", folder[] = "/", *command[] = {missing, NULL};
    assert_int_equal(process_start(&(struct process_start){.command = command}, &process), -ENOENT);
    command[0] = folder;
    assert_int_equal(process_start(&(struct process_start){.command = command}, &process), -EACCES);
    assert_int_equal(start_prepared("exit 0", refuse, &refused, &process), -ENOTDIR);
    assert_int_equal(process.pid, -7);
    assert_int_equal(next_descriptor(), descriptor);
    nothing_is_left();
}

static void the_end_is_told(void **state)
{
    int descriptor = next_descriptor();
    struct process process = start("exit 7");
    process_wait(&process);
    assert_true(process.ended);
    assert_true(WIFEXITED(process.status));
    assert_int_equal(WEXITSTATUS(process.status), 7);
    assert_true(process.usage.peak_bytes > 0);
    assert_true(process.end_ns >= process.start_ns);
    process = start("kill -USR1 $$");
    assert_false(process_finish(&process, 0, 0));
    assert_true(WIFSIGNALED(process.status));
    assert_int_equal(WTERMSIG(process.status), SIGUSR1);
    assert_int_equal(next_descriptor(), descriptor);
    nothing_is_left();
}

static void only_the_program_is_waited_for(void **state)
{
    struct process other = start("exit 3"), process = start("exit 4");
    process_wait(&process);
    assert_int_equal(WEXITSTATUS(process.status), 4);
    process_wait(&other);
    assert_int_equal(WEXITSTATUS(other.status), 3);
}

static int ignore_asking(void *context)
{
    return signal(SIGTERM, SIG_IGN) == SIG_ERR ? -errno : 0;
}

static void past_its_time_it_is_ended(void **state)
{
    struct process process = start("exec sleep 1000");
    assert_true(process_finish(&process, PAST, UINT64_C(1) << 62));
    assert_true(process.ended && process.childless);
    assert_int_equal(WTERMSIG(process.status), SIGTERM);
    /* One that does not listen. */
    assert_int_equal(start_prepared("exec sleep 1000", ignore_asking, NULL, &process), 0);
    assert_true(process_finish(&process, PAST, 0));
    assert_true(WIFSIGNALED(process.status));
    assert_int_equal(WTERMSIG(process.status), SIGKILL);
    nothing_is_left();
}

/* Standard input is the pipe that the test holds the other end of. */
static int read_from(void *context)
{
    const int *ends = context;
    return dup2(ends[0], STDIN_FILENO) < 0 ? -errno : 0;
}

static void orphans_are_waited_for(void **state)
{
    int ends[2];
    struct process process;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    process_orphans_adopt();
    /* A shell gives what it leaves behind /dev/null to read. */
    assert_int_equal(
        start_prepared("exec 3<&0; sh -c 'read line <&3' & exit 5", read_from, ends, &process), 0);
    while (!process.ended)
        assert_true(process_reap(&process));
    assert_int_equal(WEXITSTATUS(process.status), 5);
    assert_true(process_reap(&process)); /* the orphan */
    assert_false(process.childless);
    close(ends[1]);
    assert_false(process_finish(&process, 0, 0));
    assert_true(process.childless);
    assert_int_equal(WEXITSTATUS(process.status), 5);
    close(ends[0]);
    nothing_is_left();
}

static void orphans_are_ended_with_it(void **state)
{
    process_orphans_adopt();
    struct process process = start("sleep 1000 & exit 0");
    while (!process.ended)
        assert_true(process_reap(&process));
    assert_true(process_finish(&process, PAST, 0));
    assert_true(WIFEXITED(process.status));
    nothing_is_left();
}

static void an_interruption_ends_it(void **state)
{
    struct process_signals before, between;
    struct sigaction after;
    assert_int_equal(sigaction(SIGTERM, NULL, &between.on_term), 0);
    process_signals_catch(&before);
    assert_int_equal(process_interrupted(), 0);
    struct process process = start("exec sleep 1000");
    raise(SIGTERM);
    assert_int_equal(process_interrupted(), SIGTERM);
    assert_false(process_finish(&process, 0, UINT64_C(1) << 62));
    assert_int_equal(WTERMSIG(process.status), SIGTERM);
    process_signals_catch(NULL);
    assert_int_equal(process_interrupted(), 0);
    process_signals_restore(&before);
    assert_int_equal(sigaction(SIGTERM, NULL, &after), 0);
    assert_true(after.sa_handler == between.on_term.sa_handler);
    nothing_is_left();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_cannot_start_says_why),
        cmocka_unit_test(the_end_is_told),
        cmocka_unit_test(only_the_program_is_waited_for),
        cmocka_unit_test(past_its_time_it_is_ended),
        cmocka_unit_test(orphans_are_waited_for),
        cmocka_unit_test(orphans_are_ended_with_it),
        cmocka_unit_test(an_interruption_ends_it),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
