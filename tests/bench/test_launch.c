/* SPDX-License-Identifier: MIT */
/* Property: what a worker prints is parsed or refused; what it does wrong is said. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "launch.h"

static void lines_are_parsed(void **state)
{
    struct launch_line line;
    assert_int_equal(launch_parse("1000\t 2.5 ns/op\t16 B/op\t       1 allocs/op\n", &line), 0);
    assert_float_equal(line.iterations, 1000, 0);
    assert_int_equal(line.count, 3);
    assert_float_equal(line.values[0], 2.5, 0);
    assert_string_equal(line.units[0], "ns/op");
    assert_string_equal(line.units[2], "allocs/op");
    assert_int_equal(launch_parse("1 1.2e+04 ns/op", &line), 0);
    assert_float_equal(line.values[0], 12000, 0);
}

static void other_lines_are_refused(void **state)
{
    static const char *const lines[] = {
        "",
        "\n",
        "usage: worker",
        "1000",
        "1000\t2.5",
        "1000 2.5 ",
        "1000 x ns/op",
        "1000 2.5 a-unit-that-is-much-longer-than-any-unit-has-a-right-to-be"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct launch_line line = {.count = 77};
        if (launch_parse(lines[i], &line) != -EINVAL || line.count != 77)
            fail_msg("\"%s\" was taken", lines[i]);
    }
}

static int run(const char *script, unsigned timeout_s, char **ret_output, char *message,
               size_t size)
{
    char shell[] = "sh", option[] = "-c", text[256];
    strncpy(text, script, sizeof text - 1);
    text[sizeof text - 1] = '\0';
    char *command[] = {shell, option, text, NULL};
    return launch_run(&(struct launch){.command = command, .timeout_s = timeout_s}, ret_output,
                      message, size);
}

static void output_is_kept_whole(void **state)
{
    char message[64], *output = NULL;
    /* More than a pipe holds, on both streams. */
    assert_int_equal(run("head -c 300000 /dev/zero | tr '\\0' x; head -c 300000 /dev/zero >&2", 60,
                         &output, message, sizeof message),
                     0);
    assert_int_equal(strlen(output), 300000);
    free(output);
}

static void failures_are_said(void **state)
{
    char message[64], *output = NULL;
    assert_int_equal(
        run("echo out; echo why it failed >&2; exit 3", 60, &output, message, sizeof message),
        -ECHILD);
    assert_string_equal(message, "why it failed");
    assert_int_equal(run("kill -9 $$", 60, &output, message, sizeof message), -ECHILD);
    assert_non_null(strstr(message, "signal 9"));
    assert_int_equal(run("exec sleep 1000", 1, &output, message, sizeof message), -ETIMEDOUT);
    assert_string_equal(message, "took more than 1 s");
    assert_null(output);
}

static void a_missing_program_is_named(void **state)
{
    char name[] = "/nonexistent/worker", message[128], *command[] = {name, NULL}, *output = NULL;
    assert_int_equal(launch_run(&(struct launch){.command = command, .timeout_s = 60}, &output,
                                message, sizeof message),
                     -ECHILD);
    assert_string_equal(message, "/nonexistent/worker: No such file or directory");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_parsed),           cmocka_unit_test(other_lines_are_refused),
        cmocka_unit_test(output_is_kept_whole),       cmocka_unit_test(failures_are_said),
        cmocka_unit_test(a_missing_program_is_named),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
