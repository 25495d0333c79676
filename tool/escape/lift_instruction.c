/* SPDX-License-Identifier: MIT */
/* One instruction. What is not known by name here counts as able to do anything with its operands. */
#include <stdio.h>
#include <string.h>

#include "lift.h"

static void operand_add(struct lift *lift, struct instruction *instruction, int32_t operand)
{
    ARENA_PUSH(&lift->unit->arena, &lift->operands, operand);
    instruction->operand_count++;
}

int32_t lift_operand(struct lift *lift, llvm_value value)
{
    if (lift->llvm->LLVMIsConstant(value))
        return lift_constant(lift, value);
    uint64_t *known = lift_map_get(lift->map, value);
    /* Metadata, labels and assembly have no number: a constant without addresses stands for them. */
    return known ? (int32_t)*known : lift_constant(lift, value);
}

static void operands_add(struct lift *lift, llvm_value value, struct instruction *instruction)
{
    int count = lift->llvm->LLVMGetNumOperands(value);
    for (int i = 0; i < count; i++)
        operand_add(lift, instruction,
                    lift_operand(lift, lift->llvm->LLVMGetOperand(value, (unsigned)i)));
}

static uint32_t fitting(uint64_t size)
{
    return size <= INT32_MAX ? (uint32_t)size : 0;
}

static uint32_t size_of(struct lift *lift, llvm_value value)
{
    return fitting(lift_size(lift, lift->llvm->LLVMTypeOf(value), true));
}

/* A C subtraction of two pointers: defined inside one object only, and an index then. Told by the name that
 * clang gives it; without names it is taken for arithmetic, which may carry a pointer. */
static bool is_pointer_difference(struct lift *lift, llvm_value value)
{
    size_t length;
    const char *name = lift->llvm->LLVMGetValueName2(value, &length);
    return length >= 11 && !strncmp(name, "sub.ptr.sub", 11);
}

/* What a union of a pointer and a double becomes: not a cast, but a piece of memory looked at in two ways. */
static bool is_from_double(struct lift *lift, llvm_value value)
{
    const struct llvm *llvm = lift->llvm;
    if (llvm->LLVMIsConstant(value) || llvm->LLVMGetInstructionOpcode(value) != LLVM_BIT_CAST)
        return false;
    return llvm->LLVMGetTypeKind(llvm->LLVMTypeOf(llvm->LLVMGetOperand(value, 0))) ==
           LLVM_TYPE_DOUBLE;
}

/* The field that the callee was loaded from. */
static const char *hook_of(struct lift *lift, llvm_value callee)
{
    const struct llvm *llvm = lift->llvm;
    char text[256];
    if (llvm->LLVMIsConstant(callee))
        return NULL;
    int opcode = llvm->LLVMGetInstructionOpcode(callee);
    if (opcode == LLVM_BIT_CAST && !llvm->LLVMIsConstant(llvm->LLVMGetOperand(callee, 0))) {
        callee = llvm->LLVMGetOperand(callee, 0);
        if (!lift_map_get(lift->map, callee))
            return NULL;
        opcode = llvm->LLVMGetInstructionOpcode(callee);
    }
    if (opcode != LLVM_LOAD)
        return NULL;
    llvm_value from = llvm->LLVMGetOperand(callee, 0);
    if (llvm->LLVMIsConstant(from)) {
        struct constant constant = lift->unit->constants[~lift_constant(lift, from)];
        if (constant.count != 1)
            return NULL;
        const struct address *address = &lift->unit->addresses[constant.first];
        snprintf(text, sizeof text, "%s:%d", address->symbol->name, address->offset);
        return arena_copy(&lift->unit->arena, text, strlen(text));
    }
    uint64_t *number = lift_map_get(lift->map, from);
    if (!number || *number < lift->function->parameter_count ||
        llvm->LLVMGetInstructionOpcode(from) != LLVM_GEP)
        return NULL;
    struct lift_path path;
    lift_path(lift, from, &path);
    if (!path.structure)
        return NULL;
    const char *name = path.structure; /* struct.NAME, and .N when there are several of that name */
    if (!strncmp(name, "struct.", 7))
        name += 7;
    else if (!strncmp(name, "union.", 6))
        name += 6;
    int length = (int)strlen(name);
    const char *dot = strrchr(name, '.');
    if (dot && dot[1] && strspn(dot + 1, "0123456789") == strlen(dot + 1))
        length = (int)(dot - name);
    snprintf(text, sizeof text, "%.*s:%llu", length, name, (unsigned long long)path.field);
    return arena_copy(&lift->unit->arena, text, strlen(text));
}

static bool call_has(struct lift *lift, llvm_value call, llvm_value callee, unsigned index,
                     unsigned kind)
{
    const struct llvm *llvm = lift->llvm;
    if (!kind)
        return false;
    return llvm->LLVMGetCallSiteEnumAttribute(call, index, kind) ||
           (llvm->LLVMIsAFunction(callee) &&
            llvm->LLVMGetEnumAttributeAtIndex(callee, index, kind));
}

static bool starts(const char *name, const char *prefix)
{
    return !strncmp(name, prefix, strlen(prefix));
}

static void lift_intrinsic(struct lift *lift, llvm_value value, const char *name,
                           struct instruction *instruction)
{
    static const char *const nothing[] = {
        "llvm.dbg.",          "llvm.lifetime.",      "llvm.assume",
        "llvm.va_end",        "llvm.stacksave",      "llvm.stackrestore",
        "llvm.prefetch",      "llvm.objectsize",     "llvm.memset.",
        "llvm.trap",          "llvm.debugtrap",      "llvm.experimental.noalias",
        "llvm.donothing",     "llvm.sideeffect",     "llvm.pcmarker",
        "llvm.returnaddress", "llvm.frameaddress",   "llvm.read_register",
        "llvm.invariant.",    "llvm.ubsantrap",      "llvm.is.constant",
        "llvm.codeview",      "llvm.var.annotation", "llvm.fake.use"};
    static const char *const along[] = {"llvm.expect",
                                        "llvm.bswap",
                                        "llvm.bitreverse",
                                        "llvm.fsh",
                                        "llvm.ptrmask",
                                        "llvm.launder.",
                                        "llvm.strip.",
                                        "llvm.ptr.annotation",
                                        "llvm.threadlocal.address",
                                        "llvm.abs",
                                        "llvm.smax",
                                        "llvm.smin",
                                        "llvm.umax",
                                        "llvm.umin",
                                        "llvm.sadd.",
                                        "llvm.uadd.",
                                        "llvm.ssub.",
                                        "llvm.usub.",
                                        "llvm.smul.",
                                        "llvm.umul.",
                                        "llvm.vector.reduce.",
                                        "llvm.annotation",
                                        "llvm.preserve.",
                                        "llvm.ssa.copy",
                                        "llvm.arithmetic.fence"};
    static const char *const numbers[] = {
        "llvm.ct",         "llvm.f",     "llvm.sqrt",      "llvm.pow",      "llvm.sin",
        "llvm.cos",        "llvm.exp",   "llvm.log",       "llvm.copysign", "llvm.ceil",
        "llvm.trunc",      "llvm.rint",  "llvm.nearbyint", "llvm.round",    "llvm.lround",
        "llvm.llround",    "llvm.lrint", "llvm.llrint",    "llvm.min",      "llvm.max",
        "llvm.is.fpclass", "llvm.ldexp"};
    if (starts(name, "llvm.memcpy.") || starts(name, "llvm.memmove.") ||
        starts(name, "llvm.va_copy")) {
        llvm_value size =
            starts(name, "llvm.va_copy") ? NULL : lift->llvm->LLVMGetOperand(value, 2);
        instruction->op = OP_COPY_MEMORY;
        operand_add(lift, instruction, lift_operand(lift, lift->llvm->LLVMGetOperand(value, 0)));
        operand_add(lift, instruction, lift_operand(lift, lift->llvm->LLVMGetOperand(value, 1)));
        if (size && lift->llvm->LLVMIsAConstantInt(size))
            instruction->size = fitting(lift->llvm->LLVMConstIntGetZExtValue(size));
        return;
    }
    if (starts(name, "llvm.va_start")) {
        instruction->op = OP_VA_START;
        operand_add(lift, instruction, lift_operand(lift, lift->llvm->LLVMGetOperand(value, 0)));
        return;
    }
    for (size_t i = 0; i < sizeof along / sizeof *along; i++) {
        if (!starts(name, along[i]))
            continue;
        instruction->op = OP_COPY;
        instruction->exact = starts(name, "llvm.expect") || starts(name, "llvm.launder.") ||
                             starts(name, "llvm.ssa") || starts(name, "llvm.threadlocal") ||
                             starts(name, "llvm.ptr.annotation");
        unsigned count = lift->llvm->LLVMGetNumArgOperands(value);
        for (unsigned k = 0; k < (instruction->exact ? 1 : count); k++)
            operand_add(lift, instruction,
                        lift_operand(lift, lift->llvm->LLVMGetOperand(value, k)));
        return;
    }
    for (size_t i = 0; i < sizeof nothing / sizeof *nothing; i++)
        if (starts(name, nothing[i]))
            return;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (starts(name, numbers[i]))
            return;
    instruction->op = OP_OPAQUE;
    operands_add(lift, value, instruction);
}

static void lift_call(struct lift *lift, llvm_value value, struct instruction *instruction)
{
    const struct llvm *llvm = lift->llvm;
    llvm_value callee = llvm->LLVMGetCalledValue(value);
    if (llvm->LLVMIsAInlineAsm(callee)) {
        instruction->op = OP_OPAQUE;
        unsigned count = llvm->LLVMGetNumArgOperands(value);
        for (unsigned i = 0; i < count; i++)
            operand_add(lift, instruction, lift_operand(lift, llvm->LLVMGetOperand(value, i)));
        return;
    }
    size_t length;
    const char *name =
        llvm->LLVMIsAFunction(callee) ? llvm->LLVMGetValueName2(callee, &length) : "";
    if (starts(name, "llvm.")) {
        lift_intrinsic(lift, value, name, instruction);
        return;
    }
    unsigned count = llvm->LLVMGetNumArgOperands(value);
    instruction->op = OP_CALL;
    for (unsigned i = 0; i < count; i++) {
        operand_add(lift, instruction, lift_operand(lift, llvm->LLVMGetOperand(value, i)));
        if (i < 64 && (call_has(lift, value, callee, i + 1, lift->nocapture)))
            instruction->nocapture |= UINT64_C(1) << i;
        if (i < 64 && lift->captures && llvm->LLVMIsAFunction(callee)) {
            llvm_attribute captures =
                llvm->LLVMGetEnumAttributeAtIndex(callee, i + 1, lift->captures);
            if (captures && !llvm->LLVMGetEnumAttributeValue(captures))
                instruction->nocapture |= UINT64_C(1) << i;
        }
    }
    bool taken = llvm->LLVMIsAFunction(callee) && lift_symbol(lift, callee)->address_taken;
    operand_add(lift, instruction, lift_operand(lift, callee));
    if (llvm->LLVMIsAFunction(callee))
        lift_symbol(lift, callee)->address_taken = taken; /* a call does not take the address */
    else
        instruction->hook = hook_of(lift, callee);
    instruction->signature = lift_signature(lift, llvm->LLVMGetCalledFunctionType(value));
    instruction->size = size_of(lift, value);
    instruction->noreturn = call_has(lift, value, callee, LLVM_ATTRIBUTE_FUNCTION, lift->noreturn);
    instruction->returns_twice =
        call_has(lift, value, callee, LLVM_ATTRIBUTE_FUNCTION, lift->returns_twice);
}

void lift_instruction(struct lift *lift, llvm_value value, struct instruction *instruction)
{
    const struct llvm *llvm = lift->llvm;
    int opcode = llvm->LLVMGetInstructionOpcode(value);
    llvm_type type = llvm->LLVMTypeOf(value);
    int kind = llvm->LLVMGetTypeKind(type);
    instruction->operands = lift->operands.count;
    instruction->pointer = kind == LLVM_TYPE_POINTER;
    instruction->no_value = kind == LLVM_TYPE_VOID ||
                            (kind == LLVM_TYPE_INTEGER && llvm->LLVMGetIntTypeWidth(type) == 1);
    switch (opcode) {
    case LLVM_RET:
        instruction->op = OP_RETURN;
        operands_add(lift, value, instruction);
        break;
    case LLVM_BR:
        instruction->op = OP_BRANCH;
        if (llvm->LLVMIsConditional(value))
            operand_add(lift, instruction, lift_operand(lift, llvm->LLVMGetCondition(value)));
        break;
    case LLVM_SWITCH:
    case LLVM_INDIRECT_BR:
        instruction->op = OP_BRANCH;
        break;
    case LLVM_UNREACHABLE:
        instruction->op = OP_END;
        break;
    case LLVM_ALLOCA: {
        llvm_value count = llvm->LLVMGetOperand(value, 0);
        instruction->op = OP_ALLOCA;
        if (llvm->LLVMIsAConstantInt(count))
            instruction->size = fitting(lift_size(lift, llvm->LLVMGetAllocatedType(value), false) *
                                        llvm->LLVMConstIntGetZExtValue(count));
        break;
    }
    case LLVM_LOAD:
        instruction->op = OP_LOAD;
        instruction->size = fitting(lift_size(lift, type, true));
        operands_add(lift, value, instruction);
        break;
    case LLVM_STORE:
        instruction->op = OP_STORE;
        instruction->size = size_of(lift, llvm->LLVMGetOperand(value, 0));
        operand_add(lift, instruction, lift_operand(lift, llvm->LLVMGetOperand(value, 1)));
        operand_add(lift, instruction, lift_operand(lift, llvm->LLVMGetOperand(value, 0)));
        break;
    case LLVM_CMPXCHG:
    case LLVM_RMW: {
        unsigned last = opcode == LLVM_CMPXCHG ? 2 : 1;
        instruction->op = OP_EXCHANGE;
        instruction->size = size_of(lift, llvm->LLVMGetOperand(value, last));
        operand_add(lift, instruction, lift_operand(lift, llvm->LLVMGetOperand(value, 0)));
        operand_add(lift, instruction, lift_operand(lift, llvm->LLVMGetOperand(value, last)));
        break;
    }
    case LLVM_GEP: {
        struct lift_path path;
        lift_path(lift, value, &path);
        instruction->op = OP_OFFSET;
        instruction->offset = (int32_t)path.offset;
        instruction->stride = (uint32_t)path.stride;
        operands_add(lift, value, instruction);
        break;
    }
    case LLVM_PHI:
        instruction->op = OP_PHI; /* operands come when all values have numbers */
        break;
    case LLVM_SELECT:
        instruction->op = OP_SELECT;
        operands_add(lift, value, instruction);
        break;
    case LLVM_ICMP: {
        int predicate = llvm->LLVMGetICmpPredicate(value);
        instruction->op = OP_COMPARE;
        instruction->equal = predicate == LLVM_INT_EQ;
        instruction->differs = predicate == LLVM_INT_NE;
        operands_add(lift, value, instruction);
        break;
    }
    case LLVM_FADD: /* a pointer that a double holds is copied from there, not counted with */
    case LLVM_FSUB:
    case LLVM_FMUL:
    case LLVM_FDIV:
    case LLVM_FREM:
    case LLVM_FNEG:
    case LLVM_FP_TO_UI:
    case LLVM_FP_TO_SI:
    case LLVM_UI_TO_FP:
    case LLVM_SI_TO_FP:
    case LLVM_FP_TRUNC:
    case LLVM_FP_EXT:
    case LLVM_FCMP:
    case LLVM_FENCE:
        break;
    case LLVM_VA_ARG:
        instruction->op = OP_VA_ARG;
        operands_add(lift, value, instruction);
        break;
    case LLVM_CALL:
    case LLVM_INVOKE:
    case LLVM_CALL_BR:
        lift_call(lift, value, instruction);
        break;
    case LLVM_INT_TO_PTR:
        instruction->from_number = !is_from_double(lift, llvm->LLVMGetOperand(value, 0));
        /* fall through */
    case LLVM_BIT_CAST:
    case LLVM_PTR_TO_INT:
    case LLVM_ADDRSPACE_CAST:
    case LLVM_FREEZE:
        instruction->op = OP_COPY;
        instruction->exact = true;
        operands_add(lift, value, instruction);
        break;
    case LLVM_ADD:
    case LLVM_SUB:
    case LLVM_MUL:
    case LLVM_UDIV:
    case LLVM_SDIV:
    case LLVM_UREM:
    case LLVM_SREM:
        /* Parts of a pointer are moved, shifted and put together; nobody counts with them. */
        if ((kind == LLVM_TYPE_INTEGER && llvm->LLVMGetIntTypeWidth(type) < 64) ||
            (opcode == LLVM_SUB && is_pointer_difference(lift, value)))
            break;
        /* fall through */
    default:
        instruction->op = OP_COPY;
        operands_add(lift, value, instruction);
        break;
    }
    if (instruction->op == OP_COPY && instruction->no_value)
        instruction->op = OP_NONE;
}
