/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "report.h"

static int write_text_file(const struct report *report, FILE *stream)
{
    const struct report_style style = {.width = 100};
    return report_text(report, &style, stream);
}

/* Suffixes that end in another one of the table come before it. */
static const struct {
    const char *suffix;
    report_writer write;
} writers[] = {
    {".json", report_json},
    {".txt", write_text_file},
};

report_writer report_writer_find(const char *file_name)
{
    size_t length = strlen(file_name);
    for (size_t i = 0; i < sizeof writers / sizeof *writers; i++) {
        size_t suffix = strlen(writers[i].suffix);
        if (length > suffix && strcmp(file_name + length - suffix, writers[i].suffix) == 0)
            return writers[i].write;
    }
    return NULL;
}
