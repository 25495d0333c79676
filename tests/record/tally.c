/* SPDX-License-Identifier: MIT */
#include "tally.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* A growing array of `size`-byte elements that are zero until written. */
struct array {
    char *items;
    size_t size, room;
};

static void *array_at(struct array *array, size_t index)
{
    if (index >= array->room) {
        size_t room = array->room ? array->room : 64;
        while (room <= index)
            room *= 2;
        char *items = realloc(array->items, room * array->size);
        if (items == NULL)
            abort();
        memset(items + array->room * array->size, 0, (room - array->room) * array->size);
        array->items = items;
        array->room = room;
    }
    return array->items + index * array->size;
}

/* Counts by three numbers; open addressing, never full. */
struct count {
    uint64_t a, b, c, count; /* count 0: free */
};

struct counts {
    struct count *slots;
    size_t room, used;
};

static struct count *counts_slot(struct count *slots, size_t room, uint64_t a, uint64_t b,
                                 uint64_t c)
{
    uint64_t hash = (a * 0x9e3779b97f4a7c15u + b) * 0xff51afd7ed558ccdu + c;
    hash ^= hash >> 29;
    for (size_t at = hash & (room - 1);; at = (at + 1) & (room - 1)) {
        struct count *slot = &slots[at];
        if (slot->count == 0 || (slot->a == a && slot->b == b && slot->c == c))
            return slot;
    }
}

static void counts_add(struct counts *counts, uint64_t a, uint64_t b, uint64_t c)
{
    if (counts->used * 2 >= counts->room) {
        size_t room = counts->room ? counts->room * 2 : 1024;
        struct count *slots = calloc(room, sizeof *slots);
        if (slots == NULL)
            abort();
        for (size_t i = 0; i < counts->room; i++) {
            const struct count *old = &counts->slots[i];
            if (old->count != 0)
                *counts_slot(slots, room, old->a, old->b, old->c) = *old;
        }
        free(counts->slots);
        counts->slots = slots;
        counts->room = room;
    }
    struct count *slot = counts_slot(counts->slots, counts->room, a, b, c);
    if (slot->count == 0) {
        *slot = (struct count){a, b, c, 0};
        counts->used++;
    }
    slot->count++;
}

struct module {
    char *path;
    uint64_t bias;
};

struct thread {
    uint64_t last_ns;
    bool known;
};

struct node {
    uint32_t parent, module;
    uint64_t address;
};

struct block {
    uint64_t address, size;
    uint32_t thread;
    bool live;
};

struct process {
    uint32_t parent;
    int32_t pid;
    char *program; /* NULL: not defined */
};

struct tally {
    struct trace_sink sink;
    struct array processes, modules, threads, nodes, blocks;
    uint32_t node_count;
    struct counts events;    /* kind, call, size */
    struct counts elsewhere; /* size */
    struct counts stacks;    /* size, node */
    uint64_t totals[3], unknown_frees;
    struct trace_end end;
    bool ended;
    char broken[256]; /* "": no rule was */
};

static void broken(struct tally *tally, const char *form, ...)
{
    if (tally->broken[0] != '\0')
        return;
    va_list arguments;
    va_start(arguments, form);
    vsnprintf(tally->broken, sizeof tally->broken, form, arguments);
    va_end(arguments);
}

static int on_process(void *context, const struct trace_process *process)
{
    struct tally *tally = context;
    struct process *mine = array_at(&tally->processes, process->id);
    if (mine->program != NULL)
        broken(tally, "process %u defined twice", process->id);
    *mine = (struct process){process->parent, process->pid, strdup(process->program)};
    return 0;
}

static int on_module(void *context, const struct trace_module *module)
{
    struct tally *tally = context;
    struct module *mine = array_at(&tally->modules, module->id);
    if (mine->path != NULL)
        broken(tally, "module %u defined twice", module->id);
    if (module->start >= module->end)
        broken(tally, "module %u is empty", module->id);
    *mine = (struct module){strdup(module->path), module->bias};
    return 0;
}

static int on_thread(void *context, const struct trace_thread *thread)
{
    struct tally *tally = context;
    struct thread *mine = array_at(&tally->threads, thread->id);
    if (mine->known)
        broken(tally, "thread %u defined twice", thread->id);
    const struct process *process = array_at(&tally->processes, thread->process);
    if (process->program == NULL)
        broken(tally, "thread %u of process %u, which is not defined", thread->id, thread->process);
    *mine = (struct thread){0, true};
    return 0;
}

static int on_nodes(void *context, const struct trace_node *nodes, size_t count)
{
    struct tally *tally = context;
    for (size_t i = 0; i < count; i++) {
        const struct trace_node *node = &nodes[i];
        if (node->id != tally->node_count + 1)
            broken(tally, "node %u comes after %u", node->id, tally->node_count);
        if (node->parent >= node->id)
            broken(tally, "node %u has parent %u", node->id, node->parent);
        if (node->module != TRACE_NO_MODULE) {
            const struct module *module = array_at(&tally->modules, node->module);
            if (module->path == NULL)
                broken(tally, "node %u in module %u, which is not defined", node->id, node->module);
        }
        *(struct node *)array_at(&tally->nodes, node->id) =
            (struct node){node->parent, node->module, node->address};
        tally->node_count = node->id;
    }
    return 0;
}

static void check_event(struct tally *tally, const struct trace_event *event)
{
    struct thread *thread = array_at(&tally->threads, event->thread);
    if (!thread->known)
        broken(tally, "event of thread %u, which is not defined", event->thread);
    if (event->time_ns < thread->last_ns)
        broken(tally, "thread %u: time goes back from %" PRIu64 " to %" PRIu64, event->thread,
               thread->last_ns, event->time_ns);
    thread->last_ns = event->time_ns;
    if (event->stack > tally->node_count)
        broken(tally, "event with stack %u of %u", event->stack, tally->node_count);
}

static void follow_block(struct tally *tally, const struct trace_event *event)
{
    if (event->block == TRACE_NO_BLOCK) {
        if (event->kind != TRACE_FREE)
            broken(tally, "an event of kind %u without a block", event->kind);
        tally->unknown_frees++;
        return;
    }
    struct block *block = array_at(&tally->blocks, event->block);
    if (event->kind == TRACE_ALLOC) {
        if (block->live)
            broken(tally, "block %u is made while it lives", event->block);
        *block = (struct block){event->address, event->size, event->thread, true};
        return;
    }
    if (!block->live)
        broken(tally, "block %u is used while it does not live", event->block);
    if (event->kind == TRACE_REALLOC) {
        block->address = event->address;
        block->size = event->size;
        return;
    }
    if (event->address != block->address)
        broken(tally, "block %u freed at %" PRIx64 ", lives at %" PRIx64, event->block,
               event->address, block->address);
    if (block->thread != event->thread)
        counts_add(&tally->elsewhere, block->size, 0, 0);
    block->live = false;
}

static int on_events(void *context, const struct trace_event *events, size_t count)
{
    struct tally *tally = context;
    for (size_t i = 0; i < count; i++) {
        const struct trace_event *event = &events[i];
        if (event->kind > TRACE_REALLOC || event->call >= TRACE_CALL_COUNT) {
            broken(tally, "event of kind %u, call %u", event->kind, event->call);
            continue;
        }
        check_event(tally, event);
        follow_block(tally, event);
        counts_add(&tally->events, event->kind, event->call, event->size);
        if (event->kind == TRACE_ALLOC)
            counts_add(&tally->stacks, event->size, event->stack, 0);
        tally->totals[event->kind]++;
    }
    return 0;
}

static int on_end(void *context, const struct trace_end *end)
{
    struct tally *tally = context;
    if (tally->ended)
        broken(tally, "a second end");
    tally->ended = true;
    tally->end = *end;
    if (end->allocations != tally->totals[TRACE_ALLOC] || end->frees != tally->totals[TRACE_FREE] ||
        end->reallocs != tally->totals[TRACE_REALLOC] || end->unknown_frees != tally->unknown_frees)
        broken(tally,
               "the end says %" PRIu64 " allocations, %" PRIu64 " frees, %" PRIu64
               " reallocs, %" PRIu64 " unknown frees; seen were %" PRIu64 ", %" PRIu64 ", %" PRIu64
               ", %" PRIu64,
               end->allocations, end->frees, end->reallocs, end->unknown_frees,
               tally->totals[TRACE_ALLOC], tally->totals[TRACE_FREE], tally->totals[TRACE_REALLOC],
               tally->unknown_frees);
    return 0;
}

struct tally *tally_create(void)
{
    struct tally *tally = calloc(1, sizeof *tally);
    if (tally == NULL)
        return NULL;
    tally->processes.size = sizeof(struct process);
    tally->modules.size = sizeof(struct module);
    tally->threads.size = sizeof(struct thread);
    tally->nodes.size = sizeof(struct node);
    tally->blocks.size = sizeof(struct block);
    tally->sink =
        (struct trace_sink){tally, on_process, on_module, on_thread, on_nodes, on_events, on_end};
    return tally;
}

void tally_destroy(struct tally *tally)
{
    if (tally == NULL)
        return;
    for (size_t i = 0; i < tally->processes.room; i++)
        free(((struct process *)array_at(&tally->processes, i))->program);
    for (size_t i = 0; i < tally->modules.room; i++)
        free(((struct module *)array_at(&tally->modules, i))->path);
    free(tally->processes.items);
    free(tally->modules.items);
    free(tally->threads.items);
    free(tally->nodes.items);
    free(tally->blocks.items);
    free(tally->events.slots);
    free(tally->elsewhere.slots);
    free(tally->stacks.slots);
    free(tally);
}

const struct trace_sink *tally_sink(struct tally *tally)
{
    return &tally->sink;
}

static void print_stack(const struct tally *tally, uint32_t id, FILE *out)
{
    const char *between = "";
    while (id != 0) {
        const struct node *node = (const struct node *)tally->nodes.items + id;
        if (node->module == TRACE_NO_MODULE) {
            fprintf(out, "%s[\"\", %" PRIu64 "]", between, node->address);
        } else {
            const struct module *module =
                (const struct module *)tally->modules.items + node->module;
            fprintf(out, "%s[\"%s\", %" PRIu64 "]", between, module->path,
                    node->address - module->bias);
        }
        between = ", ";
        id = node->parent;
    }
}

void tally_print(const struct tally *tally, bool stacks, FILE *out)
{
    static const char *const kinds[] = {"alloc", "free", "realloc"};
    static const char *const calls[] = {"malloc", "calloc", "realloc", "aligned", "free"};
    _Static_assert(sizeof calls / sizeof *calls == TRACE_CALL_COUNT, "every call has a name");
    const struct process *processes = (const struct process *)tally->processes.items;
    for (size_t i = 0; i < tally->processes.room; i++)
        if (processes[i].program != NULL)
            fprintf(out, "{\"process\": %zu, \"parent\": %u, \"pid\": %d, \"program\": \"%s\"}\n",
                    i, processes[i].parent, processes[i].pid, processes[i].program);
    for (size_t i = 0; i < tally->events.room; i++) {
        const struct count *count = &tally->events.slots[i];
        if (count->count != 0)
            fprintf(out,
                    "{\"kind\": \"%s\", \"call\": \"%s\", \"size\": %" PRIu64
                    ", \"count\": %" PRIu64 "}\n",
                    kinds[count->a], calls[count->b], count->c, count->count);
    }
    for (size_t i = 0; i < tally->elsewhere.room; i++) {
        const struct count *count = &tally->elsewhere.slots[i];
        if (count->count != 0)
            fprintf(out, "{\"elsewhere\": %" PRIu64 ", \"count\": %" PRIu64 "}\n", count->a,
                    count->count);
    }
    for (size_t i = 0; stacks && i < tally->stacks.room; i++) {
        const struct count *count = &tally->stacks.slots[i];
        if (count->count == 0)
            continue;
        fprintf(out, "{\"size\": %" PRIu64 ", \"count\": %" PRIu64 ", \"stack\": [", count->a,
                count->count);
        print_stack(tally, (uint32_t)count->b, out);
        fputs("]}\n", out);
    }
    if (tally->ended)
        fprintf(out,
                "{\"end\": {\"events\": %" PRIu64 ", \"allocations\": %" PRIu64
                ", \"frees\": %" PRIu64 ", \"reallocs\": %" PRIu64 ", \"unknown_frees\": %" PRIu64
                ", \"dropped\": %" PRIu64 ", \"lost_threads\": %" PRIu64
                ", \"stack_hits\": %" PRIu64
                ", \"threads\": %u, \"processes\": %u, \"exit_status\": %d}}\n",
                tally->end.events, tally->end.allocations, tally->end.frees, tally->end.reallocs,
                tally->end.unknown_frees, tally->end.dropped, tally->end.lost_threads,
                tally->end.stack_hits, tally->end.threads, tally->end.processes,
                tally->end.exit_status);
    if (tally->broken[0] != '\0')
        fprintf(out, "{\"broken\": \"%s\"}\n", tally->broken);
}
