/* SPDX-License-Identifier: MIT */
#include "libc_table.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct known {
    const char *name, *effect;
};

/* Sorted by name, byte by byte. Whatever is not here is unknown code, which may keep its arguments: a missing
 * name costs a verdict, a wrong one makes it false. So FILE and DIR count as memory that was there already. */
/* clang-format off */
static const struct known known[] = {
    {"_Exit", ""}, {"_IO_getc", ""}, {"_IO_putc", ""}, {"_ZdaPv", "F0"}, {"_ZdlPv", "F0"},
    {"_Znam", "A0"}, {"_Znwm", "A0"}, {"__assert", ""}, {"__assert_fail", ""},
    {"__ctype_b_loc", "u"}, {"__ctype_tolower_loc", "u"}, {"__ctype_toupper_loc", "u"},
    {"__errno_location", "u"}, {"__fgets_chk", "r0"}, {"__finite", ""}, {"__fortify_fail", ""},
    {"__fpclassify", ""}, {"__fpclassifyf", ""}, {"__fxstat", ""}, {"__getdelim", "O0 l0"},
    {"__h_errno_location", "u"}, {"__isinf", ""}, {"__isnan", ""}, {"__longjmp_chk", "J"},
    {"__lxstat", ""}, {"__memcpy_chk", "c01 r0"}, {"__memmove_chk", "c01 r0"},
    {"__mempcpy_chk", "c01 r0"}, {"__memset_chk", "r0"}, {"__overflow", ""}, {"__signbit", ""},
    {"__sigsetjmp", ""}, {"__stack_chk_fail", ""}, {"__stpcpy_chk", "r0"}, {"__strcat_chk", "r0"},
    {"__strcpy_chk", "r0"}, {"__strdup", "A"}, {"__strncat_chk", "r0"}, {"__strncpy_chk", "r0"},
    {"__strndup", "A"}, {"__strtod_internal", "s10"}, {"__strtok_r", "s20 l2 r0"},
    {"__strtol_internal", "s10"}, {"__strtoul_internal", "s10"}, {"__uflow", ""}, {"__xmknod", ""},
    {"__xpg_basename", "r0 u"}, {"__xstat", ""}, {"_exit", ""}, {"_longjmp", "J"}, {"_setjmp", ""},
    {"a64l", ""}, {"abort", ""}, {"abs", ""}, {"accept", ""}, {"accept4", ""}, {"access", ""},
    {"acos", ""}, {"acosh", ""}, {"alarm", ""}, {"aligned_alloc", "A1"}, {"arc4random", ""},
    {"arc4random_buf", ""}, {"arc4random_uniform", ""}, {"asctime", "u"}, {"asctime_r", "r0"},
    {"asin", ""}, {"asinh", ""}, {"asprintf", "O0"}, {"at_quick_exit", "k0"}, {"atan", ""},
    {"atan2", ""}, {"atanh", ""}, {"atexit", "k0"}, {"atof", ""}, {"atoi", ""}, {"atol", ""},
    {"atoll", ""}, {"backtrace", ""}, {"backtrace_symbols", "A"}, {"basename", "r0 u"},
    {"bcmp", ""}, {"bcopy", "c10"}, {"bind", ""}, {"bindtextdomain", "u"}, {"bsd_signal", "k1"},
    {"bsearch", "x401 x410 r1"}, {"btowc", ""}, {"bzero", ""}, {"calloc", "C0"},
    {"canonicalize_file_name", "A"}, {"cbrt", ""}, {"ceil", ""}, {"ceilf", ""}, {"cfmakeraw", ""},
    {"cfree", "F0"}, {"cfsetispeed", ""}, {"cfsetospeed", ""}, {"chdir", ""}, {"chmod", ""},
    {"chown", ""}, {"clearerr", ""}, {"clock", ""}, {"clock_getres", ""}, {"clock_gettime", ""},
    {"clock_nanosleep", ""}, {"clock_settime", ""}, {"close", ""}, {"closedir", ""},
    {"closelog", ""}, {"confstr", ""}, {"connect", ""}, {"copy_file_range", ""}, {"copysign", ""},
    {"cos", ""}, {"cosf", ""}, {"cosh", ""}, {"creat", ""}, {"crypt", "u"}, {"ctermid", "r0 u"},
    {"ctime", "u"}, {"ctime_r", "r0"}, {"cuserid", "r0 u"}, {"daemon", ""}, {"dcgettext", "u"},
    {"dgettext", "u"}, {"difftime", ""}, {"dirfd", ""}, {"dirname", "r0 u"}, {"div", ""},
    {"dlclose", ""}, {"dlerror", "u"}, {"dlopen", "u"}, {"dlsym", "u"}, {"dprintf", ""},
    {"drand48", ""}, {"drem", ""}, {"dup", ""}, {"dup2", ""}, {"dup3", ""}, {"duplocale", "u"},
    {"endgrent", ""}, {"endpwent", ""}, {"epoll_create", ""}, {"epoll_create1", ""},
    {"epoll_pwait", "U1"}, {"epoll_wait", "U1"}, {"erand48", ""}, {"erf", ""}, {"erfc", ""},
    {"eventfd", ""}, {"execl", ""}, {"execle", ""}, {"execlp", ""}, {"execv", ""}, {"execve", ""},
    {"execvp", ""}, {"execvpe", ""}, {"exit", ""}, {"exp", ""}, {"exp10", ""}, {"exp2", ""},
    {"expf", ""}, {"explicit_bzero", ""}, {"expm1", ""}, {"fabs", ""}, {"fabsf", ""},
    {"faccessat", ""}, {"fallocate", ""}, {"fchdir", ""}, {"fchmod", ""}, {"fchmodat", ""},
    {"fchown", ""}, {"fclose", ""}, {"fcntl", ""}, {"fcntl64", ""}, {"fdatasync", ""}, {"fdim", ""},
    {"fdopen", "h"}, {"fdopendir", "h"}, {"feclearexcept", ""}, {"fegetround", ""}, {"feof", ""},
    {"feof_unlocked", ""}, {"feraiseexcept", ""}, {"ferror", ""}, {"ferror_unlocked", ""},
    {"fesetround", ""}, {"fetestexcept", ""}, {"fflush", ""}, {"fflush_unlocked", ""}, {"ffs", ""},
    {"ffsl", ""}, {"ffsll", ""}, {"fgetc", ""}, {"fgetc_unlocked", ""}, {"fgetpos", ""},
    {"fgets", "r0"}, {"fgets_unlocked", "r0"}, {"fgetwc", ""}, {"fgetxattr", ""}, {"fileno", ""},
    {"finite", ""}, {"flock", ""}, {"flockfile", ""}, {"floor", ""}, {"floorf", ""}, {"fma", ""},
    {"fmax", ""}, {"fmin", ""}, {"fmod", ""}, {"fmodf", ""}, {"fnmatch", ""}, {"fopen", "h"},
    {"fopen64", "u"}, {"fork", ""}, {"fpathconf", ""}, {"fprintf", ""}, {"fputc", ""},
    {"fputc_unlocked", ""}, {"fputs", ""}, {"fputs_unlocked", ""}, {"fputwc", ""}, {"fputws", ""},
    {"fread", "U0"}, {"fread_unlocked", "U0"}, {"free", "F0"}, {"freeaddrinfo", ""}, {"freelocale", ""},
    {"freopen", "h"}, {"frexp", ""}, {"frexpf", ""}, {"frexpl", ""}, {"fscanf", ""}, {"fseek", ""},
    {"fseeko", ""}, {"fsetpos", ""}, {"fstat", ""}, {"fstat64", ""}, {"fstatat", ""},
    {"fstatfs", ""}, {"fstatvfs", ""}, {"fsync", ""}, {"ftell", ""}, {"ftello", ""}, {"ftok", ""},
    {"ftruncate", ""}, {"ftruncate64", ""}, {"ftrylockfile", ""}, {"funlockfile", ""},
    {"futimens", ""}, {"fwprintf", ""}, {"fwrite", "K0"}, {"fwrite_unlocked", "K0"},
    {"gai_strerror", "u"}, {"gamma", ""}, {"get_current_dir_name", "A"}, {"getc", ""},
    {"getc_unlocked", ""}, {"getchar", ""}, {"getchar_unlocked", ""}, {"getcwd", "A r0"},
    {"getdelim", "O0 l0"}, {"getdomainname", ""}, {"getegid", ""}, {"getentropy", ""},
    {"getenv", "u"}, {"geteuid", ""}, {"getgid", ""}, {"getgrent", "u"}, {"getgrgid", "u"},
    {"getgrnam", "u"}, {"getgroups", ""}, {"gethostbyaddr", "u"}, {"gethostbyname", "u"},
    {"gethostent", "u"}, {"gethostname", ""}, {"getitimer", ""}, {"getline", "O0 l0"},
    {"getloadavg", ""}, {"getlogin", "u"}, {"getmntent", "u"}, {"getnameinfo", ""},
    {"getpagesize", ""}, {"getpass", "u"}, {"getpeername", ""}, {"getpgrp", ""}, {"getpid", ""},
    {"getppid", ""}, {"getpriority", ""}, {"getprotobyname", "u"}, {"getpwent", "u"},
    {"getpwnam", "u"}, {"getpwuid", "u"}, {"getrandom", ""}, {"getrlimit", ""}, {"getrusage", ""},
    {"gets", "r0"}, {"getservbyname", "u"}, {"getservbyport", "u"}, {"getsid", ""},
    {"getsockname", ""}, {"getsockopt", ""}, {"gettext", "u"}, {"gettimeofday", ""}, {"getuid", ""},
    {"getusershell", "u"}, {"getwd", "r0 u"}, {"getxattr", ""}, {"globfree", ""}, {"gmtime", "u"},
    {"gmtime_r", "r1"}, {"gnu_get_libc_version", ""}, {"hstrerror", "u"}, {"htonl", ""},
    {"htons", ""}, {"hypot", ""}, {"iconv", ""}, {"iconv_close", ""}, {"iconv_open", "h"},
    {"if_nametoindex", ""}, {"ilogb", ""}, {"index", "r0"}, {"inet_addr", ""}, {"inet_aton", ""},
    {"inet_ntoa", "u"}, {"inet_ntop", "r2"}, {"inet_pton", ""}, {"initgroups", ""},
    {"inotify_add_watch", ""}, {"inotify_init", ""}, {"inotify_rm_watch", ""},
    {"insque", "k0 k1 k2"}, {"ioctl", ""}, {"isalnum", ""}, {"isalpha", ""}, {"isascii", ""},
    {"isatty", ""}, {"isblank", ""}, {"iscntrl", ""}, {"isdigit", ""}, {"isgraph", ""},
    {"isinf", ""}, {"islower", ""}, {"isnan", ""}, {"isprint", ""}, {"ispunct", ""},
    {"isspace", ""}, {"isupper", ""}, {"iswalnum", ""}, {"iswalpha", ""}, {"iswctype", ""},
    {"iswdigit", ""}, {"iswlower", ""}, {"iswprint", ""}, {"iswpunct", ""}, {"iswspace", ""},
    {"iswupper", ""}, {"isxdigit", ""}, {"kill", ""}, {"labs", ""}, {"lchown", ""}, {"ldexp", ""},
    {"ldexpf", ""}, {"ldiv", ""}, {"lgamma", ""}, {"link", ""}, {"listen", ""}, {"llabs", ""},
    {"llrint", ""}, {"llround", ""}, {"localeconv", "u"}, {"localtime", "u"}, {"localtime_r", "r1"},
    {"lockf", ""}, {"log", ""}, {"log10", ""}, {"log1p", ""}, {"log2", ""}, {"logb", ""},
    {"logf", ""}, {"longjmp", "J"}, {"lrand48", ""}, {"lrint", ""}, {"lround", ""}, {"lseek", ""},
    {"lseek64", ""}, {"lstat", ""}, {"lstat64", ""}, {"madvise", ""}, {"malloc", "A0"},
    {"malloc_trim", ""}, {"malloc_usable_size", ""}, {"mallopt", ""}, {"mblen", ""}, {"mbrlen", ""},
    {"mbrtowc", ""}, {"mbsinit", ""}, {"mbstowcs", ""}, {"mbtowc", ""}, {"memalign", "A1"},
    {"memccpy", "c01 r0"}, {"memchr", "r0"}, {"memcmp", ""}, {"memcpy", "c01 r0"},
    {"memfrob", "r0"}, {"memmem", "r0"}, {"memmove", "c01 r0"}, {"mempcpy", "c01 r0"},
    {"memrchr", "r0"}, {"memset", "r0"}, {"mincore", ""}, {"mkdir", ""}, {"mkdirat", ""},
    {"mkdtemp", "r0"}, {"mkfifo", ""}, {"mknod", ""}, {"mkostemp", ""}, {"mkstemp", ""},
    {"mkstemp64", ""}, {"mkstemps", ""}, {"mktemp", "r0"}, {"mktime", ""}, {"mlock", ""},
    {"mmap", "u"}, {"mmap64", "u"}, {"modf", ""}, {"modff", ""}, {"mprotect", ""}, {"mremap", "u"},
    {"msync", ""}, {"munlock", ""}, {"munmap", ""}, {"nan", ""}, {"nanosleep", ""},
    {"nearbyint", ""}, {"newlocale", "h"}, {"nextafter", ""}, {"ngettext", "u"}, {"nice", ""},
    {"nl_langinfo", "u"}, {"nrand48", ""}, {"ntohl", ""}, {"ntohs", ""}, {"on_exit", "k1"},
    {"open", ""}, {"open64", ""}, {"openat", ""}, {"openat64", ""}, {"opendir", "h"},
    {"pathconf", ""}, {"pclose", ""}, {"perror", ""}, {"pipe", ""}, {"pipe2", ""}, {"poll", ""},
    {"popen", "h"}, {"posix_fadvise", ""}, {"posix_fallocate", ""}, {"posix_memalign", "O0"},
    {"pow", ""}, {"powf", ""}, {"ppoll", ""}, {"prctl", ""}, {"pread", "U1"}, {"pread64", "U1"},
    {"preadv", "U1"}, {"printf", ""}, {"pselect", ""}, {"pthread_attr_destroy", ""},
    {"pthread_attr_init", ""}, {"pthread_attr_setdetachstate", ""}, {"pthread_attr_setstack", "k1"},
    {"pthread_attr_setstacksize", ""}, {"pthread_cond_broadcast", ""}, {"pthread_cond_destroy", ""},
    {"pthread_cond_init", ""}, {"pthread_cond_signal", ""}, {"pthread_cond_timedwait", ""},
    {"pthread_cond_wait", ""}, {"pthread_create", "k3"}, {"pthread_detach", ""},
    {"pthread_equal", ""}, {"pthread_getspecific", "u"}, {"pthread_join", "U1"}, {"pthread_kill", ""},
    {"pthread_mutex_destroy", ""}, {"pthread_mutex_init", ""}, {"pthread_mutex_lock", ""},
    {"pthread_mutex_trylock", ""}, {"pthread_mutex_unlock", ""}, {"pthread_mutexattr_destroy", ""},
    {"pthread_mutexattr_init", ""}, {"pthread_mutexattr_settype", ""},
    {"pthread_rwlock_destroy", ""}, {"pthread_rwlock_init", ""}, {"pthread_rwlock_rdlock", ""},
    {"pthread_rwlock_unlock", ""}, {"pthread_rwlock_wrlock", ""}, {"pthread_self", ""},
    {"pthread_setname_np", ""}, {"pthread_setspecific", "k1"}, {"pthread_sigmask", ""},
    {"pthread_spin_lock", ""}, {"pthread_spin_unlock", ""}, {"pthread_yield", ""}, {"ptsname", "u"},
    {"putc", ""}, {"putc_unlocked", ""}, {"putchar", ""}, {"putchar_unlocked", ""},
    {"putenv", "k0"}, {"puts", ""}, {"putwchar", ""}, {"pvalloc", "A0"}, {"pwrite", "K1"},
    {"pwrite64", "K1"}, {"pwritev", "K1"}, {"qsort", "x300"}, {"qsort_r", "x3004 x3400 c00"},
    {"quick_exit", ""}, {"raise", ""}, {"rand", ""}, {"rand_r", ""}, {"random", ""},
    {"rawmemchr", "r0"}, {"read", "U1"}, {"readdir", "u"}, {"readdir64", "u"}, {"readlink", ""},
    {"readlinkat", ""}, {"readv", "U1"}, {"realloc", "R01"}, {"reallocarray", "R0"},
    {"realpath", "A r1"}, {"recv", "U1"}, {"recvfrom", "U1"}, {"recvmsg", "U1"}, {"regerror", ""},
    {"regfree", ""}, {"remainder", ""}, {"remove", ""}, {"rename", ""}, {"renameat", ""},
    {"rewind", ""}, {"rewinddir", ""}, {"rindex", "r0"}, {"rint", ""}, {"rmdir", ""}, {"round", ""},
    {"roundf", ""}, {"sbrk", "u"}, {"scalbln", ""}, {"scalbn", ""}, {"scanf", ""},
    {"sched_getaffinity", ""}, {"sched_setaffinity", ""}, {"sched_yield", ""},
    {"secure_getenv", "u"}, {"seekdir", ""}, {"select", ""}, {"sem_destroy", ""}, {"sem_init", ""},
    {"sem_open", "u"}, {"sem_post", ""}, {"sem_trywait", ""}, {"sem_wait", ""}, {"send", "K1"},
    {"sendfile", ""}, {"sendfile64", ""}, {"sendmsg", "K1"}, {"sendto", "K1"}, {"setbuf", "k1"},
    {"setbuffer", "k1"}, {"setegid", ""}, {"setenv", ""}, {"seteuid", ""}, {"setgid", ""},
    {"setgrent", ""}, {"setgroups", ""}, {"sethostname", ""}, {"setitimer", ""}, {"setjmp", ""},
    {"setlinebuf", ""}, {"setlocale", "u"}, {"setlogmask", ""}, {"setmntent", "h"}, {"setpgid", ""},
    {"setpriority", ""}, {"setpwent", ""}, {"setrlimit", ""}, {"setsid", ""}, {"setsockopt", ""},
    {"setstate", ""}, {"settimeofday", ""}, {"setuid", ""}, {"setvbuf", "k1"}, {"shmat", "u"},
    {"shutdown", ""}, {"sigaddset", ""}, {"sigdelset", ""}, {"sigemptyset", ""}, {"sigfillset", ""},
    {"sigismember", ""}, {"siglongjmp", "J"}, {"signal", "k1"}, {"signalfd", ""},
    {"significand", ""}, {"sigpending", ""}, {"sigprocmask", ""}, {"sigsetjmp", ""},
    {"sigsuspend", ""}, {"sigwait", ""}, {"sin", ""}, {"sinf", ""}, {"sinh", ""}, {"sleep", ""},
    {"snprintf", ""}, {"socket", ""}, {"socketpair", ""}, {"splice", ""}, {"sprintf", ""},
    {"sqrt", ""}, {"sqrtf", ""}, {"srand", ""}, {"srand48", ""}, {"srandom", ""}, {"sscanf", ""},
    {"stat", ""}, {"stat64", ""}, {"statfs", ""}, {"statvfs", ""}, {"stpcpy", "r0"},
    {"stpncpy", "r0"}, {"strcasecmp", ""}, {"strcasestr", "r0"}, {"strcat", "r0"}, {"strchr", "r0"},
    {"strchrnul", "r0"}, {"strcmp", ""}, {"strcoll", ""}, {"strcpy", "r0"}, {"strcspn", ""},
    {"strdup", "A"}, {"strerror", "u"}, {"strerror_r", "r1 u"}, {"strfry", "r0"}, {"strftime", ""},
    {"strftime_l", ""}, {"strlen", ""}, {"strncasecmp", ""}, {"strncat", "r0"}, {"strncmp", ""},
    {"strncpy", "r0"}, {"strndup", "A"}, {"strnlen", ""}, {"strpbrk", "r0"}, {"strptime", "r0"},
    {"strrchr", "r0"}, {"strsep", "l0 r0"}, {"strsignal", "u"}, {"strspn", ""}, {"strstr", "r0"},
    {"strtod", "s10"}, {"strtod_l", "s10"}, {"strtof", "s10"}, {"strtoimax", "s10"},
    {"strtok", "k0 r0 u"}, {"strtok_r", "s20 l2 r0"}, {"strtol", "s10"}, {"strtol_l", "s10"},
    {"strtold", "s10"}, {"strtoll", "s10"}, {"strtoq", "s10"}, {"strtoul", "s10"},
    {"strtoull", "s10"}, {"strtoumax", "s10"}, {"strtouq", "s10"}, {"strverscmp", ""},
    {"strxfrm", ""}, {"swab", ""}, {"swprintf", ""}, {"symlink", ""}, {"sync", ""}, {"sysconf", ""},
    {"syslog", ""}, {"system", ""}, {"tan", ""}, {"tanf", ""}, {"tanh", ""}, {"tcflush", ""},
    {"tcgetattr", ""}, {"tcsetattr", ""}, {"telldir", ""}, {"tempnam", "A"}, {"textdomain", "u"},
    {"tgamma", ""}, {"tgetstr", "u"}, {"tgoto", "u"}, {"thrd_create", "k2"}, {"time", ""},
    {"timegm", ""}, {"timerfd_create", ""}, {"timerfd_settime", ""}, {"times", ""},
    {"tmpfile", "h"}, {"tmpfile64", "h"}, {"tmpnam", "u"}, {"toascii", ""}, {"tolower", ""},
    {"toupper", ""}, {"towlower", ""}, {"towupper", ""}, {"trunc", ""}, {"truncate", ""},
    {"truncate64", ""}, {"truncf", ""}, {"tss_get", "u"}, {"tss_set", "k1"}, {"ttyname", "u"},
    {"ttyname_r", ""}, {"tzset", ""}, {"umask", ""}, {"uname", ""}, {"ungetc", ""}, {"unlink", ""},
    {"unlinkat", ""}, {"unsetenv", ""}, {"uselocale", "u"}, {"usleep", ""}, {"utime", ""},
    {"utimensat", ""}, {"utimes", ""}, {"valloc", "A0"}, {"vasprintf", "O0"}, {"vdprintf", ""},
    {"vfork", ""}, {"vfprintf", ""}, {"vfscanf", ""}, {"vprintf", ""}, {"vscanf", ""},
    {"vsnprintf", ""}, {"vsprintf", ""}, {"vsscanf", ""}, {"vsyslog", ""}, {"wait", ""},
    {"wait3", ""}, {"wait4", ""}, {"waitpid", ""}, {"wcrtomb", ""}, {"wcscat", "r0"},
    {"wcschr", "r0"}, {"wcscmp", ""}, {"wcscoll", ""}, {"wcscpy", "r0"}, {"wcscspn", ""},
    {"wcsdup", "A"}, {"wcslen", ""}, {"wcsncmp", ""}, {"wcsncpy", "r0"}, {"wcspbrk", "r0"},
    {"wcsrchr", "r0"}, {"wcsspn", ""}, {"wcsstr", "r0"}, {"wcstod", "s10"}, {"wcstol", "s10"},
    {"wcstombs", ""}, {"wcstoul", "s10"}, {"wcswidth", ""}, {"wctob", ""}, {"wctomb", ""},
    {"wctype", ""}, {"wcwidth", ""}, {"wmemchr", "r0"}, {"wmemcmp", ""}, {"wmemcpy", "c01 r0"},
    {"wmemmove", "c01 r0"}, {"wmemset", "r0"}, {"wordfree", ""}, {"wprintf", ""}, {"write", "K1"},
    {"writev", "K1"},
};
/* clang-format on */

static int compare(const void *name, const void *entry)
{
    return strcmp(name, ((const struct known *)entry)->name);
}

static const char *find(const char *name)
{
    const struct known *entry =
        bsearch(name, known, sizeof known / sizeof *known, sizeof *known, compare);
    return entry ? entry->effect : NULL;
}

const char *libc_effect(const char *name)
{
    const char *effect = find(name);
    if (effect || strncmp(name, "__", 2))
        return effect;
    /* Other names of the same: __isoc99_sscanf, __printf_chk (whose further arguments are numbers). */
    static const char *const prefixes[] = {"__isoc99_", "__isoc23_", "__"};
    char plain[64];
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        size_t length = strlen(prefixes[i]), rest = strlen(name) - 2;
        if (strncmp(name, prefixes[i], length) || strlen(name + length) >= sizeof plain)
            continue;
        strcpy(plain, name + length);
        rest = strlen(plain);
        if (rest > 4 && !strcmp(plain + rest - 4, "_chk"))
            plain[rest - 4] = '\0';
        else if (i == 2)
            return NULL; /* __strdup and the like stand in the table by themselves */
        effect = find(plain);
        if (effect)
            return effect;
    }
    return NULL;
}

int libc_option_effect(const char *text, char *ret_effect, size_t size)
{
    static const struct {
        const char *word, *effect;
        unsigned arguments, preset;
    } kinds[] = {{"malloc", "A", 1, 0}, {"calloc", "C", 1, 0}, {"realloc", "R", 2, 0},
                 {"strdup", "A", 0, 0}, {"free", "F", 1, 0},   {"keeps-not", "", 0, 0}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        size_t length = strlen(kinds[i].word);
        if (strncmp(text, kinds[i].word, length) || (text[length] && text[length] != ':'))
            continue;
        const char *numbers = text + length;
        if (!*numbers)
            snprintf(ret_effect, size, "%s%s", kinds[i].effect,
                     kinds[i].arguments == 2 ? "01"
                     : kinds[i].arguments    ? "0"
                                             : "");
        else if (kinds[i].arguments == 1 && isdigit((unsigned char)numbers[1]) && !numbers[2])
            snprintf(ret_effect, size, "%s%c", kinds[i].effect, numbers[1]);
        else if (kinds[i].arguments == 2 && isdigit((unsigned char)numbers[1]) &&
                 numbers[2] == ',' && isdigit((unsigned char)numbers[3]) && !numbers[4])
            snprintf(ret_effect, size, "%s%c%c", kinds[i].effect, numbers[1], numbers[3]);
        else
            return -1;
        return 0;
    }
    return -1;
}

bool libc_is_handle(const char *name)
{
    return !strcmp(name, "stdin") || !strcmp(name, "stdout") || !strcmp(name, "stderr");
}
