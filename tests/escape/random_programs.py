#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""random_programs.py POOLWISE [COUNT [FIRST-SEED]] : made-up programs that move pointers about in every way the generator knows.

Each program knows the truth: whenever a function returns, it walks from the globals, the arguments and the result, and
notes which of the function's own blocks it finds. None of those may be said not to escape."""
import json
import os
import random
import subprocess
import sys
import tempfile

RUNTIME = r'''
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>
#include <stdlib.h>
#include <string.h>
struct node { struct node *a, *b; unsigned long n; struct node *arr[2]; };
extern struct node *roots_of_program[];
extern unsigned root_count, site_count;
static struct { struct node *block; unsigned site; int frame; } blocks[100000];
static unsigned block_count;
static char escaped[1000];
static unsigned long state = 1;
static struct node *seen[200000];
static unsigned seen_count;
int frames;
int rnd(int n) { state = state * 6364136223846793005ul + 1442695040888963407ul; return (int)(state >> 33) % n; }
void note(unsigned site, int frame, void *block)
{
    if (block && block_count < 100000) {
        blocks[block_count].block = block; blocks[block_count].site = site; blocks[block_count++].frame = frame;
    }
}
static void visit(struct node *node)
{
    if ((unsigned long)node < 65536 || (unsigned long)node >> 47) return;
    for (unsigned i = 0; i < seen_count; i++) if (seen[i] == node) return;
    if (seen_count < 200000) seen[seen_count++] = node;
}
static struct node *live[1000];
static unsigned live_count;
void enter(struct node *a, struct node *b) { live[live_count++] = a; live[live_count++] = b; }
static void forget(struct node *in, struct node *what)
{
    if (in->a == what) in->a = 0;
    if (in->b == what) in->b = 0;
    if (in->arr[0] == what) in->arr[0] = 0;
    if (in->arr[1] == what) in->arr[1] = 0;
    if (in->n == (unsigned long)what) in->n = 0;
}
/* Keeps nothing. Takes away what still points to the locals that end here, so that no pointer ever dangles. */
void leave(int frame, int count, ...)
{
    va_list list;
    for (int end = 0; end < 2; end++) {
        struct node *gone = live[--live_count];
        for (unsigned i = 0; i < block_count; i++) forget(blocks[i].block, gone);
        for (unsigned i = 0; i < root_count; i++) forget(roots_of_program[i], gone);
        for (unsigned i = 0; i < live_count; i++) forget(live[i], gone);
    }
    seen_count = 0;
    va_start(list, count);
    while (count--) visit(va_arg(list, struct node *));
    va_end(list);
    for (unsigned i = 0; i < root_count; i++) visit(roots_of_program[i]);
    for (unsigned i = 0; i < seen_count; i++) {
        struct node *n = seen[i];
        visit(n->a); visit(n->b); visit((struct node *)n->n); visit((struct node *)(n->n ^ 0x5500000000000000ul)); visit(n->arr[0]); visit(n->arr[1]);
        if (seen_count > 4000) break;
    }
    for (unsigned i = 0; i < block_count; i++)
        if (blocks[i].frame == frame)
            for (unsigned k = 0; k < seen_count; k++) if (seen[k] == blocks[i].block) { escaped[blocks[i].site] = 1; break; }
}
void program_end(void);
/* A pointer into a frame that is gone may lead anywhere: what was found until then counts. */
static void crashed(int number) { program_end(); fflush(stdout); _exit(0); }
void program_start(unsigned long seed)
{
    static char stack[65536];
    stack_t other = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction action = {.sa_handler = crashed, .sa_flags = SA_ONSTACK};
    state = seed * 77 + 1;
    sigaltstack(&other, 0);
    sigaction(SIGSEGV, &action, 0); sigaction(SIGBUS, &action, 0); sigaction(SIGALRM, &action, 0);
    alarm(5);
}
void program_end(void) { for (unsigned i = 0; i < site_count; i++) if (escaped[i]) printf("%u\n", i); }
'''

HEAD = '''#include <stdlib.h>
#include <string.h>
struct node { struct node *a, *b; unsigned long n; struct node *arr[2]; };
int rnd(int n); void note(unsigned site, int frame, void *block); void leave(int frame, int count, ...); void enter(struct node *a, struct node *b);
void program_start(unsigned long seed); void program_end(void);
extern int frames;
static int depth;
static struct node global_nodes[2];
struct node *roots_of_program[] = {&global_nodes[0], &global_nodes[1]};
unsigned root_count = 2;
typedef struct node *function(struct node *, struct node *);
'''


class Program:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.sites = 0
        self.lines = []

    def pick(self, *choices):
        return self.random.choice(choices)

    def pointer(self):
        return self.pick("p0", "p1", "p2", "p3", "x", "y")

    def statement(self, level, count):
        p, q, f = self.pick("p0", "p1", "p2", "p3"), self.pointer(), self.pick("a", "b", "arr[0]", "arr[1]", "arr[rnd(2)]")
        s, t = self.pick("s0", "s1"), self.pick("s0", "s1")
        kind = self.random.randrange(23)
        if kind < 4:
            self.sites += 1
            return f"{p} = calloc(1, sizeof *{p}); note({self.sites - 1}, frame, {p}); /* site {self.sites - 1} */"
        if kind == 4:
            return f"{p} = {q};"
        if kind == 5:
            return f"if ({q}) {p} = {q}->{f};"
        if kind in (6, 7):
            return f"if ({q}) {q}->{f} = {p};"
        if kind == 8:
            return f"{s}.{f} = {p};"
        if kind == 9:
            return f"{p} = {s}.{f};"
        if kind == 10:
            return f"{s} = {t};"
        if kind == 11:
            return f"if ({p} && {q}) *{p} = *{q};" if self.random.random() < 0.5 else f"if ({q}) {s} = *{q};"
        if kind == 12:
            return f"if ({p}) memcpy({p}, &{s}, sizeof {s});"
        if kind == 13 and self.random.random() < 0.4:
            return f"global_nodes[{self.pick('0', '1', 'rnd(2)')}].{f} = {p};"
        if kind == 14:
            return f"{p} = global_nodes[{self.pick('0', '1')}].{f};"
        if kind == 15:
            return f"if ({q}) {q}->n = (unsigned long){p};" if self.random.random() < 0.5 else f"{s}.n = (unsigned long){p};"
        if kind == 16:
            return f"{p} = (struct node *){s}.n;"
        if kind == 17:
            return (f"for (unsigned i = 0; i < sizeof {p}; i++) ((char *)&{s}.{self.pick('a', 'b', 'n')})[i] = ((char *)&{p})[i];")
        if kind == 18:
            return f"if (rnd(2)) {{ {self.statement(level, count)} }}"
        if kind == 19 and level + 1 < count:
            return f"{p} = f{self.random.randrange(level + 1, count)}({self.pick(q, '&' + s)}, {self.pick(p, '&' + t)});"
        if kind == 20:
            return f"if (depth < 3) {{ depth++; {p} = table[rnd(2)]({q}, {p}); depth--; }}"
        if kind == 21:
            return f"swap_nodes({self.pick('&p0', '&p1')}, {self.pick('&' + s + '.a', '&' + s + '.arr[1]', '&p2')});"
        if kind == 22:
            return f"if (depth < 3) {{ depth++; {p} = call_it(f{self.random.randrange(count)}, {q}, {p}); depth--; }}"
        q = self.pick("p0", "p1", "p2", "p3")
        return f"{{ unsigned long hidden = (unsigned long){p} ^ 0x5500000000000000ul; {q} = (struct node *)(hidden ^ 0x5500000000000000ul); }}"

    def text(self):
        count = self.random.randrange(3, 7)
        out = [HEAD]
        out += [f"{'static ' if self.random.random() < 0.5 else ''}struct node *f{i}(struct node *x, struct node *y);" for i in range(count)]
        a, b = self.random.randrange(count), self.random.randrange(count)
        out.append(f"static function *const table[2] = {{f{a}, f{b}}};")
        out.append("static void swap_nodes(struct node **a, struct node **b) { struct node *c = *a; *a = *b; *b = c; }")
        out.append("static __attribute__((noinline)) struct node *call_it(function *f, struct node *x, struct node *y) { return f(x, y); }")
        for i in range(count):
            out.append(f"struct node *f{i}(struct node *x, struct node *y)\n{{")
            out.append("    int frame = ++frames;\n    struct node *p0 = 0, *p1 = 0, *p2 = 0, *p3 = 0, s0 = {0}, s1 = {0};\n    enter(&s0, &s1);")
            out += ["    " + self.statement(i, count) for _ in range(self.random.randrange(6, 26))]
            result = self.pick("p0", "p1", "0", "0", "s0.a", "x")
            # Its locals end here: what caller's memory still holds of them is no way to anything.
            out.append(f"    struct node *result = {result};")
            out.append("    if (result == &s0 || result == &s1) result = 0;")
            out.append("    memset(&s0, 0, sizeof s0); memset(&s1, 0, sizeof s1);\n    leave(frame, 3, x, y, result);\n    return result;\n}")
        out.append("int main(int argc, char **argv)\n{\n    program_start(strtoul(argv[1], 0, 10));\n    struct node m0 = {0}, m1 = {0};\n    enter(&m0, &m1);\n"
                   "    for (int i = 0; i < 6; i++) {\n        memset(global_nodes, 0, sizeof global_nodes); memset(&m0, 0, sizeof m0); memset(&m1, 0, sizeof m1);")
        out.append("        f0(&m0, &m1);\n    }\n    program_end();\n    return argc == 0;\n}")
        out.append(f"unsigned site_count = {self.sites};")
        return "\n".join(out) + "\n"


def main():
    poolwise, count = os.path.abspath(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 20
    first = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    total = proven = reached = bad = 0
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        with open("runtime.c", "w", encoding="ascii") as out:
            out.write(RUNTIME)
        subprocess.run(["gcc", "-w", "-O1", "-c", "runtime.c"], check=True)
        for seed in range(first, first + count):
            name = f"p{seed}.c"
            with open(name, "w", encoding="ascii") as out:
                out.write(Program(seed).text())
            done = subprocess.run([poolwise, "escape", "--json", "--no-cache", "-n", "note", "-n", "leave", "-n", "rnd", "-n", "enter", name],
                                  capture_output=True, text=True, check=False)
            if "needs clang" in done.stderr:
                sys.exit(77)
            verdicts = {}
            lines = open(name, encoding="ascii").read().splitlines()
            for site in json.loads(done.stdout)["sites"]:
                mark = lines[site["line"] - 1].rpartition("/* site ")[2].split(" ")[0]
                if site["callee"] == "calloc":
                    verdicts[int(mark)] = site
            # Built so that a stack's memory is not reused for another's while a caller still points there.
            subprocess.run(["gcc", "-w", "-O0", name, "runtime.o", "-o", "program"], check=True)
            escaped = set()
            for run in range(4):
                try:
                    ran = subprocess.run(["./program", str(run)], capture_output=True, text=True, check=False, timeout=20)
                except subprocess.TimeoutExpired:
                    continue
                escaped |= {int(line) for line in ran.stdout.split()}
            total += len(verdicts)
            reached += len(escaped)
            proven += sum(v["class"] == "does-not-escape" for v in verdicts.values())
            for mark in sorted(escaped):
                if mark in verdicts and verdicts[mark]["class"] == "does-not-escape":
                    bad += 1
                    print(f"seed {seed}, site {mark}, line {verdicts[mark]['line']} in {verdicts[mark]['function']}: it does escape")
    print(f"{count} programs, {total} sites: {proven} said not to escape, {reached} seen to escape, {bad} in both")
    sys.exit(1 if bad else 0)


main()
