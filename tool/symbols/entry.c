/* SPDX-License-Identifier: MIT */
#include "entry.h"

#include <gelf.h>
#include <stdbool.h>
#include <string.h>

enum { START_CODE_BYTES = 64 };

/* Copies the bytes loaded at address; false: the file does not hold them. */
static bool read_code(Elf *elf, uint64_t address, uint8_t *ret_bytes, size_t size)
{
    size_t count, file_size;
    const char *file = elf_rawfile(elf, &file_size);
    if (!file || elf_getphdrnum(elf, &count) != 0)
        return false;
    for (size_t i = 0; i < count; i++) {
        GElf_Phdr header;
        if (!gelf_getphdr(elf, (int)i, &header) || header.p_type != PT_LOAD ||
            address < header.p_vaddr || address - header.p_vaddr >= header.p_filesz ||
            header.p_filesz - (address - header.p_vaddr) < size)
            continue;
        uint64_t offset = header.p_offset + (address - header.p_vaddr);
        if (offset > file_size || file_size - offset < size)
            return false;
        memcpy(ret_bytes, file + offset, size);
        return true;
    }
    return false;
}

static bool has_interpreter(Elf *elf)
{
    size_t count;
    if (elf_getphdrnum(elf, &count) != 0)
        return false;
    for (size_t i = 0; i < count; i++) {
        GElf_Phdr header;
        if (gelf_getphdr(elf, (int)i, &header) && header.p_type == PT_INTERP)
            return true;
    }
    return false;
}

/*
 * x86-64: main's address goes to %rdi right before the call:
 *     48 8d 3d rel32   lea main(%rip),%rdi        48 c7 c7 imm32   mov $main,%rdi
 * then e8, 67 e8 or ff 15, the call.
 */
static uint64_t x86_64_main(const uint8_t *code, uint64_t address)
{
    for (size_t i = 0; i + 9 <= START_CODE_BYTES; i++) {
        bool relative = memcmp(code + i, "\x48\x8d\x3d", 3) == 0;
        bool absolute = memcmp(code + i, "\x48\xc7\xc7", 3) == 0;
        const uint8_t *call = code + i + 7;
        if ((!relative && !absolute) || (call[0] != 0xe8 && memcmp(call, "\x67\xe8", 2) != 0 &&
                                         memcmp(call, "\xff\x15", 2) != 0))
            continue;
        uint32_t bytes = code[i + 3] | (uint32_t)code[i + 4] << 8 | (uint32_t)code[i + 5] << 16 |
                         (uint32_t)code[i + 6] << 24;
        return (uint64_t)(int64_t)(int32_t)bytes + (relative ? address + i + 7 : 0);
    }
    return 0;
}

void entry_points_read(Elf *elf, uint64_t *ret_start, uint64_t *ret_main)
{
    *ret_start = *ret_main = 0;
    GElf_Ehdr header;
    uint8_t code[START_CODE_BYTES];
    if (!gelf_getehdr(elf, &header) || header.e_entry == 0 || !has_interpreter(elf))
        return;
    *ret_start = header.e_entry;
    if (header.e_machine == EM_X86_64 && read_code(elf, header.e_entry, code, sizeof code))
        *ret_main = x86_64_main(code, header.e_entry);
}
