#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""front.py POOLWISE : what goes into the escape analysis, and how its answers come out."""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

poolwise = os.path.abspath(sys.argv[1])
failures = 0


def run(*arguments, **environment):
    return subprocess.run([poolwise, *arguments], capture_output=True, text=True, env={**os.environ, **environment}, check=False)


def check(name, condition, done):
    global failures
    if not condition:
        failures += 1
        print(f"{name}: status {done.returncode}\nstdout: {done.stdout}\nstderr: {done.stderr}")


def write(name, text):
    with open(name, "w", encoding="ascii") as out:
        out.write(text)


def main():
    if not shutil.which("clang"):
        print("clang is not here")
        sys.exit(77)
    os.environ["XDG_CACHE_HOME"] = os.path.abspath("cache")
    write("keep.h", "void keep(char *);\n#define SIZE 16\n")
    write("keep.c", '#include "keep.h"\nstatic char *kept;\nstatic void keep_it(char *p) { kept = p; }\nvoid keep(char *p)\n{\n    keep_it(p);\n}\n')
    write("use.c", '#include <stdlib.h>\n#include "keep.h"\nvoid use(void)\n{\n    char *p = malloc(SIZE);\n    keep(p);\n    free(p);\n}\n')

    done = run("escape", "use.c")
    check("one file leaves it open", "use.c:5:15: malloc(16) may escape, only if kept by keep; freed on all paths (line 7)" in done.stdout, done)
    done = run("escape", "-n", "keep", "use.c")
    check("-n closes it", "does not escape" in done.stdout, done)
    done = run("escape", "use.c", "keep.c", "-m", "2", "--", "-I.")
    check("the chain goes through both files",
          re.search(r"use.c:6: passed to keep\n +keep.c:6: passed to keep_it\n +keep.c:3: stored to the global variable kept", done.stdout), done)
    check("its end is in the line", "escapes to heap: stored to the global variable kept" in done.stdout, done)

    here = os.getcwd()
    write("compile_commands.json", json.dumps(
        [{"directory": here, "file": "use.c", "command": f"ccache gcc -O2 -flto -DX=\\\"a\\ b\\\" -I'{here}' -o use.o -c use.c"},
         {"directory": here, "file": here + "/keep.c", "arguments": ["cc", "-Wall", "-MMD", "-MF", "x.d", "-c", here + "/keep.c"]},
         {"directory": here, "file": "other.cpp", "command": "c++ -c other.cpp"}]))
    done = run("escape", "-p", "compile_commands.json", "--stats")
    check("a database", "escapes to heap" in done.stdout and "2 files (0 from" in done.stderr, done)
    done = run("escape", "-p", "compile_commands.json", "--stats")
    check("nothing compiled twice", "2 files (2 from the cache)" in done.stderr, done)
    write("keep.h", "void keep(char *);\n#define SIZE 24\n")
    done = run("escape", "-p", "compile_commands.json", "--stats", "use.c")
    check("a changed header is seen", "malloc(24)" in done.stdout and "1 files (0 from the cache)" in done.stderr, done)

    subprocess.run(["clang", "-g", "-O1", "-Xclang", "-disable-llvm-passes", "-emit-llvm", "-c", "use.c"], check=True)
    done = run("escape", "use.bc")
    check("bitcode", "malloc(24) may escape" in done.stdout, done)
    done = run("escape", "--json", "use.bc")
    check("JSON", json.loads(done.stdout)["sites"][0]["keepers"] == ["keep"], done)

    write("hooks.c", "#include <stddef.h>\nstruct hooks { int x; void *(*get)(void *, size_t); void (*put)(void *, void *); };\n"
                     "extern struct hooks global;\n"
                     "int a(struct hooks *h) { char *p = h->get(0, 32); p[0] = 1; int r = p[0]; h->put(0, p); return r; }\n"
                     "int b(void) { char *p = global.get(0, 40); int r = p[0]; global.put(0, p); return r; }\n")
    done = run("escape", "--hook", "hooks:8=malloc:1", "--hook", "hooks:16=free:1", "--hook", "global:8=malloc:1", "--hook",
               "global:16=free:1", "hooks.c")
    check("hooks of a structure", "hooks:8(32) does not escape; freed on all paths" in done.stdout, done)
    check("hooks of a variable", "global:8(40) does not escape; freed on all paths" in done.stdout, done)
    write("own.c", "#include <stddef.h>\nvoid *take(int pool, size_t n, size_t m); void drop(int pool, void *p);\n"
                   "int a(void) { char *p = take(1, 3, 8); int r = p[0]; drop(1, p); return r; }\n")
    done = run("escape", "-w", "take:calloc:1", "-f", "drop:1", "own.c")
    check("named allocators", "take(24) does not escape; freed on all paths" in done.stdout, done)
    write("pool.c", "#include <stdlib.h>\nstruct item { char **slot; };\nstruct item *take(size_t); void give(struct item *);\n"
                    "static struct item *wrap(void) { return take(8); }\n"
                    "void a(void) { struct item *i = wrap(); *i->slot = malloc(8); give(i); }\n")
    done = run("escape", "-w", "take", "-f", "give", "pool.c")
    check("what a pool hands out may hold pointers already", "malloc(8) escapes" in done.stdout and "wrap(8) does not" in done.stdout, done)
    write("closed.c", "#include <stdlib.h>\nstatic int look(char *p) { return p[0]; }\nint (*table)(char *) = look;\n"
                      "int a(void) { char *p = calloc(1, 8); int r = table(p); free(p); return r; }\n")
    done = run("escape", "closed.c")
    check("a call through a pointer is open", "may escape" in done.stdout, done)
    done = run("escape", "--closed", "closed.c")
    check("and closed where the program is", "does not escape" in done.stdout, done)
    keeper = "static char *kept; static int keep(char *p, {type} n) {{ kept = p; return n != 0; }}\nint (*other)(char *, {type}) = keep;\n"
    for number, fits in (("int", True), ("long", False)):
        write("types.c", "#include <stdlib.h>\nstatic int look(char *p, int n) { return p[n]; }\nint (*table)(char *, int) = look;\n" +
              keeper.format(type=number) + "int a(void) { char *p = calloc(1, 8); int r = table(p, 1); free(p); return r; }\n")
        done = run("escape", "--closed", "types.c")
        check(f"what a call through a pointer reaches, beside one with {number}", ("does not escape" in done.stdout) != fits, done)
    many = "".join(f"static int look{i}(char *p) {{ return p[{i}]; }}\n" for i in range(20))
    write("many.c", "#include <stdlib.h>\n" + many + "int (*table[])(char *) = {" + ", ".join(f"look{i}" for i in range(20)) + "};\n"
          "int a(int i) { char *p = calloc(1, 32); int r = table[i](p); free(p); return r; }\n"
          "int b(int i) { char *p = calloc(1, 32); int r = look0(p) + look1(p); free(p); return r + i; }\n")
    done = run("escape", "--closed", "many.c")
    check("many that fit are anything", "may escape" in done.stdout and "does not escape" in done.stdout, done)

    for name, arguments, words in (
            ("no clang", ("escape", "use.c"), "needs clang: install"), ("a bad flag", ("escape", "-m", "3", "use.c"), "-m 3"),
            ("no such file", ("escape", "nowhere.c"), "nowhere.c"), ("a bad hook", ("escape", "--hook", "x", "use.c"), "--hook x"),
            ("a bad kind", ("escape", "-w", "x:smth", "use.c"), "smth"), ("no database", ("escape", "-p", "nowhere"), "nowhere"),
            ("no sites", ("advise", "--static", "use.c", "--", "true"), "no output of"),
            ("no static file", ("advise", "--static", "nowhere", "--", "true"), "nowhere")):
        environment = {"PATH": "/nonexistent"} if name == "no clang" else {}
        done = run(*arguments, **environment)
        check(name, done.returncode == 2 and words in done.stderr and done.stderr.count("\n") == 1, done)
    write("broken.c", "int f( {\n")
    done = run("escape", "broken.c")
    check("an error of the source", done.returncode == 2 and "broken.c:1" in done.stderr, done)
    done = run("escape", "broken.c", "use.c")
    check("the rest goes on", done.returncode == 0 and "left out" in done.stderr and "malloc(24)" in done.stdout, done)
    with open("use.bc", "rb") as whole:
        data = whole.read()
    for cut in (3, 40, len(data) // 2):
        with open("cut.bc", "wb") as out:
            out.write(data[:cut])
        done = run("escape", "cut.bc")
        check(f"bitcode cut at {cut}", done.returncode == 2, done)
    sys.exit(1 if failures else 0)


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    main()
