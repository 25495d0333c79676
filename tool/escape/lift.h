/* SPDX-License-Identifier: MIT */
/* LLVM's form of one file to ours. Any thread, with a context of its own. */
#pragma once

#include <stddef.h>

#include "llvm.h"
#include "program.h"

/*
 * Reads bitcode or LLVM assembly at `path`, simplifies it, and fills `unit`, whose memory is its arena. 0,
 * -EINVAL with a sentence in ret_message, or -ENOMEM. LLVM's memory is given back before it returns.
 */
int lift_file(const struct llvm *llvm, const char *path, struct unit *unit, char *ret_message,
              size_t message_size);

/* The parts, for lift*.c alone. */
struct lift {
    const struct llvm *llvm;
    llvm_module module;
    llvm_data data;
    struct unit *unit;
    struct lift_map *map; /* LLVM's pointers to our numbers, of values and constants */
    struct function *function;
    struct {
        int32_t *items;
        uint32_t count, capacity;
    } operands;
    unsigned nocapture, captures, noreturn, returns_twice, sret;
};

struct lift_map {
    struct {
        void *key;
        uint64_t value;
    } * slots;
    size_t size, used;
};
void lift_map_put(struct lift *lift, struct lift_map *map, void *key, uint64_t value);
uint64_t *lift_map_get(struct lift_map *map, void *key); /* NULL: not there */

struct symbol *lift_symbol(struct lift *lift, llvm_value global);
int32_t lift_constant(struct lift *lift, llvm_value constant); /* as an operand */
void lift_initializer(struct lift *lift, llvm_value variable, struct symbol *symbol);
const char *lift_signature(struct lift *lift, llvm_type function_type);

/* Where an address computation leads: constant offset and stride; the field that it ends in, if it does. */
struct lift_path {
    int64_t offset;
    uint64_t stride;
    const char *structure;
    uint64_t field;
};
void lift_path(struct lift *lift, llvm_value gep, struct lift_path *ret_path);
uint64_t lift_size(struct lift *lift, llvm_type type, bool store);
void lift_instruction(struct lift *lift, llvm_value value, struct instruction *instruction);
int32_t lift_operand(struct lift *lift, llvm_value value);
