/* SPDX-License-Identifier: MIT */
/*
 * Buffers: what their inline functions leave to the library.
 */
#include "poolwise/buffer.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>

#include "classes.h"
#include "format.h"

#define GROWN_LEAST_BYTES 64u
#define CAPACITY_MOST     ((size_t)PTRDIFF_MAX)

/* length + count + 1 bytes are needed; *ret_bytes is that. */
static int needed_bytes(const struct pwise_buffer *buffer, size_t count, size_t *ret_bytes)
{
    if (count >= CAPACITY_MOST - buffer->length)
        return -EOVERFLOW;
    *ret_bytes = buffer->length + count + 1;
    return 0;
}

/* Moves the buffer into a block of `capacity` bytes, which is more than it has. */
static int move(struct pwise_buffer *buffer, size_t capacity)
{
    int saved_errno = errno;
    char *data = realloc(buffer->data, capacity);
    if (!data) {
        errno = saved_errno;
        return -ENOMEM;
    }
    data[buffer->length] = '\0';
    buffer->data = data;
    buffer->capacity = capacity;
    return 0;
}

int pwise_buffer_reserve(struct pwise_buffer *buffer, size_t count)
{
    size_t bytes;
    int error = needed_bytes(buffer, count, &bytes);
    if (error || bytes <= buffer->capacity)
        return error;
    return move(buffer, bytes <= CLASS_BYTES_MOST ? class_round(bytes) : bytes);
}

/* As reserve, but to a power of two: repeated, it moves each byte about once. */
static int grow(struct pwise_buffer *buffer, size_t count)
{
    size_t bytes;
    int error = needed_bytes(buffer, count, &bytes);
    if (error || bytes <= buffer->capacity)
        return error;
    size_t capacity = GROWN_LEAST_BYTES;
    while (capacity < bytes && capacity <= CAPACITY_MOST / 2)
        capacity *= 2;
    return move(buffer, capacity < bytes ? bytes : capacity);
}

int pwise_buffer_append_slow_(struct pwise_buffer *buffer, const void *bytes, size_t count)
{
    /* The bytes may be the buffer's own, and move with it. */
    uintptr_t offset = (uintptr_t)bytes - (uintptr_t)buffer->data;
    bool own = buffer->data && offset < buffer->capacity;
    int error = grow(buffer, count);
    if (error)
        return error;
    if (count != 0)
        memmove(buffer->data + buffer->length, own ? buffer->data + offset : bytes, count);
    buffer->length += count;
    buffer->data[buffer->length] = '\0';
    return 0;
}

/* Formats into the room there is. The length of the whole, or -errno. */
static ssize_t format_into_room(struct pwise_buffer *buffer, const char *format, va_list arguments)
{
    size_t room = buffer->capacity - buffer->length;
    char *at = room ? buffer->data + buffer->length : NULL;
    ssize_t length = format_plain(at, room, format, arguments);
    if (length != FORMAT_OTHER)
        return length;
    int saved_errno = errno;
    va_list again;
    va_copy(again, arguments);
    length = vsnprintf(at, room, format, again);
    va_end(again);
    if (length < 0)
        length = errno ? -errno : -EINVAL;
    errno = saved_errno;
    return length;
}

int pwise_buffer_vprintf(struct pwise_buffer *buffer, const char *format, va_list arguments)
{
    ssize_t length = format_into_room(buffer, format, arguments);
    int error = length < 0 ? (int)length : 0;
    if (!error && (size_t)length >= buffer->capacity - buffer->length) {
        error = grow(buffer, (size_t)length);
        if (!error)
            length = format_into_room(buffer, format, arguments);
        if (!error && length < 0)
            error = (int)length;
    }
    if (!error)
        buffer->length += (size_t)length;
    if (buffer->data)
        buffer->data[buffer->length] = '\0';
    return error;
}

int pwise_buffer_printf(struct pwise_buffer *buffer, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int error = pwise_buffer_vprintf(buffer, format, arguments);
    va_end(arguments);
    return error;
}
