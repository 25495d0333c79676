/* SPDX-License-Identifier: MIT */
/*
 * Property: debug mode keeps the pool's promises, stops no correct program however odd it looks,
 * and tells which items are out. What it stops are the programs under tests/misuse.
 */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "poolwise/pool.h"

static pwise_pool *pool_of(struct pwise_options options)
{
    options.flags |= PWISE_DEBUG;
    pwise_pool *pool = pwise_pool_create(&options);
    CHECK_PTR(pool, !=, NULL);
    return pool;
}

static struct pwise_stats stats_of(const pwise_pool *pool)
{
    struct pwise_stats stats = {.size = sizeof(stats)};
    CHECK_INT(pwise_pool_stats(pool, &stats), ==, 0);
    return stats;
}

static bool setting(const char *text)
{
    const char *all = getenv("PWISE_DEBUG");
    return all && strstr(all, text);
}

static void *thread_put(void *argument)
{
    void **pool_and_item = argument;
    pwise_put(pool_and_item[0], pool_and_item[1]);
    return NULL;
}

static void put_from_another_thread(void)
{
    pwise_pool *pool = pool_of((struct pwise_options){.item_size = 64});
    for (int i = 0; i < 50; i++) {
        pthread_t thread;
        void *pool_and_item[2] = {pool, pwise_get(pool)};
        CHECK_INT(pthread_create(&thread, NULL, thread_put, pool_and_item), ==, 0);
        pthread_join(thread, NULL);
    }
    pwise_pool_destroy(pool);
}

/* An allocator of few blocks, so that addresses come back at once. */
enum { BLOCK_BYTES = 96, BLOCKS = 8 };
static char blocks[BLOCKS][BLOCK_BYTES];
static bool taken[BLOCKS];
static int live;

static void *block_take(void *context)
{
    for (int i = 0; i < BLOCKS; i++)
        if (!taken[i]) {
            taken[i] = true;
            live++;
            memset(blocks[i], 0, BLOCK_BYTES);
            return blocks[i];
        }
    errno = ENOMEM;
    return NULL;
}

static void block_give(void *item, void *context)
{
    size_t i = (size_t)((char *)item - blocks[0]) / BLOCK_BYTES;
    CHECK_INT(taken[i], ==, true);
    taken[i] = false;
    live--;
}

static const struct pwise_options of_blocks = {
    .create = block_take, .destroy = block_give, .item_size = BLOCK_BYTES};

static void made_again_at_the_same_address(void)
{
    pwise_pool *pool = pool_of(of_blocks);
    for (int i = 0; i < 20; i++) { /* destroyed by the pool */
        void *item = pwise_get(pool);
        CHECK_PTR(item, ==, blocks[0]);
        pwise_put(pool, item);
        pwise_trim();
    }
    for (int i = 0; i < 20; i++) { /* disposed of by its holder, and made by another pool */
        block_give(pwise_get(pool), NULL);
        pwise_pool *other = pool_of(of_blocks);
        void *item = pwise_get(other);
        CHECK_PTR(item, ==, blocks[0]);
        pwise_put(other, item);
        pwise_pool_destroy(other);
    }
    CHECK_INT(live, ==, 0);
    pwise_pool_destroy(pool);
}

/* Items of a pool that has gone are memory like any other. */
static void pools_come_and_go(void)
{
    for (int round = 0; round < 600; round++) {
        pwise_pool *pool = pool_of(of_blocks);
        void *items[BLOCKS];
        CHECK_INT(pwise_get_bulk(pool, items, BLOCKS), ==, BLOCKS);
        pwise_put_bulk(pool, items, BLOCKS / 2);
        pwise_pool_destroy(pool);
        CHECK_INT(live, ==, BLOCKS - BLOCKS / 2);
        pwise_put_bulk(pool, items + BLOCKS / 2, BLOCKS - BLOCKS / 2);
        CHECK_INT(live, ==, 0);
    }
}

static void *inner_get(void *inner)
{
    return pwise_get(inner);
}

static void inner_put(void *item, void *inner)
{
    pwise_put(inner, item);
}

/* One pool's items are made and destroyed by getting them from and putting them into another. */
static void a_pool_over_a_pool(void)
{
    pwise_pool *inner = pool_of((struct pwise_options){.item_size = 64});
    pwise_pool *outer = pool_of((struct pwise_options){
        .create = inner_get, .destroy = inner_put, .item_size = 64, .context = inner});
    for (int i = 0; i < 100; i++) {
        void *items[4];
        CHECK_INT(pwise_get_bulk(outer, items, 4), ==, 4);
        void *own = pwise_get(inner);
        pwise_put_bulk(outer, items, 4);
        pwise_put(inner, own);
        if (i % 3 == 0)
            pwise_reclaim();
    }
    pwise_pool_destroy(outer);
    struct pwise_stats stats = stats_of(inner);
    CHECK_INT(stats.gets, ==, stats.puts);
    pwise_pool_destroy(inner);
}

/* A pool that hands back, without `destroy`: an address counts as often as it is put. */
static void tokens(void)
{
    static int token;
    pwise_pool *pool = pool_of((struct pwise_options){.name = "tokens"});
    pwise_pool *other = pool_of((struct pwise_options){.name = "others"});
    for (int i = 0; i < 10; i++) {
        pwise_put(pool, &token);
        pwise_put(other, &token);
    }
    pwise_reclaim(); /* whatever is held back, too, can be found now */
    int got = 0;
    while (pwise_get(pool))
        got++;
    CHECK_INT(got, <=, 10);
    if (setting("drop=0"))
        CHECK_INT(got, ==, 10);
    pwise_pool_destroy(pool);
    pwise_pool_destroy(other);
}

/* The holder of an item may let a pool that takes anything hold it for a while. */
static void kept_by_another_pool(void)
{
    pwise_pool *source = pool_of((struct pwise_options){.item_size = 64});
    pwise_pool *keeper =
        pool_of((struct pwise_options){.destroy = inner_put, .context = source, .name = "keeper"});
    for (int i = 0; i < 50; i++) {
        void *item = pwise_get(keeper);
        if (!item)
            item = pwise_get(source);
        pwise_put(keeper, item);
        if (i % 7 == 0)
            pwise_trim();
    }
    pwise_pool_destroy(keeper);
    pwise_pool_destroy(source);
}

static size_t length_of(const void *item, void *context)
{
    return *(const size_t *)item;
}

static int resets;

static void check_reset(void *item, void *context)
{
    const size_t *words = item;
    resets++;
    CHECK_INT(words[0], ==, 48);
    CHECK_INT(words[5], ==, 4711);
}

/* P2: size_of, reset, destroy and the next holder see what the item held, not the fill. */
static void contents_survive(struct pwise_options options)
{
    options.size_of = length_of;
    options.reset = check_reset;
    pwise_pool *pool = pool_of(options);
    for (int i = 0; i < 200; i++) {
        size_t *items[3];
        for (int k = 0; k < 3; k++) {
            items[k] = pwise_get(pool);
            CHECK_INT(items[k][0] == 48 || items[k][0] == 0, ==, 1);
            CHECK_INT(items[k][5] == 4711 || items[k][5] == 0, ==, 1);
            items[k][0] = 48;
            items[k][5] = 4711;
        }
        pwise_put_bulk(pool, (void **)items, 3);
        if (i % 40 == 0)
            pwise_reclaim();
        /* Three to a CPU that the thread has been on, and what waits. */
        CHECK_INT(stats_of(pool).idle_bytes, <=, (3 * sysconf(_SC_NPROCESSORS_CONF) + 4) * 48);
    }
    CHECK_INT(resets, >, 0);
    pwise_trim();
    CHECK_INT(stats_of(pool).idle_bytes, ==, 0);
    pwise_pool_destroy(pool);
}

struct seen {
    void *items[8];
    size_t count, stop_after;
    uintptr_t within; /* a function that the stack leads through */
    int thread;
};

static int note(void *item, int thread, void *const *stack, size_t depth, void *context)
{
    struct seen *seen = context;
    CHECK_INT(depth, >=, 1);
    CHECK_INT((uintptr_t)stack[0] - seen->within, <, 4096);
    CHECK_INT(thread, ==, seen->thread);
    seen->items[seen->count++] = item;
    return seen->count == seen->stop_after ? 99 : 0;
}

static __attribute__((noinline)) void *get_here(pwise_pool *pool)
{
    void *item = pwise_get(pool);
    __asm__ volatile("" : "+r"(item)); /* no tail call */
    return item;
}

static int other_thread;

static void *thread_get(void *pool)
{
    other_thread = (int)syscall(SYS_gettid);
    return get_here(pool);
}

/* The items that are out, in the order of their gets, whoever got them. */
static void out_list(void)
{
    struct seen seen = {.within = (uintptr_t)get_here, .thread = getpid()};
    pwise_pool *pool = pool_of((struct pwise_options){.item_size = 40});
    CHECK_INT(pwise_debug_each_out(NULL, note, &seen), ==, -EINVAL);
    CHECK_INT(pwise_debug_each_out(pool, NULL, &seen), ==, -EINVAL);
    CHECK_INT(pwise_debug_each_out(pool, note, &seen), ==, 0);
    CHECK_INT(seen.count, ==, 0);
    void *items[5];
    for (int i = 0; i < 5; i++)
        items[i] = get_here(pool);
    pwise_put(pool, items[0]);
    pwise_put(pool, items[3]);
    CHECK_INT(pwise_debug_each_out(pool, note, &seen), ==, 0);
    CHECK_INT(seen.count, ==, 3);
    CHECK_PTR(seen.items[0], ==, items[1]);
    CHECK_PTR(seen.items[1], ==, items[2]);
    CHECK_PTR(seen.items[2], ==, items[4]);
    seen.count = 0;
    seen.stop_after = 2;
    CHECK_INT(pwise_debug_each_out(pool, note, &seen), ==, 99);
    CHECK_INT(seen.count, ==, 2);
    pwise_put(pool, items[1]);
    pwise_put(pool, items[2]);
    pwise_put(pool, items[4]);

    pthread_t thread;
    void *theirs;
    CHECK_INT(pthread_create(&thread, NULL, thread_get, pool), ==, 0);
    pthread_join(thread, &theirs);
    pwise_pool_destroy(pool); /* closed: what is out can still be asked for */
    seen = (struct seen){.within = (uintptr_t)get_here, .thread = other_thread};
    CHECK_INT(pwise_debug_each_out(pool, note, &seen), ==, 0);
    CHECK_INT(seen.count, ==, 1);
    CHECK_PTR(seen.items[0], ==, theirs);
    pwise_put(pool, theirs);
}

static void out_list_elsewhere(void)
{
    struct seen seen = {.count = 0};
    static pwise_pool unused = PWISE_POOL_INIT(.item_size = 8, .flags = PWISE_DEBUG);
    CHECK_INT(pwise_debug_each_out(&unused, note, &seen), ==, 0);
    pwise_pool *plain = pwise_pool_create(NULL);
    const char *all = getenv("PWISE_DEBUG");
    CHECK_INT(pwise_debug_each_out(plain, note, &seen), ==, all && *all != '0' ? 0 : -ENOTSUP);
    pwise_pool_destroy(plain);
}

/* Which of 256 puts were dropped. */
static void drops_of(pwise_pool *pool, bool dropped[256])
{
    uint64_t before = 0;
    for (int i = 0; i < 256; i++) {
        pwise_put(pool, pwise_get(pool));
        uint64_t now = stats_of(pool).destroys_reclaim;
        dropped[i] = now != before;
        before = now;
    }
}

/* About one put in four, the same ones for the same seed; none where that is switched off. */
static void drops(void)
{
    bool first[256], second[256];
    int count = 0;
    for (int i = 0; i < 2; i++) {
        pwise_pool *pool = pool_of((struct pwise_options){.item_size = 16});
        drops_of(pool, i ? second : first);
        CHECK_INT(stats_of(pool).gets, ==, stats_of(pool).puts);
        pwise_pool_destroy(pool);
    }
    CHECK_INT(memcmp(first, second, sizeof(first)), ==, 0);
    for (int i = 0; i < 256; i++)
        count += first[i];
    if (setting("drop=0")) {
        CHECK_INT(count, ==, 0);
    } else {
        CHECK_INT(count, >, 256 / 8);
        CHECK_INT(count, <, 256 / 2);
    }
    for (int i = 0; i < 256; i++)
        putchar(first[i] ? 'x' : '.');
}

/* What another process with this setting prints of its drops. */
static void drops_with(const char *debug, char ret_line[257])
{
    int ends[2];
    CHECK_INT(pipe(ends), ==, 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        setenv("PWISE_DEBUG", debug, 1);
        execl("/proc/self/exe", "pool-debug", "drops", (char *)NULL);
        _exit(1);
    }
    close(ends[1]);
    size_t length = 0;
    for (ssize_t more; (more = read(ends[0], ret_line + length, 257 - length)) > 0;)
        length += (size_t)more;
    close(ends[0]);
    int status;
    CHECK_INT(waitpid(child, &status, 0), ==, child);
    CHECK_INT(status, ==, 0);
    CHECK_INT(length, ==, 256);
}

/* The seed says which puts are dropped, in every run alike. */
static void seeds(void)
{
    char one[257], again[257], other[257];
    drops_with("0,seed=4711", one);
    drops_with("0,seed=4711", again);
    drops_with("0,seed=4712", other);
    CHECK_INT(memcmp(one, again, 256), ==, 0);
    CHECK_INT(memcmp(one, other, 256), !=, 0);
}

/* In quarantine an item is not reused before as many others have been put; a cycle ends it. */
static void quarantine(void)
{
    pwise_pool *pool = pool_of((struct pwise_options){.item_size = 16});
    bool delays = setting("quarantine=4") && setting("drop=0");
    void *first = pwise_get(pool);
    pwise_put(pool, first);
    for (int i = 0; i < 4 && delays; i++) {
        void *other = pwise_get(pool);
        CHECK_PTR(other, !=, first);
        CHECK_INT(stats_of(pool).idle_items, ==, i + 1);
        pwise_put(pool, other);
    }
    if (delays)
        CHECK_PTR(pwise_get(pool), ==, first);
    pwise_trim();
    CHECK_INT(stats_of(pool).idle_items, ==, 0);
    CHECK_INT(stats_of(pool).gets, ==, stats_of(pool).puts + (delays ? 1 : 0));
    if (delays)
        pwise_put(pool, first);
    pwise_pool_destroy(pool);
}

static void a_forked_child_goes_on(void)
{
    pwise_pool *pool = pool_of((struct pwise_options){.item_size = 64});
    char *out = pwise_get(pool), *idle = pwise_get(pool);
    strcpy(idle, "idle");
    strcpy(out, "out");
    pwise_put(pool, idle);
    pid_t child = fork();
    CHECK_INT(child, >=, 0);
    if (child == 0) {
        CHECK_INT(strcmp(out, "out"), ==, 0);
        pwise_put(pool, out);
        for (int i = 0; i < 100; i++)
            pwise_put(pool, pwise_get(pool));
        pwise_pool_destroy(pool);
        _exit(7);
    }
    int status;
    CHECK_INT(waitpid(child, &status, 0), ==, child);
    CHECK_INT(status, ==, 7 << 8);
    CHECK_INT(strcmp(out, "out"), ==, 0); /* the child's is its own */
    pwise_put(pool, out);
    pwise_pool_destroy(pool);
}

static pwise_pool early = PWISE_POOL_INIT(.name = "early", .item_size = 8, .flags = PWISE_DEBUG);

__attribute__((constructor)) static void before_main(void)
{
    pwise_put(&early, pwise_get(&early));
}

__attribute__((destructor)) static void after_main(void)
{
    pwise_put(&early, pwise_get(&early));
}

int main(int argc, char **argv)
{
    pwise_set_reclaim(PWISE_MANUAL, 0);
    if (argc > 1 && strcmp(argv[1], "drops") == 0) {
        drops();
        return 0;
    }
    seeds();
    put_from_another_thread();
    made_again_at_the_same_address();
    pools_come_and_go();
    a_pool_over_a_pool();
    tokens();
    kept_by_another_pool();
    contents_survive((struct pwise_options){.item_size = 48});
    contents_survive((struct pwise_options){.item_size = 48, .item_align = 4096});
    contents_survive((struct pwise_options){.item_size = 5000, .item_align = 32768});
    contents_survive(of_blocks);
    CHECK_INT(live, ==, 0);
    out_list();
    out_list_elsewhere();
    drops();
    quarantine();
    a_forked_child_goes_on();
    return 0;
}
