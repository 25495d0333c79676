/* SPDX-License-Identifier: MIT */
/*
 * From a frame description entry to a rule: runs the call frame instructions (DWARF 5
 * section 6.4.2) up to an address and turns the row arrived at into the few words of a struct
 * unwind_rule.
 */
#include "unwind_cfi.h"

enum {
    CFA_ADVANCE = 0x40, /* these three hold an operand in their low 6 bits */
    CFA_OFFSET = 0x80,
    CFA_RESTORE = 0xc0,

    CFA_NOP = 0x00,
    CFA_SET_LOC,
    CFA_ADVANCE1,
    CFA_ADVANCE2,
    CFA_ADVANCE4,
    CFA_OFFSET_EXTENDED,
    CFA_RESTORE_EXTENDED,
    CFA_UNDEFINED,
    CFA_SAME_VALUE,
    CFA_REGISTER,
    CFA_REMEMBER,
    CFA_RESTORE_STATE,
    CFA_DEF_CFA,
    CFA_DEF_CFA_REGISTER,
    CFA_DEF_CFA_OFFSET,
    CFA_DEF_CFA_EXPRESSION,
    CFA_EXPRESSION,
    CFA_OFFSET_EXTENDED_SF,
    CFA_DEF_CFA_SF,
    CFA_DEF_CFA_OFFSET_SF,
    CFA_VAL_OFFSET,
    CFA_VAL_OFFSET_SF,
    CFA_VAL_EXPRESSION,

    CFA_MIPS_ADVANCE8 = 0x1d,
    CFA_AARCH64_NEGATE_RA_STATE_WITH_PC = 0x2c,
    CFA_AARCH64_NEGATE_RA_STATE = 0x2d,
    CFA_GNU_ARGS_SIZE = 0x2e,
    CFA_GNU_NEGATIVE_OFFSET = 0x2f,
};

/* Rows that remember_state may stack up; compilers go 1 deep. */
#define REMEMBERED_MAX 16

struct machine {
    const struct unwind_fde *fde;
    uint64_t location, target, pc;
    struct unwind_row row, initial;
    struct unwind_row remembered[REMEMBERED_MAX];
    unsigned remembered_count;
};

static bool fits(int64_t offset)
{
    return offset >= INT32_MIN && offset <= INT32_MAX;
}

static void set_column(struct machine *machine, uint64_t dwarf_register,
                       enum unwind_column_kind kind, int64_t offset)
{
    unsigned column = unwind_column(dwarf_register);

    if (column < UNWIND_COLUMNS) {
        machine->row.columns[column] = (struct unwind_column){
            .kind = (uint8_t)(fits(offset) ? kind : UNWIND_COLUMN_OTHER),
            .offset = fits(offset) ? (int32_t)offset : 0,
        };
    }
}

static void set_factored(struct machine *machine, uint64_t dwarf_register,
                         enum unwind_column_kind kind, int64_t factor)
{
    int64_t offset;

    if (__builtin_mul_overflow(factor, machine->fde->data_align, &offset)) {
        offset = INT64_MAX;
    }
    set_column(machine, dwarf_register, kind, offset);
}

static void set_expression(struct machine *machine, uint64_t dwarf_register,
                           struct unwind_cursor expression)
{
    struct unwind_place place;
    unsigned column = unwind_column(dwarf_register);

    if (column >= UNWIND_COLUMNS) {
        return;
    }
    machine->row.columns[column] = (struct unwind_column){.kind = UNWIND_COLUMN_OTHER};
    if (unwind_expression(expression, machine->pc, &place) && !place.deref) {
        machine->row.columns[column] = (struct unwind_column){
            .kind = UNWIND_COLUMN_AT, .base = place.column, .offset = place.offset};
    }
}

static void set_cfa(struct machine *machine, uint64_t dwarf_register, int64_t offset)
{
    machine->row.cfa = (struct unwind_place){
        .column = (uint8_t)unwind_column(dwarf_register),
        .offset = fits(offset) ? (int32_t)offset : 0,
    };
    machine->row.cfa_understood = fits(offset);
}

/* Changes the offset or the register of a CFA that is register + offset; another form has none. */
static void set_cfa_offset(struct machine *machine, int64_t offset)
{
    machine->row.cfa_understood =
        machine->row.cfa_understood && !machine->row.cfa.deref && fits(offset);
    machine->row.cfa.offset = fits(offset) ? (int32_t)offset : 0;
}

static void set_cfa_register(struct machine *machine, uint64_t dwarf_register)
{
    machine->row.cfa_understood = machine->row.cfa_understood && !machine->row.cfa.deref;
    machine->row.cfa.column = (uint8_t)unwind_column(dwarf_register);
}

static int64_t factored(const struct machine *machine, int64_t factor)
{
    int64_t offset;

    return __builtin_mul_overflow(factor, machine->fde->data_align, &offset) ? INT64_MAX : offset;
}

/* An operand without sign; beyond the signed range it fits nowhere. */
static int64_t read_count(struct unwind_cursor *code)
{
    uint64_t value = unwind_uleb(code);

    return value <= INT64_MAX ? (int64_t)value : INT64_MAX;
}

static struct unwind_cursor read_block(struct unwind_cursor *code)
{
    uint64_t length = unwind_uleb(code);
    struct unwind_cursor block = *code;

    unwind_skip(code, length);
    if (!code->broken) {
        block.end = code->at;
    }
    return block;
}

/* False once the target is passed: the row stands. */
static bool advance(struct machine *machine, uint64_t delta)
{
    uint64_t bytes, location;

    if (__builtin_mul_overflow(delta, machine->fde->code_align, &bytes) ||
        __builtin_add_overflow(machine->location, bytes, &location) || location > machine->target) {
        return false;
    }
    machine->location = location;
    return true;
}

static void restore_column(struct machine *machine, uint64_t dwarf_register)
{
    unsigned column = unwind_column(dwarf_register);

    if (column < UNWIND_COLUMNS) {
        machine->row.columns[column] = machine->initial.columns[column];
    }
}

enum run { RUN_ON, RUN_REACHED, RUN_BROKEN };

static enum run run_location(struct machine *machine, struct unwind_cursor *code, uint8_t op)
{
    uint64_t location, delta;

    switch (op) {
    case CFA_SET_LOC:
        if (!unwind_encoded(code, machine->fde->pointer_encoding, 0, &location) ||
            location < machine->location) {
            return RUN_BROKEN;
        }
        if (location > machine->target) {
            return RUN_REACHED;
        }
        machine->location = location;
        return RUN_ON;
    case CFA_ADVANCE1:
        delta = unwind_u8(code);
        break;
    case CFA_ADVANCE2:
        delta = unwind_unsigned(code, 2);
        break;
    case CFA_ADVANCE4:
        delta = unwind_unsigned(code, 4);
        break;
    case CFA_MIPS_ADVANCE8:
        delta = unwind_unsigned(code, 8);
        break;
    default:
        delta = op & 0x3f;
        break;
    }
    if (code->broken) {
        return RUN_BROKEN;
    }
    return advance(machine, delta) ? RUN_ON : RUN_REACHED;
}

static enum run run_state(struct machine *machine, uint8_t op)
{
    if (op == CFA_REMEMBER) {
        if (machine->remembered_count == REMEMBERED_MAX) {
            return RUN_BROKEN;
        }
        machine->remembered[machine->remembered_count++] = machine->row;
        return RUN_ON;
    }
    if (machine->remembered_count == 0) {
        return RUN_BROKEN;
    }
    machine->row = machine->remembered[--machine->remembered_count];
    return RUN_ON;
}

static enum run run_cfa(struct machine *machine, struct unwind_cursor *code, uint8_t op)
{
    uint64_t base;
    struct unwind_cursor block;

    switch (op) {
    case CFA_DEF_CFA:
        base = unwind_uleb(code);
        set_cfa(machine, base, read_count(code));
        break;
    case CFA_DEF_CFA_SF:
        base = unwind_uleb(code);
        set_cfa(machine, base, factored(machine, unwind_sleb(code)));
        break;
    case CFA_DEF_CFA_REGISTER:
        set_cfa_register(machine, unwind_uleb(code));
        break;
    case CFA_DEF_CFA_OFFSET:
        set_cfa_offset(machine, read_count(code));
        break;
    case CFA_DEF_CFA_OFFSET_SF:
        set_cfa_offset(machine, factored(machine, unwind_sleb(code)));
        break;
    default: /* CFA_DEF_CFA_EXPRESSION */
        block = read_block(code);
        machine->row.cfa_understood =
            !code->broken && unwind_expression(block, machine->pc, &machine->row.cfa);
        break;
    }
    return code->broken ? RUN_BROKEN : RUN_ON;
}

static enum run run_register(struct machine *machine, struct unwind_cursor *code, uint8_t op)
{
    uint64_t column = unwind_uleb(code);
    struct unwind_cursor block;

    switch (op) {
    case CFA_OFFSET_EXTENDED:
        set_factored(machine, column, UNWIND_COLUMN_OFFSET, read_count(code));
        break;
    case CFA_OFFSET_EXTENDED_SF:
        set_factored(machine, column, UNWIND_COLUMN_OFFSET, unwind_sleb(code));
        break;
    case CFA_GNU_NEGATIVE_OFFSET:
        set_factored(machine, column, UNWIND_COLUMN_OFFSET, -read_count(code));
        break;
    case CFA_VAL_OFFSET:
        set_factored(machine, column, UNWIND_COLUMN_CFA, read_count(code));
        break;
    case CFA_VAL_OFFSET_SF:
        set_factored(machine, column, UNWIND_COLUMN_CFA, unwind_sleb(code));
        break;
    case CFA_RESTORE_EXTENDED:
        restore_column(machine, column);
        break;
    case CFA_UNDEFINED:
        set_column(machine, column, UNWIND_COLUMN_UNDEFINED, 0);
        break;
    case CFA_SAME_VALUE:
        set_column(machine, column, UNWIND_COLUMN_SAME, 0);
        break;
    case CFA_REGISTER:
        unwind_uleb(code);
        set_column(machine, column, UNWIND_COLUMN_OTHER, 0);
        break;
    case CFA_EXPRESSION:
        block = read_block(code);
        set_expression(machine, column, block);
        break;
    default: /* CFA_VAL_EXPRESSION */
        read_block(code);
        set_column(machine, column, UNWIND_COLUMN_OTHER, 0);
        break;
    }
    return code->broken ? RUN_BROKEN : RUN_ON;
}

static enum run run_one(struct machine *machine, struct unwind_cursor *code)
{
    uint8_t op = unwind_u8(code);

    switch (op & 0xc0) {
    case CFA_ADVANCE:
        return run_location(machine, code, op);
    case CFA_OFFSET:
        set_factored(machine, op & 0x3f, UNWIND_COLUMN_OFFSET, read_count(code));
        return code->broken ? RUN_BROKEN : RUN_ON;
    case CFA_RESTORE:
        restore_column(machine, op & 0x3f);
        return RUN_ON;
    default:
        break;
    }
    switch (op) {
    case CFA_NOP:
        return code->broken ? RUN_BROKEN : RUN_ON;
    case CFA_SET_LOC:
    case CFA_ADVANCE1:
    case CFA_ADVANCE2:
    case CFA_ADVANCE4:
    case CFA_MIPS_ADVANCE8:
        return run_location(machine, code, op);
    case CFA_REMEMBER:
    case CFA_RESTORE_STATE:
        return run_state(machine, op);
    case CFA_DEF_CFA:
    case CFA_DEF_CFA_SF:
    case CFA_DEF_CFA_REGISTER:
    case CFA_DEF_CFA_OFFSET:
    case CFA_DEF_CFA_OFFSET_SF:
    case CFA_DEF_CFA_EXPRESSION:
        return run_cfa(machine, code, op);
    case CFA_OFFSET_EXTENDED:
    case CFA_OFFSET_EXTENDED_SF:
    case CFA_GNU_NEGATIVE_OFFSET:
    case CFA_VAL_OFFSET:
    case CFA_VAL_OFFSET_SF:
    case CFA_RESTORE_EXTENDED:
    case CFA_UNDEFINED:
    case CFA_SAME_VALUE:
    case CFA_REGISTER:
    case CFA_EXPRESSION:
    case CFA_VAL_EXPRESSION:
        return run_register(machine, code, op);
    case CFA_AARCH64_NEGATE_RA_STATE:
    case CFA_AARCH64_NEGATE_RA_STATE_WITH_PC:
        machine->row.return_signed = !machine->row.return_signed;
        return UNWIND_SIGNS_RETURNS ? RUN_ON : RUN_BROKEN;
    case CFA_GNU_ARGS_SIZE: /* of arguments yet to be popped: matters to exceptions only */
        unwind_uleb(code);
        return code->broken ? RUN_BROKEN : RUN_ON;
    default:
        return RUN_BROKEN;
    }
}

/* Each instruction takes a byte at least, so this ends. */
static bool run(struct machine *machine, struct unwind_cursor code)
{
    enum run state = RUN_ON;

    while (state == RUN_ON && unwind_left(&code) > 0) {
        state = run_one(machine, &code);
    }
    return state != RUN_BROKEN;
}

bool unwind_row_find(const struct unwind_fde *fde, uint64_t address, uint64_t pc,
                     struct unwind_row *ret_row)
{
    struct machine machine;

    machine.fde = fde;
    machine.location = fde->begin;
    machine.target = address;
    machine.pc = pc;
    machine.remembered_count = 0;
    for (unsigned i = 0; i < UNWIND_COLUMNS; i++) {
        machine.row.columns[i] = (struct unwind_column){.kind = UNWIND_COLUMN_UNSET};
    }
    machine.row.cfa = (struct unwind_place){.column = UNWIND_COLUMN_NONE};
    machine.row.cfa_understood = false;
    machine.row.return_signed = false;
    machine.initial = machine.row;
    if (!run(&machine, fde->common_code)) {
        return false;
    }
    machine.initial = machine.row;
    machine.location = fde->begin;
    if (!run(&machine, fde->code)) {
        return false;
    }
    *ret_row = machine.row;
    return true;
}
