/* SPDX-License-Identifier: MIT */
/* Ways of hiding where a pointer goes. The notation is that of cases.c. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct pair {
    char *first, *second;
};
union pun {
    char *pointer;
    uint64_t number;
    double real;
    unsigned char bytes[8];
    struct {
        uint32_t low, high;
    } halves;
};

char *sink;
uint64_t sink_number;
double sink_real;
uint32_t sink_low, sink_high;
unsigned char sink_bytes[8];
struct pair sink_pair;
_Atomic(char *) sink_atomic;
static _Thread_local char *sink_thread;
static jmp_buf back;
static volatile sig_atomic_t caught;
static void (*handler_argument)(char *);
extern void somewhere(struct pair *);

void through_number(void)
{
    char *block = malloc(8); /* through_number E */
    sink_number = (uintptr_t)block;
}
void through_xor(uint64_t key)
{
    char *block = malloc(8); /* through_xor E */
    sink_number = (uintptr_t)block ^ key;
}
void through_union(void)
{
    union pun pun = {.pointer = malloc(8)}; /* through_union E */
    sink_number = pun.number;
}
void through_double(void)
{
    union pun pun = {.pointer = malloc(8)}; /* through_double E */
    sink_real = pun.real;
}
void through_halves(void)
{
    union pun pun = {.pointer = malloc(8)}; /* through_halves E */
    sink_low = pun.halves.low;
    sink_high = pun.halves.high;
}
void byte_by_byte(void)
{
    char *block = malloc(8), *copy; /* byte_by_byte E */
    for (size_t i = 0; i < sizeof block; i++)
        ((char *)&copy)[i] = ((char *)&block)[i];
    sink = copy;
}
void bytes_to_global(void)
{
    char *block = malloc(8); /* bytes_to_global E */
    for (size_t i = 0; i < sizeof block; i++)
        sink_bytes[i] = ((unsigned char *)&block)[i];
}
void bytes_by_shift(void)
{
    char *block = malloc(8); /* bytes_by_shift E */
    for (size_t i = 0; i < 8; i++)
        sink_bytes[i] = (unsigned char)((uintptr_t)block >> (8 * i));
}
static void copy_bytes(void *to, const void *from, size_t size)
{
    unsigned char *a = to;
    const unsigned char *b = from;
    while (size--)
        *a++ = *b++;
}
void own_memcpy(void)
{
    struct pair pair = {malloc(8), NULL}, other; /* own_memcpy E */
    copy_bytes(&other, &pair, sizeof pair);
    sink = other.first;
}
void struct_copied(void)
{
    struct pair pair = {malloc(8), NULL}; /* struct_copied E */
    memcpy(&sink_pair, &pair, sizeof pair);
}
void struct_assigned(struct pair *out)
{
    struct pair pair = {NULL, malloc(8)}; /* struct_assigned E */
    *out = pair;
}
struct pair struct_returned(void)
{
    return (struct pair){malloc(8), NULL}; /* struct_returned E */
}
void struct_used(void)
{
    struct pair pair = struct_returned(); /* struct_used N F|N U */
    free(pair.first);
}
struct wide {
    char *items[8];
};
struct wide wide_returned(void)
{
    struct wide wide = {{0}};
    wide.items[5] = malloc(8); /* wide_returned E */
    return wide;
}
void wide_used(void)
{
    struct wide wide = wide_returned(); /* wide_used N U */
    free(wide.items[5]);
}
void moved_and_back(void)
{
    char *a = malloc(8), *slots[2] = {a, NULL}; /* moved_and_back E */
    char **p = slots;
    p[1] = p[0];
    char **volatile hidden = p;
    sink = hidden[1];
}
static void swap(char **a, char **b)
{
    char *c = *a;
    *a = *b;
    *b = c;
}
void swapped(char **theirs)
{
    char *block = malloc(8); /* swapped E */
    swap(&block, theirs);
}
void aliased(struct pair *a, struct pair *b)
{
    a->first = (char *)b;
    ((struct pair *)a->first)->second = malloc(8); /* aliased E */
}
static void alias_inner(struct pair **a, struct pair **b, char *value)
{
    struct pair *made = malloc(sizeof *made); /* alias_inner E */
    made->first = NULL;
    *a = made;
    (*b)->first = value; /* b may be a */
    sink = made->first;
}
void alias_outer(void)
{
    struct pair *slot = NULL;
    char *block = malloc(8); /* alias_outer E */
    alias_inner(&slot, &slot, block);
}
void atomic_stored(void)
{
    char *block = malloc(8); /* atomic_stored E */
    atomic_store(&sink_atomic, block);
}
void atomic_exchanged(void)
{
    char *block = malloc(8); /* atomic_exchanged E */
    free(atomic_exchange(&sink_atomic, block));
}
int atomic_compared(void)
{
    char *block = malloc(8), *old = NULL; /* atomic_compared E */
    return atomic_compare_exchange_strong(&sink_atomic, &old, block);
}
void atomic_local(void)
{
    _Atomic(char *) slot;
    atomic_init(&slot, malloc(8)); /* atomic_local N F */
    free(atomic_load(&slot));
}
void thread_local_kept(void)
{
    sink_thread = malloc(8); /* thread_local_kept E */
}
void assembly_given(void)
{
    char *block = malloc(8); /* assembly_given M F */
    __asm__ volatile("" : : "r"(block) : "memory");
    free(block);
}
void assembly_moved(void)
{
    char *block = malloc(8), *copy; /* assembly_moved E */
    __asm__("mov %1, %0" : "=r"(copy) : "r"(block));
    sink = copy;
}
static void leave(void)
{
    longjmp(back, 1);
}
int jumped(int n)
{
    char *block = malloc(8); /* jumped N L|N U */
    if (n)
        leave();
    free(block);
    return 0;
}
int jumped_directly(int n)
{
    char *block = malloc(8); /* jumped_directly N L */
    if (n)
        longjmp(back, 1);
    free(block);
    return 0;
}
int returned_twice(void)
{
    char *volatile block = malloc(8); /* returned_twice N U */
    if (setjmp(back)) {
        free(block);
        return 1;
    }
    leave();
    return 0;
}
static void on_signal(int number)
{
    caught = number;
    if (handler_argument)
        handler_argument(sink);
}
void signalled(void)
{
    char *block = malloc(8); /* signalled E */
    sink = block;
    signal(SIGUSR1, on_signal);
    raise(SIGUSR1);
    sink = NULL;
    free(block);
}
static void *worker(void *argument)
{
    sink = argument;
    return argument;
}
void joined(void)
{
    pthread_t thread;
    char *block = malloc(8); /* joined E */
    pthread_create(&thread, NULL, worker, block);
    pthread_join(thread, NULL);
    free(block);
}
void joined_result(void)
{
    pthread_t thread;
    struct pair *pair = calloc(1, sizeof *pair); /* joined_result E */
    void *result;
    pthread_create(&thread, NULL, worker, pair);
    pthread_join(thread, &result);
    ((struct pair *)result)->first = malloc(8); /* joined_result_inner E */
}
void by_pipe(int fd)
{
    char *block = malloc(8); /* by_pipe E */
    write(fd, &block, sizeof block);
}
void from_pipe(int fd)
{
    struct pair *pair;
    read(fd, &pair, sizeof pair);
    pair->first = malloc(8); /* from_pipe E */
}
void unknown_filled(void)
{
    struct pair pair;
    somewhere(&pair);
    *(char **)pair.first = malloc(8); /* unknown_filled E */
}
void number_as_address(uintptr_t address)
{
    *(char **)address = malloc(8); /* number_as_address E */
}
void fixed_address(void)
{
    *(char **)0x1000 = malloc(8); /* fixed_address E */
}
void interior(void)
{
    char *block = malloc(80); /* interior E */
    sink = block + 40;
}
void before_start(void)
{
    char *block = malloc(80); /* before_start E */
    sink = (char *)((uintptr_t)block - 1000000);
}
void array_end(int n)
{
    char *blocks[4] = {0};
    blocks[n & 3] = malloc(8); /* array_end E */
    sink = blocks[(n + 1) & 3];
}
void strided(int n)
{
    struct pair pairs[4] = {{0}};
    pairs[n & 3].second = malloc(8); /* strided E */
    sink = pairs[n & 1].second;
}
void strided_other(int n)
{
    struct pair pairs[4] = {{0}};
    struct pair *volatile p = pairs;
    p[n & 3].second = malloc(8); /* strided_other N U */
    sink = p[n & 1].first;
    for (int i = 0; i < 4; i++)
        free(p[i].second);
}
void grown_contents(int n)
{
    struct pair *pairs = malloc(sizeof *pairs); /* grown_contents N U */
    pairs[0].first = malloc(8);                 /* grown_contents_inner E */
    pairs = realloc(pairs, sizeof *pairs * (size_t)n); /* grown_contents_again N F */
    if (!pairs)
        return;
    sink = pairs[0].first;
    free(pairs);
}
char *realloc_failed(char *old, size_t size)
{
    char *block = realloc(old, size); /* realloc_failed E */
    return block ? block : old;
}
int realloc_leaks(size_t size)
{
    char *block = malloc(8); /* realloc_leaks N L|N U */
    char *more = realloc(block, size); /* realloc_leaks_more N F */
    if (!more)
        return -1;
    free(more);
    return 0;
}
static void take_two(int count, ...)
{
    va_list list, copy;
    va_start(list, count);
    va_copy(copy, list);
    (void)va_arg(copy, int);
    sink = va_arg(copy, char *);
    va_end(copy);
    va_end(list);
}
void variable_copied(void)
{
    char *block = malloc(8); /* variable_copied E */
    take_two(2, 7, block);
}
static void take_list(va_list list)
{
    sink = va_arg(list, char *);
}
static void give_list(int count, ...)
{
    va_list list;
    va_start(list, count);
    take_list(list);
    va_end(list);
}
void variable_handed_on(void)
{
    char *block = malloc(8); /* variable_handed_on E */
    give_list(1, block);
}
static char *identity(char *p)
{
    return p;
}
static char *forget(char *p)
{
    (void)p;
    return NULL;
}
void chosen_function(int n)
{
    char *(*choice)(char *) = n ? identity : forget;
    char *block = malloc(8); /* chosen_function E */
    sink = choice(block);
}
static char *call_twice(char *(*f)(char *), char *p)
{
    return f(f(p));
}
void callback_returns(void)
{
    char *block = malloc(8); /* callback_returns E */
    sink = call_twice(identity, block);
}
void callback_forgets(void)
{
    char *block = malloc(8); /* callback_forgets N F */
    sink = call_twice(forget, block);
    free(block);
}
struct object {
    void (*put)(struct object *, char *);
    char *slot;
};
static void object_put(struct object *object, char *value)
{
    object->slot = value;
}
static void object_sink(struct object *object, char *value)
{
    (void)object;
    sink = value;
}
void method(void)
{
    struct object object = {object_put, NULL};
    char *block = malloc(8); /* method N F */
    object.put(&object, block);
    free(block);
}
void method_sinks(void)
{
    struct object object = {object_sink, NULL};
    struct object *volatile hidden = &object;
    char *block = malloc(8); /* method_sinks E */
    hidden->put(&object, block);
}
static void method_through(struct object *object)
{
    char *block = malloc(8); /* method_through E|M - */
    object->put(object, block);
}
void method_caller(void)
{
    struct object object = {object_sink, NULL};
    method_through(&object);
}
static struct object *ring(struct object *a, struct object *b, int n)
{
    return n ? ring(b, a, n - 1) : a;
}
void ringed(int n)
{
    struct object a = {0}, b = {0};
    a.slot = malloc(8); /* ringed E */
    sink = ring(&b, &a, n)->slot;
}
typedef uint64_t vector_number __attribute__((vector_size(16)));
vector_number sink_vector;
void vectored(void)
{
    char *block = malloc(8); /* vectored E */
    vector_number both = {0, (uintptr_t)block};
    sink_vector = both;
}
void difference(char *other)
{
    char *block = malloc(8); /* difference E */
    sink_number = (uintptr_t)block - (uintptr_t)other;
}
int compared_only(char *other)
{
    char *block = malloc(8); /* compared_only N F */
    int less = block < other;
    free(block);
    return less;
}
long length_only(void)
{
    char *block = strdup("abc"); /* length_only N F */
    char *end = block;
    while (end && *end)
        end++;
    long length = end - block;
    sink_number = (uint64_t)length;
    free(block);
    return length;
}
static void drop(char **block)
{
    free(*block);
}
int cleaned_up(int n)
{
    __attribute__((cleanup(drop))) char *block = malloc(8); /* cleaned_up N U */
    if (n)
        return 3;
    return block ? block[0] : 0;
}
void label_jump(int n)
{
    static void *const labels[] = {&&done, &&kept};
    char *block = malloc(8); /* label_jump E */
    goto *labels[n & 1];
kept:
    sink = block;
    return;
done:
    free(block);
}
void flexible(int n)
{
    struct {
        int count;
        char *items[];
    } *list = malloc(sizeof *list + 8 * (size_t)n); /* flexible N F */
    if (!list)
        return;
    list->items[n - 1] = malloc(8); /* flexible_item E */
    sink = list->items[0];
    free(list);
}
struct bits {
    uint64_t address : 48, tag : 16;
};
struct bits sink_bits;
void bit_field(void)
{
    char *block = malloc(8); /* bit_field E */
    sink_bits.address = (uintptr_t)block;
}
void tagged_pointer(void)
{
    char *block = malloc(8); /* tagged_pointer E */
    uintptr_t tagged = (uintptr_t)block | 1;
    sink = (char *)(tagged & ~(uintptr_t)1);
}
void low_bits(void)
{
    char *block = malloc(8); /* low_bits N F|E */
    sink_number = (uintptr_t)block & 7;
    free(block);
}
void strtok_keeps(void)
{
    char *block = strdup("a b"); /* strtok_keeps E */
    strtok(block, " ");
}
void token_state(void)
{
    char *block = strdup("a b"), *state; /* token_state N F */
    for (char *t = strtok_r(block, " ", &state); t; t = strtok_r(NULL, " ", &state))
        puts(t);
    free(block);
}
static int by_second(const void *a, const void *b)
{
    sink = *(char *const *)a;
    return strcmp(*(char *const *)a, *(char *const *)b);
}
void sorted_leaks(void)
{
    char *names[2] = {strdup("b"), strdup("a")}; /* sorted_leaks E */
    qsort(names, 2, sizeof *names, by_second);
}
void exposed_local(void (**out)(void), struct pair *p)
{
    struct pair local = {0};
    p->first = (char *)&local;
    ((struct pair *)p->first)->second = malloc(8); /* exposed_local N U|E */
    free(local.second);
    p->first = NULL;
    (void)out;
}
int handed_to_static(void)
{
    static struct pair saved;
    saved.first = malloc(8); /* handed_to_static E */
    return saved.first != NULL;
}
/* A union of a number and a pointer, as values of interpreters are. */
struct value {
    int kind;
    union {
        struct pair *pair;
        double number;
    } u;
};
extern struct value value_elsewhere(void);
extern char **place_elsewhere(void);
static struct value value_number(double number)
{
    return (struct value){.kind = 0, .u.number = number + 1};
}
static struct value value_pair(void)
{
    return (struct value){.kind = 1, .u.pair = calloc(1, sizeof(struct pair))}; /* value_pair E */
}
void number_or_pair(int n)
{
    struct value value = n ? value_number(n) : value_pair(); /* number_or_pair N U */
    char *block = malloc(8); /* number_or_pair_block N F */
    if (value.kind)
        value.u.pair->first = block;
    free(block);
    if (value.kind)
        free(value.u.pair);
}
void number_or_theirs(int n)
{
    struct value value = n ? value_number(n) : value_elsewhere();
    char *block = malloc(8); /* number_or_theirs E */
    if (value.kind)
        value.u.pair->first = block;
}
void number_given(uintptr_t number, int n)
{
    union {
        uintptr_t number;
        struct pair *pair;
    } u = {.number = number};
    struct pair own = {0};
    struct pair *pair = n ? u.pair : &own;
    pair->first = malloc(8); /* number_given E */
}
void double_copied(struct value *out)
{
    struct value value = value_pair(); /* double_copied E */
    out->u.number = value.u.number;
}
static char **no_place(void)
{
    return NULL;
}
void null_place(int n)
{
    char *slot = NULL, **place = n ? no_place() : &slot;
    if (place)
        *place = malloc(8); /* null_place N U */
    free(slot);
}
void their_place(int n)
{
    char *slot = NULL, **place = n ? place_elsewhere() : &slot;
    *place = malloc(8); /* their_place E */
}
/* A callback whose body comes later than all that leads to it, through a recursion. */
static void keep_later(struct pair *pair);
static void visit_deep(struct pair *pair, int depth);
static void visit_with(struct pair *pair, void (*with)(struct pair *))
{
    with(pair);
}
void visited_later(void)
{
    struct pair *pair = calloc(1, sizeof *pair); /* visited_later E */
    visit_deep(pair, 3);
}
static void visit_deep(struct pair *pair, int depth)
{
    if (depth)
        visit_deep(pair, depth - 1);
    visit_with(pair, keep_later);
}
static void keep_later(struct pair *pair)
{
    sink_pair = *pair;
    sink = (char *)pair;
}
static void look_later(struct pair *pair);
static void look_deep(struct pair *pair, int depth);
void looked_later(void)
{
    struct pair *pair = calloc(1, sizeof *pair); /* looked_later N F */
    look_deep(pair, 3);
    free(pair);
}
static void look_deep(struct pair *pair, int depth)
{
    if (depth)
        look_deep(pair, depth - 1);
    visit_with(pair, look_later);
}
static void look_later(struct pair *pair)
{
    caught = pair->first != NULL;
}
/* More places than a summary keeps apart. */
#define SHUFFLE(p, q)                                                                              \
    p[0]->items[0] = q[1]->items[7], p[1]->items[1] = q[2]->items[6];                              \
    p[2]->items[2] = q[3]->items[5], p[3]->items[3] = q[4]->items[4];                              \
    p[4]->items[4] = q[5]->items[3], p[5]->items[5] = q[6]->items[2];                              \
    p[0]->items[6] = q[7]->items[1], p[1]->items[7] = q[0]->items[0];                              \
    p[2]->items[n] = (char *)q[n], p[3]->items[0] = (char *)q[3];                                  \
    p[n] = q[6], p[5] = q[4], p[6] = q[0]
static void shuffle(struct wide **a, struct wide **b, struct wide **c, struct wide **d, int n)
{
    SHUFFLE(a, b);
    SHUFFLE(a, c);
    SHUFFLE(a, d);
    SHUFFLE(b, a);
    SHUFFLE(b, c);
    SHUFFLE(b, d);
    SHUFFLE(c, a);
    SHUFFLE(c, b);
    SHUFFLE(c, d);
    SHUFFLE(d, a);
    SHUFFLE(d, b);
    SHUFFLE(d, c);
}
void shuffled(int n)
{
    struct wide one = {{0}}, two = {{0}};
    struct wide *a[8] = {&one}, *b[8] = {&two}, *c[8] = {&one}, *d[8] = {&two};
    char *block = malloc(8); /* shuffled N F */
    one.items[2] = block;
    shuffle(a, b, c, d, n);
    free(block);
}
void shuffled_out(int n, struct wide **theirs)
{
    struct wide one = {{0}};
    struct wide *a[8] = {&one}, *c[8] = {&one}, *d[8] = {&one};
    one.items[2] = malloc(8); /* shuffled_out E */
    shuffle(a, theirs, c, d, n);
}
void shuffled_kept(int n)
{
    struct wide one = {{0}}, two = {{0}};
    struct wide *a[8] = {&one}, *b[8] = {&two}, *c[8] = {&one}, *d[8] = {&two};
    two.items[7] = malloc(8); /* shuffled_kept E */
    shuffle(a, b, c, d, n);
    sink = one.items[0];
}
/* What is copied begins behind a pointer, at it, before it. */
struct text {
    char *at, bytes[24];
};
struct late_text {
    char bytes[24], *at;
};
unsigned char sink_copy[256];
void tail_copied(size_t n)
{
    struct text *text = malloc(sizeof *text); /* tail_copied N F */
    text->at = text->bytes;
    memcpy(sink_copy, text->at, n);
    free(text);
}
void head_copied(size_t n)
{
    struct text *text = malloc(sizeof *text); /* head_copied E */
    text->at = text->bytes;
    memcpy(sink_copy, text, n);
}
void front_copied(size_t n)
{
    struct late_text *text = malloc(sizeof *text); /* front_copied E */
    text->at = text->bytes;
    memcpy(sink_copy, text->bytes, n);
}
void back_copied(size_t n)
{
    struct text *text = malloc(sizeof *text); /* back_copied E */
    text->at = text->bytes;
    memcpy(sink_copy, text->at - n, n);
}
void handle_or_own(int n)
{
    struct pair own = {0};
    void *either = n ? (void *)stderr : &own;
    char *block = malloc(8); /* handle_or_own N F */
    if (!n)
        ((struct pair *)either)->first = block;
    free(block);
}
struct pair *their_pair;
void theirs_or_own(int n)
{
    struct pair own = {0};
    void *either = n ? (void *)their_pair : &own;
    ((struct pair *)either)->first = malloc(8); /* theirs_or_own E */
}
void from_file(FILE *file)
{
    struct pair *pair;
    fread(&pair, sizeof pair, 1, file);
    pair->first = malloc(8); /* from_file E */
}
/* A callback that only the caller knows is handed what lies in the caller's memory, which is then looked into. */
struct visitor {
    void (*visit)(struct pair *);
    struct pair *pair;
};
extern void (*any_visit)(struct pair *);
static char *outer_slot;
static void point_outside(struct pair *pair)
{
    pair->first = (char *)&outer_slot;
}
static void point_nowhere(struct pair *pair)
{
    caught = pair->second != NULL;
}
static void visit_then_store(struct visitor *visitor, char *block)
{
    visitor->visit(visitor->pair);
    *(char **)visitor->pair->first = block;
}
void visited_outside(void)
{
    char *slot = NULL;
    struct pair pair = {.first = (char *)&slot};
    struct visitor visitor = {point_outside, &pair};
    visit_then_store(&visitor, malloc(8)); /* visited_outside E */
}
void visited_inside(void)
{
    char *slot = NULL;
    struct pair pair = {.first = (char *)&slot};
    struct visitor visitor = {point_nowhere, &pair};
    visit_then_store(&visitor, malloc(8)); /* visited_inside N U */
    free(slot);
}
void visited_by_any(void)
{
    char *slot = NULL;
    struct pair pair = {.first = (char *)&slot};
    struct visitor visitor = {any_visit, &pair};
    visit_then_store(&visitor, malloc(8)); /* visited_by_any E */
}
void visited_by_theirs(struct visitor *theirs)
{
    visit_then_store(theirs, malloc(8)); /* visited_by_theirs E */
}
static void make_then_visit(struct visitor *visitor, char *block)
{
    visitor->pair = calloc(1, sizeof *visitor->pair); /* make_then_visit E */
    visitor->visit(visitor->pair);
    if (visitor->pair->first)
        *(char **)visitor->pair->first = block;
}
void made_visited_outside(void)
{
    struct visitor visitor = {point_outside, NULL};
    char *block = malloc(8); /* made_visited_outside E */
    make_then_visit(&visitor, block);
    free(visitor.pair);
}
void made_visited_inside(void)
{
    struct visitor visitor = {point_nowhere, NULL};
    char *block = malloc(8); /* made_visited_inside N F|E */
    make_then_visit(&visitor, block); /* made_visited_inside_pair N U */
    free(visitor.pair);
    free(block);
}
/* Nodes that move from chain to chain of a table, by a hash that the caller gives. */
struct link {
    struct link *next;
    struct pair *key;
};
struct chains {
    void (*look)(struct pair *);
    struct link *before[2], *after[2];
};
static void move_chains(struct chains *chains, unsigned n)
{
    for (struct link *link = chains->before[n & 1], *next; link; link = next) {
        next = link->next;
        chains->look(link->key);
        link->next = chains->after[n % 3 & 1];
        chains->after[n % 3 & 1] = link;
    }
}
void chains_moved(unsigned n)
{
    struct pair key = {0};
    struct link link = {.key = &key};
    struct chains chains = {point_nowhere, {&link}, {NULL}};
    char *block = malloc(8); /* chains_moved N F|E */
    key.second = block;
    move_chains(&chains, n);
    free(block);
}
static struct pair *looked_at;
static void look_keeps(struct pair *pair)
{
    looked_at = pair;
}
void chains_kept(unsigned n)
{
    struct pair *key = calloc(1, sizeof *key); /* chains_kept E */
    struct link link = {.key = key};
    struct chains chains = {look_keeps, {&link}, {NULL}};
    move_chains(&chains, n);
}
/* Pointers to anywhere, stored anywhere. */
#define ANY(p) (*(char **)((p) + n))
static void mix(char *a, char *b, char *c, char *d, size_t n)
{
    ANY(a) = b + n, ANY(a) = c + n, ANY(a) = d + n, ANY(a) = ANY(b), ANY(b) = a + n;
    ANY(b) = c + n, ANY(b) = d + n, ANY(b) = ANY(c), ANY(c) = a + n, ANY(c) = b + n;
    ANY(c) = d + n, ANY(c) = ANY(d), ANY(d) = a + n, ANY(d) = b + n, ANY(d) = c + n;
}
void mixed(size_t n)
{
    char *a[4] = {0}, *b[4] = {0}, *c[4] = {0}, *d[4] = {0};
    char *block = malloc(8); /* mixed N F */
    d[n & 3] = block;
    mix((char *)a, (char *)b, (char *)c, (char *)d, n);
    free(block);
}
void mixed_kept(size_t n)
{
    char *a[4] = {0}, *b[4] = {0}, *c[4] = {0}, *d[4] = {0};
    d[n & 3] = malloc(8); /* mixed_kept E */
    mix((char *)a, (char *)b, (char *)c, (char *)d, n);
    sink = a[0];
}
void mixed_out(size_t n, char **theirs)
{
    char *a[4] = {0}, *b[4] = {0}, *d[4] = {0};
    d[n & 3] = malloc(8); /* mixed_out E */
    mix((char *)a, (char *)b, (char *)theirs, (char *)d, n);
}
