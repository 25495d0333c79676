#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Replays from the command line: what is measured agrees with what is said about it, what cannot be replayed is said in
one line, and time and memory are bounded. No figure is compared with a figure of this machine.

    replay.py POOLWISE SAMPLE PROGRAMS_DIRECTORY CASE
"""

import json
import math
import os
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import checks
from checks import case, check

poolwise, sample, programs = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])


def run(*words, **options):
    return checks.run([poolwise, *words], **options)


def check_refused(done, pattern, what):
    check(done.returncode, 2, f"{what}: status; {done.stderr}")
    lines = done.stderr.strip().splitlines()
    check(len(lines), 1, f"{what}: lines on standard error: {lines}")
    check(bool(re.search(pattern, done.stderr, re.I)), True, f"{what}: {done.stderr!r} says {pattern!r}")


def record(folder, *command, options=()):
    trace = folder / "trace"
    done = run("record", "-o", trace, *options, "--", *command)
    check(done.returncode, 0, f"recording {command[0]}: {done.stderr}")
    return trace


def strict(text):
    """JSON has no Infinity and no NaN."""
    def refuse(word):
        raise ValueError(f"{word} in the document")
    return json.loads(text, parse_constant=refuse)


def advise(*words):
    done = run("advise", "--json", *words)
    check(done.returncode, 0, f"advise {words}: {done.stderr}")
    return strict(done.stdout)


def check_interval(value, interval, what):
    check(len(interval), 2, f"{what}: ends of the interval")
    check(interval[0] <= interval[1], True, f"{what}: {interval} is in order")
    check(math.isfinite(value), True, f"{what}: {value} is a number")


@case
def sample_(folder):
    advice = advise("--replay-seconds", "2", "--", sample, "--requests", "1500000")
    # By file: which of the functions there is named depends on what was inlined.
    sites = {os.path.basename(site["file"] or ""): site for site in reversed(advice["sites"])}
    check(sites["event.c"]["verdict"], "STACK", "the event")
    # HOIST where other work makes the interval of what the final size saves reach down to nothing.
    check(sites["render.c"]["verdict"] in ("POOL", "PRESIZE", "HOIST"), True, f"the buffer: {sites['render.c']['reason']}")
    simpler = {"event.c": "STACK", "render.c": "PRESIZE", "frame.c": None}
    for name, kind in simpler.items():
        site, replay = sites[name], sites[name]["replay"]
        check(replay is not None, True, f"{name} was replayed: {advice['notes']}")
        if replay is None:
            continue
        check_interval(replay["saved_cpu_share"], replay["ci95"], name)
        check(replay["simpler"] and replay["simpler"]["verdict"], kind, f"{name}: what is simpler")
        if kind:
            check_interval(replay["simpler"]["saved_cpu_share"], replay["simpler"]["ci95"], f"{name}, simpler")
        check(site["estimated"], False, f"{name}: estimated")
        check("measured" in (site["snippet"] or "measured"), True, f"{name}: its code says what was measured")
        # A pool is advised where, and only where, the measurement says that it wins.
        wins = replay["ci95"][0] > 0 and replay["saved_cpu_share"] >= 0.01
        if site["verdict"] in ("POOL", "CAP", "CLASSES"):
            check(wins, True, f"{name} is {site['verdict']}, by {replay}")
        elif name == "render.c":
            ahead = replay["saved_cpu_share"] >= replay["simpler"]["saved_cpu_share"]
            check(wins and ahead, False, f"the buffer is PRESIZE, by {replay}")
        elif name == "frame.c":
            check(site["verdict"] in ("LOSES", "TAIL"), True, f"frames are {site['verdict']}, by {replay}")
            check(wins and site["upper_bound_cpu_share"] >= 0.01, False, f"frames are {site['verdict']}, by {replay}")
    # Without a replay nothing is called measured.
    advice = advise("--no-replay", "--", sample, "--requests", "100000")
    for site in advice["sites"]:
        check(site["replay"], None, f"{site['function']} without a replay")
        check(site["estimated"], True, f"{site['function']} without a replay")
    text = run("advise", "--no-replay", "--threshold", "pool-saving=0", "--", sample, "--requests", "100000").stdout
    check("not measured" in text, True, f"estimates are labelled: {text}")


@case
def usage(folder):
    check_refused(run("replay"), "which trace", "no trace")
    check_refused(run("replay", "a", "b"), "one trace", "two traces")
    check_refused(run("replay", "--seconds", "soon", "a"), "soon", "seconds that are none")
    check_refused(run("replay", "--seconds", "0", "a"), "0", "no seconds")
    check_refused(run("replay", "--seconds", "nan", "a"), "nan", "seconds that are no number")
    check_refused(run("replay", "--site"), "--site", "an option without its value")
    check_refused(run("replay", "--no-such", "a"), "--no-such", "unknown option")
    check_refused(run("replay", "--wrapper", "(", "a"), r"\(", "a pattern that is none")
    check_refused(run("advise", "--replay-seconds", "-1", "--", "true"), "-1", "advise with a negative time")
    check(run("replay", "--help").returncode, 0, "status of --help")
    trace = record(folder, sample, "--requests", "3000")
    check_refused(run("replay", "--site", "123", trace), "123", "a site that the recording does not have")


@case
def bad_traces(folder):
    check_refused(run("replay", folder / "none.trace"), "no such file", "missing trace")
    check_refused(run("replay", folder), "directory", "a directory")
    (folder / "text").write_text("this is not a trace, it is a sentence\n" * 50)
    check_refused(run("replay", folder / "text"), "trace", "text instead of a trace")
    (folder / "empty").touch()
    check_refused(run("replay", folder / "empty"), "trace", "an empty file")
    whole = record(folder, sample, "--requests", "30000").read_bytes()
    cut = folder / "cut"
    for size in (40, len(whole) // 3, len(whole) // 2, len(whole) - 1):
        cut.write_bytes(whole[:size])
        done = run("replay", "--json", "--seconds", "0.1", cut)
        check(done.returncode in (0, 2), True, f"trace cut to {size} bytes: status {done.returncode}: {done.stderr}")
        if done.returncode == 0:
            strict(done.stdout)
    for step in range(24):
        at = len(whole) * step // 24
        cut.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1:])
        done = run("replay", "--seconds", "0.05", cut)
        check(done.returncode in (0, 2), True, f"byte {at} changed: status {done.returncode}: {done.stderr[-300:]}")


@case
def odd_programs(folder):
    """Few events, one each, blocks that are never freed, resized ones, other processes' blocks."""
    for name in ("killself", "entrypoints", "forks", "longjmp"):
        arguments = {"killself": ["500", "exit"]}.get(name, [])
        trace = folder / "odd.trace"
        done = run("record", "-o", trace, "--", programs / name, *arguments)
        if done.returncode or not trace.exists():
            continue
        done = run("replay", "--json", "--seconds", "0.1", trace)
        check(done.returncode in (0, 2), True, f"{name}: status {done.returncode}: {done.stderr}")
        if done.returncode == 0:
            replay = strict(done.stdout)
            for site in replay["sites"]:
                for row in site["backends"]:
                    check("failed" in row, False, f"{name}, {site['function']}: {row}")
        done = run("advise", "--json", "--replay-seconds", "0.1", "--threshold", "tail-share=0", trace)
        check(done.returncode in (0, 2), True, f"{name}: advise: status {done.returncode}: {done.stderr}")
        if done.returncode == 0:
            strict(done.stdout)


@case
def turns(folder):
    """However few windows the time is enough for, each site has one with blocks of its own."""
    trace = record(folder, programs.parent / "replay" / "turns")
    replay = strict(run("replay", "--json", "--seconds", "0.01", trace).stdout)
    check(replay["replay"]["cut"], True, "not all windows are replayed")
    check(len(replay["sites"]), 12, "sites")
    for site in replay["sites"]:
        for row in site["backends"]:
            check(row["pair_ns"] is not None, True, f"{site['function']} has a price: {row}")


@case
def bounds(folder):
    """A time bound is kept and said; every backend is there; a chosen site is the only one."""
    trace = record(folder, sample, "--requests", "90000")
    done = run("replay", "--seconds", "0.01", trace)
    check(done.returncode, 0, f"status: {done.stderr}")
    check("cut by its time bound" in done.stdout, True, f"a cut is said: {done.stdout}")
    replay = strict(run("replay", "--json", "--seconds", "1", trace).stdout)
    names = [row["by"] for row in replay["program"]]
    check(names[:5], ["malloc", "pool", "simpler", "malloc, empty heap", "malloc, littered heap"], "backends")
    check([row for row in replay["program"] if "failed" in row], [], "backends that could not run")
    for row in replay["program"]:
        check(row["pair_ns"] > 0 and row["peak_bytes"] > 0, True, f"{row} has figures")
    for site in replay["sites"]:
        for row in site["backends"][1:]:
            low, high = row["saved_pair_ns_ci95"]
            check(low is None or low <= high, True, f"{site['function']} by {row['by']}: {low} to {high}")
    chosen = replay["sites"][0]["id"]
    again = strict(run("replay", "--json", "--seconds", "0.3", "--site", chosen, trace).stdout)
    check([site["id"] for site in again["sites"]], [chosen], "only the chosen site")
    text = run("replay", "--seconds", "0.3", "--site", chosen, trace).stdout
    check(chosen in text, True, "the table names the site")
    # A worker that cannot be found is no reason to give no advice.
    lonely = folder / "poolwise"
    lonely.write_bytes(pathlib.Path(poolwise).read_bytes())
    lonely.chmod(0o755)
    done = checks.run([lonely, "advise", "--json", trace])
    check(done.returncode, 0, f"advice without a worker: {done.stderr}")
    advice = strict(done.stdout)
    check(any("replay-worker" in note for note in advice["notes"]), True, f"it is said: {advice['notes']}")
    check({site["replay"] for site in advice["sites"]} == {None}, True, "and nothing is called measured")


@case
def threads(folder):
    """Several threads, and blocks that one makes and another frees."""
    for command in ([sample, "--threads", "4", "--requests", "40000"], [programs / "threads"]):
        trace = record(folder, *command)
        done = run("replay", "--json", "--seconds", "0.5", trace)
        check(done.returncode, 0, f"{command[0]}: {done.stderr}")
        replay = strict(done.stdout)
        check([row for row in replay["program"] if "failed" in row], [], f"{command[0]}: backends that could not run")
        check(replay["replay"]["events"] > 0, True, f"{command[0]}: events replayed")


checks.run_case(sys.argv[4])
