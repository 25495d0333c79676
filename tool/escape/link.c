/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "program.h"

static uint32_t hash_name(const char *name)
{
    uint32_t hash = 2166136261u;
    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 16777619u;
    return hash;
}

static struct symbol **slot(struct program *program, const char *name)
{
    struct symbol **at = &program->table[hash_name(name) & (program->table_size - 1)];
    while (*at && strcmp((*at)->name, name))
        at = &(*at)->next;
    return at;
}

static bool is_defined(const struct symbol *symbol)
{
    return symbol->function || symbol->has_initializer;
}

void program_link(struct program *program)
{
    uint32_t count = 0;
    for (size_t u = 0; u < program->unit_count; u++)
        count += program->units[u]->symbol_count;
    for (program->table_size = 1024; program->table_size < count;)
        program->table_size *= 2;
    program->table = arena_alloc(&program->arena, program->table_size * sizeof *program->table);
    for (size_t u = 0; u < program->unit_count; u++) {
        struct unit *unit = program->units[u];
        for (uint32_t i = 0; i < unit->symbol_count; i++) {
            struct symbol *symbol = unit->symbols[i];
            if (symbol->internal || !is_defined(symbol))
                continue;
            struct symbol **at = slot(program, symbol->name);
            if (!*at) {
                *at = symbol;
                continue;
            }
            /* Two programs in one database: whoever asks from elsewhere may mean either. Of variables, too,
             * and then neither's initializer holds. */
            symbol->same_name = (*at)->same_name;
            (*at)->same_name = symbol;
            (*at)->is_constant = symbol->is_constant = false;
        }
    }
    for (size_t u = 0; u < program->unit_count; u++) {
        struct unit *unit = program->units[u];
        for (uint32_t i = 0; i < unit->symbol_count; i++) {
            struct symbol *symbol = unit->symbols[i];
            if (symbol->internal || is_defined(symbol))
                continue;
            struct symbol *found = *slot(program, symbol->name);
            if (!found || found->is_function != symbol->is_function)
                continue;
            symbol->resolved = found;
            for (struct symbol *at = found; at; at = at->same_name)
                at->address_taken |= symbol->address_taken;
        }
    }
}

void program_caller_add(struct program *program, struct function *callee, struct function *caller)
{
    /* From the end: while one caller is looked at, it is the one that came last. */
    for (uint32_t k = callee->caller_count; k-- > 0;)
        if (callee->callers[k] == caller)
            return;
    struct {
        struct function **items;
        uint32_t count, capacity;
    } list = {callee->callers, callee->caller_count, callee->caller_capacity};
    ARENA_PUSH(&program->arena, &list, caller);
    callee->callers = list.items;
    callee->caller_count = list.count;
    callee->caller_capacity = list.capacity;
}
