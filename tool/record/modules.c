/* SPDX-License-Identifier: MIT */
#include "modules.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <link.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "channel.h"
#include "mapping.h"

/* glibc 2.35: finds an object without locks or allocation, safe in signal handlers (Linux and the GNU
 * C Library manual, "Dynamic Linker Introspection"). */
typedef int (*find_object)(void *pc, struct dl_find_object *ret_object);

static struct {
    struct channel *channel;
    uint32_t process;
    find_object find;
    char executable[CHANNEL_PATH]; /* the main program's own path */
    char folder[CHANNEL_PATH];     /* working directory at start: relative module names hang on it */
    _Atomic uint32_t generation;   /* modules registered before the last unload are not reused */
    _Atomic uint32_t registered[CHANNEL_MODULES]; /* generation + 1 in which this process registered it */
} modules;

int modules_init(struct channel *channel, uint32_t process)
{
    modules.find = (find_object)(uintptr_t)dlsym(RTLD_DEFAULT, "_dl_find_object");
    if (!modules.find)
        return -ENOSYS;
    modules.channel = channel;
    modules.process = process;
    strcpy(modules.executable, channel->processes[process].program);
    long size = syscall(SYS_getcwd, modules.folder, sizeof modules.folder);
    if (size <= 0)
        modules.folder[0] = '\0';
    return 0;
}

void modules_fork(uint32_t process)
{
    modules.process = process;
}

void modules_forget(void)
{
    atomic_fetch_add_explicit(&modules.generation, 1, memory_order_release);
}

static void path_set(char *ret_path, const char *name)
{
    if (!name || !*name)
        name = modules.executable;
    else if (!strncmp(name, "linux-vdso", 10) || !strncmp(name, "linux-gate", 10))
        name = "[vdso]";
    size_t used = 0;
    if (*name != '/' && *name != '[' && strchr(name, '/')) {
        used = strlen(modules.folder);
        memcpy(ret_path, modules.folder, used);
        ret_path[used++] = '/';
    }
    size_t length = strlen(name);
    if (used + length >= CHANNEL_PATH) {
        used = 0;
        length = 0; /* too long to name: shown by its offset */
    }
    memcpy(ret_path + used, name, length);
    ret_path[used + length] = '\0';
}

/* Build id from the notes of the mapped file. */
static void build_id_set(struct channel_module *module, const elf_segment *segments, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (segments[i].p_type != PT_NOTE || !mapping_is_loaded(segments, count, &segments[i]))
            continue;
        const char *note = (const char *)(uintptr_t)(module->bias + segments[i].p_vaddr);
        const char *notes_end = note + segments[i].p_filesz;
        while ((size_t)(notes_end - note) >= sizeof(ElfW(Nhdr))) {
            const ElfW(Nhdr) *head = (const void *)note;
            uint64_t align = segments[i].p_align == 8 ? 7 : 3;
            uint64_t name_size = (head->n_namesz + align) & ~align, size = (head->n_descsz + align) & ~align;
            if (name_size + size > (size_t)(notes_end - note) - sizeof *head)
                break;
            const char *description = note + sizeof *head + name_size;
            if (head->n_type == NT_GNU_BUILD_ID && head->n_namesz == 4 && !memcmp(head + 1, "GNU", 4) &&
                head->n_descsz <= sizeof module->build_id) {
                memcpy(module->build_id, description, head->n_descsz);
                module->build_id_size = head->n_descsz;
                return;
            }
            note = description + size;
        }
    }
}

int modules_find(uint64_t pc, const void **ret_eh_frame_hdr, uint64_t *ret_start, uint64_t *ret_end)
{
    struct dl_find_object object;
    if (modules.find((void *)(uintptr_t)pc, &object))
        return -1;
    uint64_t start = (uintptr_t)object.dlfo_map_start, end = (uintptr_t)object.dlfo_map_end;
    *ret_eh_frame_hdr = object.dlfo_eh_frame;
    mapping_around_unwind_data(&object, ret_start, ret_end);
    struct channel *channel = modules.channel;
    uint32_t generation = atomic_load_explicit(&modules.generation, memory_order_acquire) + 1;
    uint32_t count = atomic_load_explicit(&channel->module_count, memory_order_acquire);
    if (count > CHANNEL_MODULES)
        count = CHANNEL_MODULES;
    for (uint32_t i = 0; i < count; i++)
        if (atomic_load_explicit(&modules.registered[i], memory_order_acquire) == generation &&
            channel->modules[i].start == start && channel->modules[i].end == end)
            return (int)i;
    /* Two threads may register the same module at once; both numbers then name it. */
    uint32_t number = atomic_fetch_add_explicit(&channel->module_count, 1, memory_order_relaxed);
    if (number >= CHANNEL_MODULES)
        return CHANNEL_NO_MODULE;
    struct channel_module *module = &channel->modules[number];
    module->process = modules.process;
    module->start = start;
    module->end = end;
    module->bias = object.dlfo_link_map ? object.dlfo_link_map->l_addr : 0;
    path_set(module->path, object.dlfo_link_map ? object.dlfo_link_map->l_name : "");
    const elf_segment *segments;
    unsigned segment_count = mapping_segments(&object, &segments);
    build_id_set(module, segments, segment_count);
    atomic_store_explicit(&module->ready, 1, memory_order_release);
    atomic_store_explicit(&modules.registered[number], generation, memory_order_release);
    return (int)number;
}

bool modules_is_plain_cxx(uint64_t pc)
{
    struct dl_find_object object;
    if (!modules.find || modules.find((void *)(uintptr_t)pc, &object) || !object.dlfo_link_map)
        return true;
    const char *name = strrchr(object.dlfo_link_map->l_name, '/');
    name = name ? name + 1 : object.dlfo_link_map->l_name;
    return !strncmp(name, "libstdc++", 9) || !strncmp(name, "libc++", 6);
}
