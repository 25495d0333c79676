#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""join.py POOLWISE JOIN.C CC : `advise --static`: a verdict shows both what was seen and what the source says."""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

poolwise, source = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
compiler = sys.argv[3:] or ["cc"]
failures = 0


def check(name, condition, seen):
    global failures
    if not condition:
        failures += 1
        print(f"{name}:\n{seen}")


def line_of(function, call):
    lines = open(source, encoding="ascii").read().splitlines()
    begin = next(i for i, line in enumerate(lines) if f" {function}(" in line or f"*{function}(" in line)
    return next(i + 1 for i in range(begin, len(lines)) if call in lines[i])


def run(*arguments):
    done = subprocess.run([poolwise, *arguments], capture_output=True, text=True, check=False)
    check(" ".join(arguments), done.returncode == 0, f"status {done.returncode}: {done.stderr}")
    return done


def sites(done):
    """The verdicts by function, from JSON that a run wrote."""
    return {site["function"]: site for site in json.loads(done.stdout)["sites"] if site.get("function")}


def judge(name, found):
    def text(function):
        return json.dumps(found.get(function, {}), indent=1)

    def expect(function, verdict, *words):
        site = found.get(function, {})
        whole = f"{site.get('reason')} {site.get('evidence')}"
        check(f"{name}: {function}", site.get("verdict") == verdict and all(re.search(word, whole) for word in words), text(function))

    proven = "the source proves that none can outlive it"
    expect("stack_proven", "STACK", "2,000 of 2,000 blocks", proven,
           rf"malloc\(32 bytes\) at line {line_of('stack_proven', 'malloc')} does not escape; freed on all paths")
    expect("stack_open", "STACK", "2,000 of 2,000 blocks", "not proven: the source has a way",
           r"stored to the global variable last. The chain: passed to pass_on \(join.c:\d+\), passed to remember \(join.c:\d+\), stored to "
           r"the global variable last \(join.c:\d+\)")
    expect("hoist_proven", "HOIST", proven, r"size varies\) at line \d+ does not escape; freed each iteration")
    expect("presize_proven", "PRESIZE", proven, r"realloc\(size varies\) at line \d+ does not escape; freed")
    check(f"{name}: said once", text("stack_open").count("The chain") == 1, text("stack_open"))


def main():
    if not shutil.which("clang"):
        print("clang is not here")
        sys.exit(77)
    os.environ["XDG_CACHE_HOME"] = os.path.abspath("cache")
    shutil.copy(source, "join.c")
    subprocess.run([*compiler, "-g", "-O0", "join.c", "-o", "join"], check=True)
    os.mkdir("build")
    with open("build/compile_commands.json", "w", encoding="ascii") as out:
        json.dump([{"directory": os.getcwd(), "file": "join.c", "command": "cc -g -O0 -o join.o -c join.c"}], out)
    run("record", "-o", "trace", "--", "./join")
    options = ("--no-replay", "--threshold", "tail-share=0", "--json")
    judge("a folder", sites(run("advise", *options, "--static", "build", "trace")))
    with open("source.json", "w", encoding="utf-8") as out:
        out.write(run("escape", "--json", "join.c").stdout)
    judge("a file", sites(run("advise", *options, "--static", "source.json", "trace")))
    subprocess.run(["clang", "-g", "-emit-llvm", "-Xclang", "-disable-O0-optnone", "-c", "join.c", "-o", "build/join.bc"], check=True)
    os.remove("build/compile_commands.json")
    judge("bitcode", sites(run("advise", *options, "--static", "build", "trace")))

    bare = sites(run("advise", *options, "trace"))
    for function, site in bare.items():
        check(f"{function} without --static", "ource" not in f"{site.get('reason')}{site.get('evidence')}", json.dumps(site))

    # A recording that contradicts the proof shows both, too: the source was another.
    with open("source.json", encoding="utf-8") as whole:
        document = json.load(whole)
    place = line_of("handed", "calloc")
    for site in document["sites"]:
        if site["line"] == place:
            site["class"], site["escapes"], site["verdict"], site["chain"] = "does-not-escape", False, "does not escape", []
    with open("wrong.json", "w", encoding="utf-8") as out:
        json.dump(document, out)
    wrong = sites(run("advise", *options, "--static", "wrong.json", "--wrapper", "none", "trace"))
    site = wrong.get("handed") or wrong.get("outlives") or {}
    check("what the source says of a block that outlives", "ource: calloc" in f"{site.get('evidence')}", json.dumps(wrong, indent=1))
    sys.exit(1 if failures else 0)


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    main()
