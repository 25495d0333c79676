#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What recording costs: CPU time of programs of the system plain, under `poolwise record` and under
`heaptrack -r` (record only), in alternating order.

Costs are differences to the plain run of the same round, per allocation event, so rounds that a busy
machine disturbs cancel in part; medians over the rounds and their range are given. Nothing here is a
test: the budgets' PASS or MISS is for the reader, the status is 0 either way.
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

BUDGET_PROGRAM_NS = 25
BUDGET_BYTES = 4
BUDGET_EVENTS_PER_S = 10e6


class Series:
    """One figure over the rounds."""

    def __init__(self, values):
        self.values = [value for value in values if value is not None]

    def __bool__(self):
        return bool(self.values)

    @property
    def median(self):
        return statistics.median(self.values)

    def show(self, form):
        if not self.values:
            return "-"
        return f"{self.median:{form}} ({min(self.values):{form}}..{max(self.values):{form}})"


def measure(workload, poolwise, heaptrack, rounds, scratch, say):
    """Runs all variants `rounds` times; each round starts with another variant."""
    trace, stats = f"{scratch}/run.trace", f"{scratch}/stats.json"
    variants = {
        "plain": (),
        "poolwise": (poolwise, "record", "-o", trace, "--stats", stats, "--"),
    }
    if heaptrack:
        variants["heaptrack"] = (heaptrack, "-r", "-o", f"{scratch}/heaptrack")
    names = list(variants)
    done = []
    for number in range(rounds):
        row = {}
        for name in names[number % len(names):] + names[:number % len(names)]:
            for stale in pathlib.Path(scratch).glob("heaptrack*"):
                stale.unlink()
            row[name] = workload.run(scratch, variants[name])
            if name == "poolwise":
                row["stats"] = json.loads(pathlib.Path(stats).read_text())
                row["trace_bytes"] = os.path.getsize(trace)
        say(f"{workload.name} {number + 1}/{rounds}")
        done.append(row)
    return done, trace


def analysis_rate(poolwise, trace, scratch, rounds):
    """Events a second of CPU time for reading and analysing a trace; names, prices and verdicts come after."""
    rates = []
    stats = pathlib.Path(scratch) / "analysis.json"
    for _ in range(rounds):
        subprocess.run([poolwise, "advise", "--no-replay", "--stats", stats, trace], stdout=subprocess.DEVNULL,
                       check=True, timeout=programs.TIMEOUT_S)
        said = json.loads(stats.read_text())
        if said["analysis_cpu_ns"]:
            rates.append(said["events"] / said["analysis_cpu_ns"] * 1e9)
    return Series(rates)


def per_event(rounds, of):
    return Series([of(row) / row["stats"]["events"] if row["stats"]["events"] else None for row in rounds])


def figures(rounds, rate):
    def program_ns(row):
        return row["stats"]["program_cpu_ns"] - row["plain"].cpu_ns

    def total_ns(row):
        return row["poolwise"].cpu_ns - row["plain"].cpu_ns

    result = {
        "plain_s": Series([row["plain"].cpu_ns / 1e9 for row in rounds]),
        "events": Series([row["stats"]["events"] for row in rounds]),
        "program": per_event(rounds, program_ns),
        "total": per_event(rounds, total_ns),
        "heaptrack": Series([]),
        "ratio": Series([]),
        "bytes": per_event(rounds, lambda row: row["trace_bytes"]),
        "rate": rate,
        "peak": Series([row["stats"]["collector_peak_bytes"] / 2**20 for row in rounds]),
        "dropped": sum(row["stats"]["dropped"] for row in rounds),
    }
    if "heaptrack" in rounds[0]:
        result["heaptrack"] = per_event(rounds, lambda row: row["heaptrack"].cpu_ns - row["plain"].cpu_ns)
        if result["heaptrack"].median > 0:
            result["ratio"] = Series([result["total"].median / (result["heaptrack"].median / 3)])
    return result


def budgets(found):
    """Which budgets are missed, in words; a figure that was not taken is not judged."""
    misses = []
    for key, name, bound, above_is_bad in (
            ("program", "program ns", BUDGET_PROGRAM_NS, True), ("ratio", "a third of heaptrack", 1, True),
            ("bytes", "bytes", BUDGET_BYTES, True), ("rate", "analysis", BUDGET_EVENTS_PER_S, False)):
        if found[key] and (found[key].median > bound) == above_is_bad and found[key].median != bound:
            misses.append(name)
    return "MISS: " + ", ".join(misses) if misses else "PASS"


COLUMNS = (
    ("workload", lambda name, f: name),
    ("plain CPU s", lambda name, f: f["plain_s"].show(".2f")),
    ("events M", lambda name, f: f"{f['events'].median / 1e6:.2f}"),
    ("program ns/event", lambda name, f: f["program"].show(".1f")),
    ("with collector ns/event", lambda name, f: f["total"].show(".1f")),
    ("heaptrack -r ns/event", lambda name, f: f["heaptrack"].show(".0f")),
    ("of heaptrack/3", lambda name, f: f"{f['ratio'].median:.2f}" if f["ratio"] else "-"),
    ("bytes/event", lambda name, f: f["bytes"].show(".2f")),
    ("analysed M/s", lambda name, f: f"{f['rate'].median / 1e6:.1f}" if f["rate"] else "-"),
    ("collector MiB", lambda name, f: f"{f['peak'].median:.0f}"),
    ("budget", lambda name, f: budgets(f) + (f"; {f['dropped']} dropped" if f["dropped"] else "")),
)


def table(rows):
    cells = [[title for title, _ in COLUMNS]] + [[cell(name, found) for _, cell in COLUMNS] for name, found in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(COLUMNS))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in cells]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def first_line(*words):
    try:
        done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=20)
        return (done.stdout.strip().splitlines() or ["?"])[0]
    except OSError:
        return "not installed"


def machine():
    model = memory = system = "?"
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    for line in pathlib.Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemTotal"):
            memory = f"{int(line.split()[1]) / 2**20:.1f} GiB"
    for line in pathlib.Path("/etc/os-release").read_text().splitlines():
        if line.startswith("PRETTY_NAME="):
            system = line.split("=", 1)[1].strip('"')
    return [f"{model}, {len(os.sched_getaffinity(0))} CPUs, {memory}",
            f"{system}, Linux {platform.release()} {platform.machine()}, {' '.join(platform.libc_ver())}",
            f"load before: {os.getloadavg()[0]:.1f}"]


def page(rows, skipped, about, command_line):
    lines = [f"# What recording costs, {datetime.date.today().isoformat()}", ""]
    lines += [f"- {line}" for line in about]
    lines += [f"- `{command_line}`", "", table(rows), ""]
    lines += [f"Left out: {name}: {why}.\n" for name, why in skipped]
    lines += ["CPU time is user and system of the whole process tree. Medians over the rounds, in brackets the "
              "range. ns per event",
              "is what recording added over the plain run of the same round. Budgets: at most "
              f"{BUDGET_PROGRAM_NS} ns an event in the",
              "program, program and collector together at most a third of heaptrack, at most "
              f"{BUDGET_BYTES} bytes an event, analysis at",
              f"least {BUDGET_EVENTS_PER_S / 1e6:.0f} million events a second.", ""]
    return "\n".join(lines)


def parse_arguments():
    root = pathlib.Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=root / "build", help="build directory (default build)")
    parser.add_argument("--inputs", help="where inputs are kept (default BUILD/bench-inputs)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="size of the inputs (default 1)")
    parser.add_argument("--only", help="comma-separated names of workloads")
    parser.add_argument("--no-heaptrack", action="store_true")
    parser.add_argument("-o", "--output", help="default bench/results/record-DATE.md")
    options = parser.parse_args()
    if options.rounds < 1 or options.scale <= 0:
        parser.error("--rounds and --scale must be above 0")
    options.build = pathlib.Path(options.build).resolve()
    options.inputs = pathlib.Path(options.inputs or options.build / "bench-inputs").resolve()
    options.output = pathlib.Path(options.output or
                                  root / "bench" / "results" / f"record-{datetime.date.today().isoformat()}.md")
    known = {workload.name for workload in programs.workloads(options.inputs, options.scale)}
    options.names = set(options.only.split(",")) if options.only else known
    if options.names - known:
        parser.error("no such workload: " + ", ".join(sorted(options.names - known)))
    return options


def main():
    options = parse_arguments()
    poolwise = str(options.build / "tool" / "poolwise")
    if not os.access(poolwise, os.X_OK):
        sys.exit(f"{poolwise} is not there: build first")
    heaptrack = None if options.no_heaptrack else programs.which("heaptrack")
    about = machine() + [first_line(poolwise, "--version"), "peer: " + (
        first_line(heaptrack, "--version") if heaptrack else "none")]

    def say(text):
        print(f"\r\033[K{text}" if sys.stderr.isatty() else text, end="" if sys.stderr.isatty() else "\n",
              file=sys.stderr, flush=True)

    say("making inputs")
    workloads.make(options.inputs, options.names, options.scale)
    rows, skipped = [], []
    for workload in programs.workloads(options.inputs, options.scale):
        if workload.name not in options.names:
            continue
        if workload.missing():
            skipped.append((workload.name, "not installed: " + ", ".join(workload.missing())))
            continue
        with programs.scratch_directory() as scratch:
            try:
                rounds, trace = measure(workload, poolwise, heaptrack, options.rounds, scratch, say)
                rate = analysis_rate(poolwise, trace, scratch, options.rounds)
                rows.append((workload.name, figures(rounds, rate)))
            except (programs.Failed, subprocess.SubprocessError) as problem:
                skipped.append((workload.name, " ".join(str(problem).split())))
    say("\n" if sys.stderr.isatty() else "done")
    text = page(rows, skipped, about, " ".join(["bench/record.py", *sys.argv[1:]]))
    print(text)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(text)
    print(f"written to {options.output}", file=sys.stderr)
    return 1 if not rows else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("\nstopped; nothing of ours runs on")
