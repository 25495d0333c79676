/* SPDX-License-Identifier: MIT */
#include "modules.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mapping.h"

struct look {
    struct plan *plan;
    struct loaded *loaded;
    char executable[PLAN_PATH];
};

/* A module's build id, from its notes in memory. NULL: it has none. */
static const uint8_t *build_id(const struct dl_phdr_info *info, uint32_t *ret_size)
{
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        if (segment->p_type != PT_NOTE)
            continue;
        const char *note = (const char *)(uintptr_t)(info->dlpi_addr + segment->p_vaddr);
        const char *end = note + segment->p_memsz;
        uint64_t align = segment->p_align == 8 ? 7 : 3;
        while ((size_t)(end - note) >= sizeof(ElfW(Nhdr))) {
            const ElfW(Nhdr) *head = (const void *)note;
            uint64_t name_size = (head->n_namesz + align) & ~align,
                     size = (head->n_descsz + align) & ~align;
            if (name_size + size > (size_t)(end - note) - sizeof *head)
                break;
            if (head->n_type == NT_GNU_BUILD_ID && head->n_namesz == 4 &&
                !memcmp(head + 1, "GNU", 4)) {
                *ret_size = head->n_descsz;
                return (const uint8_t *)note + sizeof *head + name_size;
            }
            note += sizeof *head + name_size + size;
        }
    }
    return NULL;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static int look_at(struct dl_phdr_info *info, size_t size, void *context)
{
    struct look *look = context;
    look->loaded->changes = info->dlpi_adds + info->dlpi_subs;
    const char *name = info->dlpi_name && *info->dlpi_name ? info->dlpi_name : look->executable;
    uint32_t id_size = 0;
    const uint8_t *id = build_id(info, &id_size);
    for (uint32_t i = 0; i < look->plan->module_count; i++) {
        struct plan_module *module = &look->plan->modules[i];
        bool by_id = id && module->build_id_size;
        bool same_name = !strcmp(base_name(module->path), base_name(name));
        if (by_id ? id_size == module->build_id_size && !memcmp(id, module->build_id, id_size)
                  : same_name && !id == !module->build_id_size) {
            look->loaded->here[i] = true;
            look->loaded->bias[i] = info->dlpi_addr;
            atomic_store_explicit(&module->state, PLAN_LOADED, memory_order_relaxed);
        } else if (same_name &&
                   atomic_load_explicit(&module->state, memory_order_relaxed) == PLAN_NOT_LOADED) {
            atomic_store_explicit(&module->state, PLAN_OTHER_BUILD, memory_order_relaxed);
        }
    }
    return 0;
}

void modules_look(struct plan *plan, struct loaded *ret_loaded)
{
    struct look look = {.plan = plan, .loaded = ret_loaded};
    *ret_loaded = (struct loaded){.changes = 0};
    ssize_t length = readlink("/proc/self/exe", look.executable, sizeof look.executable - 1);
    look.executable[length > 0 ? length : 0] = '\0';
    dl_iterate_phdr(look_at, &look);
}

static int count_changes(struct dl_phdr_info *info, size_t size, void *context)
{
    *(uint64_t *)context = info->dlpi_adds + info->dlpi_subs;
    return 1;
}

uint64_t modules_changes(void)
{
    uint64_t changes = 0;
    dl_iterate_phdr(count_changes, &changes);
    return changes;
}

int modules_find(uint64_t pc, const void **ret_eh_frame_hdr, uint64_t *ret_start, uint64_t *ret_end)
{
    struct dl_find_object object;
    if (_dl_find_object((void *)(uintptr_t)pc, &object))
        return -1;
    *ret_eh_frame_hdr = object.dlfo_eh_frame;
    mapping_around_unwind_data(&object, ret_start, ret_end);
    return 0;
}
