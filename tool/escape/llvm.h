/* SPDX-License-Identifier: MIT */
/*
 * LLVM's C interface, as far as it is used, from the libLLVM that belongs to the user's clang. It is
 * loaded when asked for: nothing else of poolwise needs it, and the build needs no headers of it. Names
 * and numbers are those of LLVM's stable C interface and hold for LLVM 14 and later.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

typedef void *llvm_context, *llvm_module, *llvm_value, *llvm_type, *llvm_block, *llvm_buffer,
    *llvm_data, *llvm_attribute, *llvm_passes, *llvm_error;

/* LLVMOpcode */
enum llvm_opcode {
    LLVM_RET = 1,
    LLVM_BR = 2,
    LLVM_SWITCH = 3,
    LLVM_INDIRECT_BR = 4,
    LLVM_INVOKE = 5,
    LLVM_UNREACHABLE = 7,
    LLVM_ADD = 8,
    LLVM_FADD = 9,
    LLVM_SUB = 10,
    LLVM_FSUB = 11,
    LLVM_MUL = 12,
    LLVM_FMUL = 13,
    LLVM_UDIV = 14,
    LLVM_SDIV = 15,
    LLVM_FDIV = 16,
    LLVM_UREM = 17,
    LLVM_SREM = 18,
    LLVM_FREM = 19,
    LLVM_ALLOCA = 26,
    LLVM_LOAD = 27,
    LLVM_STORE = 28,
    LLVM_GEP = 29,
    LLVM_TRUNC = 30,
    LLVM_FP_TO_UI = 33,
    LLVM_FP_TO_SI = 34,
    LLVM_UI_TO_FP = 35,
    LLVM_SI_TO_FP = 36,
    LLVM_FP_TRUNC = 37,
    LLVM_FP_EXT = 38,
    LLVM_PTR_TO_INT = 39,
    LLVM_INT_TO_PTR = 40,
    LLVM_BIT_CAST = 41,
    LLVM_ICMP = 42,
    LLVM_FCMP = 43,
    LLVM_PHI = 44,
    LLVM_CALL = 45,
    LLVM_SELECT = 46,
    LLVM_VA_ARG = 49,
    LLVM_FENCE = 55,
    LLVM_CMPXCHG = 56,
    LLVM_RMW = 57,
    LLVM_ADDRSPACE_CAST = 60,
    LLVM_FNEG = 66,
    LLVM_CALL_BR = 67,
    LLVM_FREEZE = 68,
};

/* LLVMTypeKind */
enum llvm_type_kind {
    LLVM_TYPE_VOID = 0,
    LLVM_TYPE_DOUBLE = 3,
    LLVM_TYPE_LABEL = 7,
    LLVM_TYPE_INTEGER = 8,
    LLVM_TYPE_FUNCTION = 9,
    LLVM_TYPE_STRUCT = 10,
    LLVM_TYPE_ARRAY = 11,
    LLVM_TYPE_POINTER = 12,
    LLVM_TYPE_VECTOR = 13,
    LLVM_TYPE_METADATA = 14,
    LLVM_TYPE_TOKEN = 16,
    LLVM_TYPE_SCALABLE_VECTOR = 17,
};

enum { LLVM_INT_EQ = 32, LLVM_INT_NE = 33 };                  /* LLVMIntPredicate */
enum { LLVM_INTERNAL_LINKAGE = 8, LLVM_PRIVATE_LINKAGE = 9 }; /* LLVMLinkage */
#define LLVM_ATTRIBUTE_FUNCTION UINT32_MAX                    /* LLVMAttributeFunctionIndex */

/* result, name, parameters */
#define LLVM_FUNCTIONS(F)                                                                          \
    F(llvm_context, LLVMContextCreate, (void))                                                     \
    F(void, LLVMContextDispose, (llvm_context))                                                    \
    F(void, LLVMContextSetDiagnosticHandler, (llvm_context, void (*)(void *, void *), void *))     \
    F(int, LLVMCreateMemoryBufferWithContentsOfFile, (const char *, llvm_buffer *, char **))       \
    F(void, LLVMDisposeMemoryBuffer, (llvm_buffer))                                                \
    F(int, LLVMParseBitcodeInContext2, (llvm_context, llvm_buffer, llvm_module *))                 \
    F(int, LLVMParseIRInContext, (llvm_context, llvm_buffer, llvm_module *, char **))              \
    F(void, LLVMDisposeModule, (llvm_module))                                                      \
    F(void, LLVMDisposeMessage, (char *))                                                          \
    F(llvm_error, LLVMRunPasses, (llvm_module, const char *, void *, llvm_passes))                 \
    F(char *, LLVMGetErrorMessage, (llvm_error))                                                   \
    F(void, LLVMDisposeErrorMessage, (char *))                                                     \
    F(llvm_passes, LLVMCreatePassBuilderOptions, (void))                                           \
    F(void, LLVMDisposePassBuilderOptions, (llvm_passes))                                          \
    F(llvm_data, LLVMGetModuleDataLayout, (llvm_module))                                           \
    F(unsigned long long, LLVMABISizeOfType, (llvm_data, llvm_type))                               \
    F(unsigned long long, LLVMStoreSizeOfType, (llvm_data, llvm_type))                             \
    F(unsigned long long, LLVMOffsetOfElement, (llvm_data, llvm_type, unsigned))                   \
    F(llvm_value, LLVMGetFirstFunction, (llvm_module))                                             \
    F(llvm_value, LLVMGetNextFunction, (llvm_value))                                               \
    F(llvm_value, LLVMGetFirstGlobal, (llvm_module))                                               \
    F(llvm_value, LLVMGetNextGlobal, (llvm_value))                                                 \
    F(llvm_value, LLVMGetFirstGlobalAlias, (llvm_module))                                          \
    F(llvm_value, LLVMGetNextGlobalAlias, (llvm_value))                                            \
    F(llvm_value, LLVMAliasGetAliasee, (llvm_value))                                               \
    F(const char *, LLVMGetValueName2, (llvm_value, size_t *))                                     \
    F(int, LLVMIsDeclaration, (llvm_value))                                                        \
    F(int, LLVMGetLinkage, (llvm_value))                                                           \
    F(int, LLVMIsGlobalConstant, (llvm_value))                                                     \
    F(llvm_value, LLVMGetInitializer, (llvm_value))                                                \
    F(llvm_type, LLVMGlobalGetValueType, (llvm_value))                                             \
    F(unsigned, LLVMCountParams, (llvm_value))                                                     \
    F(llvm_value, LLVMGetParam, (llvm_value, unsigned))                                            \
    F(llvm_block, LLVMGetFirstBasicBlock, (llvm_value))                                            \
    F(llvm_block, LLVMGetNextBasicBlock, (llvm_block))                                             \
    F(unsigned, LLVMCountBasicBlocks, (llvm_value))                                                \
    F(llvm_value, LLVMGetFirstInstruction, (llvm_block))                                           \
    F(llvm_value, LLVMGetNextInstruction, (llvm_value))                                            \
    F(int, LLVMGetInstructionOpcode, (llvm_value))                                                 \
    F(int, LLVMGetConstOpcode, (llvm_value))                                                       \
    F(int, LLVMGetICmpPredicate, (llvm_value))                                                     \
    F(int, LLVMGetNumOperands, (llvm_value))                                                       \
    F(llvm_value, LLVMGetOperand, (llvm_value, unsigned))                                          \
    F(llvm_type, LLVMTypeOf, (llvm_value))                                                         \
    F(int, LLVMGetTypeKind, (llvm_type))                                                           \
    F(int, LLVMTypeIsSized, (llvm_type))                                                           \
    F(unsigned, LLVMGetIntTypeWidth, (llvm_type))                                                  \
    F(llvm_type, LLVMGetElementType, (llvm_type))                                                  \
    F(unsigned, LLVMCountStructElementTypes, (llvm_type))                                          \
    F(llvm_type, LLVMStructGetTypeAtIndex, (llvm_type, unsigned))                                  \
    F(const char *, LLVMGetStructName, (llvm_type))                                                \
    F(unsigned, LLVMGetArrayLength, (llvm_type))                                                   \
    F(unsigned, LLVMGetVectorSize, (llvm_type))                                                    \
    F(llvm_type, LLVMGetReturnType, (llvm_type))                                                   \
    F(unsigned, LLVMCountParamTypes, (llvm_type))                                                  \
    F(void, LLVMGetParamTypes, (llvm_type, llvm_type *))                                           \
    F(int, LLVMIsFunctionVarArg, (llvm_type))                                                      \
    F(llvm_type, LLVMGetAllocatedType, (llvm_value))                                               \
    F(llvm_type, LLVMGetGEPSourceElementType, (llvm_value))                                        \
    F(unsigned, LLVMGetNumIndices, (llvm_value))                                                   \
    F(const unsigned *, LLVMGetIndices, (llvm_value))                                              \
    F(unsigned, LLVMCountIncoming, (llvm_value))                                                   \
    F(llvm_value, LLVMGetIncomingValue, (llvm_value, unsigned))                                    \
    F(llvm_block, LLVMGetIncomingBlock, (llvm_value, unsigned))                                    \
    F(llvm_value, LLVMGetCalledValue, (llvm_value))                                                \
    F(llvm_type, LLVMGetCalledFunctionType, (llvm_value))                                          \
    F(unsigned, LLVMGetNumArgOperands, (llvm_value))                                               \
    F(unsigned, LLVMGetEnumAttributeKindForName, (const char *, size_t))                           \
    F(llvm_attribute, LLVMGetEnumAttributeAtIndex, (llvm_value, unsigned, unsigned))               \
    F(llvm_attribute, LLVMGetCallSiteEnumAttribute, (llvm_value, unsigned, unsigned))              \
    F(uint64_t, LLVMGetEnumAttributeValue, (llvm_attribute))                                       \
    F(unsigned, LLVMGetNumSuccessors, (llvm_value))                                                \
    F(llvm_block, LLVMGetSuccessor, (llvm_value, unsigned))                                        \
    F(int, LLVMIsConditional, (llvm_value))                                                        \
    F(llvm_value, LLVMGetCondition, (llvm_value))                                                  \
    F(unsigned long long, LLVMConstIntGetZExtValue, (llvm_value))                                  \
    F(long long, LLVMConstIntGetSExtValue, (llvm_value))                                           \
    F(int, LLVMIsConstant, (llvm_value))                                                           \
    F(int, LLVMIsNull, (llvm_value))                                                               \
    F(llvm_value, LLVMIsAConstantInt, (llvm_value))                                                \
    F(llvm_value, LLVMIsAConstantExpr, (llvm_value))                                               \
    F(llvm_value, LLVMIsAFunction, (llvm_value))                                                   \
    F(llvm_value, LLVMIsAGlobalVariable, (llvm_value))                                             \
    F(llvm_value, LLVMIsAGlobalAlias, (llvm_value))                                                \
    F(llvm_value, LLVMIsAConstantStruct, (llvm_value))                                             \
    F(llvm_value, LLVMIsAConstantArray, (llvm_value))                                              \
    F(llvm_value, LLVMIsAConstantVector, (llvm_value))                                             \
    F(llvm_value, LLVMIsAInlineAsm, (llvm_value))                                                  \
    F(llvm_value, LLVMIsABlockAddress, (llvm_value))                                               \
    F(unsigned, LLVMGetDebugLocLine, (llvm_value))                                                 \
    F(unsigned, LLVMGetDebugLocColumn, (llvm_value))                                               \
    F(const char *, LLVMGetDebugLocFilename, (llvm_value, unsigned *))                             \
    F(const char *, LLVMGetDebugLocDirectory, (llvm_value, unsigned *))                            \
    F(const char *, LLVMGetSourceFileName, (llvm_module, size_t *))

#define LLVM_MEMBER(result, name, parameters) result(*name) parameters;
struct llvm {
    LLVM_FUNCTIONS(LLVM_MEMBER)
    void *handle;
    unsigned version; /* major */
    char path[256];
};
#undef LLVM_MEMBER

#define LLVM_OLDEST 14u

/*
 * Finds clang ($POOLWISE_CLANG, clang, clang-N) and loads its libLLVM. 0, or -ENOENT with a sentence in
 * ret_message that says what to install. ret_clang: the command's path.
 */
int llvm_open(struct llvm *ret_llvm, char *ret_clang, size_t clang_size, char *ret_message,
              size_t message_size);
void llvm_close(struct llvm *llvm);
