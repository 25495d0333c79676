/* SPDX-License-Identifier: MIT */
/*
 * From a row, which may say anything DWARF can, to the few words of a struct unwind_rule, or to
 * none.
 */
#include "unwind_cfi.h"

/* The column's saved-at offset, in cells; false when it cannot be said in a rule. */
static bool place_of(const struct unwind_row *row, const struct unwind_column *column,
                     int16_t *ret_cells, bool *ret_from_base)
{
    int64_t bytes = column->offset;

    *ret_from_base = false;
    switch ((enum unwind_column_kind)column->kind) {
    case UNWIND_COLUMN_UNSET:
    case UNWIND_COLUMN_SAME:
        *ret_cells = UNWIND_SAME;
        return true;
    case UNWIND_COLUMN_OFFSET:
        break;
    case UNWIND_COLUMN_AT:
        /* Reckoned from a register: the base itself, or, where the CFA is no more than a distance
         * from it, that much from the CFA. */
        if (column->base != row->cfa.column) {
            return false;
        }
        *ret_from_base = row->cfa.deref;
        if (!row->cfa.deref) {
            bytes -= row->cfa.offset;
        }
        break;
    default:
        return false;
    }
    if (bytes % 8 != 0 || bytes / 8 <= UNWIND_UNKNOWN || bytes / 8 > INT16_MAX) {
        return false;
    }
    *ret_cells = (int16_t)(bytes / 8);
    return true;
}

/* The caller's stack pointer is the CFA; an entry that says it in words must mean that. */
static bool sp_is_cfa(const struct unwind_row *row)
{
    const struct unwind_column *sp = &row->columns[UNWIND_COLUMN_SP];

    switch ((enum unwind_column_kind)sp->kind) {
    case UNWIND_COLUMN_UNSET:
        return true;
    case UNWIND_COLUMN_CFA:
        return sp->offset == 0;
    case UNWIND_COLUMN_AT:
        return row->cfa.deref && sp->base == row->cfa.column &&
               sp->offset == row->cfa.deref_offset && row->cfa.offset == 0;
    default:
        return false;
    }
}

static bool cfa_of(const struct unwind_row *row, struct unwind_rule *rule)
{
    const struct unwind_place *cfa = &row->cfa;

    if (!row->cfa_understood || !sp_is_cfa(row) || cfa->deref_offset < INT16_MIN ||
        cfa->deref_offset > INT16_MAX) {
        return false;
    }
    if (cfa->column == UNWIND_COLUMN_SP) {
        rule->cfa = cfa->deref ? UNWIND_CFA_SP_DEREF : UNWIND_CFA_SP;
        rule->cfa_register = UNWIND_FRAME;
    } else if (cfa->column < UNWIND_SAVED) {
        rule->cfa = cfa->deref ? UNWIND_CFA_REGISTER_DEREF : UNWIND_CFA_REGISTER;
        rule->cfa_register = cfa->column;
    } else {
        return false;
    }
    rule->cfa_offset = cfa->offset;
    rule->deref_offset = (int16_t)cfa->deref_offset;
    return true;
}

/* What spares a step looking at each register. */
static void summarise(struct unwind_rule *rule)
{
    int16_t lowest = rule->return_address == UNWIND_SAME ? -1 : rule->return_address;
    bool below_cfa = lowest < 0 && rule->from_base == 0;

    rule->moved = 0;
    for (unsigned i = 0; i < UNWIND_SAVED; i++) {
        int16_t cells = rule->saved[i];
        if (cells == UNWIND_SAME) {
            continue;
        }
        rule->moved |= (uint16_t)(1u << i);
        below_cfa = below_cfa && cells < 0 && cells != UNWIND_UNKNOWN;
        lowest = cells < lowest ? cells : lowest;
    }
    rule->lowest = below_cfa ? lowest : UNWIND_UNKNOWN;
}

bool unwind_row_rule(const struct unwind_row *row, const struct unwind_fde *fde,
                     struct unwind_rule *rule)
{
    const struct unwind_column *returns = &row->columns[UNWIND_COLUMN_RETURN];
    bool from_base;

    if (fde->return_register != UNWIND_DWARF_RETURN) {
        return false;
    }
    if (returns->kind == UNWIND_COLUMN_UNDEFINED) {
        rule->end = UNWIND_OUTERMOST;
        return true;
    }
    if (!cfa_of(row, rule) || !place_of(row, returns, &rule->return_address, &from_base)) {
        return false;
    }
    if (rule->return_address == UNWIND_SAME && (unsigned)UNWIND_COLUMN_RETURN >= UNWIND_SAVED) {
        return false; /* no register holds it on this processor */
    }
    rule->from_base = (uint16_t)(from_base << UNWIND_SAVED);
    for (unsigned i = 0; i < UNWIND_SAVED; i++) {
        if (!place_of(row, &row->columns[i], &rule->saved[i], &from_base)) {
            rule->saved[i] = UNWIND_UNKNOWN;
            continue;
        }
        rule->from_base |= (uint16_t)(from_base << i);
    }
    summarise(rule);
    rule->signal_frame = fde->signal_frame;
    rule->return_signed = row->return_signed;
    rule->end = UNWIND_STEP;
    return true;
}
