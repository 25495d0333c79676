/* SPDX-License-Identifier: MIT */
/* Property: linkage names become what a person would write, and no text, however odd, does harm. */
#include <stdlib.h>

#include "check.h"
#include "demangle.h"

static const struct {
    const char *linkage, *want;
} cases[] = {
    {"main", "main"},
    {"", ""},
    {"_", "_"},
    {"_Z", "_Z"},
    {"_Znot_mangled", "_Znot_mangled"},
    {"memcpy@@GLIBC_2.14", "memcpy"},
    {"fmemopen@GLIBC_2.2.5", "fmemopen"},
    {"__GI___libc_malloc", "__libc_malloc"},
    {"xmalloc.part.0", "xmalloc"},
    {"parse.isra.0.constprop.2", "parse"},
    {"die.cold", "die"},
    {"helper.lto_priv.3.cold", "helper"},
    {"f.llvm.1234567", "f"},
    {"_Z3fooi.part.0", "foo"},
    {"_Znwm", "operator new"},
    {"_Znam", "operator new[]"},
    {"_ZdlPvm", "operator delete"},
    {"_ZNSt6vectorIiSaIiEE9push_backERKi", "std::vector<int>::push_back"},
    {"_ZNSt6vectorIiSaIiEE17_M_realloc_insertIJiEEEvN9__gnu_cxx17__normal_iteratorIPiS1_EEDpOT_",
     "std::vector<int>::_M_realloc_insert<int>"},
    {"_ZNKSt6vectorIiSaIiEE4sizeEv", "std::vector<int>::size"},
    {"_ZNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEE9_M_createERmm",
     "std::string::_M_create"},
    {"_ZNSt3mapINSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEEiSt4lessIS5_"
     "ESaISt4pairIKS5_iEEE5clearEv",
     "std::map<std::string, int>::clear"},
    {"_ZSt11make_uniqueI3FooJEENSt8__detail9_MakeUniqIT_E15__single_objectEDpOT0_",
     "std::make_unique<Foo>"},
    {"_ZNSt15__new_allocatorI3FooE8allocateEmPKv", "std::__new_allocator<Foo>::allocate"},
    {"_ZN3FoocvmEv", "Foo::operator unsigned long"},
    {"_ZN3FooclEi", "Foo::operator()"},
    {"_ZlsRSoRK3Foo", "operator<<"},
    {"_ZStlsISt11char_traitsIcEERSt13basic_ostreamIcT_ES5_PKc",
     "std::operator<< <std::char_traits<char>>"},
    {"_ZN12_GLOBAL__N_16hiddenEi", "(anonymous namespace)::hidden"},
    {"_Z4nameB5cxx11v", "name[abi:cxx11]"},
    {"_ZZN3foo3barEiENKUliE_clEi", "foo::bar(int)::{lambda(int)#1}::operator()"},
    {"_ZZNK3foo3barEvENKUlvE_clEv", "foo::bar() const::{lambda()#1}::operator()"},
    {"_ZN1AC2ERKS_", "A::A"},
    {"_ZN1AD0Ev", "A::~A"},
    {"_ZN3FooIXgtLi5ELi3EEE3barEv", "Foo<((5)>(3))>::bar"},
    {"_ZN4core3fmt9Formatter3pad17h0123456789abcdefE", "core::fmt::Formatter::pad"},
    {"_ZN65_$LT$alloc..boxed..Box$LT$T$GT$$u20$as$u20$core..clone..Clone$GT$"
     "5clone17habcdef0123456789E",
     "<alloc::boxed::Box<T> as core::clone::Clone>::clone"},
    {"_ZN5alloc5alloc15exchange_malloc17h0123456789abcdefE", "alloc::alloc::exchange_malloc"},
    {"_ZN50_$LT$T$u20$as$u20$core..convert..Into$LT$U$GT$$GT$4into17h0123456789abcdefE",
     "<T as core::convert::Into<U>>::into"},
};

/* Broken and endless names: any result will do, as long as there is one and tools for memory errors
 * are content. */
static void survive(const char *name)
{
    char *text = demangle(name);
    CHECK_NUMBER(name, text != NULL, 1);
    free(text);
}

int main(void)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *got = demangle(cases[i].linkage);
        CHECK_TEXT(cases[i].linkage, got, cases[i].want);
        free(got);
        /* every beginning of it, and every one of its characters replaced */
        char broken[512];
        size_t length = strlen(cases[i].linkage);
        for (size_t cut = 0; cut < length; cut++) {
            memcpy(broken, cases[i].linkage, length + 1);
            broken[cut] = '\0';
            survive(broken);
            for (const char *c = "E_IS1KZ<>(). $@:"; *c; c++) {
                memcpy(broken, cases[i].linkage, length + 1);
                broken[cut] = *c;
                survive(broken);
            }
        }
    }
    static char deep[100000];
    for (size_t length = 10; length < sizeof deep - 10; length = length * 3 / 2) {
        memcpy(deep, "_Z1f", 4);
        memset(deep + 4, 'P', length);
        strcpy(deep + 4 + length, "i");
        survive(deep);
        for (size_t i = 0; i + 2 < length; i += 2)
            memcpy(deep + 4 + i, "1AI", 3);
        survive(deep);
    }
    return failures != 0;
}
