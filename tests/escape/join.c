/* SPDX-License-Identifier: MIT */
/* For join.py: what the recording sees of each function, beside what the source says. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct buffer {
    char *data;
    size_t length, capacity;
};

struct message {
    int number;
    char text[28];
};

static struct message *last;
static unsigned total;

static void look(const struct message *message)
{
    total += (unsigned)message->number + (unsigned char)message->text[3];
}
static void remember(struct message *message)
{
    if (message->number < 0)
        last = message;
}
static void pass_on(struct message *message)
{
    look(message);
    remember(message);
}

static void stack_proven(int n)
{
    struct message *message = malloc(sizeof *message);
    message->number = n;
    memset(message->text, n, sizeof message->text);
    look(message);
    free(message);
}

/* Never seen to keep a message, but it could. */
static void stack_open(int n)
{
    struct message *message = malloc(sizeof *message);
    message->number = n;
    memset(message->text, n, sizeof message->text);
    pass_on(message);
    free(message);
}

/* Too large for the stack. */
static void hoist_proven(int rows)
{
    for (int i = 0; i < rows; i++) {
        char *line = malloc(6000 + (size_t)i % 7);
        line[0] = (char)i;
        total += (unsigned char)line[0];
        free(line);
    }
}

static void presize_proven(int n)
{
    struct buffer buffer = {0};
    for (int i = 0; i < n; i++) {
        if (buffer.length == buffer.capacity) {
            buffer.capacity = buffer.capacity ? buffer.capacity * 2 : 16;
            buffer.data = realloc(buffer.data, buffer.capacity);
        }
        buffer.data[buffer.length++] = (char)i;
    }
    total += (unsigned char)buffer.data[n - 1];
    free(buffer.data);
}

static char *handed(size_t size)
{
    return calloc(size, 1);
}

static void outlives(int n)
{
    char *block = handed((size_t)n % 3 + 1);
    total += (unsigned char)block[0];
    free(block);
}

int main(void)
{
    for (int i = 0; i < 2000; i++) {
        stack_proven(i);
        stack_open(i);
        outlives(i);
        if (i % 4 == 0) {
            hoist_proven(20);
            presize_proven(3000);
        }
    }
    printf("%u %d\n", total, last != NULL);
    return 0;
}
