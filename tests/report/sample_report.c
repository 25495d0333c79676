/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sample_report.h"

static const char *const command[] = {"program", "--quick", "a file", "\xc3\xa9t\xc3\xa9\xff",
                                      NULL};
static const char *const notes[] = {
    "12 events were dropped because a ring was full.",
    "The file /usr/lib/x86_64-linux-gnu/libexample.so.1 has changed since the recording, so its "
    "names are not known.",
    NULL,
};
static const struct report_frame stack[] = {
    {.function = "record_event",
     .file = "src/event.c",
     .module = "program",
     .line = 25,
     .address = 0x1234},
    {.function = "serve \"it\"", .module = "libserve.so", .address = 0x2345},
    {.function = "odd\xff\x01name", .address = 0x3456},
};

void sample_report_fill(struct sample_report *sample)
{
    static void (*const makers[SAMPLE_SITES])(struct facts *) = {
        facts_presize, facts_stack,    facts_cap,   facts_pool,    facts_classes, facts_arena,
        facts_arena,   facts_retained, facts_hoist, facts_library, facts_tail,
    };
    struct verdict_input inputs[SAMPLE_SITES];
    *sample = (struct sample_report){0};
    for (size_t i = 0; i < SAMPLE_SITES; i++) {
        makers[i](&sample->facts[i]);
        sample->facts[i].input.rank = i;
        sample->facts[i].input.site = &sample->facts[i].site;
        if (i == 6)
            sample->facts[i].input.names.function =
                "std::_Rb_tree<std::string, std::pair<std::string const, int>, "
                "std::less<std::string> >::_M_create_node";
        if (i == 3) {
            sample->facts[i].input.cost.measured = true;
            sample->facts[i].input.cost.saved_ci95[0] = 0.065;
            sample->facts[i].input.cost.saved_ci95[1] = 0.075;
        }
        inputs[i] = sample->facts[i].input;
    }
    struct verdict_thresholds *thresholds = verdict_thresholds_create();
    if (!thresholds || verdict_thresholds_set(thresholds, "tail-rank=10") < 0 ||
        verdict_judge(thresholds, inputs, SAMPLE_SITES, &facts_totals, FACTS_CPU_NS,
                      sample->verdicts) < 0) {
        fprintf(stderr, "%s:%d: cannot judge the sample\n", __FILE__, __LINE__);
        exit(2);
    }
    verdict_thresholds_destroy(thresholds);
    for (size_t i = 0; i < SAMPLE_SITES; i++) {
        struct report_site *site = &sample->sites[i];
        snprintf(site->id, sizeof site->id, "%016zx", i + 1);
        site->facts = &sample->facts[i].site;
        site->verdict = &sample->verdicts[i];
        site->names = inputs[i].names;
        site->cost = inputs[i].cost;
        if (i == 1) {
            site->stack = stack;
            site->stack_count = sizeof stack / sizeof *stack;
        }
    }
    sample->report = (struct report){
        .version = "0.0.0",
        .command = command,
        .totals = &facts_totals,
        .program_cpu_ns = FACTS_CPU_NS,
        .recording_ns_per_event = 21.5,
        .malloc_pair_ns = 9.8,
        .pool_pair_ns = 2.7,
        .sites = sample->sites,
        .site_count = SAMPLE_SITES,
        .notes = notes,
    };
}

void sample_report_done(struct sample_report *sample)
{
    for (size_t i = 0; i < SAMPLE_SITES; i++)
        verdict_done(&sample->verdicts[i]);
}
