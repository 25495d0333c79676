/* SPDX-License-Identifier: MIT */
/*
 * libdw finds the entries; their first two fields are read here, because dwarf_frame_info() tells
 * the extent of one row of rules only, and not that of the function.
 */
#include "frames.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <endian.h>
#include <gelf.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Bytes of a pointer in this encoding; 0: one that no compiler uses here. */
static size_t pointer_size(uint8_t encoding, bool is_64)
{
    switch (encoding & 0x0f) {
    case DW_EH_PE_absptr:
        return is_64 ? 8 : 4;
    case DW_EH_PE_udata2:
    case DW_EH_PE_sdata2:
        return 2;
    case DW_EH_PE_udata4:
    case DW_EH_PE_sdata4:
        return 4;
    case DW_EH_PE_udata8:
    case DW_EH_PE_sdata8:
        return 8;
    default:
        return 0;
    }
}

static uint64_t read_pointer(const uint8_t *bytes, size_t size, bool is_signed)
{
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++)
        value |= (uint64_t)bytes[__BYTE_ORDER == __LITTLE_ENDIAN ? i : size - 1 - i] << (8 * i);
    if (is_signed && size < 8 && (value >> (8 * size - 1)) != 0)
        value |= ~UINT64_C(0) << (8 * size);
    return value;
}

/* How the entries under this CIE write addresses; DW_EH_PE_omit: not understood. */
static uint8_t address_encoding(const Dwarf_CIE *cie, bool is_64)
{
    const char *letter = cie->augmentation;
    if (*letter != 'z')
        return *letter == '\0' ? DW_EH_PE_absptr : DW_EH_PE_omit;
    const uint8_t *data = cie->augmentation_data;
    const uint8_t *end = data + cie->augmentation_data_size;
    for (letter++; *letter; letter++) {
        switch (*letter) {
        case 'R':
            return data < end ? *data : DW_EH_PE_omit;
        case 'L':
            data++;
            break;
        case 'P': {
            size_t size = data < end ? pointer_size(*data, is_64) : 0;
            if (size == 0)
                return DW_EH_PE_omit;
            data += 1 + size;
            break;
        }
        case 'S':
        case 'B':
            break;
        default:
            return DW_EH_PE_omit;
        }
    }
    return DW_EH_PE_absptr;
}

/* False: written in a way not understood, or damaged. */
static bool read_extent(const Dwarf_FDE *fde, uint8_t encoding, bool is_64, const Elf_Data *data,
                        uint64_t section_address, struct frame_extent *ret_extent)
{
    size_t size = pointer_size(encoding, is_64);
    uint8_t relative_to = encoding & 0xf0;
    if (encoding == DW_EH_PE_omit || size == 0 || (size_t)(fde->end - fde->start) < 2 * size ||
        (relative_to != DW_EH_PE_absptr && relative_to != DW_EH_PE_pcrel))
        return false;
    uint64_t start = read_pointer(fde->start, size, encoding & 0x08);
    if (relative_to == DW_EH_PE_pcrel)
        start += section_address + (uint64_t)(fde->start - (const uint8_t *)data->d_buf);
    if (!is_64)
        start = (uint32_t)start;
    uint64_t length = read_pointer(fde->start + size, size, false);
    *ret_extent = (struct frame_extent){start, start + length};
    return length > 0 && start + length > start;
}

static Elf_Data *find_eh_frame(Elf *elf, uint64_t *ret_address)
{
    size_t names;
    if (elf_getshdrstrndx(elf, &names) != 0)
        return NULL;
    for (Elf_Scn *section = NULL; (section = elf_nextscn(elf, section));) {
        GElf_Shdr header;
        const char *name =
            gelf_getshdr(section, &header) ? elf_strptr(elf, names, header.sh_name) : NULL;
        if (name && strcmp(name, ".eh_frame") == 0 && header.sh_type != SHT_NOBITS) {
            *ret_address = header.sh_addr;
            return elf_rawdata(section, NULL);
        }
    }
    return NULL;
}

static int compare_extents(const void *left, const void *right)
{
    const struct frame_extent *a = left, *b = right;
    return a->start < b->start ? -1 : a->start > b->start;
}

size_t frame_extents_read(Elf *elf, struct frame_extent **ret_extents)
{
    *ret_extents = NULL;
    uint64_t section_address;
    Elf_Data *data = find_eh_frame(elf, &section_address);
    size_t ident_size;
    const unsigned char *ident = (const unsigned char *)elf_getident(elf, &ident_size);
    int own_order = __BYTE_ORDER == __LITTLE_ENDIAN ? ELFDATA2LSB : ELFDATA2MSB;
    if (!data || !data->d_buf || !ident || ident_size < EI_NIDENT || ident[EI_DATA] != own_order)
        return 0;

    bool is_64 = ident[EI_CLASS] == ELFCLASS64;
    uint8_t encoding = DW_EH_PE_omit;
    Dwarf_Off encoding_of = (Dwarf_Off)-1; /* the CIE that it is from */
    struct frame_extent *extents = NULL;
    size_t count = 0, capacity = 0;
    Dwarf_Off next;
    for (Dwarf_Off offset = 0; offset < data->d_size; offset = next) {
        Dwarf_CFI_Entry entry;
        if (dwarf_next_cfi(ident, data, true, offset, &next, &entry) != 0 || next <= offset)
            break;
        if (dwarf_cfi_cie_p(&entry)) {
            encoding = address_encoding(&entry.cie, is_64);
            encoding_of = offset;
            continue;
        }
        if (entry.fde.CIE_pointer != encoding_of) {
            Dwarf_CFI_Entry cie;
            Dwarf_Off after;
            encoding_of = entry.fde.CIE_pointer;
            encoding = DW_EH_PE_omit;
            if (encoding_of < data->d_size &&
                dwarf_next_cfi(ident, data, true, encoding_of, &after, &cie) == 0 &&
                dwarf_cfi_cie_p(&cie))
                encoding = address_encoding(&cie.cie, is_64);
        }
        if (count == capacity) {
            capacity = capacity ? capacity * 2 : 1024;
            struct frame_extent *larger = realloc(extents, capacity * sizeof *extents);
            if (!larger)
                break;
            extents = larger;
        }
        if (read_extent(&entry.fde, encoding, is_64, data, section_address, &extents[count]))
            count++;
    }
    if (count > 0)
        qsort(extents, count, sizeof *extents, compare_extents);
    *ret_extents = extents;
    return count;
}

const struct frame_extent *frame_extents_find(const struct frame_extent *extents, size_t count,
                                              uint64_t address)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (extents[middle].start <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 && address < extents[low - 1].end ? &extents[low - 1] : NULL;
}
