/* SPDX-License-Identifier: MIT */
/*
 * DWARF expressions by pattern, not by a stack machine: what compilers, linkers and assembly
 * authors write is a register plus offset, perhaps dereferenced once, or the linker's own formula
 * for stubs of the procedure linkage table.
 */
#include "unwind_cfi.h"

enum {
    OP_DEREF = 0x06,
    OP_CONST1U = 0x08,
    OP_CONST1S,
    OP_CONST2U,
    OP_CONST2S,
    OP_CONST4U,
    OP_CONST4S,
    OP_AND = 0x1a,
    OP_MINUS = 0x1c,
    OP_PLUS = 0x22,
    OP_PLUS_UCONST = 0x23,
    OP_SHL = 0x24,
    OP_GE = 0x2a,
    OP_LIT0 = 0x30,
    OP_LIT31 = 0x4f,
    OP_BREG0 = 0x70,
    OP_BREG31 = 0x8f,
    OP_BREGX = 0x92,
};

static bool read_base(struct unwind_cursor *cursor, uint64_t *ret_register, int64_t *ret_offset)
{
    uint8_t op = unwind_u8(cursor);

    if (op >= OP_BREG0 && op <= OP_BREG31) {
        *ret_register = op - OP_BREG0;
    } else if (op == OP_BREGX) {
        *ret_register = unwind_uleb(cursor);
    } else {
        return false;
    }
    *ret_offset = unwind_sleb(cursor);
    return !cursor->broken;
}

/* The rest of: (pc & 15) >= N, shifted left by S, added. A stub pushes its second word at N. */
static bool read_plt(struct unwind_cursor *cursor, uint64_t pc, int64_t *ret_pushed)
{
    uint64_t base;
    int64_t offset;

    if (!read_base(cursor, &base, &offset) || base != UNWIND_DWARF_RETURN || offset != 0 ||
        unwind_u8(cursor) != OP_LIT0 + 15 || unwind_u8(cursor) != OP_AND) {
        return false;
    }
    uint8_t threshold = unwind_u8(cursor);
    if (threshold < OP_LIT0 || threshold > OP_LIT0 + 15 || unwind_u8(cursor) != OP_GE) {
        return false;
    }
    uint8_t shift = unwind_u8(cursor);
    if (shift < OP_LIT0 || shift > OP_LIT0 + 4 || unwind_u8(cursor) != OP_SHL ||
        unwind_u8(cursor) != OP_PLUS) {
        return false;
    }
    *ret_pushed = ((int64_t)pc & 15) >= threshold - OP_LIT0 ? INT64_C(1) << (shift - OP_LIT0) : 0;
    return !cursor->broken;
}

/* A constant that the next operation adds or subtracts, or plus_uconst. */
static bool read_addend(struct unwind_cursor *cursor, int64_t *ret_addend)
{
    uint8_t op = unwind_u8(cursor);

    if (op == OP_PLUS_UCONST) {
        uint64_t value = unwind_uleb(cursor);
        *ret_addend = (int64_t)value;
        return !cursor->broken && value <= INT32_MAX;
    }
    if (op >= OP_LIT0 && op <= OP_LIT31) {
        *ret_addend = op - OP_LIT0;
    } else if (op >= OP_CONST1U && op <= OP_CONST4S) {
        unsigned bytes = 1u << ((op - OP_CONST1U) / 2);
        *ret_addend = (op - OP_CONST1U) % 2 ? unwind_signed(cursor, bytes)
                                            : (int64_t)unwind_unsigned(cursor, bytes);
    } else {
        return false;
    }
    op = unwind_u8(cursor);
    if (op == OP_MINUS) {
        *ret_addend = -*ret_addend;
    }
    return !cursor->broken && (op == OP_PLUS || op == OP_MINUS);
}

static bool fits(int64_t offset)
{
    return offset >= INT32_MIN && offset <= INT32_MAX;
}

bool unwind_expression(struct unwind_cursor expression, uint64_t pc, struct unwind_place *ret_place)
{
    struct unwind_cursor *cursor = &expression;
    uint64_t base;
    int64_t offset, addend;

    if (!read_base(cursor, &base, &offset)) {
        return false;
    }
    ret_place->column = (uint8_t)unwind_column(base);
    ret_place->deref = false;
    ret_place->deref_offset = 0;
    while (unwind_left(cursor) > 0) {
        if (!fits(offset)) {
            return false;
        }
        if (*cursor->at == OP_DEREF) {
            if (ret_place->deref) {
                return false;
            }
            cursor->at++;
            ret_place->deref = true;
            ret_place->deref_offset = (int32_t)offset;
            offset = 0;
            continue;
        }
        bool register_next = *cursor->at >= OP_BREG0;
        if (register_next ? !read_plt(cursor, pc, &addend) : !read_addend(cursor, &addend)) {
            return false;
        }
        offset += addend;
    }
    ret_place->offset = (int32_t)offset;
    return !cursor->broken && fits(offset);
}
