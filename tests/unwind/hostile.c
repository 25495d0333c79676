/* SPDX-License-Identifier: MIT */
/*
 * Property: whatever stands in .eh_frame_hdr and .eh_frame, compiling a rule ends, reads nothing
 * outside the range given, and gives a rule that is within its own bounds. The tables are the C
 * library's, mutated; the byte after the range is on a page that cannot be read.
 */
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "check.h"
#include "modules.h"
#include "unwind.h"

#define PAGE_BYTES    4096
#define MUTATED_MAX   12
#define PCS_PER_ROUND 6

static uint64_t random_state = 20240607;

static uint64_t draw(uint64_t bound)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (random_state >> 11) % bound;
}

struct tables {
    uint8_t *end;        /* the guard page begins here */
    const uint8_t *from; /* the good tables, header first */
    size_t bytes;
    size_t entry_count;
};

static unsigned long with_rule, without_rule;

static void check_rule(const struct unwind_rule *rule)
{
    CHECK_EQUAL(rule->end > UNWIND_NO_RULE, false);
    CHECK_EQUAL(rule->cfa > UNWIND_CFA_REGISTER_DEREF, false);
    CHECK_EQUAL(rule->cfa_register >= UNWIND_SAVED, false);
    CHECK_EQUAL(rule->from_base >> (UNWIND_SAVED + 1), 0);
    if (rule->end == UNWIND_STEP) {
        with_rule++;
    } else {
        without_rule++;
    }
}

/* The tables' first `bytes`, laid against the guard page; their addresses move along. */
static void compile_some(const struct tables *tables, uint8_t *copy)
{
    for (unsigned i = 0; i < PCS_PER_ROUND; i++) {
        struct unwind_rule rule;
        int32_t first;
        uint64_t pair = 12 + draw(tables->entry_count) * 8;
        memcpy(&first, tables->from + pair, 4);
        uint64_t pc = (uint64_t)copy + (uint64_t)(int64_t)first + draw(200);
        unwind_rule_compile(pc, draw(2), copy, (uint64_t)copy, (uint64_t)tables->end, &rule);
        check_rule(&rule);
    }
}

/* Half of the changes fall on the few bytes that steer the rest: an entry's first, or, less often,
 * the header, without whose table all entries are read. */
static size_t pick_offset(const struct tables *tables)
{
    int32_t entry;

    switch (draw(8)) {
    case 0:
        return draw(12);
    case 1:
    case 2:
    case 3:
        memcpy(&entry, tables->from + 12 + draw(tables->entry_count) * 8 + 4, 4);
        return ((size_t)entry + draw(48)) % tables->bytes;
    default:
        return draw(tables->bytes);
    }
}

static void mutate(const struct tables *tables, unsigned long rounds)
{
    uint8_t *copy = tables->end - tables->bytes;

    memcpy(copy, tables->from, tables->bytes);
    for (unsigned long round = 0; round < rounds; round++) {
        size_t offsets[MUTATED_MAX];
        unsigned count = 1 + (unsigned)draw(MUTATED_MAX);
        for (unsigned i = 0; i < count; i++) {
            static const uint8_t telling[] = {0x00, 0xff, 0x7f, 0x80, 0x0a, 0x0b, 0x0f, 0x10, 0x16};
            offsets[i] = pick_offset(tables);
            copy[offsets[i]] = draw(2) ? (uint8_t)draw(256) : telling[draw(sizeof telling)];
        }
        compile_some(tables, copy);
        for (unsigned i = 0; i < count; i++) {
            copy[offsets[i]] = tables->from[offsets[i]];
        }
    }
}

static void truncate_tables(const struct tables *tables, unsigned long rounds)
{
    for (unsigned long round = 0; round < rounds; round++) {
        size_t bytes = draw(2) ? draw(tables->bytes) : draw(64);
        uint8_t *copy = tables->end - bytes;
        memcpy(copy, tables->from, bytes);
        compile_some(tables, copy);
    }
}

/* The range ends inside the very entry that is asked for, whose length says it goes on. */
static void cut_entries(const struct tables *tables, unsigned long rounds)
{
    for (unsigned long round = 0; round < rounds; round++) {
        struct unwind_rule rule;
        int32_t pair[2];
        uint32_t length;
        memcpy(pair, tables->from + 12 + draw(tables->entry_count) * 8, 8);
        memcpy(&length, tables->from + pair[1], 4);
        size_t bytes = (size_t)pair[1] + draw(4 + (uint64_t)length);
        uint8_t *copy = tables->end - bytes;
        memcpy(copy, tables->from, bytes);
        for (unsigned i = 0; i < PCS_PER_ROUND; i++) {
            uint64_t pc = (uint64_t)copy + (uint64_t)(int64_t)pair[0] + draw(200);
            unwind_rule_compile(pc, true, copy, (uint64_t)copy, (uint64_t)tables->end, &rule);
            check_rule(&rule);
        }
    }
}

/* Every entry's instructions replaced by noise: the header and the pointers stay good. */
static void scramble_code(const struct tables *tables, unsigned long rounds)
{
    uint8_t *copy = tables->end - tables->bytes;

    memcpy(copy, tables->from, tables->bytes);
    for (unsigned long round = 0; round < rounds; round++) {
        struct unwind_rule rule;
        int32_t pair[2];
        uint32_t length;
        memcpy(pair, copy + 12 + draw(tables->entry_count) * 8, 8);
        uint8_t *entry = copy + pair[1];
        memcpy(&length, entry, 4);
        uint8_t *code = entry + 17, *end = entry + 4 + length; /* after addresses of 4 bytes */
        for (uint8_t *at = code; at < end; at++) {
            *at = draw(3) ? (uint8_t)draw(0x30) : (uint8_t)draw(256);
        }
        for (unsigned i = 0; i < PCS_PER_ROUND; i++) {
            uint64_t pc = (uint64_t)copy + (uint64_t)(int64_t)pair[0] + draw(64);
            unwind_rule_compile(pc, true, copy, (uint64_t)copy, (uint64_t)tables->end, &rule);
            check_rule(&rule);
        }
        memcpy(entry, tables->from + pair[1], 4 + (size_t)length);
    }
}

/* The C library's tables: .eh_frame follows its header; both end where the last entry does. */
static bool find_tables(struct tables *ret_tables)
{
    const void *header;
    uint64_t start, end;
    uint32_t count;
    int32_t eh_frame;

    if (modules_find((uint64_t)qsort, &header, &start, &end) < 0 || !header) {
        return false;
    }
    const uint8_t *from = header;
    memcpy(&count, from + 8, 4);
    memcpy(&eh_frame, from + 4, 4);
    const uint8_t *at = from + 4 + eh_frame;
    if (at < from || from[3] != 0x3b) {
        return false;
    }
    for (uint32_t length = 1; length != 0;) {
        memcpy(&length, at, 4);
        at += 4 + length;
    }
    ret_tables->from = from;
    ret_tables->bytes = (size_t)(at - from);
    ret_tables->entry_count = count;
    return true;
}

int main(int argc, char **argv)
{
    struct tables tables;
    unsigned long rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 200000;

    modules_read();
    if (!find_tables(&tables)) {
        printf("the C library has no table in the usual form\n");
        return 77;
    }
    size_t room = (tables.bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
    uint8_t *memory =
        mmap(NULL, room + PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || mprotect(memory + room, PAGE_BYTES, PROT_NONE) != 0) {
        perror("mmap");
        return 1;
    }
    tables.end = memory + room;
    mutate(&tables, rounds);
    scramble_code(&tables, rounds);
    truncate_tables(&tables, rounds / 100);
    cut_entries(&tables, rounds / 50);
    printf("%zu bytes, %zu entries: %lu compiled to a rule, %lu to none, %u failures\n",
           tables.bytes, tables.entry_count, with_rule, without_rule, failed_count);
    CHECK_EQUAL(with_rule > rounds, true);
    CHECK_EQUAL(without_rule > rounds / 4, true);
    return failed_count ? 1 : 0;
}
