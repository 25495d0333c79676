#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A program that knows what it did is recorded, and the record says the same: counts by entry point and
size, the functions that the blocks were asked for through, who freed them.

    known.py TALLY_RUN PRELOAD PROGRAM [ARGUMENT...]

Three runs: full stacks; the same by way of a trace file, which has to give the very same record; and
call sites only.
"""

import json
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import checks
import tallies


def record(tally_run, options, program, folder):
    done = checks.run([tally_run, *options, folder / "tally", *program])
    name = os.path.basename(program[0])
    if not checks.check(done.returncode, 0, f"status of recording {name} {options}: {done.stderr}"):
        return None, None
    tally = tallies.Tally(folder / "tally")
    checks.check(tally.broken, None, f"{name} {options}: rules of the trace's model")
    checks.check(tally.end["dropped"] + tally.end["lost_threads"], 0, f"{name} {options}: lost events or threads")
    # A program that is a process tree may print more than once; the last line is the whole's.
    return tally, json.loads(done.stdout.splitlines()[-1])


def check_counts(tally, said, name):
    sizes = {path["size"] for path in said.get("paths", ())}
    for size in sizes:
        expected = sum(path["count"] for path in said["paths"] if path["size"] == size)
        checks.check(tally.count("alloc", size), expected, f"{name}: blocks of {size} bytes")
    for size, count in said.get("sizes", ()):
        checks.check(tally.count("alloc", size), count, f"{name}: blocks of {size} bytes")
    found = tallies.comparable(tally.events)
    for kind, call, size, count in said.get("events", ()):
        group = "" if kind == "free" else tallies.GROUPS.get(call, call)
        if kind != "free":
            checks.check(found[kind, group, size], count, f"{name}: {kind} by {call} of {size} bytes")
    if "events" in said:
        checks.check(tally.count("free"), said["frees"], f"{name}: frees")
        checks.check(tally.count("alloc"), sum(row[3] for row in said["events"] if row[0] == "alloc"),
                     f"{name}: allocations, all told")
        checks.check(tally.count("realloc"), sum(row[3] for row in said["events"] if row[0] == "realloc"),
                     f"{name}: reallocs, all told")
    for path in said.get("paths", ()):
        if path.get("freed_by_other_thread"):
            checks.check(tally.elsewhere.get(path["size"], 0), path["count"],
                         f"{name}: blocks of {path['size']} bytes freed by another thread")
    if "inherited_frees" in said:
        checks.check(tally.end["unknown_frees"], said["inherited_frees"], f"{name}: frees of inherited blocks")
    for key in ("processes", "threads"):
        if key in said:
            checks.check(tally.end[key], said[key], f"{name}: {key}")


def check_paths(tally, said, name):
    paths = said.get("paths", ())
    found = tallies.counts_by_function(tally, {path["size"] for path in paths})
    for path in paths:
        checks.check(found[path["size"], path["through"]], path["count"],
                     f"{name}: blocks of {path['size']} bytes asked for through {path['through']}")


def main():
    tally_run, preload, *program = sys.argv[1:]
    name = os.path.basename(program[0])
    tallies.preload_beside(tally_run, preload)
    for options in (["--children", "--stacks"], ["--children", "--stacks", "--file"], ["--children", "--site"]):
        with checks.scratch() as folder:
            if "--file" in options:
                options.append(str(folder / "trace"))
            tally, said = record(tally_run, options, program, folder)
            if tally is None:
                continue
            check_counts(tally, said, f"{name} {options}")
            if "--stacks" in options:
                check_paths(tally, said, f"{name} {options}")


main()
checks.finish()
