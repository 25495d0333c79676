#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs a program that misuses a pool and demands how it ends and all that it prints.

    run.py [--asan] PROGRAM EXPECTED

The first line of EXPECTED: the signal, the value of PWISE_DEBUG if there is to be one, and, after
asan:, what AddressSanitizer says where the program is built with it and sees the access first. The
rest is what standard error holds: with {item} for an address, {thread} for one thread's number and
{other thread} for another's, and {place:TEXT} for a place in the program, whose source line contains
TEXT. Standard output must stay empty.
"""
import os
import re
import resource
import signal
import subprocess
import sys

FORMS = {"item": r"0x[0-9a-f]+", "thread": r"\d+", "place": r"\S+\+0x[0-9a-f]+"}


def fail(text):
    sys.exit(f"{sys.argv[-2]}: {text}")


def parse(path):
    with open(path) as file:
        head, *lines = file.read().split("\n", 1)
    words = head.split()
    name = words.pop(0)
    asan = [word[5:] for word in words if word.startswith("asan:")]
    debug = [word.split("=", 1)[1] for word in words if word.startswith("PWISE_DEBUG=")]
    if len(asan) + len(debug) != len(words):
        sys.exit(f"{path}: what is '{head}'?")
    return getattr(signal, name), debug, asan, "".join(lines)


def pattern_of(text):
    """A regular expression, and the names of its groups in order."""
    names, pattern, at = [], "", 0
    for hole in re.finditer(r"\{([^}]*)\}", text):
        form = hole[1].split(":")[0].split()[-1]
        pattern += re.escape(text[at:hole.start()]) + f"({FORMS[form]})"
        names.append(hole[1])
        at = hole.end()
    return re.compile(pattern + re.escape(text[at:])), names


def source_line(program, place):
    """The text of the program's line that a place lies in, whatever of the header was inlined there; None
    without debug information."""
    name, offset = place.rsplit("+", 1)
    if name != os.path.basename(program):
        symbols = subprocess.run(["nm", program], capture_output=True, text=True, check=True).stdout
        starts = [line.split()[0] for line in symbols.splitlines() if line.endswith(f" {name}")]
        if len(starts) != 1:
            fail(f"the program has no function {name}")
        offset = hex(int(starts[0], 16) + int(offset, 16))
    found = subprocess.run(["addr2line", "-i", "-e", program, offset], capture_output=True, text=True, check=True)
    file, line = found.stdout.splitlines()[-1].split(" ")[0].rsplit(":", 1)
    if not line.isdigit() or line == "0" or not os.path.isabs(file):
        return None
    with open(file) as source:
        return source.read().split("\n")[int(line) - 1]


def check_values(program, names, values):
    threads = {}
    for name, value in zip(names, values):
        if name.startswith("place:"):
            line = source_line(program, value)
            if line is not None and name[6:] not in line:
                fail(f"{value} is not '{name[6:]}' but the line '{line.strip()}'")
        elif name.endswith("thread") and threads.setdefault(name, value) != value:
            fail(f"thread {threads[name]} should be thread {value}")
    if len(set(threads.values())) != len(threads):
        fail("two threads have one number")


def main():
    asan = "--asan" in sys.argv
    program, expected = sys.argv[-2:]
    end, debug, asan_text, text = parse(expected)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PWISE_")}
    if "PWISE_BACKEND" in os.environ:
        environment["PWISE_BACKEND"] = os.environ["PWISE_BACKEND"]
    if debug:
        environment["PWISE_DEBUG"] = debug[0]
    # The faults are the kernel's to report, not the sanitizer's.
    environment["ASAN_OPTIONS"] = "halt_on_error=1:abort_on_error=1:handle_segv=0"
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    done = subprocess.run([program], env=environment, capture_output=True, text=True, timeout=120)
    if asan and asan_text:
        if asan_text[0] not in done.stderr or done.returncode == 0:
            fail(f"AddressSanitizer does not say {asan_text[0]}:\n{done.stderr}")
        return
    if done.returncode != -end:
        fail(f"ended with {done.returncode}, expected {end.name}; standard error:\n{done.stderr}")
    if done.stdout:
        fail(f"printed on standard output: {done.stdout}")
    pattern, names = pattern_of(text)
    match = pattern.fullmatch(done.stderr)
    if not match:
        fail(f"standard error is\n{done.stderr}expected\n{text}")
    check_values(program, names, match.groups())


main()
