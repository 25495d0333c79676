/* SPDX-License-Identifier: MIT */
/* Property: the contract of struct pwise_buffer, its errnos and limits included. */
#include <errno.h>
#include <string.h>

#include "../pool/check.h"
#include "poolwise/buffer.h"

static void check_text(const struct pwise_buffer *buffer, const char *text)
{
    CHECK_INT(buffer->length, ==, strlen(text));
    CHECK_INT(strcmp(buffer->data, text), ==, 0);
    CHECK_INT(buffer->length, <, buffer->capacity);
}

static void appends(void)
{
    struct pwise_buffer buffer = PWISE_BUFFER_INIT;
    char expected[5000];
    CHECK_INT(pwise_buffer_append(&buffer, NULL, 0), ==, 0);
    check_text(&buffer, "");
    for (size_t i = 0; i < sizeof(expected) - 1; i++) {
        expected[i] = (char)('a' + i % 26);
        expected[i + 1] = '\0';
        CHECK_INT(pwise_buffer_append(&buffer, &expected[i], 1), ==, 0);
        CHECK_INT(buffer.length, ==, i + 1);
        CHECK_INT(buffer.data[i + 1], ==, '\0');
    }
    check_text(&buffer, expected);
    pwise_buffer_reset(&buffer);
    check_text(&buffer, "");
    CHECK_INT(buffer.capacity, >=, sizeof(expected));
    CHECK_INT(pwise_buffer_append(&buffer, "a\0b", 3), ==, 0);
    CHECK_INT(buffer.length, ==, 3);
    CHECK_INT(memcmp(buffer.data, "a\0b", 4), ==, 0);
    pwise_buffer_done(&buffer);
    CHECK_PTR(buffer.data, ==, NULL);
    CHECK_INT(buffer.capacity + buffer.length, ==, 0);
}

/* What is appended may be the buffer's own, growing or not. */
static void appends_itself(void)
{
    struct pwise_buffer buffer = PWISE_BUFFER_INIT;
    CHECK_INT(pwise_buffer_append(&buffer, "abc", 3), ==, 0);
    for (int i = 0; i < 12; i++)
        CHECK_INT(pwise_buffer_append(&buffer, buffer.data, buffer.length), ==, 0);
    CHECK_INT(buffer.length, ==, 3 << 12);
    for (size_t i = 0; i < buffer.length; i++)
        CHECK_INT(buffer.data[i], ==, "abc"[i % 3]);
    pwise_buffer_done(&buffer);
}

static void reserves(void)
{
    for (size_t count = 0; count < 10000; count += 7) {
        struct pwise_buffer buffer;
        pwise_buffer_init(&buffer);
        CHECK_INT(pwise_buffer_reserve(&buffer, count), ==, 0);
        CHECK_INT(buffer.capacity, >, count);
        CHECK_INT(buffer.capacity, <=, (count + 1) * 5 / 4 + 16);
        CHECK_INT(buffer.length, ==, 0);
        CHECK_INT(buffer.data[0], ==, '\0');
        char *data = buffer.data;
        for (size_t i = 0; i < count; i++)
            CHECK_INT(pwise_buffer_append(&buffer, "x", 1), ==, 0);
        CHECK_PTR(buffer.data, ==, data);
        CHECK_INT(pwise_buffer_reserve(&buffer, 0), ==, 0);
        CHECK_PTR(buffer.data, ==, data);
        pwise_buffer_done(&buffer);
    }
}

static void overflows(void)
{
    struct pwise_buffer buffer = PWISE_BUFFER_INIT;
    CHECK_INT(pwise_buffer_reserve(&buffer, SIZE_MAX), ==, -EOVERFLOW);
    CHECK_INT(pwise_buffer_reserve(&buffer, PTRDIFF_MAX), ==, -EOVERFLOW);
    CHECK_INT(pwise_buffer_append(&buffer, "", SIZE_MAX), ==, -EOVERFLOW);
    CHECK_PTR(buffer.data, ==, NULL);
    CHECK_INT(pwise_buffer_append(&buffer, "abc", 3), ==, 0);
    CHECK_INT(pwise_buffer_reserve(&buffer, SIZE_MAX - 3), ==, -EOVERFLOW);
    CHECK_INT(pwise_buffer_reserve(&buffer, PTRDIFF_MAX - 3), ==, -EOVERFLOW);
    CHECK_INT(pwise_buffer_append(&buffer, "abc", SIZE_MAX - 1), ==, -EOVERFLOW);
    check_text(&buffer, "abc");
    pwise_buffer_done(&buffer);
}

static void detaches(void)
{
    struct pwise_buffer buffer = PWISE_BUFFER_INIT;
    size_t length = 9;
    CHECK_PTR(pwise_buffer_detach(&buffer, &length), ==, NULL);
    CHECK_INT(length, ==, 0);
    CHECK_INT(pwise_buffer_printf(&buffer, "%s", "kept"), ==, 0);
    char *text = pwise_buffer_detach(&buffer, &length);
    CHECK_INT(length, ==, 4);
    CHECK_INT(strcmp(text, "kept"), ==, 0);
    CHECK_PTR(buffer.data, ==, NULL);
    CHECK_INT(buffer.capacity + buffer.length, ==, 0);
    CHECK_INT(pwise_buffer_append(&buffer, "next", 4), ==, 0);
    check_text(&buffer, "next");
    free(text);
    free(pwise_buffer_detach(&buffer, NULL));
}

int main(void)
{
    check_on_one_cpu();
    appends();
    appends_itself();
    reserves();
    overflows();
    detaches();
    return 0;
}
