/* SPDX-License-Identifier: MIT */
#include "demangle.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/*
 * libstdc++'s demangler: the library is on nearly every system already and a C++ compiler, needed
 * for it at build time, comes with build-essential. libiberty's would add parameters-off as an
 * option, but it exists as a static archive from an uncommon package only, under a copyleft licence
 * without the runtime exception that libstdc++ has. The price: what the option would do,
 * strip_parameters() does.
 */
extern char *__cxa_demangle(const char *mangled, char *buffer, size_t *length, int *status);

/* Real names stay below this; the demangler's work and stack grow with the length. */
enum { MANGLED_MAX = 8192, BRACKETS_MAX = 256 };

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool ends_with(const char *text, size_t length, const char *suffix)
{
    size_t suffix_length = strlen(suffix);
    return length >= suffix_length &&
           memcmp(text + length - suffix_length, suffix, suffix_length) == 0;
}

static bool is_identifier_char(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '$';
}

/* Length of name without what compilers append to clones of a function; digits and dots after each.
 */
static size_t without_clone_suffix(const char *name, size_t length)
{
    static const char *const suffixes[] = {".part.", ".isra.",     ".constprop.", ".cold",
                                           ".llvm.", ".lto_priv.", ".localalias", ".clone."};
    size_t cut = length;
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        const char *found = memmem(name, cut, suffixes[i], strlen(suffixes[i]));
        if (found && found != name && found[-1] != '.') /* Rust writes "::" as ".." */
            cut = (size_t)(found - name);
    }
    return cut;
}

/* If text[at] begins an operator's symbol ("operator<<"), the position after it; else at. */
static size_t skip_operator(const char *text, size_t length, size_t at)
{
    static const char word[] = "operator";
    size_t word_length = sizeof word - 1;
    if (length - at <= word_length || memcmp(text + at, word, word_length) != 0 ||
        (at > 0 && is_identifier_char(text[at - 1])) || is_identifier_char(text[at + word_length]))
        return at;
    static const char *const symbols[] = {"()", "[]", "<=>", "<<=", ">>=", "->*", "<<",  ">>",
                                          "<=", ">=", "->",  "<",   ">",   ",",   "\"\""};
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
        size_t symbol_length = strlen(symbols[i]);
        if (length - at - word_length >= symbol_length &&
            memcmp(text + at + word_length, symbols[i], symbol_length) == 0)
            return at + word_length + symbol_length;
    }
    return at + word_length;
}

/* The brackets open at a place in a demangled name. '>' closes only a '<': "(5>3)" is an
 * expression. */
struct brackets {
    char open[BRACKETS_MAX];
    size_t depth;
};

/* False: deeper than any name deserves, give up. */
static bool brackets_step(struct brackets *brackets, char c)
{
    static const char pairs[] = "<>(){}[]";
    const char *found = c ? strchr(pairs, c) : NULL;
    if (!found)
        return true;
    if ((found - pairs) % 2 == 0) {
        if (brackets->depth == BRACKETS_MAX)
            return false;
        brackets->open[brackets->depth++] = c;
    } else if (brackets->depth > 0 && brackets->open[brackets->depth - 1] == found[-1]) {
        brackets->depth--;
    }
    return true;
}

/* "int f<int>(int) const" -> "f<int>": cuts *length and returns where the name begins. */
static size_t strip_parameters(const char *text, size_t *length)
{
    size_t end = *length;
    static const char *const qualifiers[] = {" const", " volatile", " &&",      " &",
                                             "&&",     "&",         " noexcept"};
    const char *clone = memmem(text, end, " [clone ", 8);
    if (clone)
        end = (size_t)(clone - text);
    for (size_t i = 0; i < sizeof qualifiers / sizeof *qualifiers; i++) {
        if (end > 0 && text[end - 1] != ')' && ends_with(text, end, qualifiers[i])) {
            end -= strlen(qualifiers[i]);
            i = (size_t)-1;
        }
    }

    /* One pass: the last parenthesis opened at the outermost level begins the parameters; the last
     * space before the name, outside all brackets, ends the return type. */
    struct brackets brackets = {.depth = 0};
    size_t name_start = 0, parameters = end;
    bool in_operator = false;
    for (size_t i = 0; i < end;) {
        size_t after = skip_operator(text, end, i);
        if (after != i) {
            /* what follows, up to the parameters, may be a type: "operator unsigned long" */
            in_operator = in_operator || brackets.depth == 0;
            i = after;
            continue;
        }
        if (brackets.depth == 0) {
            if (text[i] == '(' && !starts_with(text + i, "(anonymous namespace)") &&
                (i == 0 || text[i - 1] != ' '))
                parameters = i;
            else if (text[i] == ' ' && !in_operator && !starts_with(text + i, " const"))
                name_start = i + 1;
        }
        if (!brackets_step(&brackets, text[i]))
            return 0;
        i++;
    }
    if (text[end - 1] != ')' || parameters == end || parameters <= name_start)
        return 0; /* not a function with its parameters: a C name, or data */
    *length = parameters;
    return name_start;
}

static bool is_default_argument(const char *argument, size_t length)
{
    static const char *const defaults[] = {"std::allocator<", "std::char_traits<",
                                           "std::less<",      "std::hash<",
                                           "std::equal_to<",  "std::default_delete<"};
    if (length == 0 || argument[length - 1] != '>')
        return false;
    for (size_t i = 0; i < sizeof defaults / sizeof *defaults; i++) {
        if (length > strlen(defaults[i]) && memcmp(argument, defaults[i], strlen(defaults[i])) == 0)
            return true;
    }
    return false;
}

/* In place: default template arguments go, "std::__cxx11::" is std::, basic_string<char> is string,
 * "> >" is ">>". */
static size_t simplify_templates(char *text, size_t length)
{
    struct list {
        size_t cut;      /* where, in what is written, the comma before the present argument is */
        size_t argument; /* where that argument begins */
        bool first;
    } lists[BRACKETS_MAX];
    struct brackets brackets = {.depth = 0};
    size_t out = 0;
    for (size_t i = 0; i < length;) {
        size_t after = skip_operator(text, length, i);
        if (after != i) {
            memmove(text + out, text + i, after - i);
            out += after - i;
            i = after;
            continue;
        }
        static const char abi[] = "std::__cxx11::";
        if (length - i >= sizeof abi - 1 && memcmp(text + i, abi, sizeof abi - 1) == 0 &&
            (i == 0 || !is_identifier_char(text[i - 1]))) {
            memcpy(text + out, "std::", 5);
            out += 5;
            i += sizeof abi - 1;
            continue;
        }
        char c = text[i];
        bool in_list = brackets.depth > 0 && brackets.open[brackets.depth - 1] == '<';
        if (in_list && (c == ',' || c == '>')) {
            struct list *list = &lists[brackets.depth - 1];
            while (out > list->argument && text[out - 1] == ' ')
                out--;
            if (!list->first && out > list->argument &&
                is_default_argument(text + list->argument, out - list->argument))
                out = list->cut;
            list->first = false;
        }
        if (!brackets_step(&brackets, c))
            return length;
        text[out++] = c;
        i++;
        if (c == '<' && brackets.depth > 0)
            lists[brackets.depth - 1] = (struct list){.argument = out, .first = true};
        if (in_list && c == ',') {
            lists[brackets.depth - 1].cut = out - 1;
            if (i < length && text[i] == ' ')
                text[out++] = text[i++];
            lists[brackets.depth - 1].argument = out;
        }
        static const char string[] = "std::basic_string<char>";
        if (c == '>' && ends_with(text, out, string)) {
            out -= sizeof string - 1;
            memcpy(text + out, "std::string", 11);
            out += 11;
        }
    }
    return out;
}

/* Rust's older mangling is C++'s with a hash as last part ("::h" and 16 hex digits) and escapes
 * such as "$LT$". */
static bool is_rust(const char *text, size_t length)
{
    if (length < 19 || memcmp(text + length - 19, "::h", 3) != 0)
        return false;
    return strspn(text + length - 16, "0123456789abcdef") >= 16;
}

static size_t unescape_rust(char *text, size_t length)
{
    static const struct {
        const char *escape, *text;
    } escapes[] = {{"$LT$", "<"}, {"$GT$", ">"}, {"$RF$", "&"}, {"$BP$", "*"}, {"$LP$", "("},
                   {"$RP$", ")"}, {"$C$", ","},  {"$SP$", "@"}, {"..", "::"}};
    size_t out = 0;
    for (size_t i = 0; i < length;) {
        if ((i == 0 || text[i - 1] == ':') && text[i] == '_' && i + 1 < length &&
            text[i + 1] == '$') {
            i++; /* an underscore put before an escape that begins a part */
            continue;
        }
        size_t k = 0, count = sizeof escapes / sizeof *escapes;
        while (k < count && strncmp(text + i, escapes[k].escape, strlen(escapes[k].escape)) != 0)
            k++;
        unsigned code = 0;
        size_t digits = 0;
        if (k < count) {
            memcpy(text + out, escapes[k].text, strlen(escapes[k].text));
            out += strlen(escapes[k].text);
            i += strlen(escapes[k].escape);
            continue;
        }
        if (text[i] == '$' && text[i + 1] == 'u') {
            while (digits < 4 && isxdigit((unsigned char)text[i + 2 + digits])) {
                char digit = text[i + 2 + digits++];
                code = code * 16 + (unsigned)(isdigit((unsigned char)digit)
                                                  ? digit - '0'
                                                  : tolower((unsigned char)digit) - 'a' + 10);
            }
        }
        if (digits > 0 && text[i + 2 + digits] == '$' && code >= 0x20 && code < 0x7f) {
            text[out++] = (char)code;
            i += digits + 3;
        } else {
            text[out++] = text[i++];
        }
    }
    return out;
}

char *demangle(const char *linkage_name)
{
    if (starts_with(linkage_name, "__GI_"))
        linkage_name += 5;                      /* the C library's own way past its exported name */
    size_t length = strcspn(linkage_name, "@"); /* "memcpy@@GLIBC_2.14" */
    if (length == 0)
        length = strlen(linkage_name);
    length = without_clone_suffix(linkage_name, length);
    char *name = strndup(linkage_name, length);
    if (!name || !starts_with(name, "_Z") || length > MANGLED_MAX)
        return name;
    int status;
    char *text = __cxa_demangle(name, NULL, NULL, &status);
    if (!text)
        return name;
    free(name);

    length = strlen(text);
    size_t start = 0;
    if (is_rust(text, length)) {
        length = unescape_rust(text, length - 19);
    } else if (length > 0) {
        start = strip_parameters(text, &length);
        length = start + simplify_templates(text + start, length - start);
    }
    memmove(text, text + start, length - start);
    text[length - start] = '\0';
    return text;
}
