/* SPDX-License-Identifier: MIT */
/*
 * The code of the advice. Every snippet compiles as it stands: the block's type is spelt as a
 * struct of that many bytes, for the reader to replace, and names derive from the site's function.
 */
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "figures.h"
#include "ladder.h"

#define COMMENT_COLUMNS 72

struct snippet {
    FILE *stream;
    const struct weighed *w;
    const struct decision *decision;
    char name[25]; /* a C identifier */
    bool zeroed;   /* the site calls calloc */
};

static bool word_byte(char byte)
{
    return isalnum((unsigned char)byte) || byte == '_';
}

/* The last component of a qualified name, without template arguments or parameters. */
static void make_identifier(const char *function, char *ret_name, size_t size)
{
    const char *end = function ? function + strcspn(function, "<(+ ") : "";
    const char *start = end;
    while (function && start > function && word_byte(start[-1]))
        start--;
    size_t length = 0;
    if (start == end || isdigit((unsigned char)*start)) {
        snprintf(ret_name, size, "site");
        return;
    }
    while (start < end && length + 1 < size)
        ret_name[length++] = *start++;
    ret_name[length] = '\0';
}

/* Words of `text`, filled to comment lines. */
static void comment_fill(FILE *stream, const char *text)
{
    size_t column = 0;
    while (*text) {
        size_t length = figure_word(text);
        if (length && column && column + 1 + length > COMMENT_COLUMNS)
            column = 0;
        if (length) {
            fprintf(stream, "%s%.*s", column ? " " : "\n * ", (int)length, text);
            column += length + (column ? 1 : 0);
        }
        text += length + (text[length] != '\0');
    }
}

static void write_header(const struct snippet *s, const char *reason, double cpu_ns)
{
    const struct weighed *w = s->w;
    const struct verdict_names *names = &w->input->names;
    fprintf(s->stream, "/*\n * poolwise: %s for ", verdict_name(s->decision->kind));
    say_name(s->stream, names->function);
    if (names->file) {
        fprintf(s->stream, " (");
        say_name(s->stream, names->file);
        fprintf(s->stream, ":%u)", names->line);
    }
    fputc('.', s->stream);
    comment_fill(s->stream, reason);
    fprintf(s->stream, ".\n * %s blocks, p50 %s, max %s; at most %s alive at once.",
            figure_count(w->facts->allocations).text, figure_bytes(w->facts->size.p50).text,
            figure_bytes(w->largest).text, figure_count(w->facts->live_peak).text);
    fprintf(s->stream, "\n * Saves ");
    if (cpu_ns > 0)
        fprintf(s->stream, "%s of CPU time", figure_share(s->decision->saved_ns / cpu_ns).text);
    else
        fprintf(s->stream, "%s of CPU time in the run", figure_ns(s->decision->saved_ns).text);
    fprintf(s->stream, ", %s: malloc+free %s", w->input->cost.measured ? "measured" : "estimated",
            figure_ns(w->malloc_ns).text);
    if (w->pool_pair_ns > 0)
        fprintf(s->stream, ", a pool's get+put %s", figure_ns(w->pool_pair_ns).text);
    const struct verdict_cost *cost = &w->input->cost;
    if (cost->simpler.measured)
        fprintf(s->stream, ", %s %s", verdict_name(cost->simpler.kind), figure_ns(cost->simpler.pair_ns).text);
    if (cost->measured && cpu_ns > 0) {
        bool simpler = cost->simpler.measured && cost->simpler.kind == s->decision->kind;
        const double *interval = simpler ? cost->simpler.saved_ci95 : w->saved_ci95;
        fprintf(s->stream, ";\n * 95 %% interval %s to %s, %u repetitions", figure_share(interval[0]).text,
                figure_share(interval[1]).text, cost->repetitions);
    }
    fprintf(s->stream, ".\n * Look again when the sizes or the numbers above have shifted.\n */\n");
}

static void write_type(const struct snippet *s, uint64_t bytes)
{
    fprintf(s->stream,
            "struct %s_block { /* your type in its place */\n"
            "    char bytes[%" PRIu64 "];\n"
            "};\n\n",
            s->name, bytes ? bytes : 1);
}

static void write_stack(const struct snippet *s)
{
    uint64_t live = s->w->facts->max_live_in_instance > 1 ? s->w->facts->max_live_in_instance : 1;
    if (s->w->facts->size.min == s->w->largest) {
        write_type(s, s->w->largest);
        fprintf(
            s->stream,
            "/* What the function did with it. */\nvoid use_%s_block(struct %s_block *block);\n\n",
            s->name, s->name);
        fprintf(s->stream, "static inline void %s_on_stack(void)\n{\n", s->name);
        if (live > 1)
            fprintf(s->stream,
                    "    struct %s_block block[%" PRIu64 "]%s;\n    use_%s_block(block);\n",
                    s->name, live, s->zeroed ? " = {0}" : "", s->name);
        else
            fprintf(s->stream, "    struct %s_block block%s;\n    use_%s_block(&block);\n", s->name,
                    s->zeroed ? " = {0}" : "", s->name);
        fprintf(s->stream, "}\n");
        return;
    }
    uint64_t bytes = round_to_class(s->w->largest);
    fprintf(s->stream,
            "#include <stdlib.h>\n\n"
            "/* What the function did with it. */\nvoid use_%s_block(char *block, size_t size);\n\n"
            "static inline int %s_on_stack(size_t size)\n{\n"
            "    char local[%" PRIu64 "]%s; /* the largest seen was %" PRIu64 " bytes */\n"
            "    char *block = size <= sizeof local ? local : %s;\n"
            "    if (!block)\n"
            "        return -1;\n"
            "    use_%s_block(block, size);\n"
            "    if (block != local)\n"
            "        free(block);\n"
            "    return 0;\n}\n",
            s->name, s->name, bytes, s->zeroed ? " = {0}" : "", s->w->largest,
            s->zeroed ? "calloc(1, size)" : "malloc(size)", s->name);
}

/* Items of the cap's size; what is larger never comes near the pool. */
static void write_flat_cap(const struct snippet *s)
{
    const char *n = s->name;
    fprintf(s->stream, "#include <poolwise/pool.h>\n#include <stdlib.h>\n%s\n",
            s->zeroed ? "#include <string.h>\n" : "");
    write_type(s, s->decision->bytes);
    fprintf(s->stream, "PWISE_DEFINE_POOL(%s_pool, struct %s_block);\n\n", n, n);
    fprintf(s->stream,
            "static inline void *%s_take(size_t size)\n{\n"
            "    if (size > sizeof(struct %s_block))\n"
            "        return %s;\n",
            n, n, s->zeroed ? "calloc(1, size)" : "malloc(size)");
    if (s->zeroed)
        fprintf(s->stream,
                "    void *block = %s_pool_get();\n"
                "    if (block)\n"
                "        memset(block, 0, size);\n"
                "    return block;\n}\n\n",
                n);
    else
        fprintf(s->stream, "    return %s_pool_get();\n}\n\n", n);
    fprintf(s->stream,
            "/* `size` is the one that the block was taken with. */\n"
            "static inline void %s_give(void *block, size_t size)\n{\n"
            "    if (size > sizeof(struct %s_block))\n"
            "        free(block); /* over the cap: not kept */\n"
            "    else\n"
            "        %s_pool_put(block);\n}\n",
            n, n, n);
}

static void write_cap(const struct snippet *s)
{
    if (s->w->pool.kind == VERDICT_POOL_PLAIN) {
        write_flat_cap(s);
        return;
    }
    const char *n = s->name;
    fprintf(s->stream,
            "#include <poolwise/pool.h>\n#include <stdlib.h>\n%s\n"
            "struct %s_buffer {\n    char *data;\n    size_t capacity;\n};\n\n",
            s->zeroed ? "#include <string.h>\n" : "", n);
    fprintf(s->stream,
            "static void *%s_buffer_create(void *context)\n{\n"
            "    (void)context;\n"
            "    return calloc(1, sizeof(struct %s_buffer));\n}\n\n"
            "static void %s_buffer_destroy(void *item, void *context)\n{\n"
            "    struct %s_buffer *buffer = item;\n"
            "    (void)context;\n"
            "    free(buffer->data);\n"
            "    free(buffer);\n}\n\n"
            "static size_t %s_buffer_size(const void *item, void *context)\n{\n"
            "    const struct %s_buffer *buffer = item;\n"
            "    (void)context;\n"
            "    return buffer->capacity;\n}\n\n",
            n, n, n, n, n, n);
    fprintf(s->stream,
            "PWISE_DEFINE_POOL(%s_pool, struct %s_buffer,\n"
            "                  .create = %s_buffer_create,\n"
            "                  .destroy = %s_buffer_destroy,\n"
            "                  .size_of = %s_buffer_size,\n"
            "                  .max_item_bytes = %" PRIu64 ");\n\n",
            n, n, n, n, n, s->decision->bytes);
    fprintf(s->stream,
            "static inline void %s_give(struct %s_buffer *buffer)\n{\n"
            "    %s_pool_put(buffer); /* over the cap: destroyed, not kept */\n}\n\n"
            "static inline struct %s_buffer *%s_take(size_t size)\n{\n"
            "    struct %s_buffer *buffer = %s_pool_get();\n"
            "    if (buffer && buffer->capacity < size) {\n"
            "        size_t capacity = size < %" PRIu64 " ? %" PRIu64 " : size;\n"
            "        char *data = realloc(buffer->data, capacity);\n"
            "        if (!data) {\n"
            "            %s_give(buffer);\n"
            "            return NULL;\n"
            "        }\n"
            "        buffer->data = data;\n"
            "        buffer->capacity = capacity;\n"
            "    }\n%s"
            "    return buffer;\n}\n",
            n, n, n, n, n, n, n, s->decision->bytes, s->decision->bytes, n,
            s->zeroed ? "    if (buffer)\n        memset(buffer->data, 0, size);\n" : "");
}

/* A growing block: the buffers keep the room that they have gained. */
static void write_buffers(const struct snippet *s)
{
    const char *n = s->name;
    fprintf(s->stream,
            "#include <poolwise/buffer.h>\n\n"
            "/* At first use. */\n"
            "static inline pwise_buffer_pool *%s_pool(void)\n{\n"
            "    static pwise_buffer_pool *pool;\n"
            "    if (!pool)\n"
            "        pool = pwise_buffer_pool_create(&(struct pwise_buffer_pool_options){\n"
            "            .name = \"%s\", .max_capacity = %" PRIu64 "});\n"
            "    return pool;\n}\n\n",
            n, n, s->decision->bytes);
    fprintf(s->stream,
            "/* An empty buffer, to be filled by pwise_buffer_append: in place of the first malloc and of all\n"
            " * reallocs. Call it once before there are threads. */\n"
            "static inline struct pwise_buffer *%s_take(void)\n{\n"
            "    return pwise_buffer_pool_get(%s_pool());\n}\n\n"
            "/* In place of free; the length that it has then counts as used. */\n"
            "static inline void %s_give(struct pwise_buffer *buffer)\n{\n"
            "    pwise_buffer_pool_put(%s_pool(), buffer);\n}\n",
            n, n, n, n);
}

static void write_pool(const struct snippet *s)
{
    if (s->w->pool.kind == VERDICT_POOL_BUFFERS) {
        write_buffers(s);
        return;
    }
    if (s->decision->bytes < s->w->largest) {
        write_cap(s);
        return;
    }
    fprintf(s->stream, "#include <poolwise/pool.h>\n%s\n",
            s->zeroed ? "#include <string.h>\n" : "");
    write_type(s, s->decision->bytes);
    fprintf(s->stream, "PWISE_DEFINE_POOL(%s_pool, struct %s_block);\n\n", s->name, s->name);
    fprintf(s->stream,
            "/* In place of %s. A reused item holds what its last user left%s. */\n"
            "static inline struct %s_block *%s_take(void)\n{\n"
            "    struct %s_block *block = %s_pool_get();\n",
            s->zeroed ? "calloc" : "malloc", s->zeroed ? ", hence the memset" : "", s->name,
            s->name, s->name, s->name);
    if (s->zeroed)
        fprintf(s->stream, "    if (block)\n        memset(block, 0, sizeof *block);\n");
    fprintf(s->stream,
            "    return block;\n}\n\n"
            "/* In place of free. */\n"
            "static inline void %s_give(struct %s_block *block)\n{\n"
            "    %s_pool_put(block);\n}\n",
            s->name, s->name, s->name);
}

static void write_classes(const struct snippet *s)
{
    const char *n = s->name;
    uint64_t low = round_to_class(s->w->facts->size.p1 ? s->w->facts->size.p1 : 1);
    uint64_t top = s->decision->bytes > low ? s->decision->bytes : low;
    unsigned classes = 1;
    for (uint64_t size = low; size < top; size *= 2)
        classes++;
    fprintf(s->stream,
            "#include <poolwise/pool.h>\n#include <stdlib.h>\n%s\n"
            "enum { %s_classes = %u };\n"
            "/* Of %" PRIu64 " bytes << index. */\nstatic pwise_pool *%s_pool[%s_classes];\n\n",
            s->zeroed ? "#include <string.h>\n" : "", n, classes, low, n, n);
    fprintf(s->stream,
            "/* Once, before the first block. */\n"
            "static inline int %s_open(void)\n{\n"
            "    for (int i = 0; i < %s_classes; i++) {\n"
            "        struct pwise_options options = {\n"
            "            .name = \"%s\",\n"
            "            .item_size = (size_t)%" PRIu64 " << i,\n"
            "        };\n"
            "        %s_pool[i] = pwise_pool_create(&options);\n"
            "        if (!%s_pool[i])\n"
            "            return -1;\n"
            "    }\n"
            "    return 0;\n}\n\n"
            "static inline pwise_pool *%s_pool_of(size_t size)\n{\n"
            "    int i = 0;\n"
            "    while (i < %s_classes && ((size_t)%" PRIu64 " << i) < size)\n"
            "        i++;\n"
            "    return i < %s_classes ? %s_pool[i] : NULL;\n}\n\n",
            n, n, n, low, n, n, n, n, low, n, n);
    fprintf(s->stream,
            "static inline void *%s_take(size_t size)\n{\n"
            "    pwise_pool *pool = %s_pool_of(size);\n",
            n, n);
    if (s->zeroed)
        fprintf(s->stream, "    void *block = pool ? pwise_get(pool) : malloc(size);\n"
                           "    if (block)\n"
                           "        memset(block, 0, size);\n"
                           "    return block;\n}\n\n");
    else
        fprintf(s->stream, "    return pool ? pwise_get(pool) : malloc(size);\n}\n\n");
    fprintf(s->stream,
            "/* `size` is the one that the block was taken with. */\n"
            "static inline void %s_give(void *block, size_t size)\n{\n"
            "    pwise_pool *pool = %s_pool_of(size);\n"
            "    if (pool)\n"
            "        pwise_put(pool, block);\n"
            "    else\n"
            "        free(block);\n}\n",
            n, n);
}

static void write_presize(const struct snippet *s)
{
    fprintf(s->stream,
            "#include <stdlib.h>\n\n"
            "/* The first allocation; the code that grows it stays, and hardly runs. */\n"
            "static inline char *%s_start(size_t *ret_capacity)\n{\n"
            "    const size_t capacity = %" PRIu64 "; /* was %" PRIu64 " */\n"
            "    char *buffer = %s;\n"
            "    *ret_capacity = buffer ? capacity : 0;\n"
            "    return buffer;\n}\n",
            s->name, s->decision->bytes, s->w->facts->grow.first.p50,
            s->zeroed ? "calloc(1, capacity)" : "malloc(capacity)");
}

static void write_hoist(const struct snippet *s)
{
    const char *n = s->name;
    const char *loop =
        s->decision->level == 0 ? "the function's own loop" : "the loop of its caller";
    if (s->w->input->names.system) {
        fprintf(s->stream,
                "#include <stdio.h>\n#include <stdlib.h>\n\n"
                "/* If the library takes a buffer, as getline does, keep one over all\n"
                " * calls; if it gives the same answer each time, call it once. */\n"
                "void use_%s_line(const char *line, size_t length);\n\n"
                "static inline void %s_all(FILE *stream)\n{\n"
                "    char *line = NULL;\n"
                "    size_t capacity = 0;\n"
                "    for (ssize_t length; (length = getline(&line, &capacity, stream)) >= 0;)\n"
                "        use_%s_line(line, (size_t)length);\n"
                "    free(line);\n}\n",
                n, n, n);
        return;
    }
    if (s->w->facts->size.min == s->w->largest) {
        fprintf(s->stream, "#include <stdlib.h>\n%s\n", s->zeroed ? "#include <string.h>\n" : "");
        write_type(s, s->w->largest);
        fprintf(s->stream,
                "/* The body of the loop. */\nvoid use_%s_block(struct %s_block *block, size_t "
                "turn);\n\n"
                "/* One block for %s. */\n"
                "static inline int %s_all(size_t turns)\n{\n"
                "    struct %s_block *block = malloc(sizeof *block);\n"
                "    if (!block)\n"
                "        return -1;\n"
                "    for (size_t turn = 0; turn < turns; turn++)%s\n%s"
                "        use_%s_block(block, turn);\n%s"
                "    free(block);\n"
                "    return 0;\n}\n",
                n, n, loop, n, n, s->zeroed ? " {" : "",
                s->zeroed ? "        memset(block, 0, sizeof *block);\n" : "", n,
                s->zeroed ? "    }\n" : "");
        return;
    }
    fprintf(s->stream,
            "#include <stdlib.h>\n%s\n"
            "/* Declared outside %s, freed after it: struct %s_scratch scratch = {0}; */\n"
            "struct %s_scratch {\n    char *data;\n    size_t capacity;\n};\n\n"
            "/* In place of %s; its free goes. The block only grows: the largest seen was %" PRIu64
            " bytes. */\n"
            "static inline char *%s_scratch_get(struct %s_scratch *scratch, size_t size)\n{\n"
            "    if (scratch->capacity < size) {\n"
            "        free(scratch->data); /* its content is not needed */\n"
            "        scratch->data = malloc(size);\n"
            "        scratch->capacity = scratch->data ? size : 0;\n"
            "    }\n%s"
            "    return scratch->data;\n}\n",
            s->zeroed ? "#include <string.h>\n" : "", loop, n, n, s->zeroed ? "calloc" : "malloc",
            s->w->largest, n, n,
            s->zeroed ? "    if (scratch->data)\n        memset(scratch->data, 0, size);\n" : "");
}

static void write_arena(const struct snippet *s)
{
    const char *n = s->name;
    uint64_t chunk = round_to_class(s->decision->bytes / 8);
    chunk = chunk < 4096 ? 4096 : chunk > 1048576 ? 1048576 : chunk;
    fprintf(s->stream,
            "#include <stdalign.h>\n#include <stddef.h>\n#include <stdlib.h>\n%s\n"
            "struct %s_chunk {\n"
            "    struct %s_chunk *next;\n"
            "    size_t used, size;\n"
            "    alignas(max_align_t) char data[];\n"
            "};\n\n"
            "/* One for each call of ",
            s->zeroed ? "#include <string.h>\n" : "", n, n);
    say_name(s->stream, s->w->input->names.death_function);
    fprintf(s->stream,
            ", {NULL} at first.\n"
            " * Every site whose blocks die there takes from it. */\n"
            "struct %s_arena {\n    struct %s_chunk *chunks;\n};\n\n"
            "static inline void *%s_arena_take(struct %s_arena *arena, size_t size)\n{\n"
            "    size = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);\n"
            "    struct %s_chunk *chunk = arena->chunks;\n"
            "    if (!chunk || chunk->size - chunk->used < size) {\n"
            "        size_t room = size > %" PRIu64 " ? size : %" PRIu64 ";\n"
            "        chunk = malloc(sizeof *chunk + room);\n"
            "        if (!chunk)\n"
            "            return NULL;\n"
            "        *chunk = (struct %s_chunk){.next = arena->chunks, .size = room};\n"
            "        arena->chunks = chunk;\n"
            "    }\n"
            "    void *block = chunk->data + chunk->used;\n"
            "    chunk->used += size;\n%s"
            "    return block;\n}\n\n"
            "/* In place of all the frees. */\n"
            "static inline void %s_arena_free(struct %s_arena *arena)\n{\n"
            "    while (arena->chunks) {\n"
            "        struct %s_chunk *chunk = arena->chunks;\n"
            "        arena->chunks = chunk->next;\n"
            "        free(chunk);\n"
            "    }\n}\n",
            n, n, n, n, n, chunk, chunk, n, s->zeroed ? "    memset(block, 0, size);\n" : "", n, n,
            n);
}

void snippet_write(const struct weighed *w, const struct decision *decision, const char *reason,
                   double cpu_ns, FILE *stream)
{
    static void (*const writers[VERDICT_COUNT])(const struct snippet *) = {
        [VERDICT_STACK] = write_stack,     [VERDICT_POOL] = write_pool,
        [VERDICT_CAP] = write_cap,         [VERDICT_CLASSES] = write_classes,
        [VERDICT_HOIST] = write_hoist,     [VERDICT_ARENA] = write_arena,
        [VERDICT_PRESIZE] = write_presize,
    };
    if (!writers[decision->kind])
        return;
    struct snippet snippet = {
        .stream = stream,
        .w = w,
        .decision = decision,
        .zeroed = w->facts->calls[TRACE_CALL_CALLOC] > w->facts->allocations / 2,
    };
    make_identifier(w->input->names.function, snippet.name, sizeof snippet.name);
    write_header(&snippet, reason, cpu_ns);
    writers[decision->kind](&snippet);
}
