/* SPDX-License-Identifier: MIT */
/*
 * Linked into a program built with -finstrument-functions: for each call on the way to an allocation, did the block die before
 * the function that made the call returned? Exact, since each activation is known by itself, not by its place on the stack.
 * Written at exit to $ACTIVATIONS_OUT, a call a line: "call ADDRESS CALLEE" and six numbers, where ADDRESS is the
 * one that the call returns to and CALLEE a name of libc's or a function's address: blocks that died, outlived it, were
 * there at exit; and the same of blocks that realloc made of its blocks, at the end of the last. Then, for up to
 * CHAINS_MAX ways down to blocks that outlived it, "outlived ADDRESS... NAME", the allocation last.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define KEEP_OUT   __attribute__((no_instrument_function))
#define CHAINS_MAX 256u
#define DEPTH_MAX  200u
#define FRAMES_MAX (1u << 20)
#define BUCKETS    (1u << 20)

extern char __executable_start, etext;

struct chain {
    struct chain *next;
    const char *name;
    uint32_t count;
    uintptr_t calls[];
};

struct call { /* a place in the code that calls, and what it calls */
    struct call *next;
    uintptr_t at, callee;
    const char *name;    /* of libc's; then callee is 0 */
    uint64_t ends[2][3]; /* of blocks, of what realloc made of them: died, outlived, left */
    struct chain *chains;
    uint32_t chain_count;
};

struct activation {
    struct activation *parent;
    uintptr_t at, function;
    struct call *call; /* once it is asked for */
    uint32_t references;
    bool live;
};

struct block {
    struct block *next;
    uintptr_t address;
    struct activation *maker;
    struct call *call;
    struct activation *first_maker; /* of the block that realloc made this one of, if any */
    struct call *first_call;
};

struct frame { /* of a function that runs now; most never lead to an allocation */
    uintptr_t at, function, frame;
    struct activation *activation; /* once a block is made below */
};

static pthread_mutex_t lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static __thread struct {
    struct frame *frames;
    uint32_t depth;
} stack __attribute__((tls_model("initial-exec")));
static struct call *calls[BUCKETS];
static struct block *blocks[BUCKETS], *spare_blocks;
static struct activation *spare_activations;
static char *room, *room_end;
static bool over;

/* The program's own allocator is what is watched, so this memory comes from elsewhere. */
KEEP_OUT static void *take(size_t size)
{
    size = (size + 15) & ~(size_t)15;
    if ((size_t)(room_end - room) < size) {
        size_t step = 64u << 20;
        room = mmap(NULL, step, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (room == MAP_FAILED)
            _exit(99);
        room_end = room + step;
    }
    room += size;
    return room - size;
}

KEEP_OUT static uint32_t bucket(uintptr_t key)
{
    return (uint32_t)((key * UINT64_C(0x9e3779b97f4a7c15)) >> 44);
}

KEEP_OUT static struct call *call_find(uintptr_t at, uintptr_t callee, const char *name)
{
    struct call **head = &calls[bucket(at ^ callee)];
    for (struct call *call = *head; call; call = call->next)
        if (call->at == at && call->callee == callee && call->name == name)
            return call;
    struct call *call = take(sizeof *call);
    *call = (struct call){.next = *head, .at = at, .callee = callee, .name = name};
    *head = call;
    return call;
}

KEEP_OUT static void release(struct activation *activation)
{
    while (activation && !--activation->references) {
        struct activation *parent = activation->parent;
        activation->parent = spare_activations;
        spare_activations = activation;
        activation = parent;
    }
}

KEEP_OUT static void pop(void)
{
    struct activation *gone = stack.frames[--stack.depth].activation;
    if (!gone)
        return;
    pthread_mutex_lock(&lock);
    gone->live = false;
    release(gone);
    pthread_mutex_unlock(&lock);
}

/* What longjmp skipped lies below the present frame. */
KEEP_OUT static void forget_skipped(uintptr_t frame)
{
    while (stack.depth && stack.frames[stack.depth - 1].frame < frame)
        pop();
}

KEEP_OUT void __cyg_profile_func_enter(void *function, void *from)
{
    uintptr_t frame = (uintptr_t)__builtin_frame_address(0);
    if (!stack.frames) {
        stack.frames = mmap(NULL, FRAMES_MAX * sizeof *stack.frames, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (stack.frames == MAP_FAILED)
            _exit(99);
    }
    forget_skipped(frame + 1);
    if (stack.depth == FRAMES_MAX)
        _exit(98);
    stack.frames[stack.depth++] = (struct frame){(uintptr_t)from, (uintptr_t)function, frame, NULL};
}

KEEP_OUT void __cyg_profile_func_exit(void *function, void *from)
{
    (void)from;
    while (stack.depth && stack.frames[stack.depth - 1].function != (uintptr_t)function)
        pop();
    if (stack.depth)
        pop();
}

/* The activation that runs now, and those that lead to it. */
KEEP_OUT static struct activation *present(void)
{
    uint32_t from = stack.depth;
    while (from && !stack.frames[from - 1].activation)
        from--;
    struct activation *at = from ? stack.frames[from - 1].activation : NULL;
    for (; from < stack.depth; from++) {
        struct frame *frame = &stack.frames[from];
        struct activation *fresh = spare_activations;
        if (fresh)
            spare_activations = fresh->parent;
        else
            fresh = take(sizeof *fresh);
        *fresh = (struct activation){.parent = at,
                                     .at = frame->at,
                                     .function = frame->function,
                                     .references = 1,
                                     .live = true};
        if (at)
            at->references++;
        at = frame->activation = fresh;
    }
    return at;
}

KEEP_OUT static void chain_keep(struct call *call, const struct block *block,
                                const struct activation *until)
{
    uintptr_t way[DEPTH_MAX];
    uint32_t count = 0;
    const struct activation *at = block->maker;
    /* Within libc: in that function, at no known place. */
    way[count++] = block->call ? block->call->at : block->maker->function + 1;
    for (; at && at != until && count < DEPTH_MAX; at = at->parent)
        way[count++] = at->at;
    const char *name = block->call ? block->call->name : "?";
    for (struct chain *known = call->chains; known; known = known->next)
        if (known->count == count && known->name == name &&
            !memcmp(known->calls, way, count * sizeof *way))
            return;
    if (call->chain_count == CHAINS_MAX)
        return;
    struct chain *chain = take(sizeof *chain + count * sizeof *way);
    *chain = (struct chain){.next = call->chains, .name = name, .count = count};
    memcpy(chain->calls, way, count * sizeof *way);
    call->chains = chain;
    call->chain_count++;
}

/* The end of a block: where it came from, or (`first`) where the block did that realloc made it of. */
KEEP_OUT static void block_end(const struct block *block, bool first, bool at_exit)
{
    struct call *call = first ? block->first_call : block->call;
    for (struct activation *at = first ? block->first_maker : block->maker; at; at = at->parent) {
        if (call)
            call->ends[first][at_exit ? 2 : !at->live]++;
        if (call && !first && !at_exit && !at->live)
            chain_keep(call, block, at);
        if (!at->call)
            at->call = call_find(at->at, at->function, NULL);
        call = at->call;
    }
}

/* Makes a block known; `old`: what realloc made it of, or NULL. */
KEEP_OUT static void made(void *address, uintptr_t from, uintptr_t frame, const char *name,
                          const struct block *old)
{
    if (!address || over)
        return;
    pthread_mutex_lock(&lock);
    forget_skipped(frame);
    struct block *block = spare_blocks;
    if (block)
        spare_blocks = block->next;
    else
        block = take(sizeof *block);
    bool ours = from >= (uintptr_t)&__executable_start && from < (uintptr_t)&etext;
    struct block **head = &blocks[bucket((uintptr_t)address)];
    *block = (struct block){.next = *head, .address = (uintptr_t)address, .maker = present()};
    block->call = ours ? call_find(from, 0, name) : NULL;
    if (block->maker)
        block->maker->references++;
    if (old) {
        block->first_maker = old->first_maker ? old->first_maker : old->maker;
        block->first_call = old->first_maker ? old->first_call : old->call;
        if (block->first_maker)
            block->first_maker->references++;
    }
    *head = block;
    pthread_mutex_unlock(&lock);
}

KEEP_OUT static struct block *take_out(void *address)
{
    struct block **at = &blocks[bucket((uintptr_t)address)];
    while (*at && (*at)->address != (uintptr_t)address)
        at = &(*at)->next;
    struct block *block = *at;
    if (block)
        *at = block->next;
    return block;
}

KEEP_OUT static void drop(struct block *block)
{
    release(block->maker);
    release(block->first_maker);
    block->next = spare_blocks;
    spare_blocks = block;
}

KEEP_OUT static void gone(void *address)
{
    if (!address || over)
        return;
    pthread_mutex_lock(&lock);
    struct block *block = take_out(address);
    if (block) {
        block_end(block, false, false);
        if (block->first_maker)
            block_end(block, true, false);
        drop(block);
    }
    pthread_mutex_unlock(&lock);
}

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);
void __libc_free(void *block);

#define HERE (uintptr_t) __builtin_return_address(0), (uintptr_t)__builtin_frame_address(0)

KEEP_OUT void *malloc(size_t size)
{
    void *block = __libc_malloc(size);
    made(block, HERE, "malloc", NULL);
    return block;
}
KEEP_OUT void *calloc(size_t count, size_t size)
{
    void *block = __libc_calloc(count, size);
    made(block, HERE, "calloc", NULL);
    return block;
}
/* The old block ends here, as the source analysis has it, but where it came from is remembered. */
KEEP_OUT void *realloc(void *old, size_t size)
{
    pthread_mutex_lock(
        &lock); /* or another thread could be given the old address before it is out */
    struct block *before = old && !over ? take_out(old) : NULL;
    void *block = __libc_realloc(old, size);
    if (before && !block && size) { /* it stays */
        before->next = blocks[bucket((uintptr_t)old)];
        blocks[bucket((uintptr_t)old)] = before;
    } else {
        made(block, HERE, "realloc", before);
        if (before) {
            block_end(before, false, false);
            if (!block && before->first_maker)
                block_end(before, true, false);
            drop(before);
        }
    }
    pthread_mutex_unlock(&lock);
    return block;
}
KEEP_OUT void free(void *block)
{
    gone(block);
    __libc_free(block);
}
KEEP_OUT char *strdup(const char *text)
{
    size_t size = strlen(text) + 1;
    char *block = __libc_malloc(size);
    if (block)
        memcpy(block, text, size);
    made(block, HERE, "strdup", NULL);
    return block;
}
KEEP_OUT char *strndup(const char *text, size_t most)
{
    size_t size = strnlen(text, most);
    char *block = __libc_malloc(size + 1);
    if (block) {
        memcpy(block, text, size);
        block[size] = '\0';
    }
    made(block, HERE, "strndup", NULL);
    return block;
}

KEEP_OUT __attribute__((destructor)) static void write_out(void)
{
    const char *path = getenv("ACTIVATIONS_OUT");
    pthread_mutex_lock(&lock);
    over = true;
    FILE *out = path ? fopen(path, "a") : NULL;
    for (uint32_t i = 0; out && i < BUCKETS; i++)
        for (const struct block *block = blocks[i]; block; block = block->next)
            for (int first = 0; first <= !!block->first_maker; first++)
                block_end(block, first, true);
    for (uint32_t i = 0; out && i < BUCKETS; i++)
        for (const struct call *call = calls[i]; call; call = call->next) {
            uint64_t ends = 0;
            for (int k = 0; k < 6; k++)
                ends += call->ends[k / 3][k % 3];
            if (!ends)
                continue;
            fprintf(out, "call %#lx ", (unsigned long)call->at);
            if (call->name)
                fprintf(out, "%s", call->name);
            else
                fprintf(out, "%#lx", (unsigned long)call->callee);
            for (int k = 0; k < 6; k++)
                fprintf(out, " %lu", (unsigned long)call->ends[k / 3][k % 3]);
            fprintf(out, "\n");
            for (const struct chain *chain = call->chains; chain; chain = chain->next) {
                fprintf(out, "outlived");
                for (uint32_t k = chain->count; k-- > 0;)
                    fprintf(out, " %#lx", (unsigned long)chain->calls[k]);
                fprintf(out, " %s\n", chain->name);
            }
        }
    if (out)
        fclose(out);
    pthread_mutex_unlock(&lock);
}
