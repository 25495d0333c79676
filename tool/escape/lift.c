/* SPDX-License-Identifier: MIT */
#include "lift.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Names for pointers' copies in memory become values, and tests of one condition are joined: that is what
 * telling "freed on all paths" from "on some" needs. Nothing here moves or removes a call. */
#define PASSES                                                                                     \
    "inferattrs,function(sroa,early-cse,simplifycfg,jump-threading,simplifycfg,early-cse)"

void lift_map_put(struct lift *lift, struct lift_map *map, void *key, uint64_t value)
{
    if (map->used * 2 >= map->size) {
        struct lift_map old = *map;
        map->size = old.size ? old.size * 2 : 1024;
        map->used = 0;
        map->slots = arena_alloc(&lift->unit->arena, map->size * sizeof *map->slots);
        for (size_t i = 0; i < old.size; i++)
            if (old.slots[i].key)
                lift_map_put(lift, map, old.slots[i].key, old.slots[i].value);
    }
    size_t at = ((uintptr_t)key * UINT64_C(0x9e3779b97f4a7c15)) >> 20;
    while (map->slots[at & (map->size - 1)].key)
        at++;
    map->slots[at & (map->size - 1)].key = key;
    map->slots[at & (map->size - 1)].value = value;
    map->used++;
}

uint64_t *lift_map_get(struct lift_map *map, void *key)
{
    size_t at = ((uintptr_t)key * UINT64_C(0x9e3779b97f4a7c15)) >> 20;
    for (; map->size && map->slots[at & (map->size - 1)].key; at++)
        if (map->slots[at & (map->size - 1)].key == key)
            return &map->slots[at & (map->size - 1)].value;
    return NULL;
}

static uint32_t file_number(struct unit *unit, const char *name, size_t length, const char *folder,
                            size_t folder_length)
{
    char path[4096];
    if (length && name[0] != '/' && folder_length)
        snprintf(path, sizeof path, "%.*s/%.*s", (int)folder_length, folder, (int)length, name);
    else
        snprintf(path, sizeof path, "%.*s", (int)length, name);
    for (uint32_t i = unit->file_count; i-- > 0;)
        if (!strcmp(unit->files[i], path))
            return i;
    struct {
        const char **items;
        uint32_t count, capacity;
    } list = {unit->files, unit->file_count, unit->file_capacity};
    ARENA_PUSH(&unit->arena, &list, arena_copy(&unit->arena, path, strlen(path)));
    unit->files = list.items;
    unit->file_count = list.count;
    unit->file_capacity = list.capacity;
    return unit->file_count - 1;
}

struct places { /* the last file, since most instructions share it */
    const char *name;
    uint32_t file;
};

static void place_set(struct lift *lift, llvm_value value, struct places *last,
                      struct instruction *instruction)
{
    const struct llvm *llvm = lift->llvm;
    unsigned length, folder_length = 0;
    instruction->line = llvm->LLVMGetDebugLocLine(value);
    if (!instruction->line)
        return;
    instruction->column = llvm->LLVMGetDebugLocColumn(value);
    const char *name = llvm->LLVMGetDebugLocFilename(value, &length);
    if (!name)
        return;
    if (name != last->name) {
        const char *folder = llvm->LLVMGetDebugLocDirectory(value, &folder_length);
        last->name = name;
        last->file =
            file_number(lift->unit, name, length, folder ? folder : "", folder ? folder_length : 0);
    }
    instruction->file = last->file;
}

static void blocks_number(struct lift *lift, llvm_value from, struct lift_map *blocks)
{
    uint32_t number = 0;
    for (llvm_block block = lift->llvm->LLVMGetFirstBasicBlock(from); block;
         block = lift->llvm->LLVMGetNextBasicBlock(block))
        lift_map_put(lift, blocks, block, number++);
}

static void phis_fill(struct lift *lift, llvm_value value, struct instruction *instruction,
                      struct lift_map *blocks)
{
    unsigned count = lift->llvm->LLVMCountIncoming(value);
    instruction->operands = lift->operands.count;
    for (unsigned i = 0; i < count; i++) {
        int32_t operand = lift_operand(lift, lift->llvm->LLVMGetIncomingValue(value, i));
        uint64_t *block = lift_map_get(blocks, lift->llvm->LLVMGetIncomingBlock(value, i));
        ARENA_PUSH(&lift->unit->arena, &lift->operands, operand);
        ARENA_PUSH(&lift->unit->arena, &lift->operands, block ? (int32_t)*block : 0);
        instruction->operand_count += 2;
    }
}

static void lift_function(struct lift *lift, llvm_value from, struct function *function)
{
    const struct llvm *llvm = lift->llvm;
    struct arena *arena = &lift->unit->arena;
    struct lift_map blocks = {0};
    lift->function = function;
    memset(&lift->operands, 0, sizeof lift->operands);
    function->parameter_count = llvm->LLVMCountParams(from);
    function->variadic = llvm->LLVMIsFunctionVarArg(llvm->LLVMGlobalGetValueType(from));
    function->struct_return = function->parameter_count && lift->sret &&
                              llvm->LLVMGetEnumAttributeAtIndex(from, 1, lift->sret);
    function->parameter_names =
        arena_alloc(arena, (function->parameter_count + 1) * sizeof(char *));
    uint32_t number = 0;
    for (; number < function->parameter_count; number++) {
        llvm_value parameter = llvm->LLVMGetParam(from, number);
        size_t length;
        const char *name = llvm->LLVMGetValueName2(parameter, &length);
        const char *dot = memchr(name, '.', length); /* .coerce and the like are clang's */
        function->parameter_names[number] =
            arena_copy(arena, name, dot ? (size_t)(dot - name) : length);
        lift_map_put(lift, lift->map, parameter, number);
    }
    blocks_number(lift, from, &blocks);
    uint32_t instruction_count = 0, successor_count = 0;
    for (llvm_block block = llvm->LLVMGetFirstBasicBlock(from); block;
         block = llvm->LLVMGetNextBasicBlock(block)) {
        llvm_value last = NULL;
        for (llvm_value at = llvm->LLVMGetFirstInstruction(block); at;
             at = llvm->LLVMGetNextInstruction(at)) {
            lift_map_put(lift, lift->map, at, function->parameter_count + instruction_count++);
            last = at;
        }
        int opcode = last ? llvm->LLVMGetInstructionOpcode(last) : 0;
        if (opcode != LLVM_RET && opcode != LLVM_UNREACHABLE && last)
            successor_count += llvm->LLVMGetNumSuccessors(last);
    }
    function->instruction_count = instruction_count;
    function->value_count = function->parameter_count + instruction_count;
    function->block_count = llvm->LLVMCountBasicBlocks(from);
    function->instructions =
        arena_alloc(arena, (instruction_count + 1) * sizeof *function->instructions);
    function->block_of = arena_alloc(arena, (instruction_count + 1) * sizeof *function->block_of);
    function->blocks = arena_alloc(arena, (function->block_count + 1) * sizeof *function->blocks);
    function->successors = arena_alloc(arena, (successor_count + 1) * sizeof *function->successors);
    lift->unit->instruction_count += instruction_count;

    struct places place = {NULL, 0};
    uint32_t index = 0, block_index = 0, edges = 0;
    for (llvm_block block = llvm->LLVMGetFirstBasicBlock(from); block;
         block = llvm->LLVMGetNextBasicBlock(block), block_index++) {
        struct basic_block *ours = &function->blocks[block_index];
        llvm_value last = NULL;
        ours->first = index;
        ours->successors = edges;
        for (llvm_value at = llvm->LLVMGetFirstInstruction(block); at;
             at = llvm->LLVMGetNextInstruction(at)) {
            struct instruction *instruction = &function->instructions[index];
            function->block_of[index++] = block_index;
            lift_instruction(lift, at, instruction);
            if (instruction->op == OP_PHI)
                phis_fill(lift, at, instruction, &blocks);
            if (instruction->op != OP_PHI && instruction->op != OP_COPY &&
                instruction->op != OP_NONE)
                place_set(lift, at, &place, instruction);
            if (!function->line && instruction->line)
                function->line = instruction->line;
            last = at;
        }
        ours->count = index - ours->first;
        int opcode = last ? llvm->LLVMGetInstructionOpcode(last) : 0;
        if (!last || opcode == LLVM_RET || opcode == LLVM_UNREACHABLE)
            continue;
        ours->successor_count = llvm->LLVMGetNumSuccessors(last);
        for (uint32_t i = 0; i < ours->successor_count; i++) {
            uint64_t *to = lift_map_get(&blocks, llvm->LLVMGetSuccessor(last, i));
            uint32_t target = to ? (uint32_t)*to : 0;
            function->successors[edges++] = target;
            function->blocks[target].predecessor_count++;
            function->blocks[target].predecessor = block_index;
        }
    }
    function->operands = lift->operands.items;
}

static unsigned attribute_kind(const struct llvm *llvm, const char *name)
{
    return llvm->LLVMGetEnumAttributeKindForName(name, strlen(name));
}

static void lift_module(struct lift *lift)
{
    const struct llvm *llvm = lift->llvm;
    struct unit *unit = lift->unit;
    lift->data = llvm->LLVMGetModuleDataLayout(lift->module);
    lift->nocapture = attribute_kind(llvm, "nocapture");
    lift->captures = attribute_kind(llvm, "captures");
    lift->noreturn = attribute_kind(llvm, "noreturn");
    lift->returns_twice = attribute_kind(llvm, "returns_twice");
    lift->sret = attribute_kind(llvm, "sret");
    lift->map = arena_alloc(&unit->arena, sizeof *lift->map);
    size_t length;
    const char *source = llvm->LLVMGetSourceFileName(lift->module, &length);
    file_number(unit, source, length, "", 0); /* number 0: where no place is known */
    for (llvm_value from = llvm->LLVMGetFirstGlobal(lift->module); from;
         from = llvm->LLVMGetNextGlobal(from))
        if (!llvm->LLVMIsDeclaration(from))
            lift_initializer(lift, from, lift_symbol(lift, from));
    struct {
        struct function **items;
        uint32_t count, capacity;
    } list = {NULL, 0, 0};
    for (llvm_value from = llvm->LLVMGetFirstFunction(lift->module); from;
         from = llvm->LLVMGetNextFunction(from)) {
        if (llvm->LLVMIsDeclaration(from))
            continue;
        struct function *function = arena_alloc(&unit->arena, sizeof *function);
        function->symbol = lift_symbol(lift, from);
        function->symbol->function = function;
        function->unit = unit;
        lift_function(lift, from, function);
        ARENA_PUSH(&unit->arena, &list, function);
    }
    /* An alias of a function is called by another name. */
    for (llvm_value from = llvm->LLVMGetFirstGlobalAlias(lift->module); from;
         from = llvm->LLVMGetNextGlobalAlias(from)) {
        llvm_value target = llvm->LLVMAliasGetAliasee(from);
        if (!llvm->LLVMIsAFunction(target))
            continue;
        struct symbol *symbol = lift_symbol(lift, from);
        symbol->is_function = true;
        symbol->function = lift_symbol(lift, target)->function;
        symbol->signature = lift_symbol(lift, target)->signature;
        lift_symbol(lift, target)->address_taken = true; /* there are callers by that name */
    }
    unit->functions = list.items;
    unit->function_count = list.count;
}

static void diagnostics_away(void *info, void *context)
{
}

int lift_file(const struct llvm *llvm, const char *path, struct unit *unit, char *ret_message,
              size_t message_size)
{
    char *message = NULL;
    llvm_buffer buffer;
    llvm_module module = NULL;
    if (llvm->LLVMCreateMemoryBufferWithContentsOfFile(path, &buffer, &message)) {
        snprintf(ret_message, message_size, "%s: %s", path, message ? message : "cannot be read");
        llvm->LLVMDisposeMessage(message);
        return -EINVAL;
    }
    llvm_context context = llvm->LLVMContextCreate();
    llvm->LLVMContextSetDiagnosticHandler(context, diagnostics_away, NULL);
    if (llvm->LLVMParseIRInContext(context, buffer, &module, &message)) { /* takes the buffer */
        snprintf(ret_message, message_size, "%s: libLLVM %u cannot read it%s%.200s", path,
                 llvm->version, message ? ": " : "", message ? message : "");
        for (char *at = ret_message; *at; at++) /* it may quote what it could not read */
            if (*at < ' ' || *at > '~')
                *at = '?';
        llvm->LLVMDisposeMessage(message);
        llvm->LLVMContextDispose(context);
        return -EINVAL;
    }
    int status = 0;
    llvm_passes options = llvm->LLVMCreatePassBuilderOptions();
    llvm_error failed = llvm->LLVMRunPasses(module, PASSES, NULL, options);
    llvm->LLVMDisposePassBuilderOptions(options);
    if (failed) {
        char *text = llvm->LLVMGetErrorMessage(failed);
        snprintf(ret_message, message_size, "%s: %s", path, text);
        llvm->LLVMDisposeErrorMessage(text);
        status = -EINVAL;
    }
    unit->arena.failed = &unit->failed;
    if (!status && setjmp(unit->failed)) {
        status = -ENOMEM;
    } else if (!status) {
        struct lift lift = {.llvm = llvm, .module = module, .unit = unit};
        lift_module(&lift);
    }
    llvm->LLVMDisposeModule(module);
    llvm->LLVMContextDispose(context);
    return status;
}
