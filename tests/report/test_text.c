/* SPDX-License-Identifier: MIT */
/*
 * Property: the text form is the expected one byte for byte, and at no width is a line longer than
 * it. Usage: test_text EXPECTED WIDTH [--regenerate]; or test_text --properties
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layout.h"
#include "sample_report.h"

static char *render(const struct report *report, struct report_style style)
{
    char *text = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&text, &length);
    int error = stream ? report_text(report, &style, stream) : -errno;
    if (!stream || error < 0 || fclose(stream) != 0) {
        fprintf(stderr, "%s:%d: report_text gave %d\n", __FILE__, __LINE__, error);
        exit(2);
    }
    return text;
}

static int compare(const char *path, const char *text, bool regenerate)
{
    FILE *file = fopen(path, regenerate ? "w" : "r");
    if (!file) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return 1;
    }
    if (regenerate) {
        fputs(text, file);
        return fclose(file) != 0;
    }
    char *expected = malloc(1 << 20);
    size_t length = expected ? fread(expected, 1, (1 << 20) - 1, file) : 0;
    fclose(file);
    if (!expected)
        return 1;
    expected[length] = '\0';
    int line = 1;
    const char *a = expected, *b = text;
    while (*a || *b) {
        size_t a_length = strcspn(a, "\n"), b_length = strcspn(b, "\n");
        if (a_length != b_length || memcmp(a, b, a_length) != 0) {
            fprintf(stderr, "%s:%d:\n  expected: %.*s\n  got:      %.*s\n", path, line,
                    (int)a_length, a, (int)b_length, b);
            free(expected);
            return 1;
        }
        a += a_length + (a[a_length] != '\0');
        b += b_length + (b[b_length] != '\0');
        line++;
    }
    free(expected);
    return 0;
}

/* 0 when no line is longer; the longest word that cannot be cut is an #include line of the code. */
static int lines_fit(const char *text, unsigned width)
{
    while (*text) {
        size_t length = strcspn(text, "\n");
        char line[4096];
        snprintf(line, sizeof line, "%.*s", (int)length, text);
        if (width && layout_columns(line) > width) {
            fprintf(stderr, "%s:%d: at width %u a line has %zu columns: %s\n", __FILE__, __LINE__,
                    width, layout_columns(line), line);
            return 1;
        }
        if (length && line[length - 1] == ' ') {
            fprintf(stderr, "%s:%d: at width %u a line ends in a blank: \"%s\"\n", __FILE__,
                    __LINE__, width, line);
            return 1;
        }
        for (size_t at = 0, step; at < length; at += step)
            if ((step = layout_character(line + at)) == 0) {
                fprintf(stderr, "%s:%d: at width %u this is no UTF-8: %s\n", __FILE__, __LINE__,
                        width, line);
                return 1;
            }
        text += length + (text[length] == '\n');
    }
    return 0;
}

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                \
            failed = 1;                                                                            \
        }                                                                                          \
    } while (0)

static int check_fit(const char *text, size_t columns, const char *wanted)
{
    char fitted[256];
    layout_fit(text, columns, fitted, sizeof fitted);
    if (strcmp(fitted, wanted) == 0 && layout_columns(fitted) <= columns)
        return 0;
    fprintf(stderr, "%s:%d: \"%s\" in %zu columns is \"%s\", not \"%s\"\n", __FILE__, __LINE__,
            text, columns, fitted, wanted);
    return 1;
}

static int properties(const struct report *report)
{
    int failed = 0;
    for (unsigned width = 60; width <= 200; width++) {
        char *text = render(report, (struct report_style){.width = width, .top = 20});
        failed |= lines_fit(text, width);
        free(text);
    }
    char *whole = render(report, (struct report_style){.width = 0});
    failed |= lines_fit(whole, 0);
    CHECK(strstr(whole, "_M_create_node")); /* nothing is cut without a width */
    CHECK(!strchr(whole, '\033'));
    free(whole);

    char *colour = render(report, (struct report_style){.width = 80, .colour = true, .top = 3});
    CHECK(strstr(colour, "\033[1;36mPRESIZE\033[0m"));
    CHECK(strstr(colour, "and 8 more sites with"));
    free(colour);

    struct report empty = *report;
    struct analyse_totals totals = {0};
    empty.site_count = 0;
    empty.program_cpu_ns = 0;
    empty.totals = &totals;
    empty.notes = NULL;
    char *text = render(&empty, (struct report_style){.width = 80});
    CHECK(strstr(text, "No allocation was recorded."));
    CHECK(strstr(text, "CPU time \xe2\x80\x93, 0 events"));
    free(text);

    failed |= check_fit("abcdef", 6, "abcdef");
    failed |= check_fit("abcdefg", 6,
                        "abc\xe2\x80\xa6"
                        "fg");
    failed |=
        check_fit("\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9", 3, "\xc3\xa9\xe2\x80\xa6\xc3\xa9");
    failed |= check_fit("a\xff"
                        "b",
                        3,
                        "a\xef\xbf\xbd"
                        "b");
    failed |= check_fit("a\nb\033", 9, "a?b?");
    failed |= check_fit("abc", 1, "\xe2\x80\xa6");
    failed |= check_fit("abc", 0, "");
    failed |= check_fit("\xe2\x82", 5, "\xef\xbf\xbd\xef\xbf\xbd"); /* cut off in a character */

    FILE *full = fopen("/dev/full", "w");
    if (full) {
        const struct report_style style = {.width = 80};
        int text_error = report_text(report, &style, full);
        fclose(full);
        full = fopen("/dev/full", "w");
        int json_error = report_json(report, full);
        fclose(full);
        if (text_error != -ENOSPC || json_error != -ENOSPC) {
            fprintf(stderr, "%s:%d: on a full disk text gave %d and json %d, not %d\n", __FILE__,
                    __LINE__, text_error, json_error, -ENOSPC);
            failed = 1;
        }
    }
    CHECK(report_writer_find("x.json") == report_json);
    CHECK(report_writer_find("dir.json/x.txt") &&
          report_writer_find("dir.json/x.txt") != report_json);
    CHECK(!report_writer_find("x.jsonx"));
    CHECK(!report_writer_find("json"));
    CHECK(!report_writer_find(".json"));
    CHECK(!report_writer_find(""));
    return failed;
}

int main(int argc, char **argv)
{
    struct sample_report sample;
    int failed;
    sample_report_fill(&sample);
    if (argc == 2 && strcmp(argv[1], "--properties") == 0) {
        failed = properties(&sample.report);
    } else if (argc >= 3) {
        struct report_style style = {.width = (unsigned)atoi(argv[2]), .top = 20};
        char *text = render(&sample.report, style);
        failed = compare(argv[1], text, argc > 3 && strcmp(argv[3], "--regenerate") == 0);
        free(text);
    } else {
        fprintf(stderr, "usage: %s EXPECTED WIDTH [--regenerate] | --properties\n", argv[0]);
        failed = 2;
    }
    sample_report_done(&sample);
    return failed;
}
