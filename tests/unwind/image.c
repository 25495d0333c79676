/* SPDX-License-Identifier: MIT */
#include "image.h"

#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE_BYTES UINT64_C(4096)

static int read_segment(const struct image *image, const GElf_Phdr *segment)
{
    uint64_t done = 0;

    while (done < segment->p_filesz) {
        ssize_t got = pread(image->descriptor, (char *)(image->base + segment->p_vaddr + done),
                            segment->p_filesz - done, (off_t)(segment->p_offset + done));
        if (got <= 0) {
            return got < 0 ? -errno : -EIO;
        }
        done += (uint64_t)got;
    }
    return 0;
}

static int lay_out(struct image *image)
{
    size_t count = 0;
    uint64_t low = UINT64_MAX, high = 0;
    GElf_Phdr segment;

    elf_getphdrnum(image->elf, &count);
    for (size_t i = 0; i < count; i++) {
        if (gelf_getphdr(image->elf, (int)i, &segment) && segment.p_type == PT_LOAD) {
            low = segment.p_vaddr < low ? segment.p_vaddr : low;
            high =
                segment.p_vaddr + segment.p_memsz > high ? segment.p_vaddr + segment.p_memsz : high;
        }
    }
    if (low >= high) {
        return 1;
    }
    low &= ~(PAGE_BYTES - 1);
    void *memory = mmap(NULL, high - low, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        return -errno;
    }
    image->start = (uint64_t)memory;
    image->end = image->start + (high - low);
    image->base = image->start - low;
    for (size_t i = 0; i < count; i++) {
        if (!gelf_getphdr(image->elf, (int)i, &segment)) {
            continue;
        }
        if (segment.p_type == PT_GNU_EH_FRAME) {
            image->eh_frame_hdr = image->base + segment.p_vaddr;
        }
        int status = segment.p_type == PT_LOAD ? read_segment(image, &segment) : 0;
        if (status != 0) {
            return status;
        }
    }
    return image->eh_frame_hdr ? 0 : 1;
}

int image_open(const char *path, struct image *ret_image)
{
    GElf_Ehdr header;
    int status = 1;

    *ret_image = (struct image){.descriptor = open(path, O_RDONLY | O_CLOEXEC)};
    if (ret_image->descriptor < 0) {
        return errno == ENOENT || errno == EACCES ? 1 : -errno;
    }
    elf_version(EV_CURRENT);
    ret_image->elf = elf_begin(ret_image->descriptor, ELF_C_READ, NULL);
    if (ret_image->elf && elf_kind(ret_image->elf) == ELF_K_ELF &&
        gelf_getehdr(ret_image->elf, &header) && header.e_machine == EM_X86_64) {
        status = lay_out(ret_image);
    }
    if (status == 0) {
        ret_image->cfi = dwarf_getcfi_elf(ret_image->elf);
        status = ret_image->cfi ? 0 : 1;
    }
    if (status != 0) {
        image_close(ret_image);
    }
    return status;
}

void image_close(struct image *image)
{
    if (image->cfi) {
        dwarf_cfi_end(image->cfi);
    }
    if (image->elf) {
        elf_end(image->elf);
    }
    if (image->start) {
        munmap((void *)image->start, image->end - image->start);
    }
    close(image->descriptor);
    *image = (struct image){.descriptor = -1};
}
