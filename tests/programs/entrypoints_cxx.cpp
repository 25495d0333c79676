/* SPDX-License-Identifier: MIT */
/*
 * The C++ operators. Which libc function the runtime's own operators call is its affair, so the
 * JSON gives sizes and counts alone; the sized deletes come to the same free.
 */
#include <cstdint>
#include <new>

#include "programs.h"

static const int many = 100;

struct alignas(128) wide {
    char bytes[11008];
};

int main()
{
    for (int i = 0; i < many; i++) {
        void *block = ::operator new(11001);
        KEEP(block);
        ::operator delete(block);
        block = ::operator new[](11002);
        KEEP(block);
        ::operator delete[](block);
        block = ::operator new(11003, std::nothrow);
        CHECK(block != nullptr);
        KEEP(block);
        ::operator delete(block, std::nothrow);
        block = ::operator new[](11004, std::nothrow);
        CHECK(block != nullptr);
        KEEP(block);
        ::operator delete[](block, std::nothrow);
        block = ::operator new(11005);
        KEEP(block);
        ::operator delete(block, std::size_t(11005));
        wide *object = new wide; /* aligned new: 11008 is a multiple of 128 */
        CHECK(reinterpret_cast<std::uintptr_t>(object) % 128 == 0);
        KEEP(object);
        delete object;
        volatile std::size_t huge = SIZE_MAX / 2 + 2;
        CHECK(::operator new(huge, std::nothrow) == nullptr);
    }
    SAY("{\"sizes\": [[11001, %d], [11002, %d], [11003, %d], [11004, %d], [11005, %d], [11008, "
        "%d]], "
        "\"frees\": %d}\n",
        many, many, many, many, many, many, 6 * many);
    return 0;
}
