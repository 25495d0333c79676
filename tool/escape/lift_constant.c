/* SPDX-License-Identifier: MIT */
/* Constants: addresses of symbols, and what stands in initializers. */
#include <stdio.h>
#include <string.h>

#include "lift.h"

#define INITIALIZER_MAX 65536u /* addresses in one; beyond, the variable counts as changeable */
#define DEPTH_MAX       24u

uint64_t lift_size(struct lift *lift, llvm_type type, bool store)
{
    const struct llvm *llvm = lift->llvm;
    int kind = llvm->LLVMGetTypeKind(type);
    if (kind == LLVM_TYPE_VOID || kind == LLVM_TYPE_SCALABLE_VECTOR || !llvm->LLVMTypeIsSized(type))
        return 0;
    return store ? llvm->LLVMStoreSizeOfType(lift->data, type)
                 : llvm->LLVMABISizeOfType(lift->data, type);
}

const char *lift_signature(struct lift *lift, llvm_type type)
{
    const struct llvm *llvm = lift->llvm;
    enum { MOST = 60 };
    llvm_type parameters[MOST];
    char text[MOST + 8];
    unsigned count = llvm->LLVMCountParamTypes(type), used = 0;
    if (count > MOST)
        return "?";
    llvm->LLVMGetParamTypes(type, parameters);
    for (unsigned i = 0; i <= count; i++) {
        llvm_type one = i ? parameters[i - 1] : llvm->LLVMGetReturnType(type);
        int kind = llvm->LLVMGetTypeKind(one);
        text[used++] = kind == LLVM_TYPE_VOID      ? 'v'
                       : kind == LLVM_TYPE_POINTER ? 'p'
                       : kind == LLVM_TYPE_INTEGER ? (lift_size(lift, one, true) > 4 ? 'l' : 'i')
                                                   : 'o';
    }
    if (llvm->LLVMIsFunctionVarArg(type))
        text[used++] = '.';
    text[used] = '\0';
    return arena_copy(&lift->unit->arena, text, used);
}

struct symbol *lift_symbol(struct lift *lift, llvm_value global)
{
    const struct llvm *llvm = lift->llvm;
    struct unit *unit = lift->unit;
    uint64_t *known = lift_map_get(lift->map, global);
    if (known)
        return unit->symbols[*known];
    struct symbol *symbol = arena_alloc(&unit->arena, sizeof *symbol);
    size_t length;
    const char *name = llvm->LLVMGetValueName2(global, &length);
    if (length && name[0] == '\1') { /* an assembler's name */
        name++;
        length--;
    }
    int linkage = llvm->LLVMGetLinkage(global);
    symbol->name = arena_copy(&unit->arena, name, length);
    symbol->is_function = llvm->LLVMIsAFunction(global) != NULL;
    symbol->internal = linkage == LLVM_INTERNAL_LINKAGE || linkage == LLVM_PRIVATE_LINKAGE;
    symbol->unit = unit;
    symbol->resolved = symbol;
    if (symbol->is_function)
        symbol->signature = lift_signature(lift, llvm->LLVMGlobalGetValueType(global));
    lift_map_put(lift, lift->map, global, unit->symbol_count);
    struct {
        struct symbol **items;
        uint32_t count, capacity;
    } list = {unit->symbols, unit->symbol_count, unit->symbol_capacity};
    ARENA_PUSH(&unit->arena, &list, symbol);
    unit->symbols = list.items;
    unit->symbol_count = list.count;
    unit->symbol_capacity = list.capacity;
    return symbol;
}

static void address_add(struct lift *lift, struct address address)
{
    struct unit *unit = lift->unit;
    struct {
        struct address *items;
        uint32_t count, capacity;
    } list = {unit->addresses, unit->address_count, unit->address_capacity};
    ARENA_PUSH(&unit->arena, &list, address);
    unit->addresses = list.items;
    unit->address_count = list.count;
    unit->address_capacity = list.capacity;
}

/* Bounded by the depth: expressions can be shared, and so be much larger as trees than in memory. */
static void addresses_collect(struct lift *lift, llvm_value constant, int64_t at, int64_t offset,
                              uint64_t stride, unsigned depth)
{
    const struct llvm *llvm = lift->llvm;
    if (depth > DEPTH_MAX || lift->unit->address_count > 64u * INITIALIZER_MAX ||
        llvm->LLVMIsNull(constant))
        return;
    if (llvm->LLVMIsAGlobalAlias(constant)) {
        addresses_collect(lift, llvm->LLVMAliasGetAliasee(constant), at, offset, stride, depth + 1);
        return;
    }
    bool is_function = llvm->LLVMIsAFunction(constant) != NULL;
    if (is_function || llvm->LLVMIsAGlobalVariable(constant)) {
        struct symbol *symbol = lift_symbol(lift, constant);
        if (is_function)
            symbol->address_taken = true;
        if (offset != (int32_t)offset || stride != (uint32_t)stride)
            offset = 0, stride = 1;
        address_add(lift, (struct address){symbol, (int32_t)at, (int32_t)offset, (uint32_t)stride});
        return;
    }
    if (llvm->LLVMIsAConstantStruct(constant) || llvm->LLVMIsAConstantArray(constant) ||
        llvm->LLVMIsAConstantVector(constant)) {
        llvm_type type = llvm->LLVMTypeOf(constant);
        bool structure = llvm->LLVMGetTypeKind(type) == LLVM_TYPE_STRUCT;
        uint64_t step = structure ? 0 : lift_size(lift, llvm->LLVMGetElementType(type), false);
        unsigned count = (unsigned)llvm->LLVMGetNumOperands(constant);
        for (unsigned i = 0; i < count; i++) {
            uint64_t inside = structure ? llvm->LLVMOffsetOfElement(lift->data, type, i) : step * i;
            addresses_collect(lift, llvm->LLVMGetOperand(constant, i), at + (int64_t)inside, offset,
                              stride, depth + 1);
        }
        return;
    }
    if (!llvm->LLVMIsAConstantExpr(constant) || llvm->LLVMIsABlockAddress(constant))
        return;
    int opcode = llvm->LLVMGetConstOpcode(constant);
    if (opcode == LLVM_GEP) {
        struct lift_path path;
        lift_path(lift, constant, &path);
        addresses_collect(lift, llvm->LLVMGetOperand(constant, 0), at, offset + path.offset,
                          stride ? stride : path.stride, depth + 1);
        return;
    }
    if (opcode == LLVM_ICMP || opcode == LLVM_FCMP)
        return;
    bool exact = opcode == LLVM_BIT_CAST || opcode == LLVM_PTR_TO_INT ||
                 opcode == LLVM_INT_TO_PTR || opcode == LLVM_ADDRSPACE_CAST;
    unsigned count = (unsigned)llvm->LLVMGetNumOperands(constant);
    for (unsigned i = 0; i < count; i++)
        addresses_collect(lift, llvm->LLVMGetOperand(constant, i), at, offset, exact ? stride : 1,
                          depth + 1);
}

int32_t lift_constant(struct lift *lift, llvm_value value)
{
    const struct llvm *llvm = lift->llvm;
    struct unit *unit = lift->unit;
    /* Functions and variables have their symbol's number in the map; constants are told apart by a low bit. */
    void *key = (void *)((uintptr_t)value | 1);
    uint64_t *known = lift_map_get(lift->map, key);
    if (known)
        return ~(int32_t)*known;
    struct constant constant = {.first = unit->address_count};
    if (llvm->LLVMIsAConstantInt(value)) {
        llvm_type type = llvm->LLVMTypeOf(value);
        constant.is_integer = llvm->LLVMGetIntTypeWidth(type) <= 64;
        if (constant.is_integer)
            constant.integer = llvm->LLVMConstIntGetSExtValue(value);
        constant.is_null = constant.is_integer && !constant.integer;
    } else if (llvm->LLVMIsConstant(value)) {
        constant.is_null = llvm->LLVMIsNull(value);
        addresses_collect(lift, value, 0, 0, 0, 0);
    }
    constant.count = unit->address_count - constant.first;
    constant.is_unknown = !constant.count && !constant.is_null && llvm->LLVMIsConstant(value) &&
                          llvm->LLVMGetTypeKind(llvm->LLVMTypeOf(value)) == LLVM_TYPE_POINTER;
    lift_map_put(lift, lift->map, key, unit->constant_count);
    struct {
        struct constant *items;
        uint32_t count, capacity;
    } list = {unit->constants, unit->constant_count, unit->constant_capacity};
    ARENA_PUSH(&unit->arena, &list, constant);
    unit->constants = list.items;
    unit->constant_count = list.count;
    unit->constant_capacity = list.capacity;
    return ~(int32_t)(unit->constant_count - 1);
}

void lift_initializer(struct lift *lift, llvm_value variable, struct symbol *symbol)
{
    llvm_value initializer = lift->llvm->LLVMGetInitializer(variable);
    if (!initializer)
        return;
    uint32_t first = lift->unit->address_count;
    addresses_collect(lift, initializer, 0, 0, 0, 0);
    symbol->first = first;
    symbol->count = lift->unit->address_count - first;
    symbol->has_initializer = true;
    symbol->is_constant =
        lift->llvm->LLVMIsGlobalConstant(variable) && symbol->count <= INITIALIZER_MAX;
}

void lift_path(struct lift *lift, llvm_value gep, struct lift_path *ret_path)
{
    const struct llvm *llvm = lift->llvm;
    llvm_type type = llvm->LLVMGetGEPSourceElementType(gep);
    unsigned count = (unsigned)llvm->LLVMGetNumOperands(gep);
    *ret_path = (struct lift_path){0};
    for (unsigned i = 1; i < count; i++) {
        llvm_value index = llvm->LLVMGetOperand(gep, i);
        bool fixed = llvm->LLVMIsAConstantInt(index) != NULL;
        int64_t number = fixed ? llvm->LLVMConstIntGetSExtValue(index) : 0;
        if (i > 1) {
            int kind = llvm->LLVMGetTypeKind(type);
            if (kind == LLVM_TYPE_STRUCT) {
                ret_path->field = llvm->LLVMOffsetOfElement(lift->data, type, (unsigned)number);
                ret_path->structure = llvm->LLVMGetStructName(type);
                ret_path->offset += (int64_t)ret_path->field;
                type = llvm->LLVMStructGetTypeAtIndex(type, (unsigned)number);
                continue;
            }
            type = llvm->LLVMGetElementType(type);
        }
        uint64_t size = lift_size(lift, type, false);
        ret_path->structure = NULL;
        if (fixed) {
            ret_path->offset += number * (int64_t)size;
        } else {
            uint64_t a = ret_path->stride, b = size ? size : 1;
            while (b) {
                uint64_t rest = a % b;
                a = b;
                b = rest;
            }
            ret_path->stride = a;
        }
    }
    if (ret_path->offset != (int32_t)ret_path->offset ||
        ret_path->stride != (uint32_t)ret_path->stride)
        ret_path->offset = 0, ret_path->stride = 1;
}
