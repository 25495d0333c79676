/* SPDX-License-Identifier: MIT */
#include "format.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct output {
    char *at;
    size_t room;
    size_t length; /* of all, whether or not it fitted */
};

static inline void lay_in(struct output *output, const char *bytes, size_t count)
{
    if (output->length < output->room) {
        size_t left = output->room - output->length;
        memcpy(output->at + output->length, bytes, count < left ? count : left);
    }
    output->length += count;
}

static void lay_in_decimal(struct output *output, uint64_t value, bool negative)
{
    static const char pairs[] = "00010203040506070809101112131415161718192021222324"
                                "25262728293031323334353637383940414243444546474849"
                                "50515253545556575859606162636465666768697071727374"
                                "75767778798081828384858687888990919293949596979899";
    char digits[21];
    char *first = digits + sizeof(digits);
    for (; value >= 100; value /= 100)
        memcpy(first -= 2, pairs + value % 100 * 2, 2);
    if (value >= 10)
        memcpy(first -= 2, pairs + value * 2, 2);
    else
        *--first = (char)('0' + value);
    if (negative)
        *--first = '-';
    lay_in(output, first, (size_t)(digits + sizeof(digits) - first));
}

static void lay_in_hex(struct output *output, uint64_t value)
{
    char digits[16];
    char *first = digits + sizeof(digits);
    do
        *--first = "0123456789abcdef"[value & 15];
    while (value >>= 4);
    lay_in(output, first, (size_t)(digits + sizeof(digits) - first));
}

enum width { WIDTH_CHAR, WIDTH_SHORT, WIDTH_INT, WIDTH_LONG, WIDTH_LONG_LONG };
_Static_assert(sizeof(size_t) == sizeof(long), "z is taken as l");

static enum width parse_width(const char **format)
{
    const char *at = *format;
    enum width width = WIDTH_INT;
    if (*at == 'h') {
        width = *++at == 'h' ? WIDTH_CHAR : WIDTH_SHORT;
        at += width == WIDTH_CHAR;
    } else if (*at == 'l') {
        width = *++at == 'l' ? WIDTH_LONG_LONG : WIDTH_LONG;
        at += width == WIDTH_LONG_LONG;
    } else if (*at == 'z') {
        width = WIDTH_LONG;
        at++;
    }
    *format = at;
    return width;
}

struct arguments {
    va_list list; /* in a struct, so that functions can take its address on every ABI */
};

static int64_t next_signed(struct arguments *arguments, enum width width)
{
    switch (width) {
    case WIDTH_LONG:
        return va_arg(arguments->list, long);
    case WIDTH_LONG_LONG:
        return va_arg(arguments->list, long long);
    case WIDTH_CHAR:
        return (signed char)va_arg(arguments->list, int);
    case WIDTH_SHORT:
        return (short)va_arg(arguments->list, int);
    default:
        return va_arg(arguments->list, int);
    }
}

static uint64_t next_unsigned(struct arguments *arguments, enum width width)
{
    switch (width) {
    case WIDTH_LONG:
        return va_arg(arguments->list, unsigned long);
    case WIDTH_LONG_LONG:
        return va_arg(arguments->list, unsigned long long);
    case WIDTH_CHAR:
        return (unsigned char)va_arg(arguments->list, unsigned);
    case WIDTH_SHORT:
        return (unsigned short)va_arg(arguments->list, unsigned);
    default:
        return va_arg(arguments->list, unsigned);
    }
}

/* A precision at **format, which must be that of a string. -1: none; -2: not one of ours. */
static int parse_precision(const char **format, struct arguments *arguments)
{
    const char *at = *format;
    int precision = 0;
    if (*at != '.')
        return -1;
    if (*++at == '*') {
        at++;
        precision = va_arg(arguments->list, int);
    } else {
        for (; *at >= '0' && *at <= '9'; at++) {
            if (precision > INT_MAX / 10 - 1)
                return -2;
            precision = precision * 10 + (*at - '0');
        }
    }
    *format = at;
    if (*at != 's')
        return -2;
    return precision < 0 ? -1 : precision;
}

/* A string and its precision. False: libc's affair. */
static bool convert_string(struct output *output, const char *string, int precision)
{
    if (!string)
        return false;
    lay_in(output, string, precision < 0 ? strlen(string) : strnlen(string, (size_t)precision));
    return true;
}

/* One conversion, from behind its '%'. False: not one of ours. */
static bool convert(struct output *output, const char **format, struct arguments *arguments)
{
    int precision = parse_precision(format, arguments);
    enum width width = parse_width(format);
    char conversion = *(*format)++;
    if (precision == -2 ||
        (width != WIDTH_INT && (conversion == 's' || conversion == 'c' || conversion == '%')))
        return false;
    switch (conversion) {
    case 'd':
    case 'i': {
        int64_t value = next_signed(arguments, width);
        lay_in_decimal(output, value < 0 ? -(uint64_t)value : (uint64_t)value, value < 0);
        return true;
    }
    case 'u':
        lay_in_decimal(output, next_unsigned(arguments, width), false);
        return true;
    case 'x':
        lay_in_hex(output, next_unsigned(arguments, width));
        return true;
    case 'c': {
        char byte = (char)va_arg(arguments->list, int);
        lay_in(output, &byte, 1);
        return true;
    }
    case 's':
        return convert_string(output, va_arg(arguments->list, const char *), precision);
    case '%':
        lay_in(output, "%", 1);
        return true;
    default:
        return false;
    }
}

ssize_t format_plain(char *at, size_t room, const char *format, va_list list)
{
    struct output output = {at, room, 0};
    struct arguments arguments;
    bool plain = true;
    va_copy(arguments.list, list);
    while (*format && plain) {
        const char *percent = strchrnul(format, '%');
        if (percent != format)
            lay_in(&output, format, (size_t)(percent - format));
        format = percent;
        if (*format == '%') {
            format++;
            plain = convert(&output, &format, &arguments) && output.length <= INT_MAX;
        }
    }
    va_end(arguments.list);
    return plain && output.length <= INT_MAX ? (ssize_t)output.length : FORMAT_OTHER;
}
