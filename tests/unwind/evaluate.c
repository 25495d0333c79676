/* SPDX-License-Identifier: MIT */
#include "evaluate.h"

#include <dwarf.h>

#define STACK_CELLS 16

static uint64_t mix(uint64_t value)
{
    value ^= value >> 31;
    value *= UINT64_C(0x7fb5d329728ea185);
    value ^= value >> 27;
    value *= UINT64_C(0x81dadef4bc2dd44d);
    return value ^ value >> 33;
}

void state_make(struct state *ret_state, uint64_t seed, uint64_t pc)
{
    for (unsigned i = 0; i < STATE_REGISTERS; i++) {
        ret_state->registers[i] = mix(seed * 64 + i + 1) & UINT64_C(0x7ffffffffff8);
    }
    ret_state->registers[16] = pc;
    ret_state->cfa = 0;
}

uint64_t state_memory(uint64_t address)
{
    return mix(address) & UINT64_C(0x7ffffffffff8);
}

struct meaning_of evaluate(const struct state *state, const Dwarf_Op *ops, size_t op_count)
{
    const struct meaning_of strange = {MEANS_STRANGE, 0};
    uint64_t stack[STACK_CELLS] = {0};
    size_t depth = 0;
    enum meaning meaning = MEANS_CELL;

    for (size_t i = 0; i < op_count; i++) {
        const Dwarf_Op *op = &ops[i];
        uint64_t top = depth ? stack[depth - 1] : 0;
        if (depth == STACK_CELLS) {
            return strange;
        }
        if (op->atom >= DW_OP_breg0 && op->atom <= DW_OP_breg31) {
            unsigned number = op->atom - DW_OP_breg0;
            if (number >= STATE_REGISTERS) {
                return strange;
            }
            stack[depth++] = state->registers[number] + op->number;
            continue;
        }
        if (op->atom >= DW_OP_reg0 && op->atom <= DW_OP_reg31) {
            return (struct meaning_of){MEANS_REGISTER, op->atom - DW_OP_reg0};
        }
        if (op->atom >= DW_OP_lit0 && op->atom <= DW_OP_lit31) {
            stack[depth++] = op->atom - DW_OP_lit0;
            continue;
        }
        switch (op->atom) {
        case DW_OP_bregx:
            if (op->number >= STATE_REGISTERS) {
                return strange;
            }
            stack[depth++] = state->registers[op->number] + op->number2;
            continue;
        case DW_OP_regx:
            return (struct meaning_of){MEANS_REGISTER, op->number};
        case DW_OP_call_frame_cfa:
            stack[depth++] = state->cfa;
            continue;
        case DW_OP_const1u:
        case DW_OP_const1s:
        case DW_OP_const2u:
        case DW_OP_const2s:
        case DW_OP_const4u:
        case DW_OP_const4s:
            stack[depth++] = op->number;
            continue;
        case DW_OP_plus_uconst:
            top += op->number;
            break;
        case DW_OP_deref:
            top = state_memory(top);
            break;
        case DW_OP_stack_value:
            meaning = MEANS_VALUE;
            continue;
        case DW_OP_plus:
        case DW_OP_minus:
        case DW_OP_mul:
        case DW_OP_and:
        case DW_OP_shl:
        case DW_OP_ge: {
            if (depth < 2) {
                return strange;
            }
            uint64_t under = stack[--depth - 1];
            top = op->atom == DW_OP_plus    ? under + top
                  : op->atom == DW_OP_minus ? under - top
                  : op->atom == DW_OP_mul   ? under * top
                  : op->atom == DW_OP_and   ? (under & top)
                  : op->atom == DW_OP_shl   ? under << (top & 63)
                                            : (int64_t)under >= (int64_t)top;
            break;
        }
        default:
            return strange;
        }
        if (depth == 0) {
            return strange;
        }
        stack[depth - 1] = top;
    }
    /* An expression for a register starts with the CFA on the stack, used or not. */
    return depth > 0 ? (struct meaning_of){meaning, stack[depth - 1]} : strange;
}
