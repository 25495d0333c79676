/* SPDX-License-Identifier: MIT */
#include "symbols.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lines.h"
#include "module_file.h"
#include "string_set.h"
#include "wrappers.h"

enum {
    MODULES_MAX = 1 << 20,  /* ids come from a file that may be damaged */
    LINE_INDEXES_OPEN = 12, /* files whose DWARF is held at once; the one used longest ago goes */
};

static const uint32_t NO_FILE = UINT32_MAX;

struct module_slot {
    bool used;
    uint32_t file;
    uint64_t bias;
};

/* What is known of an address of a file; start is relative to the load bias. */
struct known_address {
    bool used;
    uint32_t file;
    uint64_t address; /* the return address, without the load bias */
    uint64_t start;
    uint64_t id;
    const char *name;
    bool named, wrapper;
};

struct symbols {
    struct string_set strings;
    struct wrapper_table *wrappers;
    struct module_slot *modules;
    size_t module_count;
    struct module_file **files; /* one for all modules of the same path and build id */
    size_t file_count, file_capacity;
    struct known_address *known; /* open addressing */
    size_t known_slots, known_count;
    uint64_t line_lookups;
};

struct symbols *symbols_create(void)
{
    struct symbols *symbols = calloc(1, sizeof *symbols);
    if (!symbols)
        return NULL;
    symbols->wrappers = wrapper_table_create();
    if (!symbols->wrappers) {
        free(symbols);
        errno = ENOMEM;
        return NULL;
    }
    return symbols;
}

void symbols_destroy(struct symbols *symbols)
{
    if (!symbols)
        return;
    for (size_t i = 0; i < symbols->file_count; i++) {
        line_index_close(symbols->files[i]);
        module_file_done(symbols->files[i]);
        free(symbols->files[i]);
    }
    free(symbols->files);
    free(symbols->modules);
    free(symbols->known);
    wrapper_table_destroy(symbols->wrappers);
    string_set_done(&symbols->strings);
    free(symbols);
}

bool symbols_name_is_wrapper(const struct symbols *symbols, const char *name)
{
    return wrapper_table_has(symbols->wrappers, name);
}

int symbols_wrapper_add(struct symbols *symbols, const char *regex, char **ret_error)
{
    int result = wrapper_table_add(symbols->wrappers, regex, ret_error);
    for (size_t i = 0; result == 0 && i < symbols->known_slots; i++) {
        struct known_address *known = &symbols->known[i];
        if (known->used && known->named && !known->wrapper)
            known->wrapper = wrapper_table_has(symbols->wrappers, known->name);
    }
    return result;
}

static const char *base_name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

/* The number of the file that a module came from; -errno. */
static int64_t find_or_add_file(struct symbols *symbols, const struct symbols_module *module)
{
    const char *path = string_set_add(&symbols->strings, module->path, strlen(module->path));
    if (!path)
        return -ENOMEM;
    for (size_t i = 0; i < symbols->file_count; i++) {
        const struct module_file *file = symbols->files[i];
        if (file->path == path && file->build_id_size == module->build_id_size &&
            (module->build_id_size == 0 ||
             memcmp(file->build_id, module->build_id, module->build_id_size) == 0))
            return (int64_t)i;
    }
    if (symbols->file_count == symbols->file_capacity) {
        size_t capacity = symbols->file_capacity ? symbols->file_capacity * 2 : 64;
        struct module_file **files = realloc(symbols->files, capacity * sizeof(void *));
        if (!files)
            return -ENOMEM;
        symbols->files = files;
        symbols->file_capacity = capacity;
    }
    struct module_file *file = calloc(1, sizeof *file);
    uint8_t *build_id = malloc(module->build_id_size + 1);
    if (!file || !build_id) {
        free(file);
        free(build_id);
        return -ENOMEM;
    }
    if (module->build_id_size > 0)
        memcpy(build_id, module->build_id, module->build_id_size);
    file->path = path;
    file->base_name = base_name_of(path);
    file->build_id = build_id;
    file->build_id_size = module->build_id_size;
    file->hash = hash_mix(file->build_id_size > 0
                              ? hash_bytes(HASH_SEED, build_id, file->build_id_size)
                              : hash_bytes(HASH_SEED, file->base_name, strlen(file->base_name)));
    file->system = module_is_system(file->base_name);
    file->seen_through = module_is_seen_through(file->base_name);
    symbols->files[symbols->file_count] = file;
    return (int64_t)symbols->file_count++;
}

int symbols_module_add(struct symbols *symbols, const struct symbols_module *module)
{
    if (module->id >= MODULES_MAX || !module->path)
        return -EINVAL;
    if (module->id >= symbols->module_count) {
        size_t count = symbols->module_count ? symbols->module_count * 2 : 64;
        while (count <= module->id)
            count *= 2;
        struct module_slot *slots = realloc(symbols->modules, count * sizeof *slots);
        if (!slots)
            return -ENOMEM;
        memset(slots + symbols->module_count, 0, (count - symbols->module_count) * sizeof *slots);
        symbols->modules = slots;
        symbols->module_count = count;
    }
    int64_t file = find_or_add_file(symbols, module);
    if (file < 0)
        return (int)file;
    symbols->modules[module->id] =
        (struct module_slot){.used = true, .file = (uint32_t)file, .bias = module->bias};
    return 0;
}

static const struct module_slot *find_module(const struct symbols *symbols, uint32_t module)
{
    static const struct module_slot outside = {.used = false, .file = UINT32_MAX, .bias = 0};
    if (module >= symbols->module_count || !symbols->modules[module].used)
        return &outside;
    return &symbols->modules[module];
}

uint64_t symbols_offset(const struct symbols *symbols, uint32_t module, uint64_t address)
{
    return address - find_module(symbols, module)->bias;
}

uint64_t symbols_module_hash(const struct symbols *symbols, uint32_t module)
{
    const struct module_slot *slot = find_module(symbols, module);
    return slot->file == NO_FILE ? 0 : symbols->files[slot->file]->hash;
}

void symbols_each_problem(const struct symbols *symbols,
                          void (*visit)(void *context, const char *path, const char *reason),
                          void *context)
{
    for (size_t i = 0; i < symbols->file_count; i++) {
        if (symbols->files[i]->problem)
            visit(context, symbols->files[i]->path, symbols->files[i]->problem);
    }
}

static size_t known_slot(const struct known_address *known, size_t slots, uint32_t file,
                         uint64_t address)
{
    size_t i = hash_mix(address ^ ((uint64_t)file << 40)) & (slots - 1);
    while (known[i].used && (known[i].address != address || known[i].file != file))
        i = (i + 1) & (slots - 1);
    return i;
}

/* False: out of memory; what is known stays. */
static bool known_make_room(struct symbols *symbols)
{
    if (symbols->known_count * 4 < symbols->known_slots * 3)
        return true;
    size_t slots = symbols->known_slots ? symbols->known_slots * 2 : 1024;
    struct known_address *known = calloc(slots, sizeof *known);
    if (!known)
        return false;
    for (size_t i = 0; i < symbols->known_slots; i++) {
        const struct known_address *old = &symbols->known[i];
        if (old->used)
            known[known_slot(known, slots, old->file, old->address)] = *old;
    }
    free(symbols->known);
    symbols->known = known;
    symbols->known_slots = slots;
    return true;
}

/* For a function without a name: "jq+0x1234"; "0x7f..." outside all modules. */
static const char *place_name(struct symbols *symbols, const struct module_file *file,
                              uint64_t offset)
{
    char *text;
    int length = file ? asprintf(&text, "%s+0x%jx", file->base_name, (uintmax_t)offset)
                      : asprintf(&text, "0x%jx", (uintmax_t)offset);
    if (length < 0)
        return "?";
    const char *name = string_set_add(&symbols->strings, text, (size_t)length);
    free(text);
    return name ? name : "?";
}

static void look_up(struct symbols *symbols, struct module_file *file,
                    struct known_address *ret_known)
{
    struct module_function function = {.known = false};
    if (file)
        module_file_function(file, &symbols->strings, ret_known->address - 1, &function);
    if (!function.known)
        function.start = ret_known->address;
    ret_known->start = function.start;
    ret_known->named = function.name != NULL;
    ret_known->name = function.name ? function.name : place_name(symbols, file, function.start);
    ret_known->wrapper =
        (file && file->seen_through) ||
        (ret_known->named && wrapper_table_has(symbols->wrappers, ret_known->name));
    uint64_t module_hash = file ? file->hash : 0;
    uint64_t id = hash_mix(hash_bytes(module_hash, &function.start, sizeof function.start));
    ret_known->id = id ? id : 1;
}

void symbols_function(struct symbols *symbols, uint32_t module, uint64_t address,
                      struct symbols_function *ret_function)
{
    const struct module_slot *slot = find_module(symbols, module);
    struct module_file *file = slot->file == NO_FILE ? NULL : symbols->files[slot->file];
    uint64_t offset = address - slot->bias;
    struct known_address alone, *known = &alone;
    bool have_room = known_make_room(symbols);
    if (have_room)
        known =
            &symbols->known[known_slot(symbols->known, symbols->known_slots, slot->file, offset)];
    if (!have_room || !known->used) {
        *known = (struct known_address){.used = true, .file = slot->file, .address = offset};
        look_up(symbols, file, known);
        symbols->known_count += have_room;
    }
    *ret_function = (struct symbols_function){
        .id = known->id,
        .start = known->start + slot->bias,
        .name = known->name,
        .named = known->named,
        .wrapper = known->wrapper,
        .system = file && file->system,
        .module_name = file ? file->base_name : "",
    };
}

/* Before one more file's debug information is opened. */
static void close_oldest_lines(struct symbols *symbols)
{
    struct module_file *oldest = NULL;
    size_t open = 0;
    for (size_t i = 0; i < symbols->file_count; i++) {
        struct module_file *file = symbols->files[i];
        if (!file->lines)
            continue;
        open++;
        if (!oldest || file->lines_used < oldest->lines_used)
            oldest = file;
    }
    if (open >= LINE_INDEXES_OPEN)
        line_index_close(oldest);
}

size_t symbols_lines(struct symbols *symbols, uint32_t module, uint64_t address,
                     struct symbols_line *ret_lines, size_t max)
{
    struct symbols_function function;
    symbols_function(symbols, module, address, &function);
    const struct module_slot *slot = find_module(symbols, module);
    struct module_file *file = slot->file == NO_FILE ? NULL : symbols->files[slot->file];
    if (max == 0)
        return 0;

    size_t count = 0;
    if (file && !file->lines && !file->no_lines)
        close_oldest_lines(symbols);
    if (file && line_index_open(file)) {
        file->lines_used = ++symbols->line_lookups;
        count = line_index_find(file->lines, &symbols->strings, address - slot->bias - 1, ret_lines,
                                max);
    }
    if (count == 0)
        ret_lines[count++] = (struct symbols_line){0};
    for (size_t i = 0; i < count; i++) {
        /* the symbol table's name for the function itself, as everywhere else */
        if (!ret_lines[i].function || (!ret_lines[i].inlined && function.named))
            ret_lines[i].function = function.name;
    }
    return count;
}
