/* SPDX-License-Identifier: MIT */
/* Property: only a whole assignment of a value in range changes a threshold, and nothing else does.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "figures.h"
#include "verdict.h"

static void assignments(void **state)
{
    static const struct {
        const char *text;
        int result;
    } cases[] = {
        {"tail-share=0.02", 0},
        {"tail-share=0", 0},
        {"tail-share=1", 0},
        {"tail-share", -EINVAL},
        {"=1", -EINVAL},
        {"", -EINVAL},
        {"tail-share=", -EINVAL},
        {"tail-share=x", -EINVAL},
        {"tail-share=0.1x", -EINVAL},
        {"tail-share=nan", -EINVAL},
        {"tail-share=inf", -ERANGE},
        {"tail-share=1.01", -ERANGE},
        {"tail-share=-0.1", -ERANGE},
        {"tail-shar=0.1", -ENOENT},
        {"tail-share2=0.1", -ENOENT},
        {"tail=0.1", -ENOENT},
        {"TAIL-SHARE=0.1", -ENOENT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct verdict_thresholds *thresholds = verdict_thresholds_create();
        const struct verdict_threshold *table;
        size_t count = verdict_thresholds_list(thresholds, &table);
        int result = verdict_thresholds_set(thresholds, cases[i].text);
        if (result != cases[i].result)
            fail_msg("\"%s\" gave %d, not %d", cases[i].text, result, cases[i].result);
        for (size_t j = 0; j < count; j++) {
            bool named = cases[i].result == 0 && strcmp(table[j].name, "tail-share") == 0;
            double wanted = named ? strtod(strchr(cases[i].text, '=') + 1, NULL) : table[j].preset;
            if (table[j].value != wanted)
                fail_msg("after \"%s\" %s is %g, not %g", cases[i].text, table[j].name,
                         table[j].value, wanted);
        }
        verdict_thresholds_destroy(thresholds);
    }
}

static void table_is_whole(void **state)
{
    struct verdict_thresholds *thresholds = verdict_thresholds_create();
    const struct verdict_threshold *table;
    size_t count = verdict_thresholds_list(thresholds, &table);
    assert_true(count > 0);
    for (size_t i = 0; i < count; i++) {
        assert_non_null(table[i].name);
        assert_true(*table[i].name && *table[i].meaning && table[i].unit);
        assert_null(strpbrk(table[i].name, " =_"));
        assert_true(table[i].low <= table[i].preset && table[i].preset <= table[i].high);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(table[i].name, table[j].name);
    }
    verdict_thresholds_destroy(thresholds);
}

static void documentation_names_every_threshold(void **state)
{
    FILE *file = fopen(DOCUMENT, "r");
    if (!file)
        fail_msg("cannot read %s", DOCUMENT);
    char text[65536];
    size_t length = fread(text, 1, sizeof text - 1, file);
    text[length] = '\0';
    fclose(file);

    struct verdict_thresholds *thresholds = verdict_thresholds_create();
    const struct verdict_threshold *table;
    size_t count = verdict_thresholds_list(thresholds, &table);
    size_t rows = 0;
    for (size_t i = 0; i < count; i++) {
        char row[128];
        snprintf(row, sizeof row, "| `%s` | %.10g |", table[i].name, table[i].preset);
        if (!strstr(text, row))
            fail_msg("%s has no row that begins with \"%s\"", DOCUMENT, row);
    }
    /* And no others. */
    for (const char *at = text; (at = strstr(at, "\n| `")); at++)
        rows++;
    assert_int_equal(rows, count);
    for (unsigned kind = 0; kind < VERDICT_COUNT; kind++) {
        char heading[64];
        snprintf(heading, sizeof heading, "\n### %s", verdict_name(kind));
        if (!strstr(text, heading))
            fail_msg("%s does not explain %s", DOCUMENT, verdict_name(kind));
    }
    verdict_thresholds_destroy(thresholds);
}

static void figures(void **state)
{
    assert_string_equal(figure_count(0).text, "0");
    assert_string_equal(figure_count(999).text, "999");
    assert_string_equal(figure_count(9997).text, "9,997");
    assert_string_equal(figure_count(UINT64_MAX).text, "18,446,744,073,709,551,615");
    assert_string_equal(figure_compact(847).text, "847");
    assert_string_equal(figure_compact(1000).text, "1.00 k");
    assert_string_equal(figure_compact(12345).text, "12.3 k");
    assert_string_equal(figure_compact(999999).text, "1.00 M");
    assert_string_equal(figure_compact(1234567).text, "1.23 M");
    assert_string_equal(figure_bytes(0).text, "0 B");
    assert_string_equal(figure_bytes(1023).text, "1023 B");
    assert_string_equal(figure_bytes(1536).text, "1.5 KiB");
    assert_string_equal(figure_bytes(1 << 20).text, "1 MiB");
    assert_string_equal(figure_bytes(UINT64_MAX).text, "16 EiB");
    assert_string_equal(figure_ns(9.84).text, "9.8 ns");
    assert_string_equal(figure_ns(840).text, "840 ns");
    assert_string_equal(figure_ns(3100).text, "3.10 µs");
    assert_string_equal(figure_ns(1.68e9).text, "1.68 s");
    assert_string_equal(figure_ns(999999.9).text, "1.00 ms");
    assert_string_equal(figure_share(0).text, "0 %");
    assert_string_equal(figure_share(0.00001).text, "<0.01 %");
    assert_string_equal(figure_share(0.004).text, "0.40 %");
    assert_string_equal(figure_share(0.123).text, "12.3 %");
    assert_string_equal(figure_share(0.9997).text, "99.97 %");
    assert_string_equal(figure_share(0.999999).text, ">99.99 %");
    assert_string_equal(figure_share(1).text, "100 %");
    assert_string_equal(figure_share(-0.004).text, "-0.40 %");
    assert_string_equal(figure_ratio(1).text, "1.0x");
    assert_string_equal(figure_ratio(1024).text, "1024x");
    assert_string_equal(figure_ns(0.0 / 0.0).text, FIGURE_UNKNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(assignments),
        cmocka_unit_test(table_is_whole),
        cmocka_unit_test(documentation_names_every_threshold),
        cmocka_unit_test(figures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
