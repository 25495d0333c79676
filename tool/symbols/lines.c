/* SPDX-License-Identifier: MIT */
#include "lines.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "demangle.h"

enum {
    DEPTH_MAX = 128,       /* nesting of scopes, inlined calls among them */
    ENTRIES_MAX = 1 << 24, /* entries visited in one unit: damaged siblings could form a circle */
    RANGES_MAX = 1 << 20,  /* of one entry */
};

/* Addresses [start, end) belong to `value`: a unit or, within one, a function's entry. */
struct span {
    uint64_t start, end;
    size_t value;
};

struct spans {
    struct span *items;
    size_t count, capacity;
};

struct unit {
    Dwarf_CU *cu;
    Dwarf_Die die;   /* has the line table */
    Dwarf_Die scope; /* has the functions: another one if the unit is split, from then on when it is
                        indexed */
    bool indexed;
    struct spans functions; /* value: index in entries */
    Dwarf_Die *entries;
    size_t entry_count, entry_capacity;
};

/* A name in the debug information and what it is for display: demangling costs more than all else
 * here. */
struct known_name {
    const char *raw;
    const char *display;
};

struct line_index {
    Dwfl *dwfl;
    struct known_name *names; /* open addressing by the raw name's place */
    size_t name_slots, name_count;
    uint64_t bias; /* file's address = DWARF's + bias */
    struct unit *units;
    size_t unit_count, unit_capacity;
    struct spans unit_spans; /* value: index in units */
};

/* Room for one more of item_size; false: out of memory. */
static bool make_room(void **items, size_t count, size_t *capacity, size_t item_size)
{
    if (count < *capacity)
        return true;
    size_t larger = *capacity ? *capacity * 2 : 16;
    void *moved = realloc(*items, larger * item_size);
    if (!moved)
        return false;
    *items = moved;
    *capacity = larger;
    return true;
}

static int compare_spans(const void *left, const void *right)
{
    const struct span *a = left, *b = right;
    if (a->start != b->start)
        return a->start < b->start ? -1 : 1;
    if (a->end != b->end)
        return a->end > b->end ? -1 : 1; /* the inner one last: it is found first */
    return a->value < b->value ? -1 : a->value > b->value;
}

static void spans_add(struct spans *spans, Dwarf_Die *die, size_t value)
{
    Dwarf_Addr base, start, end;
    ptrdiff_t offset = 0;
    for (int i = 0; i < RANGES_MAX; i++) {
        offset = dwarf_ranges(die, offset, &base, &start, &end);
        if (offset <= 0)
            return;
        /* address 0: a function that the linker left out */
        if (start == 0 || end <= start)
            continue;
        if (!make_room((void **)&spans->items, spans->count, &spans->capacity,
                       sizeof *spans->items))
            return;
        spans->items[spans->count++] = (struct span){start, end, value};
    }
}

static void spans_sort(struct spans *spans)
{
    if (spans->count > 1)
        qsort(spans->items, spans->count, sizeof *spans->items, compare_spans);
}

/* SIZE_MAX: none covers address. Spans overlap in damaged or oddly nested cases only; a few steps
 * back do. */
static size_t spans_find(const struct spans *spans, uint64_t address)
{
    size_t low = 0, high = spans->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (spans->items[middle].start <= address)
            low = middle + 1;
        else
            high = middle;
    }
    for (size_t back = 0; back < 16 && back < low; back++) {
        const struct span *span = &spans->items[low - 1 - back];
        if (address < span->end)
            return span->value;
    }
    return SIZE_MAX;
}

static void index_units(struct line_index *index, Dwarf *dwarf)
{
    Dwarf_CU *cu = NULL;
    Dwarf_Half version;
    uint8_t type;
    Dwarf_Die die;
    while (dwarf_get_units(dwarf, cu, &cu, &version, &type, &die, NULL) == 0) {
        if (type != DW_UT_compile && type != DW_UT_skeleton)
            continue;
        if (!make_room((void **)&index->units, index->unit_count, &index->unit_capacity,
                       sizeof *index->units))
            break;
        spans_add(&index->unit_spans, &die, index->unit_count);
        index->units[index->unit_count++] = (struct unit){.cu = cu, .die = die, .scope = die};
    }
    spans_sort(&index->unit_spans);
}

bool line_index_open(struct module_file *file)
{
    if (file->lines || file->no_lines || !file->module)
        return file->lines != NULL;
    file->no_lines = true;
    struct line_index *index = calloc(1, sizeof *index);
    if (!index)
        return false;
    /* A second look at the file, apart from the symbols': what DWARF costs can be given back alone.
     */
    Dwfl_Module *module;
    const char *reason;
    if (module_dwfl_open(file, &index->dwfl, &module, &reason) != 0) {
        free(index);
        return false;
    }
    Dwarf_Addr bias = 0;
    Dwarf *dwarf = dwfl_module_getdwarf(module, &bias);
    if (!dwarf) {
        dwfl_end(index->dwfl);
        free(index);
        return false;
    }
    index->bias = bias;
    index_units(index, dwarf);
    file->lines = index;
    file->no_lines = false;
    return true;
}

void line_index_close(struct module_file *file)
{
    struct line_index *index = file->lines;
    if (!index)
        return;
    for (size_t i = 0; i < index->unit_count; i++) {
        free(index->units[i].functions.items);
        free(index->units[i].entries);
    }
    free(index->names);
    free(index->units);
    free(index->unit_spans.items);
    dwfl_end(index->dwfl);
    free(index);
    file->lines = NULL;
}

/* What elfutils would open for a split unit must be a regular file: it would wait at a FIFO. */
static bool split_file_is_safe(Dwarf_Die *die)
{
    Dwarf_Attribute attribute;
    const char *name = dwarf_formstring(dwarf_attr(die, DW_AT_dwo_name, &attribute));
    if (!name)
        name = dwarf_formstring(dwarf_attr(die, DW_AT_GNU_dwo_name, &attribute));
    if (!name)
        return false;
    const char *folder = dwarf_formstring(dwarf_attr(die, DW_AT_comp_dir, &attribute));
    char *joined = NULL;
    if (name[0] != '/' && folder && asprintf(&joined, "%s/%s", folder, name) < 0)
        return false;
    struct stat status;
    bool safe = stat(joined ? joined : name, &status) != 0 || S_ISREG(status.st_mode);
    free(joined);
    return safe;
}

static bool may_hold_functions(int tag)
{
    switch (tag) {
    case DW_TAG_namespace:
    case DW_TAG_module:
    case DW_TAG_class_type:
    case DW_TAG_structure_type:
    case DW_TAG_union_type:
    case DW_TAG_subprogram: /* GNU C's nested functions, the methods of local classes */
    case DW_TAG_lexical_block:
        return true;
    default:
        return false;
    }
}

static void add_function(struct unit *unit, Dwarf_Die *die)
{
    if (!make_room((void **)&unit->entries, unit->entry_count, &unit->entry_capacity,
                   sizeof *unit->entries))
        return;
    size_t before = unit->functions.count;
    spans_add(&unit->functions, die, unit->entry_count);
    if (unit->functions.count > before)
        unit->entries[unit->entry_count++] = *die;
}

/* Collects the functions of a unit that have code; the walk keeps its own stack. */
static void index_functions(struct unit *unit)
{
    unit->indexed = true;
    Dwarf_Half version;
    uint8_t type;
    Dwarf_Die cudie, subdie = {0};
    if (dwarf_cu_info(unit->cu, &version, &type, &cudie, NULL, NULL, NULL, NULL) == 0 &&
        type == DW_UT_skeleton && split_file_is_safe(&cudie) &&
        dwarf_cu_info(unit->cu, &version, &type, &cudie, &subdie, NULL, NULL, NULL) == 0 &&
        subdie.addr)
        unit->scope = subdie;

    Dwarf_Die stack[DEPTH_MAX];
    size_t depth = 0;
    if (dwarf_child(&unit->scope, &stack[0]) == 0)
        depth = 1;
    for (long visited = 0; depth > 0 && visited < ENTRIES_MAX; visited++) {
        Dwarf_Die *die = &stack[depth - 1];
        int tag = dwarf_tag(die);
        if (tag == DW_TAG_subprogram)
            add_function(unit, die);
        if (depth < DEPTH_MAX && may_hold_functions(tag) && dwarf_child(die, &stack[depth]) == 0) {
            depth++;
            continue;
        }
        while (depth > 0 && dwarf_siblingof(&stack[depth - 1], &stack[depth - 1]) != 0)
            depth--;
    }
    spans_sort(&unit->functions);
}

static const char *keep(struct string_set *strings, const char *text)
{
    return text ? string_set_add(strings, text, strlen(text)) : NULL;
}

static struct known_name *find_name(struct known_name *names, size_t slots, const char *raw)
{
    size_t i = hash_mix((uintptr_t)raw) & (slots - 1);
    while (names[i].raw && names[i].raw != raw)
        i = (i + 1) & (slots - 1);
    return &names[i];
}

/* False: out of memory; what is known stays. */
static bool names_make_room(struct line_index *index)
{
    if (index->name_count * 4 < index->name_slots * 3)
        return true;
    size_t slots = index->name_slots ? index->name_slots * 2 : 256;
    struct known_name *names = calloc(slots, sizeof *names);
    if (!names)
        return false;
    for (size_t i = 0; i < index->name_slots; i++) {
        if (index->names[i].raw)
            *find_name(names, slots, index->names[i].raw) = index->names[i];
    }
    free(index->names);
    index->names = names;
    index->name_slots = slots;
    return true;
}

static const char *display_name(struct line_index *index, struct string_set *strings,
                                const char *raw)
{
    if (!names_make_room(index))
        return NULL;
    struct known_name *name = find_name(index->names, index->name_slots, raw);
    if (!name->raw) {
        char *text = demangle(raw);
        *name = (struct known_name){.raw = raw, .display = keep(strings, text)};
        index->name_count++;
        free(text);
    }
    return name->display;
}

static const char *entry_name(struct line_index *index, Dwarf_Die *die, struct string_set *strings)
{
    Dwarf_Attribute attribute;
    const char *raw = dwarf_formstring(dwarf_attr_integrate(die, DW_AT_linkage_name, &attribute));
    if (!raw)
        raw = dwarf_formstring(dwarf_attr_integrate(die, DW_AT_MIPS_linkage_name, &attribute));
    if (!raw) {
        raw = dwarf_formstring(dwarf_attr_integrate(die, DW_AT_name, &attribute));
        if (raw && strcmp(raw, "operator()") == 0)
            return keep(strings, "{lambda}::operator()"); /* gcc gives it no linkage name */
    }
    return raw ? display_name(index, strings, raw) : NULL;
}

/* Where an inlined call was written. */
static void call_place(struct unit *unit, Dwarf_Die *call, struct string_set *strings,
                       struct symbols_line *ret_line)
{
    Dwarf_Attribute attribute;
    Dwarf_Word number;
    Dwarf_Files *files;
    size_t file_count;
    if (dwarf_formudata(dwarf_attr(call, DW_AT_call_line, &attribute), &number) == 0 &&
        number <= INT32_MAX)
        ret_line->line = (unsigned)number;
    if (dwarf_formudata(dwarf_attr(call, DW_AT_call_file, &attribute), &number) == 0 &&
        (dwarf_getsrcfiles(&unit->scope, &files, &file_count) == 0 ||
         dwarf_getsrcfiles(&unit->die, &files, &file_count) == 0) &&
        number < file_count)
        ret_line->file = keep(strings, dwarf_filesrc(files, number, NULL, NULL));
}

/* The scopes around address from the function inwards that are functions: itself, then the inlined
 * ones. */
static size_t inline_chain(Dwarf_Die *function, uint64_t address, Dwarf_Die *ret_chain)
{
    size_t count = 0;
    ret_chain[count++] = *function;
    Dwarf_Die die;
    bool more = dwarf_child(function, &die) == 0;
    for (long visited = 0; more && visited < ENTRIES_MAX; visited++) {
        int tag = dwarf_tag(&die);
        bool is_scope = tag == DW_TAG_inlined_subroutine || tag == DW_TAG_lexical_block ||
                        tag == DW_TAG_try_block || tag == DW_TAG_catch_block;
        Dwarf_Die inner;
        if (is_scope && dwarf_haspc(&die, address) == 1) {
            if (tag == DW_TAG_inlined_subroutine && count < DEPTH_MAX)
                ret_chain[count++] = die;
            more = dwarf_child(&die, &inner) == 0;
            die = inner;
        } else {
            more = dwarf_siblingof(&die, &die) == 0;
        }
    }
    return count;
}

size_t line_index_find(struct line_index *index, struct string_set *strings, uint64_t address,
                       struct symbols_line *ret_lines, size_t max)
{
    address -= index->bias;
    size_t unit_number = spans_find(&index->unit_spans, address);
    if (unit_number == SIZE_MAX || max == 0)
        return 0;
    struct unit *unit = &index->units[unit_number];
    if (!unit->indexed)
        index_functions(unit);

    struct symbols_line here = {0};
    Dwarf_Line *line = dwarf_getsrc_die(&unit->die, address);
    int number;
    if (line) {
        here.file = keep(strings, dwarf_linesrc(line, NULL, NULL));
        if (dwarf_lineno(line, &number) == 0 && number > 0)
            here.line = (unsigned)number;
    }

    Dwarf_Die chain[DEPTH_MAX];
    size_t chain_count = 0;
    size_t function = spans_find(&unit->functions, address);
    if (function != SIZE_MAX)
        chain_count = inline_chain(&unit->entries[function], address, chain);
    if (chain_count == 0) {
        ret_lines[0] = here;
        return 1;
    }
    size_t count = 0;
    while (count < max && chain_count > 0) {
        Dwarf_Die *die = &chain[--chain_count];
        here.function = entry_name(index, die, strings);
        here.inlined = chain_count > 0;
        ret_lines[count++] = here;
        here = (struct symbols_line){0};
        if (chain_count > 0)
            call_place(unit, die, strings, &here);
    }
    return count;
}
