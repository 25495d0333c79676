# SPDX-License-Identifier: MIT
"""Properties of `poolwise bench`, one for each case: what it prints, refuses and counts; never how long it takes.

    bench.py POOLWISE WORKER CASE
"""

import json
import pathlib
import re
import signal
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import checks
from checks import case, check

poolwise, worker = sys.argv[1:3]
FAST = ["--count", "1", "--time", "1"]


def bench(*words, status=0):
    done = checks.run([poolwise, "bench", *words], timeout=200)
    check(done.returncode, status, f"status of bench {' '.join(words)}: {done.stderr}")
    return done


def configured(line):
    """The key of a configuration line of Go's benchmark format, None where it is no such line: "key: value", the key
    beginning with a small letter, without capitals or space."""
    found = re.match(r"([a-z][^A-Z\s:]*):[ \t]+\S", line)
    return found.group(1) if found else None


def result_fault(line):
    """What keeps a line from being a result in Go's benchmark format: "Benchmark" and a name that does not go on with
    a small letter, a count of at least one, then pairs of a number and its unit, each unit once, ns/op among them."""
    name, *rest = line.split()
    if not re.match(r"Benchmark[^a-z\s]", name) or not re.search(r"[^-](-[1-9][0-9]*)?$", name):
        return "no name"
    if len(rest) < 3 or len(rest) % 2 == 0:
        return "a value without a unit"
    if not re.fullmatch(r"[1-9][0-9]*", rest[0]):
        return "no count"
    values, units = rest[1::2], rest[2::2]
    for value in values:
        if not re.fullmatch(r"[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?", value):
            return f"{value!r} is no number"
    if len(units) != len(set(units)) or "ns/op" not in units or any(re.match(r"[-+.0-9]", unit) for unit in units):
        return f"units {units}"
    return None


@case
def format_(folder):
    """Lines as benchstat reads them."""
    for broken in ("Pair 1 2 ns/op", "Benchmarkpair 1 2 ns/op", "BenchmarkPair 0 2 ns/op", "BenchmarkPair 1 2",
                   "BenchmarkPair 1 -2 ns/op", "BenchmarkPair 1 nan ns/op", "BenchmarkPair 1 2 B/op",
                   "BenchmarkPair 1 2 ns/op 3 ns/op", "BenchmarkPair 1 2 ns/op 3"):
        check(result_fault(broken) is None, False, f"the parser takes {broken!r}")
    done = bench(*FAST, "--count", "2", "--no-advise", "--bench", "^(Event/variant=[^g]|Pair/peer=(glibc|floor)|Idle/peer=poolwise)")
    lines = done.stdout.splitlines()
    check([configured(line) for line in lines[:4]], ["goos", "goarch", "pkg", "cpu"], "header")
    for line in lines[4:]:
        check(result_fault(line), None, f"what is wrong with {line!r}")
    names = [line.split()[0] for line in lines[4:]]
    check(sorted(names), sorted(2 * list(dict.fromkeys(names))), "names in two rounds")
    for wanted in ("BenchmarkPair/peer=glibc", "BenchmarkPair/peer=glibc-2", "BenchmarkPair/peer=floor-64",
                   "BenchmarkEvent/variant=stack", "BenchmarkIdle/peer=poolwise-8"):
        check(wanted in names, True, f"{wanted} is there")
    for wanted in ("Medians of 2 rounds", "\nPair-2\n"):
        check(wanted in done.stderr, True, f"{wanted!r} is in the table: {done.stderr!r}")
    quiet = subprocess.run([poolwise, "-q", "bench", *FAST, "--no-advise", "--bench", "Event/variant=stack"],
                           capture_output=True, text=True, check=True)
    check(quiet.stderr, "", "standard error with -q")


@case
def filter_(folder):
    listed = bench("--list").stdout.split()
    check(len(listed), len(set(listed)), "names are unique")
    for regex in ("^Pair/", "peer=glibc(-2)?$", "Render|Event", "-64$"):
        check(bench("--list", "--bench", regex).stdout.split(),
              [name for name in listed if re.search(regex, name)], f"--list --bench {regex}")
    done = bench(*FAST, "--no-advise", "--bench", "^Event/variant=value$")
    check([line.split()[0] for line in done.stdout.splitlines()[4:]], ["BenchmarkEvent/variant=value"], "lines")


@case
def json_(folder):
    document = json.loads(bench(*FAST, "--count", "3", "--json", "--bench", "^(Event/variant=[^g]|Pair/peer=floor$)").stdout)
    check(list(document), ["poolwise", "machine", "rounds", "peers", "benchmarks", "verdicts"], "keys")
    check(document["rounds"], 3, "rounds")
    for key, kind in {"cpu": str, "cpus": int, "architecture": str, "kernel": str, "libc": str}.items():
        check(type(document["machine"].get(key)), kind, f"machine.{key}")
    check([entry["name"] for entry in document["benchmarks"]],
          [f"Event/variant={name}" for name in ("malloc", "value", "stack", "pool")] + ["Pair/peer=floor"], "names")
    for entry in document["benchmarks"]:
        ns = entry["ns_per_op"]
        check(len(ns["runs"]), 3, f"{entry['name']} runs")
        check(ns["median"], sorted(ns["runs"])[1], f"{entry['name']} median")
        check((ns["low"], ns["high"]), (min(ns["runs"]), max(ns["runs"])), f"{entry['name']} interval")
        check(ns["coverage"], 0.75, f"{entry['name']} coverage")
        check("allocs_per_op" in entry, "variant" in entry, f"{entry['name']} counted")
    verdict, = document["verdicts"]
    # A block that its own frame frees, of 16 bytes, each time: facts, not times, decide.
    check((verdict["group"], verdict["verdict"]), ("Event", "STACK"), "verdict")
    check(verdict["agreement"], "agree" if {"stack", "value"} & set(verdict["as_good"]) else "disagree", "agreement")


@case
def allocations(folder):
    """Counted exactly: what the source says, line by line."""
    document = json.loads(bench(*FAST, "--json", "--no-advise", "--bench", "^(Render|Event|Frame).*variant=[^g]").stdout)
    found = {entry["name"]: entry for entry in document["benchmarks"]}
    wanted = {"Render/variant=fresh": 7,  # 64 bytes, doubled six times to 4096
              "Render/variant=presized": 1, "Render/variant=pooled": 0, "Render/variant=pooled-printf": 0,
              "Event/variant=malloc": 1, "Event/variant=value": 0, "Event/variant=stack": 0, "Event/variant=pool": 0}
    for sizes in ("small", "mixed", "rare"):
        wanted[f"Frame/sizes={sizes}/variant=malloc"] = 1
        for variant in ("pool", "cap", "drop", "adaptive", "classes"):
            wanted[f"Frame/sizes={sizes}/variant={variant}"] = 0
    for name, count in wanted.items():
        check(found[name]["allocs_per_op"] if name in found else "missing", count, f"{name} allocs/op")
    check(found["Render/variant=fresh"]["bytes_per_op"], 64 * (2 ** 7 - 1), "Render/variant=fresh B/op")
    check(found["Render/variant=presized"]["bytes_per_op"], 4096, "Render/variant=presized B/op")
    check(found["Event/variant=malloc"]["bytes_per_op"], 16, "Event/variant=malloc B/op")
    # Its own buffer, at least; the rest is libc's affair.
    check(found["Render/variant=memstream"]["allocs_per_op"] >= 1, True, "open_memstream allocates")
    # One outlier stays in a pool without a cap; that is what the case is there to show.
    rare = {variant: found[f"Frame/sizes=rare/variant={variant}"]["metrics"]["idle-B"]["median"] for variant in ("pool", "drop")}
    check(rare["drop"] <= 8 * 1024, True, f"a pool that drops large payloads keeps {rare['drop']} bytes")


@case
def patterns(folder):
    """Every case of the worker runs in every variant, with several threads, and conserves what it is given."""
    for line in subprocess.run([worker, "--list"], capture_output=True, text=True, check=True).stdout.splitlines():
        pattern, variants = line.split("\t")
        for variant in variants.split():
            if variant == "extra" or pattern in ("Stall", "List", "PoolExpensiveNew"):
                continue  # extra: no library of its own here; the others take their time
            for threads in ("2", "5"):
                done = subprocess.run([worker, pattern, variant, threads, "--count", "3000"], capture_output=True, text=True,
                                      timeout=100, check=False)
                check((done.returncode, " ns/op" in done.stdout), (0, True),
                      f"{pattern} {variant} {threads}: {done.stdout} {done.stderr}")
    for words in ([], ["Pair"], ["Pair", "pool", "0"], ["Pair", "poo", "1"], ["Nothing", "pool", "1"], ["Flow", "pool", "1"],
                  ["Pair", "pool", "1", "--count"], ["Pair", "pool", "1", "--count", "-1"], ["Pair", "pool", "1", "--x", "1"]):
        done = subprocess.run([worker, *words], capture_output=True, text=True, check=False)
        check((done.returncode, done.stderr[:6]), (2, "usage:"), f"worker {words}")


@case
def usage(folder):
    for words, said in ((["--bench", "("], "--bench (: "), (["--bench", "no such"], "matches none of the benchmarks"),
                        (["--bench", "a", "--bench", "b"], "given twice"), (["--bench"], "needs a value"),
                        (["--count", "0"], "--count 0: it takes a number from 1 to 1000"), (["--count", "x"], "--count x"),
                        (["--count", "-1"], "--count -1"), (["--time", "0"], "--time 0"), (["--nonsense"], "unknown option --nonsense"),
                        (["program"], "bench takes no program")):
        done = bench(*words, status=2)
        lines = done.stderr.splitlines()
        check((done.stdout, len(lines)), ("", 1), f"bench {' '.join(words)}: standard output, lines of error: {lines}")
        check(done.stderr.startswith("poolwise: ") and said in done.stderr, True,
              f"bench {' '.join(words)}: {done.stderr!r} says {said!r}")
    check(bench("--help").stdout.split(":")[0], "usage", "--help")


@case
def interrupt(folder):
    """^C ends it with one line, and leaves no worker behind."""
    with subprocess.Popen([poolwise, "-q", "bench", "--count", "1000", "--time", "10000", "--no-advise", "--bench",
                           "^Event/variant=(stack|value)"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        for _ in range(4):
            run.stdout.readline()  # the header: it has begun
        run.send_signal(signal.SIGINT)
        _, said = run.communicate(timeout=100)
    check((run.returncode, said), (2, "poolwise: interrupted\n"), "interrupted")


checks.run_case(sys.argv[3])
