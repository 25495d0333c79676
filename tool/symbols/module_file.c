/* SPDX-License-Identifier: MIT */
#include "module_file.h"

#include <ctype.h>
#include <dwarf.h>
#include <elfutils/libdwelf.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "demangle.h"
#include "entry.h"

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool module_path_is_virtual(const char *path)
{
    return path[0] == '[' || path[0] == '\0' || starts_with(path, "linux-vdso.so") ||
           starts_with(path, "linux-gate.so") || starts_with(path, "//anon") ||
           starts_with(path, "/memfd:");
}

bool module_is_seen_through(const char *base_name)
{
    static const char *const names[] = {"libjemalloc", "libtcmalloc", "libmimalloc", "libtbbmalloc",
                                        "librpmalloc", "libsnmalloc", "libhoard",    "libscalloc",
                                        "libstdc++.so", "libc++.so"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (starts_with(base_name, names[i]))
            return true;
    }
    return false;
}

bool module_is_system(const char *base_name)
{
    static const char *const names[] = {"libc",
                                        "ld",
                                        "ld64",
                                        "libm",
                                        "libmvec",
                                        "libpthread",
                                        "libdl",
                                        "librt",
                                        "libanl",
                                        "libnsl",
                                        "libresolv",
                                        "libutil",
                                        "libstdc++",
                                        "libsupc++",
                                        "libgcc_s",
                                        "libc++",
                                        "libc++abi",
                                        "libc_malloc_debug",
                                        "linux-vdso",
                                        "libpoolwise-record",
                                        "libpoolwise-trial"};
    if (strcmp(base_name, "[vdso]") == 0 || starts_with(base_name, "ld-linux") ||
        starts_with(base_name, "ld-musl"))
        return true;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        /* "libc.so.6" and "libc-2.31.so", but not "libc-client.so" */
        const char *after = base_name + strlen(names[i]);
        if (starts_with(base_name, names[i]) &&
            (starts_with(after, ".so") ||
             (after[0] == '-' && isdigit((unsigned char)after[1]) && strstr(after, ".so"))))
            return true;
    }
    return false;
}

/* dwfl's callbacks: the standard search for separate debug files in build-id folders, beside the
 * file and, only if DEBUGINFOD_URLS is set, at a server. The search path, NULL, is the library's
 * default. */
static const Dwfl_Callbacks callbacks = {
    .find_elf = dwfl_build_id_find_elf,
    .find_debuginfo = dwfl_standard_find_debuginfo,
    .section_address = dwfl_offline_section_address,
};

/* Only regular files: opening a FIFO would wait, and a device may do anything when read. */
static int open_regular(const char *path, const char **ret_reason)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        int error = errno;
        *ret_reason = error == ENOENT || error == ENOTDIR ? "the file is missing"
                      : error == EACCES                   ? "the file may not be read"
                                                          : "the file cannot be opened";
        return -error;
    }
    struct stat status;
    unsigned char magic[4];
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        *ret_reason = "it is not a regular file";
    } else if (pread(fd, magic, sizeof magic, 0) != sizeof magic ||
               memcmp(magic, ELFMAG, SELFMAG) != 0) {
        *ret_reason = "it is not an ELF file";
    } else {
        return fd;
    }
    close(fd);
    return -EINVAL;
}

/* NULL: it is the file that was loaded. */
static const char *check(const struct module_file *file, Elf *elf)
{
    GElf_Ehdr header;
    if (!gelf_getehdr(elf, &header) || (header.e_type != ET_EXEC && header.e_type != ET_DYN))
        return "it is neither a program nor a shared library";
    if (file->build_id_size == 0)
        return NULL; /* nothing to compare with */
    const void *build_id = NULL;
    ssize_t size = dwelf_elf_gnu_build_id(elf, &build_id);
    if (size <= 0)
        return "the file has changed since the recording (it has no build id now)";
    if ((size_t)size != file->build_id_size || memcmp(build_id, file->build_id, (size_t)size) != 0)
        return "the file has changed since the recording (another build id)";
    return NULL;
}

int module_dwfl_open(const struct module_file *file, Dwfl **ret_dwfl, Dwfl_Module **ret_module,
                     const char **ret_reason)
{
    int fd = open_regular(file->path, ret_reason);
    if (fd < 0)
        return fd;
    Dwfl *dwfl = dwfl_begin(&callbacks);
    if (!dwfl) {
        close(fd);
        *ret_reason = "out of memory";
        return -ENOMEM;
    }
    /* base 0 added to the file's addresses: they stay as they are; dwfl owns fd from here if it
     * succeeds */
    Dwfl_Module *module = dwfl_report_elf(dwfl, file->base_name, file->path, fd, 0, true);
    GElf_Addr bias;
    Elf *elf = NULL;
    if (!module)
        close(fd);
    else if (dwfl_report_end(dwfl, NULL, NULL) == 0)
        elf = dwfl_module_getelf(module, &bias);
    *ret_reason = elf ? check(file, elf) : "it is damaged: no readable ELF file";
    if (*ret_reason) {
        dwfl_end(dwfl);
        return -EINVAL;
    }
    *ret_dwfl = dwfl;
    *ret_module = module;
    return 0;
}

/* Of two names for the same code, the one that a person would use. */
static int compare_names(const char *a, bool a_local, const char *b, bool b_local)
{
    if (a_local != b_local)
        return a_local ? 1 : -1;
    size_t a_underscores = starts_with(a, "_Z") ? 0 : strspn(a, "_");
    size_t b_underscores = starts_with(b, "_Z") ? 0 : strspn(b, "_");
    if (a_underscores != b_underscores)
        return a_underscores < b_underscores ? -1 : 1;
    size_t a_length = strlen(a), b_length = strlen(b);
    if (a_length != b_length)
        return a_length < b_length ? -1 : 1;
    return strcmp(a, b);
}

/* While sorting, `furthest` holds whether the symbol is local. */
static int compare_symbols(const void *left, const void *right)
{
    const struct module_symbol *a = left, *b = right;
    if (a->start != b->start)
        return a->start < b->start ? -1 : 1;
    bool a_sized = a->end > a->start, b_sized = b->end > b->start;
    if (a_sized != b_sized)
        return a_sized ? -1 : 1;
    return compare_names(a->linkage_name, a->furthest != 0, b->linkage_name, b->furthest != 0);
}

static bool has_full_symtab(Elf *elf)
{
    for (Elf_Scn *section = NULL; (section = elf_nextscn(elf, section));) {
        GElf_Shdr header;
        if (gelf_getshdr(section, &header) && header.sh_type == SHT_SYMTAB && header.sh_size > 0)
            return true;
    }
    return false;
}

static bool is_executable_section(Elf *elf, GElf_Word index)
{
    GElf_Shdr header;
    Elf_Scn *section = elf_getscn(elf, index);
    return section && gelf_getshdr(section, &header) && (header.sh_flags & SHF_EXECINSTR);
}

static void read_symbols(struct module_file *file)
{
    int count = dwfl_module_getsymtab(file->module);
    if (count <= 0)
        return;
    struct module_symbol *symbols = calloc((size_t)count, sizeof *symbols);
    if (!symbols)
        return;
    size_t used = 0;
    Elf *last_elf = NULL;
    for (int i = 0; i < count; i++) {
        GElf_Sym symbol;
        GElf_Addr address, bias;
        GElf_Word section;
        Elf *elf = NULL;
        const char *name =
            dwfl_module_getsym_info(file->module, i, &symbol, &address, &section, &elf, &bias);
        if (!name || !*name || symbol.st_shndx == SHN_UNDEF || symbol.st_shndx == SHN_ABS)
            continue;
        if (elf && elf != last_elf) {
            last_elf = elf;
            file->all_functions = file->all_functions || has_full_symtab(elf);
        }
        unsigned type = GELF_ST_TYPE(symbol.st_info);
        /* assembly's labels are functions too, if in code; "$x" marks ARM's code and data */
        bool is_label = type == STT_NOTYPE && elf && name[0] != '$' && name[0] != '.' &&
                        is_executable_section(elf, section);
        if (type != STT_FUNC && type != STT_GNU_IFUNC && !is_label)
            continue;
        uint64_t end = address + symbol.st_size;
        symbols[used++] = (struct module_symbol){
            .start = address,
            .end = end < address ? address : end,
            .furthest = GELF_ST_BIND(symbol.st_info) == STB_LOCAL,
            .linkage_name = name,
        };
    }
    qsort(symbols, used, sizeof *symbols, compare_symbols);
    size_t kept = 0;
    for (size_t i = 0; i < used; i++) {
        if (kept > 0 && symbols[kept - 1].start == symbols[i].start)
            continue;
        symbols[kept] = symbols[i];
        uint64_t before = kept > 0 ? symbols[kept - 1].furthest : 0;
        symbols[kept].furthest = symbols[kept].end > before ? symbols[kept].end : before;
        kept++;
    }
    struct module_symbol *fitted = realloc(symbols, (kept ? kept : 1) * sizeof *symbols);
    file->symbols = fitted ? fitted : symbols;
    file->symbol_count = kept;
}

static void open_file(struct module_file *file)
{
    file->opened = true;
    if (module_path_is_virtual(file->path))
        return;
    if (module_dwfl_open(file, &file->dwfl, &file->module, &file->problem) == 0)
        read_symbols(file);
}

/* The last symbol that starts at or before address; SIZE_MAX: none does. */
static size_t last_symbol_before(const struct module_file *file, uint64_t address)
{
    size_t low = 0, high = file->symbol_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (file->symbols[middle].start <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low - 1;
}

/* The innermost symbol whose size covers address. */
static struct module_symbol *covering_symbol(const struct module_file *file, uint64_t address)
{
    for (size_t i = last_symbol_before(file, address);
         i < file->symbol_count && file->symbols[i].furthest > address; i--) {
        if (file->symbols[i].end > address)
            return &file->symbols[i];
    }
    return NULL;
}

/* The function's extent as the unwind tables have it; NULL: they do not cover address. */
static const struct frame_extent *find_frame(struct module_file *file, uint64_t address)
{
    if (!file->frames_read) {
        GElf_Addr bias;
        Elf *elf = dwfl_module_getelf(file->module, &bias);
        file->frames_read = true;
        if (elf) {
            file->frame_count = frame_extents_read(elf, &file->frames);
            entry_points_read(elf, &file->entry_start, &file->main_start);
        }
    }
    return frame_extents_find(file->frames, file->frame_count, address);
}

static const char *display_name(struct module_symbol *symbol, struct string_set *strings)
{
    if (!symbol->name) {
        char *text = demangle(symbol->linkage_name);
        if (text)
            symbol->name = string_set_add(strings, text, strlen(text));
        free(text);
    }
    return symbol->name;
}

void module_file_function(struct module_file *file, struct string_set *strings, uint64_t address,
                          struct module_function *ret_function)
{
    *ret_function = (struct module_function){.known = true};
    if (!file->opened)
        open_file(file);
    if (!file->module) {
        ret_function->known = false;
        return;
    }

    struct module_symbol *symbol = covering_symbol(file, address);
    if (symbol) {
        ret_function->start = symbol->start;
        ret_function->name = display_name(symbol, strings);
        return;
    }
    size_t before = last_symbol_before(file, address);
    const struct frame_extent *frame = find_frame(file, address);
    if (frame) {
        ret_function->start = frame->start;
        size_t at_start = last_symbol_before(file, frame->start);
        if (at_start < file->symbol_count && file->symbols[at_start].start == frame->start)
            ret_function->name = display_name(&file->symbols[at_start], strings);
        else if (frame->start == file->main_start)
            ret_function->name = "main";
        else if (frame->start == file->entry_start)
            ret_function->name = "_start";
    } else if (file->all_functions && before < file->symbol_count &&
               file->symbols[before].end == file->symbols[before].start) {
        /* assembly that states neither size nor unwind rules; with the exports alone this would
         * stretch a name over functions that are not exported */
        ret_function->start = file->symbols[before].start;
        ret_function->name = display_name(&file->symbols[before], strings);
    } else {
        ret_function->known = false;
    }
}

void module_file_done(struct module_file *file)
{
    free(file->symbols);
    free(file->frames);
    free(file->build_id);
    if (file->dwfl)
        dwfl_end(file->dwfl);
}
