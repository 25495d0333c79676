/* SPDX-License-Identifier: MIT */
/*
 * One allocation for each kind of use, each with the truth beside it:
 *
 *   N  cannot be reached once the function has returned, and then
 *      F freed on all paths; R the same, in each turn of a loop; L not freed on some path; U freed, though no walk over the
 *      paths can show it (through memory, after a loop); - never freed
 *   E  can be reached afterwards
 *   M  only code that is not here decides
 *
 * A second word after a bar is what the analysis is known to answer instead, always on the safe side.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct node {
    struct node *next;
    char *text;
    int number;
};

extern int elsewhere(void *);
extern void *(*elsewhere_hook)(void *);
int sink_number;
char *sink_text;
struct node *sink_node;
static struct node *list_head;
static char *table[16];
static _Thread_local char *per_thread;
static jmp_buf back;

/* Helpers, which are sites themselves only where they allocate. */
static int sum(const char *text)
{
    int total = 0;
    while (*text)
        total += *text++;
    return total;
}
static void keep(char *text)
{
    sink_text = text;
}
static char *same(char *text)
{
    return text;
}
static char *skip(char *text)
{
    return text + 3;
}
static void release(void *block)
{
    free(block);
}
static void release_sometimes(void *block, int when)
{
    if (when)
        free(block);
}
static void put(char **where, char *what)
{
    *where = what;
}
static char *take(char **where)
{
    return *where;
}
static void chain_keep(struct node *node)
{
    keep(node->text);
}
static void *checked(size_t size)
{
    void *block = malloc(size); /* checked E */
    if (!block)
        abort();
    return block;
}
static struct node *node_make(const char *text)
{
    struct node *node = malloc(sizeof *node); /* node_make E */
    if (!node)
        return NULL;
    node->text = strdup(text); /* node_make_text E */
    node->next = NULL;
    return node;
}
static void node_drop(struct node *node)
{
    if (!node)
        return;
    free(node->text);
    free(node);
}
static int make_into(char **where, size_t size)
{
    *where = malloc(size); /* make_into E */
    return *where ? 0 : -1;
}
static void report(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vfprintf(stderr, format, list);
    va_end(list);
}
static void remember(int count, ...)
{
    va_list list;
    va_start(list, count);
    sink_text = va_arg(list, char *);
    va_end(list);
}
static int apply(int (*work)(const char *), const char *text)
{
    return work(text);
}
static int with_block(int (*work)(const char *))
{
    char *text = calloc(8, 1); /* with_block N F */
    if (!text)
        return 0;
    int result = work(text);
    free(text);
    return result;
}
static int sum_again(const char *text)
{
    return sum(text) + 1;
}
static int count_down(char *text, int depth)
{
    return depth ? count_down(text, depth - 1) + text[0] : 0;
}
static void keep_deep(char *text, int depth)
{
    if (depth)
        keep_deep(text, depth - 1);
    else
        sink_text = text;
}
static int compare(const void *a, const void *b)
{
    return *(const char *)a - *(const char *)b;
}
static int (*const operations[])(const char *) = {sum, sum_again};
static void visit(struct node *list, void (*with)(struct node *, void *), void *context)
{
    for (; list; list = list->next)
        with(list, context);
}
static void visit_add(struct node *node, void *context)
{
    *(int *)context += node->number;
}
static void visit_keep(struct node *node, void *context)
{
    sink_node = node;
    (void)context;
}

int plain(int n)
{
    char *block = malloc(16); /* plain N F */
    if (!block)
        return -1;
    block[0] = (char)n;
    int result = sum(block);
    free(block);
    return result;
}
char *returned(void)
{
    return malloc(16); /* returned E */
}
void stored_global(void)
{
    sink_text = malloc(16); /* stored_global E */
}
void stored_static(void)
{
    table[3] = malloc(16); /* stored_static E */
}
int unchecked(int n)
{
    char *block = malloc(24); /* unchecked N F */
    block[0] = (char)n;
    n += block[0];
    free(block);
    return n;
}
int conditional_free(int n)
{
    char *block = malloc(24); /* conditional_free N L */
    if (!block)
        return 0;
    if (n > 3)
        return 7;
    free(block);
    return 0;
}
int never_freed(int n)
{
    char *block = malloc(24); /* never_freed N - */
    if (!block)
        return 0;
    block[0] = (char)n;
    return block[0] + sum(block);
}
int through_callee(void)
{
    char *block = malloc(64); /* through_callee E */
    keep(block);
    return 0;
}
int two_blocks(void)
{
    char *a = malloc(8), *b = malloc(9); /* two_blocks N F */
    int same_text = a && b && !strcmp(a, b);
    free(a);
    free(b);
    return same_text;
}
int either(int n)
{
    char *block = n ? malloc(8) : malloc(16); /* either N F */
    int result = block ? sum(block) : 0;
    free(block);
    return result;
}
int loop_free(int n)
{
    int total = 0;
    for (int i = 0; i < n; i++) {
        char *block = malloc(32); /* loop_free N R */
        if (!block)
            return -1;
        total += sum(block);
        free(block);
    }
    return total;
}
int copied_text(const char *text)
{
    char *copy = strdup(text); /* copied_text N F */
    int result = copy ? sum(copy) : 0;
    free(copy);
    return result;
}
int freed_by_helper(void)
{
    char *block = malloc(16); /* freed_by_helper N F */
    release(block);
    return 0;
}
int freed_by_chance(int n)
{
    char *block = malloc(16); /* freed_by_chance N U */
    release_sometimes(block, n);
    return 0;
}
int given_back(void)
{
    char *block = malloc(16); /* given_back N F */
    char *again = same(block);
    int result = again ? again[0] : 0;
    free(again == block ? block : block);
    return result;
}
char *given_on(void)
{
    char *block = malloc(16); /* given_on E */
    return skip(block);
}
int printed(void)
{
    char *block = calloc(1, 20); /* printed N F */
    printf("%s %p\n", block, (void *)block);
    free(block);
    return 0;
}
int searched(const char *text)
{
    char *copy = strdup(text); /* searched N F */
    char *at = copy ? strchr(copy, 'x') : NULL;
    int found = at != NULL;
    free(copy);
    return found;
}
char *search_returned(const char *text)
{
    char *copy = strdup(text); /* search_returned E */
    return strchr(copy, 'x');
}
int decided_elsewhere(void)
{
    char *block = malloc(10); /* decided_elsewhere M F */
    elsewhere(block);
    free(block);
    return 0;
}
int decided_by_hook(void)
{
    char *block = malloc(10); /* decided_by_hook M F */
    elsewhere_hook(block);
    free(block);
    return 0;
}
int number_of(const char *text)
{
    char *copy = strdup(text); /* number_of N F */
    char *end;
    long number = strtol(copy, &end, 10);
    int result = *end ? -1 : (int)number;
    free(copy);
    return result;
}
void into_parameter(struct node *node)
{
    node->text = malloc(12); /* into_parameter E */
}
int out_parameter(void)
{
    char *block;
    if (make_into(&block, 30)) /* out_parameter N U */
        return -1;
    int result = sum(block);
    free(block);
    return result;
}
int in_local_struct(void)
{
    struct node node = {0};
    node.text = malloc(8); /* in_local_struct N U */
    node.number = sum(node.text);
    elsewhere_hook = NULL;
    chain_keep(&(struct node){.text = "fixed"});
    int (*volatile call)(const char *) = sum;
    (void)call;
    struct node *volatile alias = &node;
    free(alias->text);
    return node.number;
}
int in_local_array(void)
{
    char *blocks[4];
    for (int i = 0; i < 4; i++)
        blocks[i] = malloc(8); /* in_local_array N U */
    int total = 0;
    for (int i = 0; i < 4; i++) {
        total += sum(blocks[i]);
        free(blocks[i]);
    }
    return total;
}
int made_and_dropped(void)
{
    struct node *node = node_make("text"); /* made_and_dropped N F */
    int result = node ? node->number : 0;
    node_drop(node);
    return result;
}
int checked_used(int n)
{
    char *block = checked((size_t)n); /* checked_used N F */
    n += sum(block);
    free(block);
    return n;
}
int checked_fixed(void)
{
    char *block = checked(48); /* checked_fixed N F */
    int n = sum(block);
    free(block);
    return n;
}
char *checked_returned(int n)
{
    char *block = checked((size_t)n); /* checked_returned E */
    block[0] = 0;
    return block;
}
void push(const char *text)
{
    struct node *node = malloc(sizeof *node); /* push E */
    if (!node)
        return;
    node->text = strdup(text); /* push_text E */
    node->next = list_head;
    list_head = node;
}
int grown(int n)
{
    char *block = malloc(4); /* grown N F */
    if (!block)
        return -1;
    char *larger = realloc(block, (size_t)n); /* grown_again N F */
    if (!larger) {
        free(block);
        return -1;
    }
    n = sum(larger);
    free(larger);
    return n;
}
int grown_carelessly(int n)
{
    char *block = malloc(4); /* grown_carelessly N L|N U */
    block = realloc(block, (size_t)n); /* grown_carelessly_again N F */
    if (!block)
        return -1;
    n = sum(block);
    free(block);
    return n;
}
void made_by_asprintf(int n)
{
    char *text;
    if (asprintf(&text, "%d", n) < 0) /* made_by_asprintf N U */
        return;
    puts(text);
    free(text);
}
int goto_out(int n)
{
    int result = -1;
    char *a = NULL, *b = NULL;
    a = malloc(8); /* goto_out_a N F */
    if (!a)
        goto out;
    b = malloc(8); /* goto_out_b N F */
    if (!b)
        goto out;
    if (n)
        goto out;
    result = sum(a) + sum(b);
out:
    free(b);
    free(a);
    return result;
}
int only_when_large(int n)
{
    char small[64], *buffer = small, *made = NULL;
    if (n > 64)
        buffer = made = malloc((size_t)n); /* only_when_large N F */
    if (!buffer)
        return -1;
    memset(buffer, 0, (size_t)n);
    n = buffer[1];
    if (made)
        free(made);
    return n;
}
int flag_remembers(int n)
{
    char small[64], *buffer = small;
    if (n > 64)
        buffer = malloc((size_t)n); /* flag_remembers N F|N U */
    if (!buffer)
        return -1;
    int result = buffer[0] = 1;
    if (buffer != small)
        free(buffer);
    return result;
}
int ends_the_program(int n)
{
    char *block = malloc(8); /* ends_the_program N F */
    if (n)
        exit(1);
    free(block);
    return 0;
}
void variable_arguments(void)
{
    char *block = calloc(1, 8); /* variable_arguments N F */
    report("%s\n", block);
    free(block);
}
void variable_arguments_kept(void)
{
    char *block = calloc(1, 8); /* variable_arguments_kept E */
    remember(1, block);
}
int callback_direct(void)
{
    char *block = calloc(1, 8); /* callback_direct N F */
    int result = apply(sum, block);
    free(block);
    return result;
}
int callback_given(void)
{
    return with_block(sum) + with_block(sum_again);
}
int callback_of_caller(int (*work)(const char *))
{
    char *block = calloc(1, 8); /* callback_of_caller M F */
    int result = work(block);
    free(block);
    return result;
}
int table_of_functions(int n)
{
    char *block = calloc(1, 8); /* table_of_functions N F */
    int result = operations[n & 1](block);
    free(block);
    return result;
}
int recursion(int n)
{
    char *block = calloc(1, 8); /* recursion N F */
    n = count_down(block, n);
    free(block);
    return n;
}
void recursion_keeps(int n)
{
    char *block = calloc(1, 8); /* recursion_keeps E */
    keep_deep(block, n);
}
int own_recursion(int n)
{
    char *block = malloc(8); /* own_recursion N F */
    if (!block)
        return 0;
    block[0] = (char)n;
    int result = n ? own_recursion(n - 1) : 0;
    result += block[0];
    free(block);
    return result;
}
int sorted(int n)
{
    char *block = malloc((size_t)n); /* sorted N F */
    if (!block)
        return 0;
    qsort(block, (size_t)n, 1, compare);
    int result = block[0];
    free(block);
    return result;
}
int list_local(int n)
{
    struct node *head = NULL;
    while (n--) {
        struct node *node = malloc(sizeof *node); /* list_local N U */
        if (!node)
            break;
        node->next = head;
        node->number = n;
        head = node;
    }
    int total = 0;
    while (head) {
        struct node *next = head->next;
        total += head->number;
        free(head);
        head = next;
    }
    return total;
}
struct node *list_returned(int n)
{
    struct node *head = NULL;
    while (n--) {
        struct node *node = malloc(sizeof *node); /* list_returned E */
        if (!node)
            break;
        node->next = head;
        head = node;
    }
    return head;
}
int list_visited(int n)
{
    struct node *node = calloc(1, sizeof *node); /* list_visited N F */
    if (!node)
        return 0;
    int total = n;
    visit(node, visit_add, &total);
    free(node);
    return total;
}
int list_visited_kept(int n)
{
    struct node *node = calloc(1, sizeof *node); /* list_visited_kept E */
    if (!node)
        return 0;
    visit(node, visit_keep, &n);
    return 0;
}
int put_and_taken(void)
{
    char *slot, *block = malloc(6); /* put_and_taken N F */
    put(&slot, block);
    char *again = take(&slot);
    int result = again ? again[0] : 0;
    free(block);
    return result;
}
void put_outside(char **where)
{
    put(where, malloc(6)); /* put_outside E */
}
int two_fields(struct node *out)
{
    struct node node;
    node.text = malloc(4);                     /* two_fields_text N U */
    node.next = malloc(sizeof(struct node));   /* two_fields_next E */
    struct node *volatile alias = &node;
    struct node *p = alias;
    out->next = node.next;
    free(p->text);
    return 0;
}
int two_fields_of_caller(struct node *out)
{
    char *text = malloc(4); /* two_fields_of_caller E */
    out->text = text;
    return 0;
}
int two_fields_used(void)
{
    struct node out;
    two_fields_of_caller(&out); /* two_fields_used N U */
    free(out.text);
    return 0;
}
int one_field_kept(void)
{
    struct node node = {0};
    node.text = malloc(4); /* one_field_kept_text E */
    node.next = malloc(4); /* one_field_kept_next N F|N U */
    chain_keep(&node);
    free(node.next);
    return 0;
}
int switch_paths(int n)
{
    char *block = malloc(4); /* switch_paths N L */
    switch (n) {
    case 0:
        free(block);
        return 0;
    case 1:
        free(block);
        return 5;
    case 2:
        return 9;
    default:
        free(block);
    }
    return 1;
}
int allocated_in_loop(int n)
{
    char *block = NULL;
    for (int i = 0; i < n; i++) {
        free(block);
        block = malloc((size_t)i + 1); /* allocated_in_loop N R */
    }
    free(block);
    return 0;
}
int leaked_in_loop(int n)
{
    char *block = NULL;
    for (int i = 0; i < n; i++)
        block = malloc((size_t)i + 1); /* leaked_in_loop N U */
    free(block);
    return 0;
}
char *maybe_returned(int n)
{
    char *block = malloc(4); /* maybe_returned E */
    if (n) {
        free(block);
        return NULL;
    }
    return block;
}
void thread_started(void *(*work)(void *))
{
    pthread_t thread;
    char *block = malloc(4); /* thread_started E */
    pthread_create(&thread, NULL, work, block);
}
void environment(void)
{
    char *block = strdup("A=b"); /* environment E */
    putenv(block);
}
void environment_copied(void)
{
    char *block = strdup("b"); /* environment_copied N F */
    setenv("A", block, 1);
    free(block);
}
void buffered(void)
{
    char *block = malloc(4096); /* buffered E */
    setvbuf(stdout, block, _IOFBF, 4096);
}
int read_whole(const char *path)
{
    FILE *file = fopen(path, "r");
    char *line = NULL;
    size_t size = 0;
    int count = 0;
    if (!file)
        return -1;
    while (getline(&line, &size, file) > 0) /* read_whole N U */
        count++;
    free(line);
    fclose(file);
    return count;
}
int copied_memory(const char *from)
{
    char *block = malloc(16); /* copied_memory N F */
    if (!block)
        return 0;
    memcpy(block, from, 16);
    int result = memcmp(block, from, 8);
    free(block);
    return result;
}
int nested(void)
{
    struct node *outer = malloc(sizeof *outer); /* nested_outer N F */
    if (!outer)
        return 0;
    outer->text = malloc(8); /* nested_inner N F */
    char *text = outer->text;
    free(text);
    free(outer);
    return 0;
}
struct node *nested_returned(void)
{
    struct node *outer = malloc(sizeof *outer); /* nested_returned E */
    char *text = malloc(8);                     /* nested_returned_text E */
    outer->text = text;
    return outer;
}
