/* SPDX-License-Identifier: MIT */
#include <stdbool.h>
#include <string.h>

#include "figures.h"
#include "layout.h"

#define ELLIPSIS    "\xe2\x80\xa6"
#define REPLACEMENT "\xef\xbf\xbd"

static bool continues(char byte)
{
    return ((unsigned char)byte & 0xc0) == 0x80;
}

/* Overlong forms, surrogates and what lies beyond U+10FFFF are not valid: RFC 3629, section 4. */
size_t layout_character(const char *text)
{
    unsigned char a = (unsigned char)text[0];
    if (a == 0)
        return 0;
    if (a < 0x80)
        return 1;
    unsigned char b = (unsigned char)text[1];
    if (a >= 0xc2 && a <= 0xdf)
        return continues(text[1]) ? 2 : 0;
    if (a >= 0xe0 && a <= 0xef) {
        if (!continues(text[1]) || (a == 0xe0 && b < 0xa0) || (a == 0xed && b > 0x9f))
            return 0;
        return continues(text[2]) ? 3 : 0;
    }
    if (a >= 0xf0 && a <= 0xf4) {
        if (!continues(text[1]) || (a == 0xf0 && b < 0x90) || (a == 0xf4 && b > 0x8f))
            return 0;
        return continues(text[2]) && continues(text[3]) ? 4 : 0;
    }
    return 0;
}

static size_t step(const char *text)
{
    size_t bytes = layout_character(text);
    return bytes ? bytes : 1;
}

size_t layout_columns(const char *text)
{
    size_t columns = 0;
    for (; *text; text += step(text))
        columns++;
    return columns;
}

struct output {
    char *text;
    size_t used, size;
};

/* Appends whole characters only; false once one does not fit. */
static bool append(struct output *out, const char *bytes, size_t count)
{
    if (out->used + count + 1 > out->size)
        return false;
    memcpy(out->text + out->used, bytes, count);
    out->used += count;
    out->text[out->used] = '\0';
    return true;
}

static bool append_character(struct output *out, const char *text)
{
    size_t bytes = layout_character(text);
    if (bytes == 0)
        return append(out, REPLACEMENT, strlen(REPLACEMENT));
    if (bytes == 1 && ((unsigned char)*text < 0x20 || *text == 0x7f))
        return append(out, "?", 1);
    return append(out, text, bytes);
}

void layout_fit(const char *text, size_t columns, char *ret_text, size_t size)
{
    struct output out = {ret_text, 0, size};
    if (size == 0)
        return;
    ret_text[0] = '\0';
    size_t total = layout_columns(text);
    size_t head = total <= columns ? total : columns / 2;
    size_t tail = total <= columns ? 0 : columns ? columns - head - 1 : 0;

    size_t at = 0;
    for (; *text && at < head; text += step(text), at++)
        if (!append_character(&out, text))
            return;
    if (total <= columns || columns == 0)
        return;
    if (!append(&out, ELLIPSIS, strlen(ELLIPSIS)))
        return;
    for (; *text && at < total - tail; at++)
        text += step(text);
    for (; *text; text += step(text))
        if (!append_character(&out, text))
            return;
}

static void newline(FILE *stream, size_t indent)
{
    fprintf(stream, "\n%*s", (int)indent, "");
}

void layout_fill(FILE *stream, const char *text, size_t first, size_t indent, size_t width)
{
    size_t column = first;
    bool blank = true; /* nothing on this line yet */
    while (*text) {
        size_t bytes = figure_word(text);
        if (bytes) {
            char word[1024];
            char raw[1024];
            size_t kept = bytes < sizeof raw / 4 ? bytes : sizeof raw / 4 - 1;
            memcpy(raw, text, kept);
            raw[kept] = '\0';
            size_t room = width > indent + 1 ? width - indent : 1;
            layout_fit(raw, width ? room : sizeof raw, word, sizeof word);
            size_t columns = layout_columns(word);
            if (width && column > indent && column + !blank + columns > width) {
                newline(stream, indent);
                column = indent;
                blank = true;
            }
            fprintf(stream, "%s%s", blank ? "" : " ", word);
            column += columns + !blank;
            blank = false;
        }
        text += bytes;
        if (*text == '\n' && text[1]) {
            newline(stream, indent);
            column = indent;
            blank = true;
        }
        text += *text != '\0';
    }
    fputc('\n', stream);
}
