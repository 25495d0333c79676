/* SPDX-License-Identifier: MIT */
/* Property: the JSON form parses, has every field that is promised, and loses nothing of a 64-bit
 * count. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#include "layout.h"
#include "sample_report.h"

static char *render(const struct report *report)
{
    char *text = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&text, &length);
    assert_non_null(stream);
    assert_int_equal(report_json(report, stream), 0);
    assert_int_equal(fclose(stream), 0);
    return text;
}

static cJSON *parse(const char *text)
{
    const char *end;
    cJSON *root = cJSON_ParseWithOpts(text, &end, 1);
    if (!root)
        fail_msg("not JSON at: %.60s", end);
    return root;
}

/* "a.b.c" in nested objects. */
static const cJSON *at(const cJSON *object, const char *path)
{
    char key[64];
    const char *rest = path;
    while (object && *rest) {
        size_t length = strcspn(rest, ".");
        snprintf(key, sizeof key, "%.*s", (int)length, rest);
        object = cJSON_GetObjectItemCaseSensitive(object, key);
        rest += length + (rest[length] == '.');
    }
    if (!object)
        fail_msg("there is no %s", path);
    return object;
}

static void every_promised_field_is_there(void **state)
{
    static const char *const numbers[] = {"program.cpu_ns",
                                          "program.wall_ns",
                                          "program.events",
                                          "program.allocations",
                                          "program.frees",
                                          "program.reallocs",
                                          "program.threads",
                                          "program.processes",
                                          "program.peak_bytes",
                                          "program.dropped",
                                          "recording.added_cpu_ns_per_event",
                                          "cost.malloc_pair_ns",
                                          "cost.pool_pair_ns"};
    static const char *const site_numbers[] = {"allocations",
                                               "bytes",
                                               "share_of_allocations",
                                               "upper_bound_cpu_share",
                                               "size.min",
                                               "size.p1",
                                               "size.p50",
                                               "size.p95",
                                               "size.p99",
                                               "size.p999",
                                               "size.max",
                                               "size.within_2x",
                                               "size.spread",
                                               "lifetime_ns.p50",
                                               "lifetime_ns.p95",
                                               "lifetime_ns.max",
                                               "freed_in_frame",
                                               "freed_by_other_thread",
                                               "never_freed",
                                               "live_peak",
                                               "realloc.chains",
                                               "realloc.steps",
                                               "realloc.final_p95"};
    static const char *const site_texts[] = {"id", "function", "verdict", "reason"};

    struct sample_report sample;
    sample_report_fill(&sample);
    char *text = render(&sample.report);
    cJSON *root = parse(text);
    assert_string_equal(at(root, "poolwise")->valuestring, "0.0.0");
    assert_int_equal(cJSON_GetArraySize(at(root, "command")), 4);
    assert_int_equal(cJSON_GetArraySize(at(root, "notes")), 2);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (!cJSON_IsNumber(at(root, numbers[i])))
            fail_msg("%s is no number", numbers[i]);

    const cJSON *sites = at(root, "sites");
    assert_int_equal(cJSON_GetArraySize(sites), SAMPLE_SITES);
    for (int i = 0; i < SAMPLE_SITES; i++) {
        const cJSON *site = cJSON_GetArrayItem(sites, i);
        for (size_t j = 0; j < sizeof site_numbers / sizeof *site_numbers; j++)
            if (!cJSON_IsNumber(at(site, site_numbers[j])))
                fail_msg("site %d: %s is no number", i, site_numbers[j]);
        for (size_t j = 0; j < sizeof site_texts / sizeof *site_texts; j++)
            if (!cJSON_IsString(at(site, site_texts[j])))
                fail_msg("site %d: %s is no text", i, site_texts[j]);
        assert_true(cJSON_IsArray(at(site, "stack")));
        assert_string_equal(at(site, "verdict")->valuestring,
                            verdict_name(sample.verdicts[i].kind));
        assert_string_equal(at(site, "reason")->valuestring, sample.verdicts[i].reason);
        const cJSON *snippet = at(site, "snippet");
        if (sample.verdicts[i].snippet)
            assert_string_equal(snippet->valuestring, sample.verdicts[i].snippet);
        else
            assert_true(cJSON_IsNull(snippet));
        assert_int_equal(cJSON_IsTrue(at(site, "estimated")), i != 3);
        if (i == 3) {
            assert_float_equal(at(site, "replay.malloc_pair_ns")->valuedouble, 10, 1e-9);
            assert_float_equal(at(site, "replay.pool_pair_ns")->valuedouble, 3, 1e-9);
            assert_float_equal(at(site, "replay.saved_cpu_share")->valuedouble, 0.07, 1e-9);
            assert_float_equal(cJSON_GetArrayItem(at(site, "replay.ci95"), 1)->valuedouble, 0.075,
                               1e-9);
            assert_true(cJSON_IsNull(at(site, "replay.others")));
        } else {
            assert_true(cJSON_IsNull(at(site, "replay")));
        }
    }
    cJSON_Delete(root);
    free(text);

    /* What a replay found is told where a pool loses, too. */
    sample.verdicts[3].pool_share = -0.02;
    sample.sites[3].cost.others_ns = 0.01 * FACTS_CPU_NS;
    sample.sites[3].cost.others_ci95[0] = 0.008;
    text = render(&sample.report);
    root = parse(text);
    sites = at(root, "sites");
    assert_float_equal(at(cJSON_GetArrayItem(sites, 3), "replay.saved_cpu_share")->valuedouble,
                       -0.02, 1e-9);
    assert_float_equal(at(cJSON_GetArrayItem(sites, 3), "replay.others.saved_cpu_share")->valuedouble, 0.01, 1e-9);
    assert_float_equal(cJSON_GetArrayItem(at(cJSON_GetArrayItem(sites, 3), "replay.others.ci95"), 0)->valuedouble, 0.008, 1e-9);
    const cJSON *stack = at(cJSON_GetArrayItem(sites, 1), "stack");
    assert_int_equal(cJSON_GetArraySize(stack), 3);
    assert_string_equal(cJSON_GetArrayItem(stack, 0)->valuestring, "record_event src/event.c:25");
    assert_string_equal(cJSON_GetArrayItem(stack, 1)->valuestring, "serve \"it\" libserve.so");
    assert_string_equal(cJSON_GetArrayItem(stack, 2)->valuestring, "odd\xef\xbf\xbd\x01name");
    assert_float_equal(at(cJSON_GetArrayItem(sites, 1), "freed_in_frame")->valuedouble, 0.999,
                       1e-9);
    cJSON_Delete(root);
    free(text);
    sample_report_done(&sample);
}

static void text_is_utf8(void **state)
{
    struct sample_report sample;
    sample_report_fill(&sample);
    char *text = render(&sample.report);
    for (size_t i = 0, step; text[i]; i += step)
        if ((step = layout_character(text + i)) == 0)
            fail_msg("no UTF-8 at byte %zu: %.40s", i, text + i);
    cJSON *root = parse(text);
    assert_string_equal(cJSON_GetArrayItem(at(root, "command"), 3)->valuestring,
                        "\xc3\xa9t\xc3\xa9\xef\xbf\xbd");
    cJSON_Delete(root);
    free(text);
    sample_report_done(&sample);
}

static void counts_keep_all_their_digits(void **state)
{
    struct sample_report sample;
    sample_report_fill(&sample);
    sample.facts[0].site.allocations = (UINT64_C(1) << 53) + 1;
    sample.facts[0].site.bytes = UINT64_MAX;
    char *text = render(&sample.report);
    assert_non_null(strstr(text, "\"allocations\":9007199254740993,"));
    assert_non_null(strstr(text, "\"bytes\":18446744073709551615,"));
    free(text);
    sample_report_done(&sample);
}

static void unknowns_are_null(void **state)
{
    struct sample_report sample;
    sample_report_fill(&sample);
    sample.report.program_cpu_ns = 0;
    sample.report.recording_ns_per_event = 0.0 / 0.0;
    sample.sites[0].names.function = NULL;
    sample.sites[0].names.line = 0;
    char *text = render(&sample.report);
    cJSON *root = parse(text);
    assert_true(cJSON_IsNull(at(root, "program.cpu_ns")));
    assert_true(cJSON_IsNull(at(root, "recording.added_cpu_ns_per_event")));
    const cJSON *site = cJSON_GetArrayItem(at(root, "sites"), 0);
    assert_true(cJSON_IsNull(at(site, "upper_bound_cpu_share")));
    assert_true(cJSON_IsNull(at(site, "function")));
    assert_true(cJSON_IsNull(at(site, "line")));
    cJSON_Delete(root);
    free(text);
    sample_report_done(&sample);
}

static void no_sites_are_an_empty_list(void **state)
{
    struct sample_report sample;
    sample_report_fill(&sample);
    sample.report.site_count = 0;
    char *text = render(&sample.report);
    cJSON *root = parse(text);
    assert_int_equal(cJSON_GetArraySize(at(root, "sites")), 0);
    cJSON_Delete(root);
    free(text);
    sample_report_done(&sample);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_promised_field_is_there), cmocka_unit_test(text_is_utf8),
        cmocka_unit_test(counts_keep_all_their_digits),  cmocka_unit_test(unknowns_are_null),
        cmocka_unit_test(no_sites_are_an_empty_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
