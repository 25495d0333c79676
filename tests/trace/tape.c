/* SPDX-License-Identifier: MIT */
#include "tape.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *list_add(struct tape_list *list, const void *items, size_t count, size_t item_size)
{
    if (list->count + count > list->capacity) {
        list->capacity = (list->count + count) * 2 + 64;
        list->items = realloc(list->items, list->capacity * item_size);
        if (!list->items)
            abort();
    }
    void *at = (char *)list->items + list->count * item_size;
    memcpy(at, items, count * item_size);
    list->count += count;
    return at;
}

__attribute__((format(printf, 2, 3))) static void broken(struct tape *tape, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (!tape->broken++)
        vsnprintf(tape->message, sizeof tape->message, format, arguments);
    va_end(arguments);
}

#define RULE(tape, holds, got, want)                                                               \
    do {                                                                                           \
        if (!(holds))                                                                              \
            broken(tape, "%s:%d: %s: %" PRIu64 " against %" PRIu64, __FILE__, __LINE__, #holds,    \
                   (uint64_t)(got), (uint64_t)(want));                                             \
    } while (0)

static char *copy(const char *text)
{
    char *made = strdup(text);
    if (!made)
        abort();
    return made;
}

static int on_process(void *context, const struct trace_process *process)
{
    struct tape *tape = context;
    RULE(tape, process->id == tape->processes.count, process->id, tape->processes.count);
    RULE(tape, process->parent <= process->id, process->parent, process->id);
    RULE(tape, process->program != NULL, 0, 1);
    RULE(tape, !tape->end_count, tape->end_count, 0);
    struct trace_process *kept = list_add(&tape->processes, process, 1, sizeof *process);
    kept->program = copy(process->program);
    return 0;
}

static int on_module(void *context, const struct trace_module *module)
{
    struct tape *tape = context;
    RULE(tape, module->id == tape->modules.count, module->id, tape->modules.count);
    RULE(tape, module->process < tape->processes.count, module->process, tape->processes.count);
    RULE(tape, module->build_id_size <= TRACE_BUILD_ID_MAX, module->build_id_size,
         TRACE_BUILD_ID_MAX);
    RULE(tape, !tape->end_count, tape->end_count, 0);
    struct trace_module *kept = list_add(&tape->modules, module, 1, sizeof *module);
    kept->path = copy(module->path);
    return 0;
}

static int on_thread(void *context, const struct trace_thread *thread)
{
    struct tape *tape = context;
    RULE(tape, thread->id == tape->threads.count, thread->id, tape->threads.count);
    RULE(tape, thread->process < tape->processes.count, thread->process, tape->processes.count);
    RULE(tape, !tape->end_count, tape->end_count, 0);
    list_add(&tape->threads, thread, 1, sizeof *thread);
    list_add(&tape->thread_times, &(uint64_t){0}, 1, sizeof(uint64_t));
    return 0;
}

static int on_nodes(void *context, const struct trace_node *nodes, size_t count)
{
    struct tape *tape = context;
    RULE(tape, count > 0, count, 1);
    RULE(tape, !tape->end_count, tape->end_count, 0);
    for (size_t i = 0; i < count; i++) {
        const struct trace_node *node = &nodes[i];
        RULE(tape, node->id == tape->nodes.count + 1, node->id, tape->nodes.count + 1);
        RULE(tape, node->parent < node->id, node->parent, node->id);
        RULE(tape, node->thread < tape->threads.count, node->thread, tape->threads.count);
        RULE(tape, node->module == TRACE_NO_MODULE || node->module < tape->modules.count,
             node->module, tape->modules.count);
        const struct trace_node *known = tape->nodes.items;
        if (node->parent && node->parent <= tape->nodes.count)
            RULE(tape, known[node->parent - 1].thread == node->thread,
                 known[node->parent - 1].thread, node->thread);
        list_add(&tape->nodes, node, 1, sizeof *node);
    }
    return 0;
}

static void event_check(struct tape *tape, const struct trace_event *event)
{
    RULE(tape, event->kind <= TRACE_REALLOC, event->kind, TRACE_REALLOC);
    RULE(tape, event->call < TRACE_CALL_COUNT, event->call, TRACE_CALL_COUNT);
    RULE(tape, event->stack <= tape->nodes.count, event->stack, tape->nodes.count);
    RULE(tape, event->thread < tape->threads.count, event->thread, tape->threads.count);
    if (event->thread < tape->threads.count) {
        uint64_t *time_ns = (uint64_t *)tape->thread_times.items + event->thread;
        RULE(tape, event->time_ns >= *time_ns, event->time_ns, *time_ns);
        *time_ns = event->time_ns;
    }
    if (event->kind == TRACE_FREE)
        RULE(tape, event->size == 0, event->size, 0);
    if (event->block == TRACE_NO_BLOCK) {
        RULE(tape, event->kind == TRACE_FREE, event->kind, TRACE_FREE);
        return;
    }
    uint8_t *live = (uint8_t *)tape->live.items + event->block;
    if (event->kind != TRACE_ALLOC) {
        RULE(tape, event->block < tape->live.count && *live, event->block, tape->live.count);
        if (event->kind == TRACE_FREE && event->block < tape->live.count)
            *live = 0;
    } else if (event->block == tape->live.count) {
        list_add(&tape->live, &(uint8_t){1}, 1, 1);
    } else {
        RULE(tape, event->block < tape->live.count && !*live, event->block, tape->live.count);
        if (event->block < tape->live.count)
            *live = 1;
    }
}

static int on_events(void *context, const struct trace_event *events, size_t count)
{
    struct tape *tape = context;
    RULE(tape, count > 0, count, 1);
    RULE(tape, !tape->end_count, tape->end_count, 0);
    for (size_t i = 0; i < count; i++)
        event_check(tape, &events[i]);
    if (tape->keep)
        list_add(&tape->events, events, count, sizeof *events);
    tape->event_count += count;
    return 0;
}

static int on_end(void *context, const struct trace_end *end)
{
    struct tape *tape = context;
    RULE(tape, !tape->end_count, tape->end_count, 0);
    tape->end_count++;
    tape->end = *end;
    return 0;
}

void tape_init(struct tape *tape, bool keep)
{
    *tape = (struct tape){.keep = keep};
    tape->sink =
        (struct trace_sink){tape, on_process, on_module, on_thread, on_nodes, on_events, on_end};
}

void tape_done(struct tape *tape)
{
    const struct trace_process *processes = tape->processes.items;
    for (size_t i = 0; i < tape->processes.count; i++)
        free((char *)processes[i].program);
    const struct trace_module *modules = tape->modules.items;
    for (size_t i = 0; i < tape->modules.count; i++)
        free((char *)modules[i].path);
    free(tape->processes.items);
    free(tape->modules.items);
    free(tape->threads.items);
    free(tape->nodes.items);
    free(tape->events.items);
    free(tape->thread_times.items);
    free(tape->live.items);
}

#define SAME(member)                                                                               \
    do {                                                                                           \
        if ((uint64_t)a->member != (uint64_t)b->member) {                                          \
            printf("%s:%d: number %zu: %s was %" PRIu64 ", read as %" PRIu64 "\n", __FILE__,       \
                   __LINE__, i, #member, (uint64_t)a->member, (uint64_t)b->member);                \
            return false;                                                                          \
        }                                                                                          \
    } while (0)

#define SAME_TEXT(left, right)                                                                     \
    do {                                                                                           \
        if (strcmp(left, right)) {                                                                 \
            printf("%s:%d: number %zu: was \"%.80s\", read as \"%.80s\"\n", __FILE__, __LINE__, i, \
                   left, right);                                                                   \
            return false;                                                                          \
        }                                                                                          \
    } while (0)

static size_t common(const struct tape_list *left, const struct tape_list *right)
{
    return left->count < right->count ? left->count : right->count;
}

static bool same_definitions(const struct tape *written, const struct tape *read)
{
    for (size_t i = 0; i < common(&written->processes, &read->processes); i++) {
        const struct trace_process *a = (struct trace_process *)written->processes.items + i;
        const struct trace_process *b = (struct trace_process *)read->processes.items + i;
        SAME(id);
        SAME(parent);
        SAME(pid);
        SAME_TEXT(a->program, b->program);
    }
    for (size_t i = 0; i < common(&written->modules, &read->modules); i++) {
        const struct trace_module *a = (struct trace_module *)written->modules.items + i;
        const struct trace_module *b = (struct trace_module *)read->modules.items + i;
        SAME(id);
        SAME(process);
        SAME(bias);
        SAME(start);
        SAME(end);
        SAME_TEXT(a->path, b->path);
        SAME(build_id_size);
        for (size_t byte = 0; byte < a->build_id_size; byte++)
            SAME(build_id[byte]);
    }
    for (size_t i = 0; i < common(&written->threads, &read->threads); i++) {
        const struct trace_thread *a = (struct trace_thread *)written->threads.items + i;
        const struct trace_thread *b = (struct trace_thread *)read->threads.items + i;
        SAME(id);
        SAME(process);
        SAME(tid);
        SAME(start_ns);
    }
    for (size_t i = 0; i < common(&written->nodes, &read->nodes); i++) {
        const struct trace_node *a = (struct trace_node *)written->nodes.items + i;
        const struct trace_node *b = (struct trace_node *)read->nodes.items + i;
        SAME(id);
        SAME(parent);
        SAME(thread);
        SAME(module);
        SAME(flags);
        SAME(slot);
        SAME(address);
    }
    return true;
}

bool tape_same(const struct tape *written, const struct tape *read, size_t event_count)
{
    if (!same_definitions(written, read))
        return false;
    if (event_count > common(&written->events, &read->events)) {
        printf("%s:%d: %zu events were written, %zu read, want %zu of both\n", __FILE__, __LINE__,
               written->events.count, read->events.count, event_count);
        return false;
    }
    for (size_t i = 0; i < event_count; i++) {
        const struct trace_event *a = (struct trace_event *)written->events.items + i;
        const struct trace_event *b = (struct trace_event *)read->events.items + i;
        SAME(time_ns >> 4 << 4);
        SAME(kind);
        SAME(call);
        SAME(thread);
        SAME(stack);
        SAME(block);
        SAME(size);
        SAME(address);
    }
    return true;
}
