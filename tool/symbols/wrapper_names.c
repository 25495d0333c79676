/* SPDX-License-Identifier: MIT */
#include "wrapper_names.h"

#include <stddef.h>

/*
 * What is a wrapper: a function that passes a request on and returns the block, adding at most a
 * check, a count, a copy of the bytes or an out-of-memory exit. Neither the size nor the lifetime
 * is its decision, so a verdict about it would be a verdict about nobody; the caller can act.
 *
 * C++'s and Rust's standard libraries are wrappers as a whole: their containers are instantiated in
 * the program for hundreds of users, none of which can change them; the line that uses one can.
 *
 * What is not: a function that decides. A container that grows (g_array_set_size, sdsMakeRoomFor,
 * Perl_sv_grow, luaH_resize) chose the growth and can be told PRESIZE; a constructor (sdsnewlen, g_list_append's node, jv_array) made an object, the natural
 * thing to pool; an allocator of its own (apr_palloc, talloc, obstack, AllocSetAlloc) calls malloc
 * per chunk rather than per request, and its chunk is its own affair.
 */

const char *const wrapper_names[] = {
    /* the C library's own family, with the names that its files give to the same code */
    "malloc", "calloc", "realloc", "reallocarray", "recallocarray", "free", "cfree",
    "aligned_alloc", "memalign", "posix_memalign", "valloc", "pvalloc", "__libc_malloc",
    "__libc_calloc", "__libc_realloc", "__libc_free", "__libc_memalign", "__libc_valloc",
    "__libc_pvalloc", "__libc_reallocarray", "__posix_memalign", "_int_malloc", "_int_realloc",
    "_int_memalign", "_int_free", "_mid_memalign", "sysmalloc", "tcache_init", "malloc_hook_ini",
    "__malloc", "__calloc", "__realloc", "__free", "__rtld_malloc", "__rtld_calloc",
    "__rtld_realloc", "__minimal_malloc", "__minimal_calloc", "__minimal_realloc", "free_sized",
    "free_aligned_sized",
    /* the C library's functions that return a fresh copy or a fresh text */
    "strdup", "strndup", "__strdup", "__strndup", "wcsdup", "__wcsdup", "memdup", "asprintf",
    "vasprintf", "__asprintf", "___asprintf", "__vasprintf", "__asprintf_chk", "__vasprintf_chk",
    "__vasprintf_internal", "___vasprintf_chk",
    /* C++: the operators, and what the standard library puts between them and a container */
    "operator new", "operator new[]", "operator delete", "operator delete[]",
    "__cxa_allocate_exception", "__cxa_vec_new", "__cxa_vec_new2", "__cxa_vec_new3",
    /* Rust's allocator entry points */
    "__rust_alloc", "__rust_alloc_zeroed", "__rust_realloc", "__rust_dealloc", "__rdl_alloc",
    "__rdl_alloc_zeroed", "__rdl_realloc", "__rdl_dealloc", "__rg_alloc", "__rg_alloc_zeroed",
    "__rg_realloc", "__rg_dealloc", "alloc::raw_vec::finish_grow",
    /* "or die" wrappers: gnulib, libiberty, bash, readline, git, tmux, OpenSSH, util-linux */
    "xmalloc", "xcalloc", "xrealloc", "xreallocarray", "xrecallocarray", "xzalloc", "xnmalloc",
    "xnrealloc", "xnzalloc", "xcharalloc", "xmemdup", "xmemdup0", "xstrdup", "xstrndup", "xwcsdup",
    "xmallocarray", "xmallocz", "xmemdupz", "xmallocz_gently", "xposix_memalign", "xalignalloc",
    "xalignedalloc", "xasprintf", "xvasprintf", "xfree", "do_xmalloc", "do_xmallocz", "xstrvfmt",
    "xstrfmt", "xstrdup_or_null", "sh_xmalloc", "sh_xrealloc", "sh_xfree", "xtrymalloc", "xpalloc",
    "x2realloc", "x2nrealloc", "xirealloc", "xireallocarray", "xinmalloc", "ximalloc", "xizalloc",
    "xicalloc", "ximemdup", "ximemdup0", "imalloc", "icalloc", "irealloc", "ireallocarray",
    "rpl_malloc", "rpl_calloc", "rpl_realloc", "rpl_free", "rpl_reallocarray", "mmalloca",
    "savestring", "safe_malloc", "safe_calloc", "safe_realloc", "safe_strdup", "safe_strndup",
    "checked_malloc", "emalloc", "ecalloc", "erealloc", "estrdup", "ereallocarray", "mem_malloc",
    "my_malloc", "my_calloc", "my_realloc", "my_strdup", "my_strndup", "my_multi_malloc",
    "must_malloc", "must_calloc", "must_realloc", "must_strdup", "alloc_or_die", "malloc_or_die",
    "xalloc", "zalloc", "ckmalloc", "ckrealloc", "ckcalloc", "ckstrdup", "kmalloc", "kzalloc",
    "kcalloc", "krealloc", "kmalloc_array", "kstrdup", "kmemdup", "vmalloc", "kvmalloc", "mallocz",
    "callocz", "reallocz", "strdupz", "try_malloc", "safemalloc", "saferealloc", "safecalloc",
    "mem_alloc", "mem_calloc", "mem_realloc", "mem_strdup", "alloc", "lalloc", "alloc_clear",
    "lalloc_clear", "alloc_check", "vim_strsave", "vim_strnsave", "vim_memsave", "vim_realloc",
    /* GLib: g_new and g_renew are macros over these; slices are one malloc each with
       G_SLICE=always-malloc and since 2.76 */
    "g_malloc", "g_malloc0", "g_malloc_n", "g_malloc0_n", "g_realloc", "g_realloc_n", "g_free",
    "g_try_malloc", "g_try_malloc0", "g_try_malloc_n", "g_try_malloc0_n", "g_try_realloc",
    "g_try_realloc_n", "g_aligned_alloc", "g_aligned_alloc0", "g_slice_alloc", "g_slice_alloc0",
    "g_slice_copy", "g_strdup", "g_strndup", "g_memdup", "g_memdup2", "g_strdup_printf",
    "g_strdup_vprintf", "g_vasprintf", "g_asprintf", "g_strnfill", "g_rc_box_alloc",
    "g_rc_box_alloc0", "g_rc_box_dup", "g_atomic_rc_box_alloc", "g_atomic_rc_box_alloc0",
    "g_atomic_rc_box_dup", "g_strdup_inline", "standard_malloc", "standard_calloc",
    "standard_try_malloc", "allocator_memalign",
    /* CPython */
    "PyMem_Malloc", "PyMem_Calloc", "PyMem_Realloc", "PyMem_Free", "PyMem_RawMalloc",
    "PyMem_RawCalloc", "PyMem_RawRealloc", "PyMem_RawFree", "PyObject_Malloc", "PyObject_Calloc",
    "PyObject_Realloc", "PyObject_Free", "_PyObject_New", "_PyObject_NewVar", "_PyObject_GC_New",
    "_PyObject_GC_NewVar", "_PyObject_GC_Malloc", "_PyObject_GC_Calloc", "_PyObject_GC_Alloc",
    "_PyObject_GC_Resize", "PyType_GenericAlloc", "_PyType_AllocNoTrack", "gc_alloc",
    "_PyMem_RawStrdup", "_PyMem_Strdup", "_PyMem_RawWcsdup",

    /* redis and its descendants: sdsnew is a site */
    "zmalloc", "zcalloc", "zcalloc_num", "zrealloc", "ztrymalloc", "ztrycalloc", "ztryrealloc",
    "zmalloc_usable", "zcalloc_usable", "zrealloc_usable", "ztrymalloc_usable", "ztrycalloc_usable",
    "ztryrealloc_usable", "ztrymalloc_usable_internal", "ztrycalloc_usable_internal",
    "ztryrealloc_usable_internal", "zmalloc_no_tcache", "zstrdup", "zfree", "valkey_malloc",
    "valkey_calloc", "valkey_realloc", "sds_malloc", "sds_realloc", "hi_sds_malloc",
    "hi_sds_realloc", "RM_Alloc", "RM_TryAlloc", "RM_Calloc", "RM_TryCalloc", "RM_Realloc",
    "RM_TryRealloc", "RM_Strdup", "hi_malloc", "hi_calloc", "hi_realloc", "hi_strdup",
    /* SQLite: its Str and Vdbe builders are sites */
    "sqlite3Malloc", "sqlite3MallocZero", "sqlite3Realloc", "sqlite3MemMalloc", "sqlite3MemRealloc",
    "sqlite3_malloc", "sqlite3_malloc64", "sqlite3_realloc", "sqlite3_realloc64", "sqlite3_free",
    "sqlite3DbMallocRaw", "sqlite3DbMallocRawNN", "sqlite3DbMallocZero", "sqlite3DbRealloc",
    "sqlite3DbReallocOrFree", "sqlite3DbStrDup", "sqlite3DbStrNDup", "sqlite3DbSpanDup",
    "sqlite3ScratchMalloc", "sqlite3PageMalloc", "sqlite3_mprintf", "sqlite3_vmprintf",
    "sqlite3MPrintf", "sqlite3VMPrintf", "mallocWithAlarm", "dbMallocRawFinish", "dbReallocFinish",
    "pcache1Alloc", "sqlite3Fts3MallocZero", "sqlite3Fts5MallocZero",
    /* libxml2, libxslt, expat */
    "xmlMemMalloc", "xmlMemRealloc", "xmlMemStrdup", "xmlMallocLoc", "xmlMallocAtomicLoc",
    "xmlReallocLoc", "xmlMemStrdupLoc", "xmlStrdup", "xmlStrndup", "xmlCharStrdup",
    "xmlCharStrndup", "xmlMemdup", "xmlUTF8Strndup", "xmlMemoryStrdup", "expat_malloc",
    "expat_realloc",
    /* servers: nginx's raw calls (its pools are allocators), httpd, curl's hooks, haproxy, lighttpd
     */
    "ngx_alloc", "ngx_calloc", "ngx_memalign", "ap_malloc", "ap_calloc", "ap_realloc",
    "Curl_cmalloc", "Curl_ccalloc", "Curl_crealloc", "Curl_cstrdup", "Curl_memdup", "Curl_memdup0",
    "Curl_saferealloc", "curl_dbg_malloc", "curl_dbg_calloc", "curl_dbg_realloc", "curl_dbg_strdup",
    "curlx_saferealloc", "ck_malloc", "ck_calloc", "ck_realloc",
    /* OpenSSL and friends, gcrypt, gpg, NSS */
    "CRYPTO_malloc", "CRYPTO_zalloc", "CRYPTO_calloc", "CRYPTO_realloc", "CRYPTO_clear_realloc",
    "CRYPTO_strdup", "CRYPTO_strndup", "CRYPTO_memdup", "CRYPTO_secure_malloc",
    "CRYPTO_secure_zalloc", "CRYPTO_aligned_alloc", "CRYPTO_free", "OPENSSL_malloc",
    "OPENSSL_realloc", "OPENSSL_zalloc", "BUF_strdup", "BUF_memdup", "PORT_Alloc", "PORT_ZAlloc",
    "PORT_Realloc", "PORT_Strdup", "PR_Malloc", "PR_Calloc", "PR_Realloc", "nss_ZAlloc",
    /* compression: the default callbacks */
    "lzma_alloc", "lzma_alloc_zero", "ZSTD_customMalloc", "ZSTD_customCalloc", "ZSTD_malloc",
    "ZSTD_calloc", "default_bzalloc", "BrotliAllocate", "BrotliDefaultAllocFunc",
    /* media: FFmpeg, x264, x265, libvpx, SDL, freetype, cairo, pixman */
    "av_malloc", "av_mallocz", "av_calloc", "av_malloc_array", "av_mallocz_array", "av_realloc",
    "av_realloc_f", "av_realloc_array", "av_reallocp", "av_reallocp_array", "av_fast_malloc",
    "av_fast_mallocz", "av_memdup", "av_strdup", "av_strndup", "av_free", "av_freep", "x264_malloc",
    "x265_malloc", "vpx_memalign", "vpx_malloc", "vpx_calloc", "aom_memalign", "aom_malloc",
    "aom_calloc", "SDL_malloc", "SDL_calloc", "SDL_realloc", "SDL_strdup", "ft_alloc", "ft_realloc",
    "ft_mem_alloc", "ft_mem_qalloc", "ft_mem_realloc", "ft_mem_qrealloc", "ft_mem_dup",
    "_cairo_malloc", "_cairo_malloc_ab", "pixman_malloc_ab", "pixman_malloc_abc",
    /* interpreters: Perl, Lua, PHP, Tcl, Ruby, Guile, jq, QuickJS, Emacs */
    "Perl_safesysmalloc", "Perl_safesyscalloc", "Perl_safesysrealloc", "Perl_safesysfree",
    "Perl_savepv", "Perl_savepvn", "Perl_malloc", "Perl_calloc", "Perl_realloc", "l_alloc",
    "luaM_malloc_", "luaM_realloc_", "luaM_saferealloc_", "luaC_newobj", "luaC_newobjdt",
    "lj_mem_realloc", "lj_mem_newgco", "_emalloc", "_ecalloc", "_erealloc", "_erealloc2",
    "_estrdup", "_estrndup", "_safe_emalloc", "_safe_malloc", "_safe_realloc", "_safe_erealloc",
    "__zend_malloc", "__zend_calloc", "__zend_realloc", "zend_strndup", "_efree", "Tcl_Alloc",
    "Tcl_Realloc", "Tcl_AttemptAlloc", "Tcl_AttemptRealloc", "Tcl_DbCkalloc", "TclpAlloc",
    "TclpRealloc", "TclpSysAlloc", "ruby_xmalloc", "ruby_xmalloc2", "ruby_xcalloc", "ruby_xrealloc",
    "ruby_xrealloc2", "ruby_strdup", "ruby_mimmalloc", "objspace_xmalloc0", "objspace_xcalloc",
    "objspace_xrealloc", "scm_malloc", "scm_calloc", "scm_realloc", "scm_gc_malloc", "scm_strdup",
    "jv_mem_alloc", "jv_mem_alloc_unguarded", "jv_mem_calloc", "jv_mem_calloc_unguarded",
    "jv_mem_realloc", "jv_mem_strdup", "jv_mem_strdup_unguarded", "jv_mem_free", "js_malloc",
    "js_mallocz", "js_realloc", "js_realloc2", "js_malloc_rt", "js_mallocz_rt", "js_realloc_rt",
    "js_def_malloc", "js_def_realloc", "js_strdup", "js_strndup", "R_chk_calloc", "R_chk_realloc",
    /* data bases and servers' base libraries; PostgreSQL's palloc forwards to a context, whose
     * AllocSetAlloc calls malloc for a new block of many chunks: that one is the site */
    "palloc", "palloc0", "palloc_extended", "repalloc", "repalloc0", "pstrdup", "pnstrdup",
    "psprintf", "pg_malloc", "pg_malloc0", "pg_malloc_extended", "pg_realloc", "pg_strdup",
    "pg_malloc_internal", "MemoryContextAlloc", "MemoryContextAllocZero",
    "MemoryContextAllocZeroAligned", "MemoryContextAllocExtended", "MemoryContextAllocHuge",
    "MemoryContextStrdup", "uv__malloc", "uv__calloc", "uv__realloc", "uv__reallocf", "uv__strdup",
    "uv__strndup", "event_mm_malloc_", "event_mm_calloc_", "event_mm_realloc_", "event_mm_strdup_",
    "ev_realloc", "ev_realloc_emul", "dbus_malloc", "dbus_malloc0", "dbus_realloc", "_dbus_strdup",
    "_dbus_strndup", "jsonp_malloc", "jsonp_strdup", "cJSON_malloc", "isc__mem_get",
    "isc__mem_allocate", "isc__mem_strdup", "isc_mem_get", "isc_mem_allocate", "ber_memalloc_x",
    "ber_memcalloc_x", "ber_memrealloc_x", "ber_strdup_x", "ch_malloc", "ch_calloc", "ch_realloc",
    "ch_strdup", "git__malloc", "git__calloc", "git__realloc", "git__strdup", "git__strndup",
    "git__mallocarray", "git__reallocarray", "stdalloc__malloc", "stdalloc__calloc",
    "stdalloc__realloc", "gpr_malloc", "gpr_zalloc", "gpr_realloc", "gpr_strdup",
    /* binutils, gcc and LLVM: bfd_alloc and obstacks are allocators with chunks of their own */
    "bfd_malloc", "bfd_zmalloc", "bfd_realloc", "bfd_realloc_or_free", "bfd_malloc2",
    "bfd_zmalloc2", "bfd_realloc2", "cmalloc", "xcmalloc", "llvm::safe_malloc", "llvm::safe_calloc",
    "llvm::safe_realloc", "llvm::allocate_buffer",
    /* desktops: EFL, X.Org, Wayland, ncurses, readline */
    "Xmalloc", "Xcalloc", "Xrealloc", "XNFalloc", "XNFcalloc", "XNFrealloc", "XNFstrdup",
    "XNFreallocarray", "XNFcallocarray", "Xstrdup", "XtMalloc", "XtCalloc", "XtRealloc",
    "_nc_doalloc",
    /* other allocators' entry points without a prefix pattern of their own */
    "do_malloc", "do_memalign", "mallocx", "rallocx", "rpmalloc", "rpcalloc", "rprealloc",
    "rpaligned_alloc", "scalable_malloc", "scalable_calloc", "scalable_realloc", "hoard_malloc",
    "xxmalloc", "GC_malloc", "GC_malloc_atomic", "GC_realloc", "GC_strdup", NULL};

const char *const wrapper_globs[] = {
    /* C++'s and Rust's standard libraries, for every type */
    "std::*", "__gnu_cxx::*", "*::newdel_res_t::do_allocate",
    /* Rust's layers below Vec and Box */
    "alloc::*", "<alloc::*", "__rustc::__rust_*",
    /* allocators linked in under a prefix, all of whose functions are theirs */
    "je_*", "_rjem_*", "mi_*", "_mi_*", "tc_malloc*", "tc_calloc*", "tc_realloc*", "tc_new*",
    "tc_memalign*", "tc_posix_memalign*", "tcmalloc::*", "tbb::internal::*alloc*",

    /* what flex puts into scanners, under the scanner's prefix */
    "*yyalloc", "*yyrealloc",
    /* CPython's layers of one allocator domain over another, with and without its debugging hooks
     */
    "_PyMem_*", "_PyObject_Malloc*", "_PyObject_Calloc*", "_PyObject_Realloc*", "_PyObject_Free*",

    NULL};
