/* SPDX-License-Identifier: MIT */
#include "victim.h"

#include <fcntl.h>
#include <gelf.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *library, *symbol, *name;
} checkers[] = {
    {"libasan.so", "__asan_init", "AddressSanitizer"},
    {"libtsan.so", "__tsan_init", "ThreadSanitizer"},
    {"libhwasan.so", "__hwasan_init", "HWAddressSanitizer"},
    {"liblsan.so", "__lsan_init", "LeakSanitizer"},
};

/* By the libraries that it needs, or, where the checker is linked into it, by what it exports. */
static const char *checker_of(Elf *elf)
{
    for (Elf_Scn *section = NULL; (section = elf_nextscn(elf, section));) {
        GElf_Shdr header;
        if (!gelf_getshdr(section, &header) ||
            (header.sh_type != SHT_DYNAMIC && header.sh_type != SHT_DYNSYM))
            continue;
        Elf_Data *data = elf_getdata(section, NULL);
        size_t count = header.sh_entsize ? header.sh_size / header.sh_entsize : 0;
        for (size_t i = 0; data && i < count; i++) {
            GElf_Dyn entry;
            GElf_Sym symbol;
            bool needs = header.sh_type == SHT_DYNAMIC;
            if (needs ? !gelf_getdyn(data, (int)i, &entry) || entry.d_tag != DT_NEEDED
                      : !gelf_getsym(data, (int)i, &symbol) || symbol.st_shndx == SHN_UNDEF)
                continue;
            const char *name =
                elf_strptr(elf, header.sh_link, needs ? entry.d_un.d_val : symbol.st_name);
            for (size_t k = 0; name && k < sizeof checkers / sizeof *checkers; k++)
                if (needs ? !strncmp(name, checkers[k].library, strlen(checkers[k].library))
                          : !strcmp(name, checkers[k].symbol))
                    return checkers[k].name;
        }
    }
    return NULL;
}

const char *victim_checker(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    elf_version(EV_CURRENT);
    Elf *elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
    const char *name = elf && elf_kind(elf) == ELF_K_ELF ? checker_of(elf) : NULL;
    elf_end(elf);
    close(fd);
    return name;
}
