// SPDX-License-Identifier: MIT
// As fixture.c, for C++: templates, members, lambdas, namespaces without a name.
#include <cstdio>
#include <link.h>
#include <vector>

#define NOINLINE __attribute__((noinline))
#define INLINE   inline __attribute__((always_inline))

static int find_bias(struct dl_phdr_info *info, size_t, void *context)
{
    *static_cast<unsigned long *>(context) = info->dlpi_addr;
    return 1;
}

extern "C" NOINLINE int mark(const char *chain)
{
    unsigned long bias = 0;
    dl_iterate_phdr(find_bias, &bias);
    std::printf("%p %#lx (nil) %s\n", __builtin_return_address(0), bias, chain);
    return chain[0];
}

#define TEXT_(x) #x
#define TEXT(x)  TEXT_(x)
#define HERE     TEXT(__LINE__)

namespace shop {

template <typename T> struct shelf {
    std::vector<T> goods;

    NOINLINE int put(const T &item) const
    {
        int result = mark("shop::shelf<int>::put:" HERE);
        return result + static_cast<int>(item);
    }
};

template <typename T> NOINLINE std::vector<T> *refill(const std::vector<T> &from, T x)
{
    int result = mark("shop::refill<int>:" HERE);
    return result == x ? nullptr : const_cast<std::vector<T> *>(&from);
}

struct scale {
    int weight;
    NOINLINE int operator()(int x) const
    {
        int result = mark("shop::scale::operator():" HERE);
        return result + x * weight;
    }
    INLINE int twice(const char *chain, int x) const
    {
        int result = mark(chain); // on TWICE_LINE
        return result * x;
    }
    NOINLINE operator unsigned long() const
    {
        int result = mark("shop::scale::operator unsigned long:" HERE);
        return static_cast<unsigned long>(result);
    }
};
constexpr int twice_line = __LINE__ - 9;
#define TWICE_LINE 55
static_assert(twice_line == TWICE_LINE, "TWICE_LINE names the wrong line");

NOINLINE int weigh(const scale &s, int x)
{
    int result = s.twice("shop::scale::twice:" TEXT(TWICE_LINE) "|shop::weigh:" HERE, x);
    return result - x;
}

} // namespace shop

namespace {
NOINLINE int hidden(int x)
{
    int result = mark("(anonymous namespace)::hidden:" HERE);
    return result + x;
}
} // namespace

#ifdef __clang__
#define LAMBDA "$_0"
#else
#define LAMBDA "{lambda(int)#1}"
#endif

int main(int argc, char **)
{
    auto lambda = [argc](int x) __attribute__((noinline)) {
        int result = mark("main::" LAMBDA "::operator():" HERE);
        return result + x * argc;
    };
    std::vector<int> some(3, argc);
    shop::shelf<int> shelf;
    shop::scale scale{argc};
    int sum = shelf.put(argc) + scale(argc) + shop::weigh(scale, argc) + hidden(argc);
    sum += lambda(argc);
    sum += shop::refill(some, argc) != nullptr;
    sum += static_cast<int>(static_cast<unsigned long>(scale));
    return sum == 42 ? 3 : 0;
}
