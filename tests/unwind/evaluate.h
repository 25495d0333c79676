/* SPDX-License-Identifier: MIT */
/*
 * A machine state made up by hashing, in which two descriptions of the same place give the same
 * number and two different ones do not: what elfutils says and what our rule says are both
 * evaluated in it.
 */
#pragma once

#include <elfutils/libdw.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STATE_REGISTERS 17 /* rax to r15, and rip */

struct state {
    uint64_t registers[STATE_REGISTERS];
    uint64_t cfa;
};

enum meaning {
    MEANS_UNDEFINED,
    MEANS_SAME,
    MEANS_CELL,     /* saved at the address `value` */
    MEANS_VALUE,    /* is `value` itself */
    MEANS_REGISTER, /* is in the register numbered `value` */
    MEANS_STRANGE,  /* an operation that the evaluator does not know */
};

struct meaning_of {
    enum meaning meaning;
    uint64_t value;
};

/* Registers are drawn from the seed, multiples of 8; rip is pc. */
void state_make(struct state *ret_state, uint64_t seed, uint64_t pc);

/* What memory holds at an address. */
uint64_t state_memory(uint64_t address);

struct meaning_of evaluate(const struct state *state, const Dwarf_Op *ops, size_t op_count);
