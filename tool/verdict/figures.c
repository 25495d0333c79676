/* SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "figures.h"

static struct figure unknown(void)
{
    return (struct figure){FIGURE_UNKNOWN};
}

struct figure figure_count(uint64_t count)
{
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%" PRIu64, count);
    struct figure figure = {""};
    size_t out = 0;
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            figure.text[out++] = ',';
        figure.text[out++] = digits[i];
    }
    return figure;
}

/* Three significant digits at most, in the largest unit that keeps the number at least 1. A value
 * that rounding would carry to four digits moves on to the next unit. */
static struct figure scaled(double value, double step, const char *const *units, size_t unit_count)
{
    struct figure figure;
    size_t unit = 0;
    while (unit + 1 < unit_count && fabs(value) >= step * 0.9995) {
        value /= step;
        unit++;
    }
    int decimals = fabs(value) < 9.995 ? 2 : fabs(value) < 99.95 ? 1 : 0;
    snprintf(figure.text, sizeof figure.text, "%.*f%s%s", decimals, value, *units[unit] ? " " : "",
             units[unit]);
    return figure;
}

struct figure figure_compact(double count)
{
    static const char *const units[] = {"", "k", "M", "G", "T"};
    struct figure figure;
    if (!isfinite(count))
        return unknown();
    if (fabs(count) < 1000) {
        snprintf(figure.text, sizeof figure.text, "%.0f", count);
        return figure;
    }
    return scaled(count, 1000, units, sizeof units / sizeof *units);
}

struct figure figure_bytes(uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    struct figure figure;
    double value = (double)bytes;
    size_t unit = 0;
    while (unit + 1 < sizeof units / sizeof *units && value >= 1024) {
        value /= 1024;
        unit++;
    }
    bool whole = value == floor(value) || value >= 99.95;
    snprintf(figure.text, sizeof figure.text, "%.*f %s", whole ? 0 : 1, value, units[unit]);
    return figure;
}

struct figure figure_ns(double ns)
{
    static const char *const units[] = {"ns", "µs", "ms", "s"};
    struct figure figure;
    if (!isfinite(ns))
        return unknown();
    if (fabs(ns) < 99.95) {
        snprintf(figure.text, sizeof figure.text, "%.*f ns", ns == floor(ns) ? 0 : 1, ns);
        return figure;
    }
    return scaled(ns, 1000, units, sizeof units / sizeof *units);
}

struct figure figure_share(double share)
{
    struct figure figure;
    if (!isfinite(share))
        return unknown();
    double percent = share * 100;
    double size = fabs(percent);
    if (size > 0 && size < 0.01)
        snprintf(figure.text, sizeof figure.text, "%s<0.01 %%", percent < 0 ? "-" : "");
    else
        snprintf(figure.text, sizeof figure.text, "%.*f %%",
                 size == 0 || size == 100 || size >= 999.5     ? 0
                 : size < 0.995 || (size > 99.9 && size < 100) ? 2
                                                               : 1,
                 percent);
    /* "100.00 %" for a share that is not all would be a false statement. */
    if (size < 100 && strncmp(figure.text, "100", 3) == 0)
        strcpy(figure.text, ">99.99 %");
    return figure;
}

struct figure figure_ratio(double ratio)
{
    struct figure figure;
    if (!isfinite(ratio))
        return unknown();
    snprintf(figure.text, sizeof figure.text, "%.*fx", ratio < 9.95 ? 1 : 0, ratio);
    return figure;
}

size_t figure_word(const char *text)
{
    static const char *const units[] = {"%",  "B",  "KiB", "MiB", "GiB", "ns",
                                        "µs", "ms", "s",   "k",   "M",   "G"};
    size_t length = strcspn(text, " \n");
    if (length == 0 || text[length] != ' ' || !isdigit((unsigned char)text[length - 1]))
        return length;
    const char *unit = text + length + 1;
    size_t size = strcspn(unit, " \n,;:.()]");
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strlen(units[i]) == size && memcmp(unit, units[i], size) == 0)
            return length + 1 + strcspn(unit, " \n");
    return length;
}
