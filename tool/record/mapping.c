/* SPDX-License-Identifier: MIT */
#include "mapping.h"

#include <elf.h>
#include <string.h>
#include <sys/auxv.h>

unsigned mapping_segments(const struct dl_find_object *object, const elf_segment **ret_segments)
{
    const char *start = object->dlfo_map_start, *end = object->dlfo_map_end;
    const ElfW(Ehdr) *header = (const void *)start;
    if ((size_t)(end - start) >= sizeof *header && !memcmp(header->e_ident, ELFMAG, SELFMAG)) {
        if (header->e_phentsize != sizeof(elf_segment) ||
            header->e_phoff > (size_t)(end - start) - header->e_phnum * sizeof(elf_segment))
            return 0;
        *ret_segments = (const void *)(start + header->e_phoff);
        return header->e_phnum;
    }
    if (!object->dlfo_link_map || *object->dlfo_link_map->l_name)
        return 0; /* not the program itself */
    *ret_segments = (const void *)(uintptr_t)getauxval(AT_PHDR);
    return *ret_segments ? (unsigned)getauxval(AT_PHNUM) : 0;
}

bool mapping_is_loaded(const elf_segment *segments, unsigned count, const elf_segment *part)
{
    for (unsigned i = 0; i < count; i++)
        if (segments[i].p_type == PT_LOAD && part->p_vaddr >= segments[i].p_vaddr &&
            part->p_filesz <= segments[i].p_filesz &&
            part->p_vaddr - segments[i].p_vaddr <= segments[i].p_filesz - part->p_filesz)
            return true;
    return false;
}

void mapping_around_unwind_data(const struct dl_find_object *object, uint64_t *ret_start,
                                uint64_t *ret_end)
{
    uint64_t data = (uintptr_t)object->dlfo_eh_frame;
    *ret_start = (uintptr_t)object->dlfo_map_start;
    *ret_end = (uintptr_t)object->dlfo_map_end;
    if (!data || (data >= *ret_start && data < *ret_end) || !object->dlfo_link_map)
        return;
    const elf_segment *segments;
    unsigned count = mapping_segments(object, &segments);
    for (unsigned i = 0; i < count; i++) {
        uint64_t begin = object->dlfo_link_map->l_addr + segments[i].p_vaddr;
        if (segments[i].p_type == PT_LOAD && segments[i].p_flags & PF_R &&
            data - begin < segments[i].p_filesz) {
            *ret_start = begin;
            *ret_end = begin + segments[i].p_filesz;
            return;
        }
    }
}
