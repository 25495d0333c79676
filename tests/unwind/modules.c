/* SPDX-License-Identifier: MIT */
#include "modules.h"

#include <link.h>
#include <stddef.h>

#define MODULES_MAX 64

static struct module {
    uint64_t start, end;           /* of the whole module */
    uint64_t data_start, data_end; /* of the segment with the unwind data */
    const void *eh_frame_hdr;
} modules[MODULES_MAX];
static unsigned module_count;

static int add_module(struct dl_phdr_info *info, size_t bytes, void *context)
{
    struct module *module = &modules[module_count];
    uint64_t header = 0;

    (void)bytes, (void)context;
    if (module_count == MODULES_MAX) {
        return 1;
    }
    *module = (struct module){.start = UINT64_MAX};
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        uint64_t start = info->dlpi_addr + segment->p_vaddr;
        if (segment->p_type == PT_LOAD) {
            module->start = start < module->start ? start : module->start;
            module->end =
                start + segment->p_memsz > module->end ? start + segment->p_memsz : module->end;
        } else if (segment->p_type == PT_GNU_EH_FRAME) {
            header = start;
        }
    }
    for (int i = 0; i < info->dlpi_phnum && header; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        uint64_t start = info->dlpi_addr + segment->p_vaddr;
        if (segment->p_type == PT_LOAD && header >= start && header < start + segment->p_memsz) {
            module->data_start = start;
            module->data_end = start + segment->p_memsz;
            module->eh_frame_hdr = (const void *)header;
        }
    }
    module_count++;
    return 0;
}

void modules_read(void)
{
    module_count = 0;
    dl_iterate_phdr(add_module, NULL);
}

int modules_find(uint64_t pc, const void **ret_eh_frame_hdr, uint64_t *ret_start, uint64_t *ret_end)
{
    for (unsigned i = 0; i < module_count; i++) {
        const struct module *module = &modules[i];
        if (pc >= module->start && pc < module->end) {
            *ret_eh_frame_hdr = module->eh_frame_hdr;
            *ret_start = module->data_start;
            *ret_end = module->data_end;
            return (int)i;
        }
    }
#if defined(__aarch64__)
    /* The page of the signal trampoline, which an emulator maps itself. The test walks good stacks
     * only, so what they hold are addresses of code. */
    *ret_eh_frame_hdr = NULL;
    *ret_start = pc & ~UINT64_C(4095);
    *ret_end = *ret_start + 4096;
    return MODULES_MAX;
#else
    return -1;
#endif
}
