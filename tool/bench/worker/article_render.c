/* SPDX-License-Identifier: MIT */
/*
 * 200 lines of text into a buffer whose final length nobody knows beforehand; the result is copied
 * to where answers go. All variants but the last format by libc's vsnprintf, so that what differs
 * is the memory; the last one is what a user of <poolwise/buffer.h> would write.
 */
#include "article.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "poolwise/buffer.h"

#define LINES        200
#define FRESH_BYTES  64   /* what a buffer begins with */
#define PAGE_BYTES   4096 /* holds every page: 3,6xx bytes */
#define ANSWER_BYTES 8192

struct text {
    char *data;
    size_t length, capacity;
};

static char answers[WORKER_THREADS_MAX][ANSWER_BYTES];
static void (*render)(char *answer);

static __attribute__((noinline)) void text_grow(struct text *text, size_t needed)
{
    size_t capacity = text->capacity ? text->capacity : FRESH_BYTES;
    while (capacity < needed)
        capacity *= 2;
    text->data = realloc(text->data, capacity);
    if (!text->data)
        abort();
    text->capacity = capacity;
}

static __attribute__((format(printf, 2, 3))) void text_printf(struct text *text, const char *format,
                                                              ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length =
        vsnprintf(text->data + text->length, text->capacity - text->length, format, arguments);
    va_end(arguments);
    if (text->length + (size_t)length >= text->capacity) {
        text_grow(text, text->length + (size_t)length + 1);
        va_start(arguments, format);
        vsnprintf(text->data + text->length, text->capacity - text->length, format, arguments);
        va_end(arguments);
    }
    text->length += (size_t)length;
}

static void lines_write(struct text *text)
{
    for (int i = 0; i < LINES; i++)
        text_printf(text, "row=%d val=%d\n", i, i * 7);
}

static __attribute__((noinline)) void render_fresh(char *answer)
{
    struct text text = {NULL, 0, 0};
    text_grow(&text, 1);
    lines_write(&text);
    memcpy(answer, text.data, text.length);
    free(text.data);
}

static __attribute__((noinline)) void render_presized(char *answer)
{
    struct text text = {NULL, 0, 0};
    text_grow(&text, PAGE_BYTES);
    lines_write(&text);
    memcpy(answer, text.data, text.length);
    free(text.data);
}

static __attribute__((noinline)) void render_memstream(char *answer)
{
    char *data = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&data, &length);
    if (!stream)
        abort();
    for (int i = 0; i < LINES; i++)
        fprintf(stream, "row=%d val=%d\n", i, i * 7);
    if (fclose(stream))
        abort();
    memcpy(answer, data, length);
    free(data);
}

static pwise_buffer_pool *pages;

static __attribute__((noinline)) void render_pooled(char *answer)
{
    struct pwise_buffer *page = pwise_buffer_pool_get(pages);
    if (!page)
        abort();
    struct text text = {page->data, 0, page->capacity};
    lines_write(&text);
    memcpy(answer, text.data, text.length);
    page->data = text.data;
    page->length = text.length;
    page->capacity = text.capacity;
    pwise_buffer_pool_put(pages, page);
}

static __attribute__((noinline)) void render_pooled_printf(char *answer)
{
    struct pwise_buffer *page = pwise_buffer_pool_get(pages);
    if (!page)
        abort();
    for (int i = 0; i < LINES; i++)
        if (pwise_buffer_printf(page, "row=%d val=%d\n", i, i * 7))
            abort();
    memcpy(answer, page->data, page->length);
    pwise_buffer_pool_put(pages, page);
}

int render_setup(struct worker *worker)
{
    static const struct {
        const char *name;
        void (*run)(char *answer);
    } variants[] = {
        {"fresh", render_fresh},
        {"presized", render_presized},
        {"memstream", render_memstream},
        {"pooled", render_pooled},
        {"pooled-printf", render_pooled_printf},
    };
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++)
        if (variant_is(worker, variants[i].name))
            render = variants[i].run;
    if (render == render_pooled || render == render_pooled_printf) {
        pages = pwise_buffer_pool_create(&(struct pwise_buffer_pool_options){.name = "pages"});
        if (!pages)
            return -errno;
        for (int i = 0; i < 64; i++)
            render(answers[0]); /* the pool has learned its size */
    }
    return 0;
}

void render_loop(struct worker *worker, int thread, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        render(answers[thread]);
}
