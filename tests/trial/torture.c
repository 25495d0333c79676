/* SPDX-License-Identifier: MIT */
/*
 * torture THREADS ROUNDS: every block that the allocator gives is its holder's alone, holds what was written to it until
 * it is given back, by whichever thread, and is as large, as aligned and as zeroed as was asked for.
 *
 * Threads make, resize, check and free blocks of all sizes and by all entry points, and exchange them through slots, while
 * the main thread forks children that go on by themselves. What is left is freed by destructors, after main.
 */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>

#include "../programs/programs.h"

#define SLOTS       512
#define THREADS_MAX 64
#define CHILDREN    4

/* At the start of each block; the rest is filled by `seed`. Blocks smaller than this are not exchanged. */
struct head {
    size_t size;
    uint32_t seed, mark;
};
#define MARK 0x7412a9c5u

static _Atomic(void *) slots[SLOTS];
static int rounds;
static volatile size_t huge = SIZE_MAX / 2 + 2; /* unknown to the compiler */

static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    return *state ^= *state << 5;
}

static void fill(void *block, size_t size, uint32_t seed)
{
    struct head head = {size, seed, MARK};
    unsigned char *bytes = block;
    for (size_t i = sizeof head; i < size; i += i < 256 ? 1 : 61)
        bytes[i] = (unsigned char)(seed + i * 7);
    if (size > sizeof head)
        bytes[size - 1] = (unsigned char)(seed + (size - 1) * 7);
    memcpy(block, &head, sizeof head);
}

/* The first `size` bytes of a block that was filled with its own size. */
static void verify(const void *block, size_t size)
{
    struct head head;
    const unsigned char *bytes = block;
    memcpy(&head, block, sizeof head);
    CHECK(head.mark == MARK);
    CHECK(size <= head.size);
    for (size_t i = sizeof head; i < size; i += i < 256 ? 1 : 61)
        CHECK(bytes[i] == (unsigned char)(head.seed + i * 7));
    if (size == head.size && size > sizeof head)
        CHECK(bytes[size - 1] == (unsigned char)(head.seed + (size - 1) * 7));
}

static size_t pick_size(uint32_t *state)
{
    uint32_t random = next_random(state);
    size_t most = (size_t)32 << random % 8; /* to 4 KiB, mostly small */
    if (random % 997 == 0)
        most = (size_t)3 << 20;
    else if (random % 61 == 0)
        most = 200000;
    return sizeof(struct head) + next_random(state) % most;
}

static void check_zero(const void *block, size_t size)
{
    const unsigned char *bytes = block;
    for (size_t i = 0; i < size; i++)
        CHECK(bytes[i] == 0);
}

static void *make(uint32_t *state)
{
    size_t size = pick_size(state), align = (size_t)8 << next_random(state) % 11;
    void *block = NULL;
    switch (next_random(state) % 8) {
    case 0:
        block = calloc(1, size);
        CHECK(block != NULL);
        check_zero(block, size);
        break;
    case 1:
        block = realloc(NULL, size);
        break;
    case 2:
        CHECK(posix_memalign(&block, align, size) == 0);
        CHECK((uintptr_t)block % align == 0);
        break;
    case 3:
        block = memalign(align, size);
        CHECK((uintptr_t)block % align == 0);
        break;
    default:
        block = malloc(size);
    }
    CHECK(block != NULL);
    CHECK((uintptr_t)block % 16 == 0 || size < 16);
    /* All of what it says is usable is. */
    size_t usable = malloc_usable_size(block);
    CHECK(usable >= size);
    memset((char *)block + size, 0xa5, usable - size);
    fill(block, size, next_random(state));
    return block;
}

static void *resize(void *block, uint32_t *state)
{
    struct head head;
    memcpy(&head, block, sizeof head);
    size_t size = pick_size(state);
    void *moved = next_random(state) % 2 ? realloc(block, size) : reallocarray(block, 1, size);
    CHECK(moved != NULL);
    verify(moved, size < head.size ? size : head.size);
    fill(moved, size, next_random(state));
    return moved;
}

static void drop(void *block)
{
    struct head head;
    if (!block)
        return;
    memcpy(&head, block, sizeof head);
    verify(block, head.size);
    memset(block, 0xee, head.size);
    free(block);
}

static void *work(void *argument)
{
    uint32_t state = (uint32_t)(uintptr_t)argument * 2654435761u | 1;
    for (int i = 0; i < rounds; i++) {
        void *block = make(&state);
        if (next_random(&state) % 4 == 0)
            block = resize(block, &state);
        drop(atomic_exchange(&slots[next_random(&state) % SLOTS], block));
        free(malloc(next_random(&state) % 16)); /* also of no bytes */
        errno = 77;
        free(malloc(24));
        CHECK(errno == 77);
        CHECK(malloc(huge) == NULL && errno == ENOMEM);
    }
    return NULL;
}

__attribute__((destructor)) static void drop_all(void)
{
    for (int i = 0; i < SLOTS; i++)
        drop(atomic_exchange(&slots[i], NULL));
}

static void child(int number)
{
    rounds = rounds / 8 + 1;
    work((void *)(uintptr_t)(1000 + number));
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, work, (void *)(uintptr_t)(2000 + number)) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    exit(0);
}

int main(int argc, char **argv)
{
    int count = argc > 1 ? atoi(argv[1]) : 4;
    rounds = argc > 2 ? atoi(argv[2]) : 20000;
    CHECK(count > 0 && count <= THREADS_MAX && rounds > 0);
    pthread_t threads[THREADS_MAX];
    for (int i = 0; i < count; i++)
        CHECK(pthread_create(&threads[i], NULL, work, (void *)(uintptr_t)(i + 1)) == 0);
    for (int i = 0; i < CHILDREN; i++) {
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (!pid)
            child(i);
        int status;
        CHECK(waitpid(pid, &status, 0) == pid);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    for (int i = 0; i < count; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    puts("whole");
    return 0;
}
