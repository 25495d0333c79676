#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares what a replay says that a block costs by malloc with what it costs in the program itself, where a
preloaded library times each call; for programs of the system and for the sample's three cases.

    bench/replay_truth.py [--only NAME,...] [--rounds N] [--seconds S] [--scale F] BUILD INPUTS

BUILD is the build folder, INPUTS where the programs' inputs are or are made. Prints a table in Markdown.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys

import programs
import workloads

# One brings an allocator of its own, the other has its work in pools and two processes' worth of clients.
LEFT_OUT = ("redis", "nginx")
CALLS = ("malloc", "calloc", "realloc", "aligned", "free")


def timed_run(workload, scratch, timer):
    """The program with each call timed: what all calls took, and by where they were made."""
    out = pathlib.Path(scratch) / "pairs.json"
    out.unlink(missing_ok=True)
    workload.run(scratch, wrap=("env", f"LD_PRELOAD={timer}", f"PAIR_TIMER={out}"))
    return json.loads(out.read_text())


def pair_ns(timed):
    made = timed["malloc"]["calls"] + timed["calloc"]["calls"] + timed["aligned"]["calls"]
    return sum(timed[call]["ns"] for call in CALLS), made


def functions(path):
    """(offset, name) of the functions of a program, ascending."""
    listing = subprocess.run(["nm", "-n", "--defined-only", path], stdout=subprocess.PIPE, text=True, check=True)
    rows = (line.split() for line in listing.stdout.splitlines())
    return [(int(row[0], 16), row[2]) for row in rows if len(row) == 3 and row[1] in "tT"]


def by_function(timed, path):
    """Sums by the calling function of one file."""
    symbols, sums = functions(path), {}
    for caller in timed["callers"]:
        if os.path.realpath(caller["file"]) != os.path.realpath(path):
            continue
        name = [name for at, name in symbols if at <= caller["offset"]][-1]
        calls, spent = sums.get(name, (0, 0))
        sums[name] = (calls + caller["calls"], spent + caller["ns"])
    return sums


def replayed(workload, scratch, poolwise, seconds):
    trace = pathlib.Path(scratch) / f"{workload.name}.trace"
    workload.run(scratch, wrap=(poolwise, "-q", "record", "-o", trace, "--"))
    done = subprocess.run([poolwise, "-q", "replay", "--quick", "--json", "--seconds", str(seconds), trace],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    trace.unlink()
    if done.returncode:
        raise programs.Failed(f"{workload.name}: replay: {done.stderr.strip()}")
    return json.loads(done.stdout)


def sample_rows(timed_runs, replay, path):
    """The sample's cases: where each makes and frees its blocks."""
    cases = {"sample, event": ("record_event", {"record_event", "count_event"}),
             "sample, buffer": ("render_page", {"render_page", "buffer_append"}),
             "sample, frame": ("receive_frame", {"receive_frame", "handle_frame", "frame_queue_destroy", "serve"})}
    for name, (site, callers) in cases.items():
        found = [each for each in replay["sites"] if each["function"] in (site, *callers)]
        if not found:
            continue
        inside = []
        for timed in timed_runs:
            sums = by_function(timed, path)
            spent = sum(sums[caller][1] for caller in callers if caller in sums)
            inside.append(spent / found[0]["allocations"])
        yield name, found[0]["allocations"], inside, found[0]["backends"][0]["pair_ns"]


def line(name, blocks, inside, by_replay):
    middle = statistics.median(inside)
    off = by_replay / middle - 1
    print(f"| {name} | {blocks:,} | {middle:.1f} ({min(inside):.1f}-{max(inside):.1f}) | {by_replay:.1f} | "
          f"{off * 100:+.0f} % |", flush=True)
    return abs(off)


def main():
    parser = argparse.ArgumentParser(description="Replayed against real prices of malloc.")
    parser.add_argument("--only", help="comma-separated names of workloads")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each program (default 3)")
    parser.add_argument("--seconds", type=float, default=8, help="of each replay (default 8)")
    parser.add_argument("--scale", type=float, default=1.0, help="size factor of the inputs (default 1)")
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("inputs", type=pathlib.Path)
    options = parser.parse_args()
    build = options.build.resolve()
    poolwise, timer, sample = build / "tool/poolwise", build / "bench/libpair-timer.so", build / "examples/sample/sample"
    only = options.only.split(",") if options.only else None
    wanted = ["jq", "sqlite3", "xmllint", "bash", "git"]
    workloads.make(options.inputs, [name for name in wanted if not only or name in only], options.scale)
    chosen = [programs.Workload("sample", [sample]), *programs.workloads(options.inputs, options.scale)]
    print(f"Measured {datetime.date.today()}, {platform.machine()}, {os.cpu_count()} CPUs, Linux {platform.release()}; "
          f"median of {options.rounds} runs of the program (range), replay of {options.seconds:g} s.\n\n"
          "| program | blocks | in the program, ns a block | by replay | off |\n|---|---|---|---|---|", flush=True)
    off = []
    with programs.scratch_directory() as scratch:
        for workload in chosen:
            if (only and workload.name not in only) or workload.name in LEFT_OUT:
                continue
            if workload.missing():
                print(f"| {workload.name} | not installed: {', '.join(workload.missing())} | | | |", flush=True)
                continue
            try:
                runs = [timed_run(workload, scratch, timer) for _ in range(options.rounds)]
                replay = replayed(workload, scratch, poolwise, options.seconds)
            except (programs.Failed, OSError, ValueError) as failure:
                print(f"| {workload.name} | {failure} | | | |", flush=True)
                continue
            blocks = replay["allocations"]
            inside = [pair_ns(timed)[0] / max(1, blocks) for timed in runs]
            off.append(line(workload.name, blocks, inside, replay["program"][0]["pair_ns"]))
            if workload.name == "sample":
                off += [line(*row) for row in sample_rows(runs, replay, sample)]
    if off:
        print(f"\nOff by {statistics.median(off) * 100:.0f} % in the median, {max(off) * 100:.0f} % at most.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
