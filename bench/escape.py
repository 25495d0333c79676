#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""escape.py POOLWISE DIRECTORY [PROGRAM...] : how long the escape analysis takes on real programs.

DIRECTORY holds their sources, as `make test-escape-dynamic` leaves jq's and redis's there; lua's and zlib's are
fetched alike when they are named. Each is analysed whole, once with nothing in the cache and then three times with
its bitcode there; the table has the shortest of these. CPU time is of all its threads, so a machine that has other work
to do shows in the wall clock alone. Prints Markdown."""
import glob
import importlib.util
import os
import re
import resource
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))


def dynamic_check():
    folder = os.path.join(HERE, "..", "tests", "escape")
    sys.path.insert(0, folder)
    path = os.path.join(folder, "dynamic.py")
    spec = importlib.util.spec_from_file_location("dynamic", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def programs(check, directory):
    def sources(folder, *without):
        return sorted(os.path.basename(f) for f in glob.glob(folder + "/*.c") if not any(w in f for w in without))

    def jq():
        folder = check.fetch(directory, "jq", "jq-*1.6") + "/src"
        return folder, sources(folder, "inject_errors"), check.JQ_FLAGS

    def redis():
        folder = check.fetch(directory, "redis", "redis-[0-9]*") + "/src"
        return folder, check.redis_files(folder), check.REDIS_FLAGS

    def lua():
        folder = check.fetch(directory, "lua5.4", "lua-5.4*") + "/src"
        return folder, sources(folder, "luac.c"), ["-DLUA_USE_LINUX", "-std=gnu99"]

    def zlib():
        folder = check.fetch(directory, "zlib", "zlib-*")
        return folder, sources(folder), ["-I."]
    return {"jq": jq, "redis": redis, "lua": lua, "zlib": zlib}


def main():
    poolwise, directory = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
    os.makedirs(directory, exist_ok=True)
    known = programs(dynamic_check(), directory)
    print("| program | lines | sites: not / may / escape | from source: CPU (s) | from bitcode: wall (s) | CPU (s) | CPU s per 1000 lines | memory (MB) |")
    print("|---|---|---|---|---|---|---|---|")
    for name in sys.argv[3:] or list(known):
        folder, files, flags = known[name]()
        lines = sum(open(os.path.join(folder, f), encoding="utf-8", errors="replace").read().count("\n") for f in files)
        with tempfile.TemporaryDirectory() as cache:
            took, used = [], []
            for _ in range(4):
                begin, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
                run = subprocess.run([poolwise, "escape", "--stats", *files, "--", *flags], cwd=folder, capture_output=True, text=True,
                                     check=True, env={**os.environ, "XDG_CACHE_HOME": cache})
                after = resource.getrusage(resource.RUSAGE_CHILDREN)
                took.append(time.monotonic() - begin)
                used.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        sites = re.search(r"(\d+) do not escape, (\d+) may, (\d+) escape", run.stderr)
        memory = re.search(r"([\d.]+) MB", run.stderr).group(1)
        warm = min(used[1:])
        print(f"| {name} | {lines} | {' / '.join(sites.groups())} | {used[0]:.2f} | {min(took[1:]):.2f} | {warm:.2f} | {warm * 1000 / lines:.3f} "
              f"| {memory} |", flush=True)


main()
