/* SPDX-License-Identifier: MIT */
/* A page of text, built line by line in a buffer that grows as it must. */
#include <stdlib.h>
#include <string.h>

#include "sample.h"

#define LINES 200

struct buffer {
    char *data;
    size_t length, capacity;
};

static int buffer_append(struct buffer *buffer, const char *text, size_t length)
{
    if (buffer->length + length > buffer->capacity) {
        size_t capacity = buffer->capacity ? buffer->capacity : 16;
        while (capacity < buffer->length + length)
            capacity *= 2;
        char *data = realloc(buffer->data, capacity);
        if (!data)
            return -1;
        buffer->data = data;
        buffer->capacity = capacity;
    }
    memcpy(buffer->data + buffer->length, text, length);
    buffer->length += length;
    return 0;
}

/* Writes `value` in decimal; returns its length. */
static size_t write_decimal(char *text, unsigned value)
{
    char digits[12];
    size_t length = 0;
    do
        digits[length++] = (char)('0' + value % 10);
    while (value /= 10);
    for (size_t i = 0; i < length; i++)
        text[i] = digits[length - 1 - i];
    return length;
}

static size_t write_line(char *line, unsigned row, unsigned value)
{
    size_t length = 0;
    memcpy(line, "row=", 4);
    length += 4;
    length += write_decimal(line + length, row);
    memcpy(line + length, " val=", 5);
    length += 5;
    length += write_decimal(line + length, value);
    line[length++] = '\n';
    return length;
}

int render_page(uint64_t id, struct totals *totals)
{
    struct buffer page = {NULL, 0, 0};
    for (unsigned row = 0; row < LINES; row++) {
        char line[48];
        size_t length = write_line(line, row, (unsigned)((id + row * 7) % 1000));
        if (buffer_append(&page, line, length) < 0) {
            free(page.data);
            return -1;
        }
    }
    /* Answers go out by their first and last lines here: there is no socket to write to. */
    totals->checksum += hash_bytes(page.data, 32) + hash_bytes(page.data + page.length - 32, 32);
    free(page.data);
    return 0;
}
