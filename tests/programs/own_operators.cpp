/* SPDX-License-Identifier: MIT */
/* An allocator that replaces C++'s operators and never calls malloc, as tcmalloc and others do. */
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <sys/mman.h>

static const std::size_t arena_bytes = std::size_t(256) << 20;

/* From a reservation, never given back: the programs that use it are short. */
static void *take(std::size_t size, std::size_t align)
{
    static char *arena = static_cast<char *>(
        mmap(nullptr, arena_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    static std::size_t used = 64;
    std::size_t at = (used + align - 1) & ~(align - 1);
    if (arena == MAP_FAILED || size > arena_bytes || at + size > arena_bytes)
        return nullptr;
    used = at + size;
    return arena + at;
}

static void *take_or_throw(std::size_t size, std::size_t align)
{
    void *block = take(size, align);
    return block ? block : throw std::bad_alloc();
}

void *operator new(std::size_t size) { return take_or_throw(size, 16); }
void *operator new[](std::size_t size) { return take_or_throw(size, 16); }
void *operator new(std::size_t size, const std::nothrow_t &) noexcept { return take(size, 16); }
void *operator new[](std::size_t size, const std::nothrow_t &) noexcept { return take(size, 16); }
void *operator new(std::size_t size, std::align_val_t align) { return take_or_throw(size, std::size_t(align)); }
void *operator new[](std::size_t size, std::align_val_t align) { return take_or_throw(size, std::size_t(align)); }
void *operator new(std::size_t size, std::align_val_t align, const std::nothrow_t &) noexcept { return take(size, std::size_t(align)); }
void *operator new[](std::size_t size, std::align_val_t align, const std::nothrow_t &) noexcept { return take(size, std::size_t(align)); }
void operator delete(void *) noexcept {}
void operator delete[](void *) noexcept {}
void operator delete(void *, std::size_t) noexcept {}
void operator delete[](void *, std::size_t) noexcept {}
void operator delete(void *, const std::nothrow_t &) noexcept {}
void operator delete[](void *, const std::nothrow_t &) noexcept {}
void operator delete(void *, std::align_val_t) noexcept {}
void operator delete[](void *, std::align_val_t) noexcept {}
void operator delete(void *, std::size_t, std::align_val_t) noexcept {}
void operator delete[](void *, std::size_t, std::align_val_t) noexcept {}
void operator delete(void *, std::align_val_t, const std::nothrow_t &) noexcept {}
void operator delete[](void *, std::align_val_t, const std::nothrow_t &) noexcept {}
