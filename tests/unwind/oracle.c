/* SPDX-License-Identifier: MIT */
/*
 * Property: for every row of every frame description entry of the files named (or of the system's
 * own, where none is), our rule and elfutils' frame mean the same: CFA, return address, and every
 * callee-saved register.
 */
#include <dwarf.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "evaluate.h"
#include "image.h"
#include "unwind.h"

static const char *const system_files[] = {
    "/lib64/ld-linux-x86-64.so.2",
    "/lib/x86_64-linux-gnu/libc.so.6",
    "/lib/x86_64-linux-gnu/libm.so.6",
    "/lib/x86_64-linux-gnu/libgcc_s.so.1",
    "/lib/x86_64-linux-gnu/libstdc++.so.6",
    "/lib/x86_64-linux-gnu/libcrypto.so.3",
    "/lib/x86_64-linux-gnu/libssl.so.3",
    "/lib/x86_64-linux-gnu/libglib-2.0.so.0",
    "/lib/x86_64-linux-gnu/libsqlite3.so.0",
    "/lib/x86_64-linux-gnu/libxml2.so.2",
    "/lib/x86_64-linux-gnu/libpython3.11.so.1.0",
    "/lib/x86_64-linux-gnu/libpython3.12.so.1.0",
    "/lib/x86_64-linux-gnu/libzstd.so.1",
    "/lib/x86_64-linux-gnu/libdw.so.1",
    "/lib/x86_64-linux-gnu/libelf.so.1",
    "/lib/x86_64-linux-gnu/libz.so.1",
    "/lib/x86_64-linux-gnu/libjemalloc.so.2",
    "/lib/x86_64-linux-gnu/libbfd-2.40-system.so",
    "/usr/bin/jq",
    "/usr/bin/bash",
    "/usr/bin/git",
    "/usr/bin/lua5.4",
    "/usr/bin/perl",
    "/usr/bin/python3.11",
    "/usr/bin/sqlite3",
    "/usr/bin/redis-server",
    "/usr/sbin/nginx",
    "/usr/bin/x86_64-linux-gnu-readelf",
    "/usr/bin/gdb",
};

/* Of all rows, how many we may refuse: a CFA based on a register that calls do not preserve, or an
 * expression beyond the patterns. */
#define REFUSED_PER_MILLE_MAX 10
#define DIFFERENCES_SHOWN     20

static const unsigned dwarf_saved[UNWIND_SAVED] = {3, 6, 12, 13, 14, 15};

struct tally {
    uint64_t rows, checked, outermost;
    /* rows that we refuse, by what elfutils says of them */
    uint64_t cfa_by_scratch, cfa_by_expression, return_elsewhere, refused_other;
    uint64_t registers, registers_unknown; /* saved to a cell, and of those not understood by us */
    uint64_t plt, deref, signal;
};

/* Whether the CFA is a register plus offset and, if so, of a register that calls preserve. */
static void count_refused(const Dwarf_Op *ops, size_t count, const struct meaning_of *returns,
                          struct tally *tally)
{
    unsigned number = STATE_REGISTERS;

    if (count == 1 && ops[0].atom == DW_OP_bregx) {
        number = (unsigned)ops[0].number;
    } else if (count == 1 && ops[0].atom >= DW_OP_breg0 && ops[0].atom <= DW_OP_breg31) {
        number = ops[0].atom - DW_OP_breg0;
    }
    bool kept = number == 7;
    for (unsigned i = 0; i < UNWIND_SAVED; i++) {
        kept |= dwarf_saved[i] == number;
    }
    if (count != 1) {
        tally->cfa_by_expression++;
    } else if (!kept) {
        tally->cfa_by_scratch++;
    } else if (returns->meaning != MEANS_CELL) {
        tally->return_elsewhere++;
    } else {
        tally->refused_other++;
    }
}

static uint64_t our_cell(const struct unwind_rule *rule, unsigned index, int16_t cells,
                         uint64_t cfa, uint64_t base)
{
    return (rule->from_base >> index & 1 ? base : cfa) + (uint64_t)((int64_t)cells * 8);
}

static struct meaning_of register_of(Dwarf_Frame *frame, unsigned number, const struct state *state)
{
    Dwarf_Op memory[3];
    Dwarf_Op *ops = NULL;
    size_t count = 0;

    if (dwarf_frame_register(frame, (int)number, memory, &ops, &count) != 0) {
        return (struct meaning_of){MEANS_STRANGE, 0};
    }
    if (count == 0) {
        return (struct meaning_of){ops == memory ? MEANS_UNDEFINED : MEANS_SAME, 0};
    }
    return evaluate(state, ops, count);
}

/* elfutils' table of what the x86-64 ABI preserves names register 0 (rax) where 3 (rbx) is meant,
 * so it has rbx undefined wherever nothing is said of it. */
static struct meaning_of saved_of(Dwarf_Frame *frame, unsigned number, const struct state *state)
{
    struct meaning_of meaning = register_of(frame, number, state);

    if (number == 3 && meaning.meaning == MEANS_UNDEFINED) {
        meaning.meaning = MEANS_SAME;
    }
    return meaning;
}

static void report(const char *path, uint64_t address, const char *what, uint64_t got,
                   uint64_t want)
{
    if (failed_count++ < DIFFERENCES_SHOWN) {
        printf("%s: %#" PRIx64 ": %s: rule says %#" PRIx64 ", elfutils %#" PRIx64 "\n", path,
               address, what, got, want);
    }
}

static void compare_registers(const char *path, uint64_t address, const struct unwind_rule *rule,
                              Dwarf_Frame *frame, const struct state *state, uint64_t base,
                              struct tally *tally)
{
    for (unsigned i = 0; i < UNWIND_SAVED; i++) {
        struct meaning_of want = saved_of(frame, dwarf_saved[i], state);
        int16_t cells = rule->saved[i];
        if (want.meaning == MEANS_CELL) {
            tally->registers++;
        }
        if (cells == UNWIND_UNKNOWN) {
            tally->registers_unknown += want.meaning == MEANS_CELL;
            if (want.meaning == MEANS_SAME) {
                report(path, address, "unknown register", dwarf_saved[i], want.meaning);
            }
        } else if (cells == UNWIND_SAME) {
            if (want.meaning != MEANS_SAME) {
                report(path, address, "same register", dwarf_saved[i], want.meaning);
            }
        } else if (want.meaning != MEANS_CELL) {
            report(path, address, "saved register", dwarf_saved[i], want.meaning);
        } else if (our_cell(rule, i, cells, state->cfa, base) != want.value) {
            report(path, address, "register's cell", our_cell(rule, i, cells, state->cfa, base),
                   want.value);
        }
    }
}

static void compare(const char *path, const struct image *image, uint64_t address, bool exact,
                    Dwarf_Frame *frame, bool signal, struct tally *tally)
{
    struct unwind_rule rule;
    struct state state;
    Dwarf_Op *ops = NULL;
    size_t count = 0;
    uint64_t pc = address + !exact;

    unwind_rule_compile(image->base + pc, exact, (const void *)image->eh_frame_hdr, image->start,
                        image->end, &rule);
    tally->checked++;
    state_make(&state, address, image->base + pc);
    bool has_cfa = dwarf_frame_cfa(frame, &ops, &count) == 0 && count > 0;
    struct meaning_of cfa = {MEANS_STRANGE, 0};
    if (has_cfa) {
        cfa = evaluate(&state, ops, count);
        state.cfa = cfa.value;
    }
    struct meaning_of returns = register_of(frame, 16, &state);
    if (rule.end == UNWIND_NO_RULE) {
        count_refused(ops, count, &returns, tally);
        return;
    }
    if (rule.end == UNWIND_OUTERMOST || returns.meaning == MEANS_UNDEFINED) {
        tally->outermost++;
        if (rule.end != UNWIND_OUTERMOST || returns.meaning != MEANS_UNDEFINED) {
            report(path, address, "outermost", rule.end, returns.meaning);
        }
        return;
    }
    if (cfa.meaning != MEANS_CELL) {
        report(path, address, "CFA where elfutils has none", rule.cfa, cfa.meaning);
        return;
    }
    bool by_register = rule.cfa == UNWIND_CFA_REGISTER || rule.cfa == UNWIND_CFA_REGISTER_DEREF;
    bool by_deref = rule.cfa == UNWIND_CFA_SP_DEREF || rule.cfa == UNWIND_CFA_REGISTER_DEREF;
    uint64_t base = state.registers[by_register ? dwarf_saved[rule.cfa_register] : 7];
    uint64_t ours = (by_deref ? state_memory(base + (uint64_t)(int64_t)rule.deref_offset) : base) +
                    (uint64_t)(int64_t)rule.cfa_offset;
    tally->deref += by_deref;
    tally->plt += count > 5;
    tally->signal += rule.signal_frame;
    if (ours != cfa.value) {
        report(path, address, "CFA", ours, cfa.value);
        return;
    }
    if (rule.signal_frame != signal) {
        report(path, address, "signal frame", rule.signal_frame, signal);
    }
    uint64_t cell = our_cell(&rule, UNWIND_SAVED, rule.return_address, ours, base);
    if (returns.meaning != MEANS_CELL || cell != returns.value) {
        report(path, address, "return address's cell", cell, returns.value);
    }
    compare_registers(path, address, &rule, frame, &state, base, tally);
}

/* The search table of the mapped image: count, and pairs relative to the header. */
static uint32_t table_count(const struct image *image)
{
    static const uint8_t usual[4] = {1, 0x1b, 0x03, 0x3b};
    uint32_t count;

    if (memcmp((const void *)image->eh_frame_hdr, usual, 4) != 0) {
        return 0;
    }
    memcpy(&count, (const char *)image->eh_frame_hdr + 8, 4);
    return count;
}

static uint64_t table_address(const struct image *image, uint32_t index)
{
    int32_t first;

    memcpy(&first, (const char *)image->eh_frame_hdr + 12 + (size_t)index * 8, 4);
    return image->eh_frame_hdr - image->base + (uint64_t)(int64_t)first;
}

static void compare_without_table(const char *path, const struct image *image, uint64_t address)
{
    struct unwind_rule with, without;
    uint8_t *encoding = (uint8_t *)image->eh_frame_hdr + 3;
    uint8_t kept = *encoding;
    const void *header = (const void *)image->eh_frame_hdr;

    unwind_rule_compile(image->base + address, true, header, image->start, image->end, &with);
    *encoding = 0xff;
    unwind_rule_compile(image->base + address, true, header, image->start, image->end, &without);
    *encoding = kept;
    if (memcmp(&with, &without, sizeof with) != 0) {
        report(path, address, "rule without search table", without.end, with.end);
    }
}

static void compare_rows(const char *path, const struct image *image, uint64_t address,
                         uint64_t limit, struct tally *tally)
{
    while (address < limit) {
        Dwarf_Frame *frame = NULL;
        Dwarf_Addr start = 0, end = 0;
        bool signal = false;
        if (dwarf_cfi_addrframe(image->cfi, address, &frame) != 0) {
            struct unwind_rule rule;
            unwind_rule_compile(image->base + address, true, (const void *)image->eh_frame_hdr,
                                image->start, image->end, &rule);
            if (rule.end != UNWIND_NO_RULE) {
                report(path, address, "rule where elfutils has none", rule.end, UNWIND_NO_RULE);
            }
            return;
        }
        dwarf_frame_info(frame, &start, &end, &signal);
        tally->rows++;
        compare(path, image, address, true, frame, signal, tally);
        if (end - 1 > address) {
            compare(path, image, address + (end - address) / 2, true, frame, signal, tally);
        }
        compare(path, image, end - 1, false, frame, signal, tally);
        free(frame);
        address = end;
    }
}

/* Returns whether the file was there. */
static bool compare_file(const char *path, struct tally *total)
{
    struct image image;
    struct tally tally = {0};
    int status = image_open(path, &image);

    if (status != 0) {
        if (status < 0) {
            report(path, 0, "opening", (uint64_t)-status, 0);
        }
        return false;
    }
    uint32_t count = table_count(&image);
    if (count == 0) {
        report(path, 0, "search table's entries", 0, 1);
    }
    for (uint32_t i = 0; i < count; i++) {
        uint64_t address = table_address(&image, i);
        uint64_t limit = i + 1 < count ? table_address(&image, i + 1) : UINT64_MAX;
        compare_rows(path, &image, address, limit, &tally);
        if (i % 499 == 0) {
            compare_without_table(path, &image, address);
        }
    }
    image_close(&image);
    uint64_t refused = tally.cfa_by_scratch + tally.cfa_by_expression + tally.return_elsewhere +
                       tally.refused_other;
    printf("%-48s %7u entries %8" PRIu64 " rows %8" PRIu64 " checked %6" PRIu64 " refused\n", path,
           count, tally.rows, tally.checked, refused);
    for (size_t i = 0; i < sizeof tally / sizeof(uint64_t); i++) {
        ((uint64_t *)total)[i] += ((uint64_t *)&tally)[i];
    }
    return true;
}

int main(int argc, char **argv)
{
    struct tally total = {0};
    size_t count = sizeof system_files / sizeof *system_files;
    unsigned files = 0;

    if (argc > 1) {
        for (int i = 1; i < argc; i++) {
            files += compare_file(argv[i], &total);
        }
    } else {
        for (size_t i = 0; i < count; i++) {
            files += compare_file(system_files[i], &total);
        }
    }
    uint64_t refused = total.cfa_by_scratch + total.cfa_by_expression + total.return_elsewhere +
                       total.refused_other;
    printf("%u files, %" PRIu64 " rows, %" PRIu64 " program counters checked\n"
           "refused %" PRIu64 ": CFA by a register calls do not preserve %" PRIu64
           ", by another expression %" PRIu64 ", return address not in memory %" PRIu64
           ", other %" PRIu64 "\n"
           "registers in memory %" PRIu64 ", not understood %" PRIu64 "; outermost %" PRIu64
           ", dereferenced CFA %" PRIu64 ", linkage stubs %" PRIu64 ", signal frames %" PRIu64 "\n",
           files, total.rows, total.checked, refused, total.cfa_by_scratch, total.cfa_by_expression,
           total.return_elsewhere, total.refused_other, total.registers, total.registers_unknown,
           total.outermost, total.deref, total.plt, total.signal);
    if (files == 0) {
        printf("no file to compare\n");
        return 77;
    }
    if (refused * 1000 > total.checked * REFUSED_PER_MILLE_MAX) {
        report("all", 0, "refused", refused, total.checked * REFUSED_PER_MILLE_MAX / 1000);
    }
    if (total.refused_other > 0) {
        report("all", 0, "refused without a reason", total.refused_other, 0);
    }
    printf("%u differences\n", failed_count);
    return failed_count ? 1 : 0;
}
