/* SPDX-License-Identifier: MIT */
/* Property: pwise_buffer_printf appends what libc would print, whatever the format and the room. */
#include <errno.h>
#include <limits.h>
#include <locale.h>
#include <string.h>
#include <wchar.h>

#include "../pool/check.h"
#include "poolwise/buffer.h"

static char expected[70000];

/* Compares at every amount of room around the length, so that each conversion is cut once. */
#define COMPARE(...)                                                                               \
    do {                                                                                           \
        int length_ = snprintf(expected, sizeof(expected), __VA_ARGS__);                           \
        CHECK_INT(length_, >=, 0);                                                                 \
        for (int room_ = 0; room_ < length_ + 3; room_ += 1 + length_ / 64) {                      \
            struct pwise_buffer buffer_ = PWISE_BUFFER_INIT;                                       \
            if (room_) {                                                                           \
                buffer_.data = malloc((size_t)room_ + 1);                                          \
                buffer_.data[0] = '>';                                                             \
                buffer_.capacity = (size_t)room_ + 1;                                              \
                buffer_.length = 1;                                                                \
            }                                                                                      \
            size_t before_ = buffer_.length;                                                       \
            CHECK_INT(pwise_buffer_printf(&buffer_, __VA_ARGS__), ==, 0);                          \
            CHECK_INT(buffer_.length - before_, ==, length_);                                      \
            if (memcmp(buffer_.data + before_, expected, (size_t)length_ + 1) != 0) {              \
                fprintf(stderr, "%s:%d: \"%s\", expected \"%s\"\n", __FILE__, __LINE__,            \
                        buffer_.data + before_, expected);                                         \
                abort();                                                                           \
            }                                                                                      \
            pwise_buffer_done(&buffer_);                                                           \
        }                                                                                          \
    } while (0)

#pragma GCC diagnostic ignored "-Wformat-zero-length"
#pragma GCC diagnostic ignored "-Wformat-truncation"
#pragma GCC diagnostic ignored "-Wformat" /* positional arguments are POSIX, not ISO C */

static void plain_conversions(void)
{
    static const int64_t values[] = {0,       1,       -1,       9,         10,           99,
                                     100,     101,     -100,     999,       1000,         65535,
                                     INT_MAX, INT_MIN, UINT_MAX, INT64_MAX, INT64_MIN,    127,
                                     128,     255,     -32768,   32768,     1234567890123};
    COMPARE("%s", "");
    COMPARE("no conversion");
    COMPARE("%%");
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        int64_t v = values[i];
        COMPARE("row=%d val=%i %u %x\n", (int)v, (int)v, (unsigned)v, (unsigned)v);
        COMPARE("%ld %li %lu %lx", (long)v, (long)v, (unsigned long)v, (unsigned long)v);
        COMPARE("%lld|%llu|%llx", (long long)v, (unsigned long long)v, (unsigned long long)v);
        COMPARE("%zu %zd %zx", (size_t)v, (ssize_t)v, (size_t)v);
        COMPARE("%hd %hu %hx %hhd %hhu %hhx", (short)v, (unsigned short)v, (unsigned short)v,
                (signed char)v, (unsigned char)v, (unsigned char)v);
    }
    COMPARE("%c%c%c", 'a', 0, 'b');
    COMPARE("%s and %s%%", "one", "another");
    COMPARE("%.3s %.0s %.9s %.*s %.*s %.s", "abcdef", "abcdef", "abcdef", 2, "abcdef", -1, "abcdef",
            "abcdef");
    char unterminated[4] = {'w', 'x', 'y', 'z'};
    COMPARE("%.4s %.*s", unterminated, 4, unterminated);
}

/* What libc alone can do, mixed with what both can. */
static void other_conversions(void)
{
    COMPARE("%d %5d %-5d| %05d %+d % d", 1, 2, 3, 4, 5, 6);
    COMPARE("%s %f %.3f %g %e", "float", 1.5, 2.25, 1e100, 0.1);
    COMPARE("%10s|%-10s|%5.2s", "right", "left", "cut");
    COMPARE("%X %#x %o %.3d %p", 255u, 255u, 8u, 7, (void *)expected);
    COMPARE("%2$s %1$d", 3, "positional");
    COMPARE("%jd %td %Lf", (intmax_t)-5, (ptrdiff_t)6, 1.0L);
    COMPARE("%d %ls %lc", 1, L"wide", (wint_t)L'w');
    const char *volatile nothing = NULL;
    COMPARE("[%s]", nothing);
}

static void long_results(void)
{
    static char text[40001];
    memset(text, 'x', sizeof(text) - 1);
    COMPARE("%s", text);
    COMPARE("%s%10d", text, 5);
}

/* A conversion that fails leaves the buffer as it was, and errno alone. */
static void failures(void)
{
    struct pwise_buffer buffer = PWISE_BUFFER_INIT;
    setlocale(LC_ALL, "C");
    CHECK_INT(pwise_buffer_printf(&buffer, "%d", 12), ==, 0);
    errno = 7;
    CHECK_INT(pwise_buffer_printf(&buffer, "abc %ls", L"\x7ffff000"), ==, -EILSEQ);
    CHECK_INT(errno, ==, 7);
    CHECK_INT(buffer.length, ==, 2);
    CHECK_INT(strcmp(buffer.data, "12"), ==, 0);
    pwise_buffer_done(&buffer);
}

int main(void)
{
    check_on_one_cpu();
    plain_conversions();
    other_conversions();
    long_results();
    failures();
    return 0;
}
