/* SPDX-License-Identifier: MIT */
/* Property: what only passes blocks on is a wrapper; what decides about them is not; the user's
 * expressions match whole names. */
#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "demangle.h"
#include "wrapper_names.h"
#include "wrappers.h"

static const char *const wrappers[] = {"malloc",
                                       "calloc",
                                       "realloc",
                                       "__libc_malloc",
                                       "strdup",
                                       "wcsdup",
                                       "vasprintf",
                                       "__strdup",
                                       "operator new",
                                       "operator new[]",
                                       "operator delete",
                                       "xmalloc",
                                       "xzalloc",
                                       "x2nrealloc",
                                       "xmemdup",
                                       "xpalloc",
                                       "ximalloc",
                                       "g_malloc0",
                                       "g_slice_alloc",
                                       "g_strdup_printf",
                                       "g_memdup2",
                                       "PyMem_Malloc",
                                       "_PyMem_DebugMalloc",
                                       "PyObject_Malloc",
                                       "_PyObject_GC_New",
                                       "zmalloc",
                                       "ztrycalloc_usable_internal",
                                       "je_malloc",
                                       "_rjem_mallocx",
                                       "mi_heap_malloc",
                                       "tc_malloc",
                                       "sqlite3Malloc",
                                       "sqlite3DbMallocRawNN",
                                       "sqlite3_malloc64",
                                       "xmlMemMalloc",
                                       "xmlStrndup",
                                       "ngx_calloc",
                                       "do_xmalloc",
                                       "xmemdupz",
                                       "sh_xrealloc",
                                       "jv_mem_alloc",
                                       "jv_mem_strdup",
                                       "CRYPTO_zalloc",
                                       "CRYPTO_strdup",
                                       "av_mallocz",
                                       "Perl_safesysmalloc",
                                       "l_alloc",
                                       "luaM_realloc_",
                                       "_emalloc",
                                       "llvm::safe_malloc",
                                       "Tcl_Alloc",
                                       "uv__malloc",
                                       "palloc",
                                       "MemoryContextAlloc",
                                       "kmalloc",
                                       "bfd_malloc",
                                       "alloc::alloc::exchange_malloc",
                                       "std::allocator<int>::allocate",
                                       "std::__new_allocator<std::pair<int, long>>::allocate",
                                       "std::allocator_traits<std::allocator<int>>::allocate",
                                       "std::_Vector_base<int>::_M_allocate",
                                       "std::string::_M_create",
                                       "std::basic_string<wchar_t>::_M_create",
                                       "jq_yyalloc",
                                       "RM_Calloc",
                                       "g_rc_box_alloc",
                                       "std::make_unique<shop::shelf<int>>",
                                       "std::make_shared<Foo, int>",
                                       "std::vector<int>::_M_realloc_insert<int>",
                                       "std::string::_M_mutate",
                                       "alloc::vec::Vec<T>::push",
                                       "std::string::reserve",
                                       "std::pmr::monotonic_buffer_resource::do_allocate"};

static const char *const sites[] = {"main",
                                    "",
                                    "sdsnewlen",
                                    "sdsMakeRoomFor",
                                    "Perl_sv_grow",
                                    "apr_palloc",
                                    "AllocSetAlloc",
                                    "_talloc_zero",
                                    "g_string_new",
                                    "g_list_append",
                                    "g_array_set_size",
                                    "g_object_new",
                                    "jv_array_sized",
                                    "luaH_resize",
                                    "luaH_new",
                                    "luaS_newlstr",
                                    "strbuf_grow",
                                    "git_config_parse",
                                    "getline",
                                    "g_list_alloc",
                                    "alloc_word_desc",
                                    "fopen",
                                    "qsort",
                                    "malloc_stats",
                                    "mallocs",
                                    "stdlib::make",
                                    "my::std::list",
                                    "my",
                                    "json_parse",
                                    "mix_colors",
                                    "mi",
                                    "tc_tree",
                                    "xmalloced",
                                    "XMALLOC",
                                    "redisCommand",
                                    "createStringObject",
                                    "PyList_New",
                                    "PyDict_New",
                                    "ngx_palloc",
                                    "ngx_create_pool",
                                    "obstack_begin",
                                    "xmlNewNode",
                                    "sqlite3VdbeCreate",
                                    "sqlite3ExprAlloc",
                                    "make_word",
                                    "new_fd_bitmap",
                                    "operator new_thing",
                                    "shop::allocate",
                                    "allocate::vec"};

static void check_table(void)
{
    struct wrapper_table *table = wrapper_table_create();
    for (size_t i = 0; i < sizeof wrappers / sizeof *wrappers; i++)
        CHECK_NUMBER(wrappers[i], wrapper_table_has(table, wrappers[i]), 1);
    for (size_t i = 0; i < sizeof sites / sizeof *sites; i++)
        CHECK_NUMBER(sites[i], wrapper_table_has(table, sites[i]), 0);
    for (size_t i = 0; wrapper_names[i]; i++) {
        CHECK_NUMBER(wrapper_names[i], wrapper_table_has(table, wrapper_names[i]), 1);
        for (size_t k = 0; k < i; k++) {
            if (strcmp(wrapper_names[k], wrapper_names[i]) == 0)
                CHECK_TEXT("listed twice", wrapper_names[i], "once");
        }
    }
    wrapper_table_destroy(table);
}

static void check_regexes(void)
{
    struct wrapper_table *table = wrapper_table_create();
    static const struct {
        const char *regex;
        int want;
    } regexes[] = {{"shop_(get|take)[0-9]*", 0},
                   {"pool|pool_alloc", 0},
                   {"(ab)\\1", 0},
                   {"", 0},
                   {"^anchored$", 0},
                   {"a)(b", -EINVAL},
                   {"[a-", -EINVAL},
                   {"(", -EINVAL},
                   {"x{2,1}", -EINVAL},
                   {"\\", -EINVAL},
                   {"Arena::make.*", 0}};
    for (size_t i = 0; i < sizeof regexes / sizeof *regexes; i++) {
        char *error = NULL;
        int got = wrapper_table_add(table, regexes[i].regex, &error);
        CHECK_NUMBER(regexes[i].regex, got, regexes[i].want);
        CHECK_NUMBER(regexes[i].regex, error != NULL, regexes[i].want != 0);
        if (error)
            CHECK_NUMBER(error, strstr(error, regexes[i].regex) != NULL, 1);
        free(error);
    }
    static const struct {
        const char *name;
        int want;
    } names[] = {{"shop_get", 1},
                 {"shop_take12", 1},
                 {"my_shop_get", 0},
                 {"shop_get_all", 0},
                 {"pool", 1},
                 {"pool_alloc", 1},
                 {"pool_allocs", 0},
                 {"abab", 1},
                 {"ab", 0},
                 {"anchored", 1},
                 {"", 1},
                 {"Arena::make<int>", 1},
                 {"Arena::made", 0},
                 {"malloc", 1}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        CHECK_NUMBER(names[i].name, wrapper_table_has(table, names[i].name), names[i].want);
    wrapper_table_destroy(table);
}

int main(void)
{
    check_table();
    check_regexes();
    return failures != 0;
}
